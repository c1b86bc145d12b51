// Signing in with a passkey, beside the form that needs no script.

import { ask, available, get, words } from "./webauthn.js";

const form = document.getElementById("login");
const said = document.getElementById("said");
const { csrf, next } = form.dataset;

async function withPasskey() {
  said.textContent = "";
  try {
    const { options, ticket } = await ask("/login/passkey/options", { csrf });
    const credential = await get(options);
    const { next: path } = await ask("/login/passkey", { csrf, ticket, credential, next });
    location.assign(path);
  } catch (error) {
    said.textContent = words(error);
  }
}

if (available()) {
  document.getElementById("with-passkey").hidden = false;
  document.getElementById("passkey").addEventListener("click", withPasskey);
}
