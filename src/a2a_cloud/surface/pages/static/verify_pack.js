// A compliance pack, checked as `a2a receipt verify PACK` does (docs/packs.md): first the pack, that every file
// is there, unchanged and none too many; then each file, all receipts together as one tree.

import {
  NO_ED25519, Refused, bytesOf, canVerify, hex, sha256, textOf, unbase64url, unhex,
} from "./verify_bytes.js";
import { canonical, parseStrict } from "./verify_json.js";
import { readProof } from "./verify_log.js";
import { SIGNATURE, eventsShape, manifestShape, reviewsShape } from "./verify_shape.js";
import { checkJws, checkProof, thumbprint, verifyReceipt } from "./verify_steps.js";
import { Trail, many, refuse, salted } from "./verify_trail.js";
import { Zip } from "./verify_zip.js";

const MANIFEST = "manifest.json";
const JWS = "manifest.jws";
const MAX_FILE = 64 << 20;
const MAX_SIGNATURE = 4096;
const NO_KEY = "no key was given";

const plain = (error) => {
  if (!(error instanceof Refused)) throw error;
  return error.message;
};

// Checks a pack. `trusted` as for `verifyReceipt`; `told(done, all)` hears how far it is.
// Gives {outcome, reason, file, manifest, files: [{file, steps}]}; the file "" is the pack itself.
export async function verifyPack(blob, { keys = null, witnesses = [] } = {}, told = () => {}) {
  const trail = new Trail();
  let pack;
  let manifest;
  let data;
  let signature;
  try {
    pack = await Zip.open(blob);
    trail.ok("zip", `${many(pack.members.size, "file")}, each written in the one way`);
    [manifest, data] = await readManifest(pack);
    trail.ok("manifest", `${many(manifest.runs, "receipt")} of ${manifest.org}, packed ${manifest.made_at}`);
    signature = await readSignature(pack);
  } catch (error) {
    const why = plain(error);
    const at = error.file ? `${error.file}: ` : "";
    trail.failed("pack", new Refused(`${at}${why}`));
    return { outcome: "refused", reason: why, file: error.file, manifest: null, files: [{ file: "", steps: trail.steps }] };
  }
  const able = await canVerify();
  const checker = { keys: able ? keys : null, witnesses, able, why: keys !== null && !able ? NO_ED25519 : NO_KEY };
  await trail.step("signature", () => checkSignature(trail, data, signature, checker));
  const changed = await changedFiles(pack, manifest, told);
  const names = [...changed.keys()];
  if (names.length) trail.failed("files", new Refused(`${names[0]}: ${changed.get(names[0])}`));
  else trail.ok("files", `all ${manifest.files.size} are there as they were, and none besides`);
  const files = [{ file: "", steps: trail.steps }];
  for (const [file, why] of changed) files.push({ file, steps: [{ name: "file", state: "failed", why, at: "" }] });
  const good = [...pack.members.keys()].filter((name) => !changed.has(name)).sort();
  const receipts = good.filter((name) => name.startsWith("receipts/"));
  // One by one: spread over the arguments of one call, very many are a RangeError.
  for (const one of await checkReceipts(pack, receipts, { keys, witnesses }, told)) files.push(one);
  for (const name of good) {
    const steps = await checkFile(pack, name, manifest.org, checker);
    if (steps.length) files.push({ file: name, steps });
  }
  return verdict(files, manifest, checker.keys === null ? checker.why : null);
}

const failureOf = ({ steps }) => steps.find(({ state }) => state === "failed");

function verdict(files, manifest, unchecked) {
  // What is wrong with a file says more than that the list of files does not hold.
  const failed = files.slice(1).find(failureOf) ?? (failureOf(files[0]) ? files[0] : null);
  if (failed) {
    return { outcome: "refused", reason: failureOf(failed).why, file: failed.file, manifest: null, files };
  }
  if (unchecked !== null) return { outcome: "unchecked", reason: unchecked, file: "", manifest, files };
  return { outcome: "valid", reason: "", file: "", manifest, files };
}

