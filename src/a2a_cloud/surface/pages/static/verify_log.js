// A place in an append-only log: inclusion in the Merkle tree of RFC 6962, C2SP's signed notes, checkpoints,
// witnesses' cosignatures (c2sp.org/signed-note, /tlog-checkpoint, /tlog-cosignature) and the .tlog-proof file.

import { Refused, bytesOf, ed25519, hex, joined, same, sha256, unbase64 } from "./verify_bytes.js";

const MAX_SIZE = 2n ** 63n - 1n;
const MAX_NOTE = 128 << 10;
const MAX_SIGNATURES = 100;
const MAX_PROOF = 64;
const MAX_NAME = 255;
const LOG_KEY = 1;
const WITNESS_KEY = 4;
// Blanks one by one: what \s means is another thing in Python, and wire/note.py has to agree.
const KEY_NAME = /^[^ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+\u0000-\u001f\u007f-\u009f]+$/;

export const leafHash = (entry) => sha256(Uint8Array.of(0), entry);
const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

// Throws Refused unless the leaf stands at `index` (BigInt) in the tree with `size` leaves and `root`.
export async function checkInclusion(leaf, index, size, root, proof) {
  if (index < 0n || index >= size || size > MAX_SIZE) throw new Refused(`a tree of ${size} leaves has none at ${index}`);
  let node = leaf;
  let last = size - 1n;
  let place = index;
  for (const sibling of proof) {
    if (last === 0n) throw new Refused("the inclusion proof is too long for this place");
    if (place & 1n || place === last) {
      node = await nodeHash(sibling, node);
      while (!(place & 1n) && place) {
        place >>= 1n;
        last >>= 1n;
      }
    } else {
      node = await nodeHash(node, sibling);
    }
    place >>= 1n;
    last >>= 1n;
  }
  if (last !== 0n) throw new Refused("the inclusion proof is too short for this place");
  if (!same(node, root)) throw new Refused(`the inclusion proof leads to ${hex(node)}, not to the root ${hex(root)}`);
}

async function keyId(name, kind, publicKey) {
  return (await sha256(bytesOf(`${name}\n`), Uint8Array.of(kind), publicKey)).subarray(0, 4);
}

export const logKey = async (name, publicKey) => ({
  name, publicKey, kind: LOG_KEY, id: await keyId(name, LOG_KEY, publicKey),
});

// Characters, as Python counts them: `length` counts those beyond U+FFFF twice.
const characters = (text) => [...text].length;

function checkName(name) {
  if (characters(name) > MAX_NAME || !KEY_NAME.test(name)) {
    throw new Refused("a key's name has no spaces, no plus and no control characters, and is not empty");
  }
}

// The key of a line `name+id+base64`. Throws Refused.
export async function readVkey(text) {
  const [name, id, ...rest] = text.split("+");
  checkName(name);
  if (!/^[0-9a-f]{8}$/.test(id ?? "")) {
    throw new Refused("a key is written name+id+base64, its id with eight hexadecimal digits");
  }
  const raw = unbase64(rest.join("+"));
  if (raw.length !== 33 || ![LOG_KEY, WITNESS_KEY].includes(raw[0])) {
    throw new Refused("not the public key of an Ed25519 log (type 1) or witness (type 4)");
  }
  const key = { name, kind: raw[0], publicKey: raw.subarray(1) };
  key.id = await keyId(name, key.kind, key.publicKey);
  if (hex(key.id) !== id) throw new Refused(`the key's id is ${hex(key.id)}, not ${id}: it was changed`);
  return key;
}

function root32(text) {
  const root = unbase64(text);
  if (root.length !== 32) throw new Refused("the root has not 32 bytes");
  return root;
}

function sizeOf(text) {
  if (!/^(0|[1-9][0-9]{0,18})$/.test(text) || BigInt(text) > MAX_SIZE) {
    throw new Refused("a size is a decimal number without leading zeros, at most 2^63 - 1");
  }
  return BigInt(text);
}

