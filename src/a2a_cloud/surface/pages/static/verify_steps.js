// The steps of checking a receipt, the same and in the same order as `a2a receipt verify` (docs/receipts.md):
// each is ok, failed (why, and where in the document) or unchecked (why).

import {
  NO_ED25519, Refused, base64url, bytesOf, canVerify, ed25519, hex, sha256, unbase64url,
} from "./verify_bytes.js";
import { checkInside } from "./verify_inside.js";
import { canonical, parseStrict } from "./verify_json.js";
import { checkInclusion, leafHash, logKey, readProof, signedBy } from "./verify_log.js";
import { receiptShape } from "./verify_shape.js";
import { Trail, refuse, salted } from "./verify_trail.js";

const MAX_DOCUMENT = 64 << 20;
const MAX_JWKS = 1 << 20;
const NO_KEY = "no key was given";

export async function thumbprint(publicKey) {
  return base64url(await sha256(bytesOf(`{"crv":"Ed25519","kty":"OKP","x":"${base64url(publicKey)}"}`)));
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

// The Ed25519 keys of a JWK set, by thumbprint: an id that is not its key's thumbprint is not believed.
// Throws Refused.
export async function readKeys(bytes) {
  if (bytes.length > MAX_JWKS) throw new Refused("it is larger than 1 MiB");
  const parsed = parseStrict(bytes);
  const set = isObject(parsed) ? parsed : {};
  const listed = Object.hasOwn(set, "keys") ? set.keys : Object.hasOwn(set, "kty") ? [set] : null;
  if (!Array.isArray(listed) || !listed.every(isObject)) throw new Refused("this is no JWK set");
  const keys = new Map();
  for (const jwk of listed) {
    if (jwk.kty !== "OKP" || jwk.crv !== "Ed25519" || typeof jwk.x !== "string" || jwk.x.length !== 43) continue;
    let publicKey;
    try {
      publicKey = unbase64url(jwk.x);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      continue; // One damaged key takes nothing from the others.
    }
    keys.set(await thumbprint(publicKey), publicKey);
  }
  return keys;
}

// The key's id in the protected header of a detached JWS. Throws Refused.
function headerOf(protectedText) {
  if (protectedText.length > 1024) throw new Refused("the protected header is too long");
  let header;
  try {
    header = parseStrict(unbase64url(protectedText));
  } catch (error) {
    throw new Refused(`the protected header is unreadable: ${error.message}`);
  }
  if (!isObject(header)) throw new Refused("the protected header is not an object");
  if (header.alg !== "Ed25519") {
    throw new Refused(`the algorithm is ${JSON.stringify(header.alg ?? null).slice(0, 40)}, not Ed25519`);
  }
  if ("crit" in header) throw new Refused("the protected header demands an extension (crit) that is not known");
  if (typeof header.kid !== "string" || Object.keys(header).length !== 2) {
    throw new Refused("the protected header is not exactly alg and kid");
  }
  return header.kid;
}

function rawSignature(signature) {
  if (signature.length !== 86) throw new Refused("the signature is not 64 bytes in base64url");
  try {
    return unbase64url(signature);
  } catch (error) {
    throw new Refused(`the signature is ${error.message}`);
  }
}

// The key that signed `data`; with `keys` null the one that claims to have. Throws Refused.
export async function checkJws(data, signature, keys) {
  if (keys === null) {
    rawSignature(signature.signature);
    return headerOf(signature.protected);
  }
  const kid = headerOf(signature.protected);
  const raw = rawSignature(signature.signature);
  const publicKey = keys.get(kid);
  if (!publicKey) throw new Refused(`it is signed with key ${kid}, which is not among the given keys`);
  if (!(await ed25519(publicKey, raw, bytesOf(`${signature.protected}.${base64url(data)}`)))) {
    throw new Refused(`the signature is not that of key ${kid} over these bytes`);
  }
  return kid;
}

async function checkSignature(what, at, signatures, data, keys) {
  if (signatures.length !== 1) refuse(`${what} has ${signatures.length} signatures, not one`, at);
  try {
    return await checkJws(data, signatures[0], keys);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return refuse(`${what}: ${error.message}`, `${at}[0]`);
  }
}

function readDocument(bytes) {
  if (bytes.length > MAX_DOCUMENT) refuse(`the document is larger than ${MAX_DOCUMENT >> 20} MiB`);
  let parsed;
  try {
    parsed = parseStrict(bytes);
  } catch (error) {
    refuse(`the document is not readable: ${error.message}`);
  }
  const isTable = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isTable(parsed)) refuse("the document is not a JSON object", "$");
  if (!isTable(parsed.body)) refuse("the document has no body", "$");
  if (parsed.body.v !== 1) refuse("the body's version (v) is not 1, the one that is known here", "$.body.v");
  if (!("kind" in parsed.body)) refuse("the body has no kind", "$.body");
  try {
    return [receiptShape(parsed), parsed.body];
  } catch (error) {
    return refuse(`the document is not a receipt: ${error.message}`, error.at);
  }
}

