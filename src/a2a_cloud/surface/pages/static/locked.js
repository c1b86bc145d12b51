// Takes a key and shows what this address gives to it.

import { addCopyButtons } from "./copy.js";
import { dropKey, keepKey, readKey } from "./key.js";

const form = document.getElementById("door");
const why = document.getElementById("why");

async function show(key) {
  const answer = await fetch(location.pathname + location.search, {
    headers: { Authorization: `Bearer ${key}`, Accept: "text/html" },
    cache: "no-store",
  });
  if (!answer.ok) {
    dropKey();
    why.textContent = answer.status === 401 ? "This key is not valid here." : `The page can't be shown (${answer.status}).`;
    return;
  }
  // The page is ours and escaped; what DOMParser makes runs no scripts.
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = page.title;
  document.body.replaceChildren(...page.body.childNodes);
  addCopyButtons(document);
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function attempt(key) {
  why.textContent = "";
  show(key).catch(() => { why.textContent = "The platform can't be reached."; });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const key = document.getElementById("key").value.trim();
  keepKey(key);
  attempt(key);
});

const known = readKey();
if (known) attempt(known);