// {origin, size, root, text, signatures} of a checkpoint's text. Throws Refused; says nothing of who signed.
export function readCheckpoint(text) {
  if (bytesOf(text).length > MAX_NOTE) throw new Refused(`longer than ${MAX_NOTE >> 10} KiB`);
  const control = text.search(/[\u0000-\u0009\u000b-\u001f]/);
  if (control >= 0) throw new Refused(`a control character at character ${characters(text.slice(0, control))}`);
  const end = text.lastIndexOf("\n\n");
  if (end < 0) throw new Refused("no empty line between the text and its signatures");
  const body = text.slice(0, end + 1);
  const block = text.slice(end + 2);
  if (!block.endsWith("\n")) throw new Refused("the last signature does not end in a newline");
  const lines = block.slice(0, -1).split("\n");
  if (lines.length > MAX_SIGNATURES) throw new Refused(`more than ${MAX_SIGNATURES} signatures`);
  const signatures = lines.map((line, index) => {
    if (!line.startsWith("— ")) {
      throw new Refused(`line ${index + 1} of the signatures does not begin with an em dash and a space`);
    }
    const [name, ...rest] = line.slice(2).split(" ");
    checkName(name);
    const raw = unbase64(rest.join(" "));
    if (raw.length < 5) throw new Refused(`the signature of ${name} is too short`);
    return { name, id: raw.subarray(0, 4), signature: raw.subarray(4) };
  });
  const parts = body.slice(0, -1).split("\n");
  if (parts.length < 3) throw new Refused("a checkpoint has at least three lines: origin, size, root");
  if (parts.some((line) => !line)) throw new Refused("an empty line in a checkpoint");
  const [origin, size, root] = parts;
  if (characters(origin) > MAX_NAME) throw new Refused(`an origin longer than ${MAX_NAME} characters`);
  return { origin, size: sizeOf(size), root: root32(root), text: body, signatures };
}

// Whether `key` signed the checkpoint: at least once, and with nothing that fails. Needs Ed25519.
export async function signedBy(checkpoint, key) {
  const found = checkpoint.signatures.filter(({ name, id }) => name === key.name && same(id, key.id));
  for (const { signature } of found) {
    let message = bytesOf(checkpoint.text);
    let raw = signature;
    if (key.kind === WITNESS_KEY) {
      if (signature.length !== 72) return false;
      const at = new DataView(signature.buffer, signature.byteOffset, 8).getBigUint64(0);
      if (at >= 2n ** 63n) return false;
      message = joined(bytesOf(`cosignature/v1\ntime ${at}\n`), message);
      raw = signature.subarray(8);
    }
    if (raw.length !== 64 || !(await ed25519(key.publicKey, raw, message))) return false;
  }
  return found.length > 0;
}

const FIRST = "c2sp.org/tlog-proof@v1";

// {index, path, checkpoint} of a proof file's text. Throws Refused; says nothing yet of what it proves.
export function readProof(text) {
  if (bytesOf(text).length > MAX_NOTE + (64 << 10)) {
    throw new Refused(`the proof file is longer than ${(MAX_NOTE >> 10) + 64} KiB`);
  }
  const end = text.indexOf("\n\n");
  if (end < 0) throw new Refused("the proof file has no empty line before its checkpoint");
  const head = text.slice(0, end);
  const strange = head.search(/[^\x00-\x7f]/);
  if (strange >= 0) throw new Refused(`the proof file has a strange character at byte ${strange}`);
  const [first, ...lines] = head.split("\n");
  if (first !== FIRST) throw new Refused(`the proof file does not begin with ${FIRST}`);
  try {
    const extra = Boolean(lines[0]?.startsWith("extra "));
    if (extra) inside(() => unbase64(lines.shift().slice(6)));
    if (!lines[0]?.startsWith("index ")) throw new Refused("the proof file has no line with the index");
    const index = inside(() => sizeOf(lines.shift().slice(6)));
    if (lines.length > MAX_PROOF) throw new Refused(`the proof file has more than ${MAX_PROOF} hashes`);
    const path = inside(() => lines.map(unbase64));
    if (path.some((hash) => hash.length !== 32)) throw new Refused("a hash in the proof file has not 32 bytes");
    return { index, path, extra, checkpoint: inside(() => readCheckpoint(text.slice(end + 2))) };
  } catch (error) {
    throw error instanceof Damaged ? new Refused(`the proof file is damaged: ${error.message}`) : error;
  }
}

class Damaged extends Error {}

// What is refused in there is damage of the file that it stands in.
function inside(read) {
  try {
    return read();
  } catch (error) {
    throw error instanceof Refused ? new Damaged(error.message) : error;
  }
}