// Checks a receipt. `trusted`: {keys, witnesses}; keys are those that the reader trusts, from elsewhere than
// the document, by thumbprint, or null; each of the witnesses' keys has to have cosigned the checkpoint.
// Gives {outcome: "valid" | "unchecked" | "refused", reason, id, kid, steps, notes, receipt, inside}.
export async function verifyReceipt(bytes, { keys = null, witnesses = [] } = {}) {
  const trail = new Trail();
  let receipt;
  let body;
  try {
    [receipt, body] = readDocument(bytes);
  } catch (error) {
    trail.failed("document", error);
    return refused(trail);
  }
  const able = await canVerify();
  const checker = { keys: able ? keys : null, witnesses, able, why: keys !== null && !able ? NO_ED25519 : NO_KEY };
  const data = bytesOf(canonical(body));
  const digest = await sha256(data);
  const kid = await signed(trail, receipt, data, `rcpt_${hex(digest)}`, checker);
  await trail.step("countersignature", () => countersigned(trail, receipt, data, checker));
  await trail.step("sections", () => checkSections(trail, receipt));
  await trail.step("payloads", () => checkPayloads(trail, receipt, checker));
  await checkLog(trail, receipt, digest, checker);
  const inside = await checkInside(trail, receipt);
  if (canonical(receipt.body) !== canonical(body)) {
    trail.notes.push("The signed body has fields that this version does not know; they are not judged.");
  }
  if (trail.failure) return refused(trail);
  const outcome = checker.keys === null ? "unchecked" : "valid";
  const reason = outcome === "valid" ? "" : `${checker.why} (it names ${kid})`;
  return { outcome, reason, id: receipt.id, kid, steps: trail.steps, notes: trail.notes, receipt, inside };
}

function refused(trail) {
  return { outcome: "refused", reason: trail.failure.why, id: "", kid: "", steps: trail.steps, notes: [], receipt: null };
}

// The verdict in one line.
export function sentence({ outcome, reason, id, kid }) {
  if (outcome === "valid") return `valid: ${id}, signed with key ${kid}`;
  if (outcome === "unchecked") return `internally consistent; signer not checked: ${reason}`;
  return `refused: ${reason}`;
}

async function signed(trail, receipt, data, found, { keys, why }) {
  let refusal = null;
  let kid = "";
  try {
    kid = await checkSignature("the receipt", "$.signatures", receipt.signatures, data, keys);
    if (kid !== receipt.body.issuer_kid) {
      refuse(`the body names the key ${receipt.body.issuer_kid}, but ${kid} signed`, "$.body.issuer_kid");
    }
  } catch (error) {
    refusal = error;
  }
  if (receipt.id === found) {
    trail.ok("id", found);
  } else {
    let whose = "";
    // The signature tells which of the two was changed.
    if (keys !== null) whose = refusal === null ? "; the signature is over this body" : "; nor is it what was signed";
    const at = keys !== null && refusal === null ? "$.id" : "$.body";
    await trail.step("id", () => refuse(`the body hashes to ${found}, but the id is ${receipt.id}${whose}`, at));
  }
  if (refusal !== null) trail.failed("signature", refusal);
  else if (keys === null) trail.unchecked("signature", `${why} (it names ${kid})`);
  else trail.ok("signature", `key ${kid}`);
  return kid;
}

