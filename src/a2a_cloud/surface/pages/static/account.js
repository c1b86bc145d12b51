// Adding a passkey to the account.

import { ask, available, create, words } from "./webauthn.js";

const section = document.getElementById("passkey-section");
const said = document.getElementById("said");
const { csrf } = section.dataset;
const again = "/login?again=1&next=/account";

async function add() {
  said.textContent = "";
  if (!section.dataset.fresh) return location.assign(again);
  try {
    const { options, ticket } = await ask("/account/passkeys/options", { csrf });
    const credential = await create(options);
    await ask("/account/passkeys", { csrf, ticket, credential, label: document.getElementById("label").value });
    location.assign("/account?done=passkey");
  } catch (error) {
    if (error.again) return location.assign(again);
    said.textContent = error.name === "InvalidStateError" ? "This device has a passkey for you already." : words(error);
  }
}

const button = document.getElementById("add");
if (button && available()) {
  document.getElementById("add-passkey").hidden = false;
  button.addEventListener("click", add);
}
