// The key that a server may ask for; kept as long as the tab, and sent only in a header.

let typedKey = null;

export function apiKey() {
  try {
    return typedKey ?? window.sessionStorage.getItem("penstock-key");
  } catch {
    return typedKey;
  }
}

export function rememberKey(key) {
  typedKey = key;
  try {
    window.sessionStorage.setItem("penstock-key", key);
  } catch {
    // storage is forbidden: the key lasts as long as the page
  }
}