// The verdict in one line.
export function packSentence({ outcome, reason, file, manifest }) {
  if (outcome === "refused") return `refused: ${file || "the pack"}: ${reason}`;
  if (outcome === "unchecked") return `internally consistent; signer not checked: ${reason}`;
  return `valid: ${many(manifest.runs, "receipt")} in ${many(manifest.files.size, "file")}, packed ${manifest.made_at}`;
}

async function readManifest(pack) {
  for (const name of [MANIFEST, JWS]) {
    if (!pack.members.has(name)) throw new Refused("it is missing, so nothing says what belongs to the pack", name);
  }
  const data = await pack.data(MANIFEST, MAX_FILE);
  let manifest;
  try {
    const parsed = parseStrict(data);
    if (canonical(parsed) !== textOf(data)) throw new Refused("it is not written in the one canonical way");
    manifest = manifestShape(parsed);
  } catch (error) {
    throw new Refused(`it is no manifest of a pack: ${plain(error)}`, MANIFEST);
  }
  for (const name of pack.members.keys()) {
    if (!manifest.files.has(name) && name !== MANIFEST && name !== JWS) {
      throw new Refused("the manifest does not list it: somebody has added it", name);
    }
  }
  for (const name of manifest.files.keys()) {
    if (!pack.members.has(name)) throw new Refused("the manifest lists it, and it is not there: somebody has taken it out", name);
  }
  return [manifest, data];
}

async function readSignature(pack) {
  const data = await pack.data(JWS, MAX_SIGNATURE);
  try {
    const signature = SIGNATURE(parseStrict(data), "$");
    if (canonical(signature) !== textOf(data)) throw new Refused("it is not written in the one canonical way");
    return signature;
  } catch (error) {
    throw new Refused(`it is no signature: ${plain(error)}`, JWS);
  }
}

async function checkSignature(trail, data, signature, { keys, why }) {
  try {
    const kid = await checkJws(data, signature, keys);
    if (keys === null) trail.unchecked("signature", `${why} (it names ${kid})`);
    else trail.ok("signature", `key ${kid}`);
  } catch (error) {
    refuse(`${JWS}: ${plain(error)}`);
  }
}

async function changedFiles(pack, manifest, told) {
  const changed = new Map();
  let done = 0;
  for (const [name, { size, sha256: expected }] of manifest.files) {
    try {
      const found = pack.members.get(name).size;
      if (found !== size) throw new Refused(`it has ${found} bytes, and the manifest says ${size}`);
      const digest = hex(await sha256(await pack.data(name, size)));
      if (digest !== expected) throw new Refused(`its hash is ${digest}, and the manifest says ${expected}`);
    } catch (error) {
      changed.set(name, plain(error));
    }
    if (++done % 50 === 0) told(done, manifest.files.size);
  }
  return changed;
}

// --- receipts, together ----------------------------------------------------------------------------------

async function checkReceipts(pack, names, trusted, told) {
  const found = new Map();
  for (const name of names) {
    found.set(name, await verifyReceipt(await pack.data(name, MAX_FILE), trusted));
    if (found.size % 20 === 0) told(found.size, names.length);
  }
  const byId = new Map();
  const below = new Map();
  for (const one of found.values()) {
    if (!one.receipt) continue;
    byId.set(one.id, one);
    const parent = one.receipt.body.parent_run;
    if (parent !== undefined) below.set(parent, [...(below.get(parent) ?? []), one]);
  }
  return [...found].map(([file, one]) => {
    const steps = withChildren(one, byId, below);
    if (one.receipt && file !== `receipts/${one.id}.json`) {
      steps.push({ name: "file", state: "failed", why: `it is the receipt ${one.id}, under another name`, at: "" });
    }
    return { file, steps };
  });
}