async function countersigned(trail, receipt, data, { keys, able }) {
  const { agent } = receipt.body;
  const shown = receipt.countersignature;
  const name = "countersignature";
  if (!shown) {
    if (agent.service_kid === undefined) return trail.unchecked(name, "the body names no key for one");
    trail.notes.push(`${agent.service_id} has not countersigned this copy.`);
    return trail.unchecked(name, `${agent.service_id} has not countersigned this copy`);
  }
  const at = "$.countersignature";
  if (agent.service_kid === undefined) refuse("there is a countersignature, and the body names no key for it", at);
  try {
    const publicKey = unbase64url(shown.key);
    if (publicKey.length !== 32 || (await thumbprint(publicKey)) !== agent.service_kid) {
      throw new Refused("its key is not the one that the body names");
    }
    await checkJws(data, shown, able ? new Map([[agent.service_kid, publicKey]]) : null);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refuse(`the countersignature of ${agent.service_id}: ${error.message}`, at);
  }
  if (!able) return trail.unchecked(name, NO_ED25519);
  if (keys === null) {
    return trail.unchecked(name, `it holds, but it is not known who signed the body that names ${agent.service_id}`);
  }
  return trail.ok(name, agent.service_id);
}

async function checkSections(trail, receipt) {
  if (!receipt.sections) return trail.unchecked("sections", "this view shows none");
  const held = [];
  for (const name of ["approvals", "children", "effects", "env", "grants", "workspace"]) {
    const shown = receipt.sections[name];
    if (!shown) continue;
    if ((await salted(shown.salt, bytesOf(canonical(shown.value)))) !== receipt.body.sections[name]) {
      refuse(`the section ${name} does not have the hash that the body gives`, `$.sections.${name}`);
    }
    held.push(name);
  }
  return trail.ok("sections", held.join(", "));
}

async function checkPayloads(trail, receipt, { keys }) {
  const { body, disclosed, erased } = receipt;
  let gone = "";
  if (erased) {
    const statement = canonical({ at: erased.at, by: erased.by, id: receipt.id, kind: "erasure", v: 1 });
    await checkSignature("the erasure", "$.erased.signatures", erased.signatures, bytesOf(statement), keys);
    gone = `erased at ${erased.at} by ${erased.by}`;
    trail.notes.push(`What the run was told, said and did was ${gone}.`);
  }
  const held = [];
  for (const [name, expected] of [
    ["events", body.events_sha256],
    ["idempotency_key", body.idempotency_key],
    ["request", body.request_sha256],
    ["response", body.response_sha256],
  ]) {
    const shown = disclosed?.[name];
    if (!shown) continue;
    const at = `$.disclosed.${name}`;
    if (gone) refuse(`it is ${gone}, and has the payload ${name}`, at);
    if ((await salted(shown.salt, payloadBytes(name, shown, at))) !== expected) {
      refuse(`the payload ${name} does not have the hash that the body gives`, at);
    }
    held.push(name);
  }
  if (held.length) return trail.ok("payloads", held.join(", "));
  return trail.unchecked("payloads", gone || "this view shows none");
}

function payloadBytes(name, { payload, payload_b64: encoded }, at) {
  if (payload !== undefined && encoded === undefined) return bytesOf(payload);
  if (encoded === undefined || payload !== undefined) {
    refuse(`the payload ${name} is given neither once as text nor once as base64url`, at);
  }
  try {
    return unbase64url(encoded);
  } catch (error) {
    return refuse(`the payload ${name} is ${error.message}`, at);
  }
}

async function checkLog(trail, receipt, entry, checker) {
  const { log } = receipt;
  if (!log) {
    trail.unchecked("log place", "this copy does not say where it stands in the log");
    return withoutProof(trail, "this copy brings no proof", checker);
  }
  await trail.step("log place", () => logPlace(trail, receipt, entry, checker));
  if (!log.proof) {
    return withoutProof(trail, "this copy brings no proof: a2a receipt proof RUN fetches it", checker);
  }
  return checkProof(trail, log.proof, BigInt(log.index), entry, log.org, checker);
}

async function logPlace(trail, { id, body, log }, entry, { keys, why }) {
  const { index, leaf_sha256: leaf, org } = log;
  if (leaf !== hex(await leafHash(entry))) {
    refuse("the log's leaf is not the hash of this receipt's id", "$.log.leaf_sha256");
  }
  if (org !== body.org) refuse(`the log is that of ${org}, the receipt that of ${body.org}`, "$.log.org");
  const statement = bytesOf(canonical({ id, index, kind: "log-entry", leaf_sha256: leaf, org, v: 1 }));
  await checkSignature(`the log index ${index}`, "$.log.signatures", log.signatures, statement, keys);
  if (keys === null) trail.unchecked("log place", `index ${index} of ${org}: ${why}`);
  else trail.ok("log place", `index ${index} of ${org}`);
}

