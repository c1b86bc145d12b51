// Bytes and the two algorithms that everything rests on: SHA-256 and Ed25519, both of WebCrypto. Nothing here
// computes either by itself: where a browser has no Ed25519, a signature is not checkable.

// What refuses a document; its text says why. `file` is the member of a pack, when it is in one.
export class Refused extends Error {
  constructor(why, file = "") {
    super(why);
    this.file = file;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const bytesOf = (text) => encoder.encode(text);

// The text of UTF-8; null where it is not.
export function textOf(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

export function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function unhex(text) {
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = parseInt(text.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

export const same = (left, right) => left.length === right.length && left.every((byte, at) => byte === right[at]);

const URLSAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const STANDARD = URLSAFE.replace("-_", "+/");

function written(bytes, alphabet) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const three = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const four = [three >> 18, (three >> 12) & 63, (three >> 6) & 63, three & 63];
    text += four.slice(0, Math.min(bytes.length - at, 3) + 1).map((six) => alphabet[six]).join("");
  }
  return text;
}

function read(text, alphabet, what) {
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const letter of text) {
    const six = alphabet.indexOf(letter);
    if (six < 0) throw new Refused(`not ${what}`);
    held = ((held << 6) | six) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = (held >> bits) & 255;
    }
  }
  if (text.length % 4 === 1) throw new Refused(`not ${what}`);
  // Spare bits of the last letter are zeros, or it is another spelling of the same bytes.
  if (written(bytes, alphabet) !== text) throw new Refused(`not ${what} in its one right spelling`);
  return bytes;
}

// Base64url without padding, base64 with it; what reads them throws Refused for any but the one right spelling.
export const base64url = (bytes) => written(bytes, URLSAFE);
export const unbase64url = (text) => read(text, URLSAFE, "base64url");

export function base64(bytes) {
  const text = written(bytes, STANDARD);
  return text + "=".repeat((4 - (text.length % 4)) % 4);
}

export function unbase64(text) {
  if (text.length % 4) throw new Refused("not base64");
  return read(text.replace(/={1,2}$/, ""), STANDARD, "base64");
}

export async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

export const NO_ED25519 = "this browser has no Ed25519";

let known = null;
// Whether signatures can be checked here.
export function canVerify() {
  known ??= crypto.subtle
    .importKey("raw", new Uint8Array(32), { name: "Ed25519" }, false, ["verify"])
    .then(() => true, (error) => error.name !== "NotSupportedError");
  return known;
}

// Points of small order, the sign left out: under such a key one signature is of every text, and browsers take
// it. libsodium, which the command line uses, refuses them as keys and in signatures, and so does this.
const P = 2n ** 255n - 19n;
const SMALL = new Set([
  0n, 1n, P - 1n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
]);

function isWeak(point) {
  const y = BigInt(`0x${hex(point.slice().reverse())}`) & (2n ** 255n - 1n);
  return y >= P || SMALL.has(y);
}

export async function ed25519(publicKey, signature, message) {
  if (isWeak(publicKey) || isWeak(signature.slice(0, 32))) return false;
  try {
    const key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
    return await crypto.subtle.verify({ name: "Ed25519" }, key, signature, message);
  } catch {
    return false; // A point that is none.
  }
}