// The steps of a receipt with that of its children over all that are here.
export function withChildren(parent, byId, below) {
  if (!parent.receipt) return [...parent.steps];
  const { body } = parent.receipt;
  const replaced = (state, why, at = "") => (
    parent.steps.map((step) => (step.name === "children" ? { name: "children", state, why, at } : step))
  );
  const { children, chains } = parent.inside;
  if (children === null) {
    const here = below.get(body.run_id) ?? [];
    if (!here.length) return [...parent.steps];
    return replaced(
      "unchecked", `this view does not name its children; ${here.length} receipts here name it as their parent`,
    );
  }
  if (!children.length) return [...parent.steps];
  const missing = [];
  let unseen = 0;
  for (const [number, id] of children.entries()) {
    const at = `$.sections.children.value[${number}]`;
    const child = byId.get(id);
    if (!child) {
      missing.push(id);
      continue;
    }
    if (child.receipt.body.parent_run !== body.run_id) {
      return replaced("failed", `the receipt ${id} does not name ${body.run_id} as its parent`, at);
    }
    if (chains.length && child.inside.grants === null) unseen++;
    const why = wider(chains, child.inside.chains);
    if (why) return replaced("failed", `the child ${child.receipt.body.run_id} ${why}`, at);
  }
  const count = children.length;
  if (missing.length) {
    return replaced("unchecked", `${count - missing.length} of ${count} hold together; not here: ${missing.join(", ")}`);
  }
  const told = `all ${count} are here and name it as their parent`;
  if (unseen) return replaced("unchecked", `${told}; ${unseen} do not show under which grant they acted`);
  return replaced("ok", told);
}

// Why the first grant of a child is not one that its parent handed on; "" when it is, or nothing is known.
function wider(parents, [child]) {
  if (!parents.length || !child) return "";
  for (const { texts } of parents) {
    if (child.texts.length > texts.length && texts.every((text, at) => text === child.texts[at])) {
      return child.blocks[texts.length].aud ? "" : "has its parent's grant and no handover of it";
    }
  }
  return "acts under a grant that does not begin with one of its parent's";
}

// --- other files -----------------------------------------------------------------------------------------

async function checkFile(pack, name, org, checker) {
  const trail = new Trail();
  const read = async (shape) => {
    const data = await pack.data(name, MAX_FILE);
    try {
      return shape(parseStrict(data));
    } catch (error) {
      throw new Refused(`it can't be read: ${plain(error)}`);
    }
  };
  await trail.step("file", async () => {
    if (name.startsWith("proofs/")) await checkProofFile(trail, name, await pack.data(name, MAX_FILE), org, checker);
    else if (name.startsWith("events/")) await checkEvents(trail, await read(eventsShape), org, checker);
    else if (name.startsWith("reviews/")) await checkReviews(trail, await read(reviewsShape), await eventsOf(pack, name), org, checker);
    else if (name === "verify.html") trail.unchecked("page", "a page that comes with a pack proves nothing: open one from elsewhere");
    else if (name === "keys.json") trail.unchecked("keys", "keys that come with a pack prove nothing: take them from elsewhere");
  });
  return trail.steps;
}

function checkProofFile(trail, name, data, org, checker) {
  const [, id, ending] = /^proofs\/rcpt_([0-9a-f]{64})\.(tlog-proof|cose)$/.exec(name) ?? [];
  if (!id) throw new Refused("its name does not say which receipt it is for");
  if (ending === "cose") {
    return trail.unchecked("cose", "this page reads no CBOR; `a2a receipt verify` does");
  }
  const text = textOf(data) ?? "";
  let index;
  try {
    ({ index } = readProof(text));
  } catch (error) {
    throw new Refused(`the proof can't be read: ${plain(error)}`);
  }
  return checkProof(trail, text, index, unhex(id), org, checker);
}

function payloadOf({ payload }) {
  try {
    return parseStrict(bytesOf(payload));
  } catch (error) {
    plain(error);
    return null; // An event of a later form.
  }
}

const entryOf = async ({ salt, payload }) =>
  Uint8Array.of(1, ...(await sha256(unhex(salt), bytesOf(payload))));