function withoutProof(trail, why, { witnesses }) {
  trail.unchecked("inclusion", why);
  trail.unchecked("checkpoint", why);
  if (!witnesses.length) return trail.unchecked("witness", why);
  // Who names a witness wants to hear of it.
  return trail.step("witness", () => refuse(`${witnesses[0].name} has cosigned nothing here: ${why}`));
}

const PROOF = "$.log.proof";

// The steps `inclusion`, `checkpoint` and `witness` for the text of a .tlog-proof.
export async function checkProof(trail, text, index, entry, org, checker) {
  let proof;
  try {
    proof = readProof(text);
  } catch (error) {
    await trail.step("inclusion", () => refuse(`the proof can't be read: ${error.message}`, PROOF));
    const why = "the proof that it stands in can't be read";
    trail.unchecked("checkpoint", why);
    if (checker.witnesses.length) await trail.step("witness", () => refuse(why, PROOF));
    else trail.unchecked("witness", why);
    return;
  }
  await trail.step("inclusion", async () => {
    if (proof.extra) refuse("the proof has a line `extra`, which nobody has signed", PROOF);
    if (proof.index !== index) refuse(`the proof is for index ${proof.index}, the receipt stands at ${index}`, PROOF);
    const { size, root } = proof.checkpoint;
    try {
      await checkInclusion(await leafHash(entry), index, size, root, proof.path);
    } catch (error) {
      refuse(error.message, PROOF);
    }
    trail.ok("inclusion", `index ${index} of ${size} in the tree of the checkpoint`);
  });
  await trail.step("checkpoint", () => checkCheckpoint(trail, proof.checkpoint, org, checker));
  await trail.step("witness", () => checkWitness(trail, proof.checkpoint, checker));
}

async function checkCheckpoint(trail, checkpoint, org, { keys, why }) {
  const { origin, size, signatures } = checkpoint;
  if (!origin.endsWith(`/log/${org}`)) refuse(`the checkpoint is of the log ${origin}, not of one of ${org}`, PROOF);
  const own = signatures.filter(({ name }) => name === origin);
  if (!own.length) refuse(`the log ${origin} has not signed its checkpoint`, PROOF);
  if (keys === null) return trail.unchecked("checkpoint", `${origin}, ${size} leaves: ${why}`);
  const known = new Map();
  for (const publicKey of keys.values()) {
    const key = await logKey(origin, publicKey);
    known.set(hex(key.id), key);
  }
  const by = own.map(({ id }) => known.get(hex(id))).filter(Boolean);
  if (!by.length) refuse(`the checkpoint of ${origin} is signed with no key that was given`, PROOF);
  for (const key of by) {
    if (!(await signedBy(checkpoint, key))) refuse(`the signature of ${origin} (${hex(key.id)}) does not hold`, PROOF);
  }
  const others = own.length - by.length;
  const more = others ? `; ${others} further signature(s) of keys that were not given` : "";
  return trail.ok("checkpoint", `${origin}, ${size} leaves${more}`);
}

async function checkWitness(trail, checkpoint, { witnesses, able }) {
  const { origin, signatures } = checkpoint;
  const known = new Set(witnesses.map(({ name, id }) => `${name} ${hex(id)}`));
  const others = [...new Set(
    signatures.filter(({ name, id }) => name !== origin && !known.has(`${name} ${hex(id)}`)).map(({ name }) => name),
  )].sort((left, right) => (hex(bytesOf(left)) < hex(bytesOf(right)) ? -1 : 1)); // By characters, as Python.
  if (!witnesses.length) {
    const named = others.length ? `no witness was named, and ${others.join(", ")} cosigned` : "nobody cosigned it";
    return trail.unchecked("witness", named);
  }
  if (!able) return trail.unchecked("witness", NO_ED25519);
  for (const key of witnesses) {
    if (key.kind !== 4 || !(await signedBy(checkpoint, key))) {
      refuse(`${key.name} has not cosigned this checkpoint`, PROOF);
    }
  }
  const more = others.length ? `; ${others.join(", ")} cosigned too, with keys that were not given` : "";
  return trail.ok("witness", `cosigned by ${witnesses.map(({ name }) => name).join(", ")}${more}`);
}
