// What the browser remembers for us, where it may.

export function recall(name) {
  try {
    return window.localStorage.getItem(`penstock-${name}`);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    window.localStorage.setItem(`penstock-${name}`, value);
  } catch {
    // storage is forbidden: the choice lasts as long as the page
  }
}
