// WebAuthn's options and answers as JSON (Web Authentication Level 3, section 5.1.8 and 5.1.9), for browsers
// that have no functions of their own for it too.

const decode = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0));
const encode = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

export const available = () => window.isSecureContext && typeof PublicKeyCredential === "function";

export async function create(options) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: decode(options.challenge),
      user: { ...options.user, id: decode(options.user.id) },
      excludeCredentials: (options.excludeCredentials ?? []).map((each) => ({ ...each, id: decode(each.id) })),
    },
  });
  return {
    id: made.id,
    rawId: encode(made.rawId),
    type: made.type,
    clientExtensionResults: made.getClientExtensionResults(),
    response: {
      clientDataJSON: encode(made.response.clientDataJSON),
      attestationObject: encode(made.response.attestationObject),
    },
  };
}

export async function get(options, more = {}) {
  const made = await navigator.credentials.get({
    publicKey: { ...options, challenge: decode(options.challenge), allowCredentials: [] },
    ...more,
  });
  return {
    id: made.id,
    rawId: encode(made.rawId),
    type: made.type,
    clientExtensionResults: made.getClientExtensionResults(),
    response: {
      clientDataJSON: encode(made.response.clientDataJSON),
      authenticatorData: encode(made.response.authenticatorData),
      signature: encode(made.response.signature),
      userHandle: made.response.userHandle ? encode(made.response.userHandle) : null,
    },
  };
}

// Throws Error with words for people.
export async function ask(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
    redirect: "error",
  });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error([found.detail ?? `The platform answered ${answer.status}.`, found.remedy ?? ""].join(" ").trim());
    error.again = found.again === "1";
    throw error;
  }
  return found;
}

// What a browser's refusal means to a person.
export function words(error) {
  return error.name === "NotAllowedError" ? "No passkey was used." : error.message;
}
