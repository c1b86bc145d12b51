// The key: from the address's fragment (which no server sees) into this tab's storage, and out of the
// address at once, so that it is neither bookmarked nor shown.

const NAME = "a2a-key";

export function readKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    sessionStorage.setItem(NAME, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(NAME) ?? "";
}

export function keepKey(key) {
  sessionStorage.setItem(NAME, key.trim());
}

export function dropKey() {
  sessionStorage.removeItem(NAME);
}
