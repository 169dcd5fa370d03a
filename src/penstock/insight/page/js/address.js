// The text and its languages in the address's fragment, which browsers never send to a server.

export function readAddress() {
  const fields = new URLSearchParams(window.location.hash.slice(1));
  if (!fields.has("text")) return null;
  return { source: fields.get("source"), target: fields.get("target"), text: fields.get("text") };
}

export function addressOf(source, target, text) {
  const fields = new URLSearchParams({ source, target, text });
  return `${window.location.origin}${window.location.pathname}#${fields}`;
}

// Replaced, not pushed: typing must not fill the history.
export function writeAddress(source, target, text) {
  const bare = window.location.pathname;
  window.history.replaceState(null, "", text ? addressOf(source, target, text) : bare);
}