// Whether a text says an event: what a receipt's entry is made of never does.
function saysEvent({ payload }) {
  try {
    const told = JSON.parse(payload);
    return typeof told?.kind === "string" && !Array.isArray(told);
  } catch {
    return false;
  }
}

async function checkEvents(trail, { events }, org, checker) {
  let proven = 0;
  for (const event of events) {
    if (!saysEvent(event)) throw new Refused(`the entry at ${event.index} is no event`);
    if (!event.proof) continue;
    const inner = new Trail();
    await checkProof(inner, event.proof, BigInt(event.index), await entryOf(event), org, checker);
    if (inner.failure) throw new Refused(`the event at ${event.index}: ${inner.failure.why}`);
    proven++;
  }
  const count = events.length;
  if (proven < count) return trail.unchecked("events", `${count - proven} of ${count} have no proof`);
  if (checker.keys === null) return trail.unchecked("events", `${count} in the trees of their checkpoints: ${checker.why}`);
  return trail.ok("events", `${count} in the log`);
}

// What the log says of a run's reviews: events of the same run whose place is checked with them.
async function eventsOf(pack, name) {
  const file = name.replace("reviews/", "events/");
  if (!pack.members.has(file)) return [];
  try {
    return eventsShape(parseStrict(await pack.data(file, MAX_FILE))).events.filter(({ proof }) => proof);
  } catch (error) {
    plain(error);
    return []; // It is refused under its own name.
  }
}

async function checkReviews(trail, { reviews, receipt_id: receiptId }, events, org, checker) {
  let open = 0;
  for (const review of reviews) {
    try {
      if (!(await checkReview(review, receiptId, events, org, checker))) open++;
    } catch (error) {
      throw new Refused(`the review by ${review.statement.by}: ${plain(error)}`);
    }
  }
  const count = reviews.length;
  const signed = checker.able ? "signed as they say" : "whose signatures are not checkable";
  if (checker.keys === null) return trail.unchecked("reviews", `${count} ${signed}: ${checker.why}`);
  if (open) return trail.unchecked("reviews", `${count} signed as they say; no event in the log says whose ${open} of the keys are`);
  return trail.ok("reviews", `${count} signed, by keys that the log or the platform vouches for`);
}

// Whether it is known whose key signed a review. Throws Refused when it does not hold.
async function checkReview({ statement, key, protected: head, signature, notes }, receiptId, events, org, checker) {
  const data = bytesOf(canonical(statement));
  const publicKey = unbase64url(key);
  if (publicKey.length !== 32) throw new Refused("its key is not 32 bytes");
  const kid = await thumbprint(publicKey);
  await checkJws(data, { protected: head, signature }, checker.able ? new Map([[kid, publicKey]]) : null);
  if (statement.receipt_id !== receiptId) throw new Refused(`it is about ${statement.receipt_id}, not ${receiptId}`);
  if ((statement.signed_by === "key") !== (statement.key_id !== undefined)) throw new Refused("it does not say who signed it");
  if (notes && (await salted(notes.salt, bytesOf(notes.text))) !== statement.notes_sha256) {
    throw new Refused("its notes are not those that were signed");
  }
  if (checker.keys === null) return false;
  if (statement.signed_by === "platform") {
    if (!checker.keys.has(kid)) throw new Refused(`the platform's key ${kid} is not among the given keys`);
    return true;
  }
  const digest = hex(await sha256(data));
  for (const event of events) {
    const told = payloadOf(event);
    if (told?.detail?.statement_sha256 !== digest) continue;
    const inner = new Trail();
    await checkProof(inner, event.proof, BigInt(event.index), await entryOf(event), org, checker);
    if (inner.failure) continue;
    if (told.detail.key !== kid) throw new Refused("the event in the log has another key");
    if (told.detail.receipt !== receiptId) throw new Refused("the event in the log has another receipt");
    if (told.by !== statement.by || told.kind !== "review.signed") throw new Refused("the event in the log is another one");
    return true;
  }
  return false;
}
