// What a receipt is made of (docs/receipts.md): each member with its type. Outside of the signed body whatever
// is not known is refused; inside it is kept, and not judged.

import { Refused } from "./verify_bytes.js";

const kindOf = (value) => {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return { string: "str", number: "int", boolean: "bool", object: "object" }[typeof value];
};

function expect(kind, value, at) {
  if (kindOf(value) !== kind) wrong(`Expected \`${kind}\`, got \`${kindOf(value)}\``, at);
}

// Throws Refused that says where: `at` is the path in the document.
export function wrong(why, at) {
  const error = new Refused(at === "$" ? why : `${why} - at \`${at}\``);
  error.at = at;
  throw error;
}

export const text = (pattern) => (value, at) => {
  expect("str", value, at);
  if (pattern && !pattern.test(value)) {
    const written = `\\A${pattern.source.slice(1, -1)}\\Z`.replaceAll("\\", "\\\\");
    wrong(`Expected \`str\` matching regex '${written}'`, at);
  }
  return value;
};

export const sized = (least, most) => (value, at) => {
  expect("str", value, at);
  const length = [...value].length;
  if (length < least || length > most) wrong(`Expected \`str\` of length ${least} to ${most}`, at);
  return value;
};

export const whole = (least, most = Number.MAX_SAFE_INTEGER) => (value, at) => {
  expect("int", value, at);
  if (value < least) wrong(`Expected \`int\` >= ${least}`, at);
  if (value > most) wrong(`Expected \`int\` <= ${most}`, at);
  return value;
};

export const oneOf = (...values) => (value, at) => {
  if (!values.includes(value)) wrong(`Invalid enum value ${typeof value === "string" ? `'${value}'` : value}`, at);
  return value;
};

export const listOf = (item) => (value, at) => {
  expect("array", value, at);
  return value.map((each, index) => item(each, `${at}[${index}]`));
};

export const anything = (value) => value;

const table = (members, strict) => (value, at) => {
  expect("object", value, at);
  const known = Object.create(null);
  for (const [name, kind] of Object.entries(members)) {
    const optional = name.endsWith("?");
    const key = optional ? name.slice(0, -1) : name;
    if (key in value) known[key] = kind(value[key], `${at}.${key}`);
    else if (!optional) wrong(`Object missing required field \`${key}\``, at);
  }
  if (strict) {
    for (const key of Object.keys(value)) {
      if (!(key in known)) wrong(`Object contains unknown field \`${key}\``, at);
    }
  }
  return known;
};

// Further members are left out; further members are refused.
export const open = (members) => table(members, false);
export const closed = (members) => table(members, true);

const SHA = text(/^[0-9a-f]{64}$/);
const SALT = text(/^[0-9a-f]{32}$/);
const INSTANT = text(/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$/);
const RECEIPT_ID = text(/^rcpt_[0-9a-f]{64}$/);
const DECIMAL = text(/^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/);
const TEXT = text();
const COUNT = whole(0);

const BODY = open({
  "actors?": listOf(TEXT),
  agent: open({
    "card_sha256?": SHA, id: TEXT, image_digest: TEXT, "service_id?": TEXT, "service_kid?": TEXT, version: TEXT,
  }),
  attempts: COUNT,
  caller: TEXT,
  context_id: TEXT,
  ended_at: INSTANT,
  "error?": open({ code: TEXT }),
  events_sha256: SHA,
  "idempotency_key?": SHA,
  issued_at: INSTANT,
  issuer_kid: TEXT,
  kind: oneOf("run"),
  "ledger?": open({ entries_sha256: SHA, txn_id: TEXT }),
  org: TEXT,
  "parent_run?": TEXT,
  "price?": open({ amount: COUNT, currency: TEXT, scale: whole(0, 9), version: COUNT }),
  request_sha256: SHA,
  response_sha256: SHA,
  run_id: TEXT,
  sections: open({
    "approvals?": SHA, children: SHA, effects: SHA, env: SHA, "grants?": SHA, "workspace?": SHA,
  }),
  "skill?": open({ id: TEXT, schema_sha256: SHA, version: TEXT }),
  started_at: INSTANT,
  status: oneOf("completed", "failed", "canceled", "rejected"),
  "task_id?": TEXT,
  "trace_id?": TEXT,
  usage: listOf(open({ meter: TEXT, qty: DECIMAL, unit: TEXT })),
  v: oneOf(1),
});

export const SIGNATURE = closed({ protected: TEXT, signature: TEXT });
const SECTION = closed({ salt: SALT, value: anything });
const PAYLOAD = closed({ salt: SALT, "payload?": TEXT, "payload_b64?": TEXT });

const DOCUMENT = closed({
  body: BODY,
  id: RECEIPT_ID,
  signatures: listOf(SIGNATURE),
  "countersignature?": closed({ key: TEXT, protected: TEXT, signature: TEXT }),
  "log?": closed({ index: COUNT, leaf_sha256: SHA, org: TEXT, signatures: listOf(SIGNATURE), "proof?": TEXT }),
  "erased?": closed({ at: INSTANT, by: TEXT, signatures: listOf(SIGNATURE) }),
  "sections?": closed(Object.fromEntries(
    ["approvals", "children", "effects", "env", "grants", "ledger", "workspace"].map((name) => [`${name}?`, SECTION]),
  )),
  "disclosed?": closed(Object.fromEntries(
    ["events", "idempotency_key", "request", "response"].map((name) => [`${name}?`, PAYLOAD]),
  )),
});

// The document with what is not known left out of its body. Throws Refused.
export const receiptShape = (value) => DOCUMENT(value, "$");

const SECTIONS = {
  approvals: listOf(open({ at: INSTANT, by: TEXT, "grant_id?": TEXT, id: TEXT, state: TEXT })),
  children: listOf(open({ receipt_id: RECEIPT_ID })),
  grants: listOf(open({ "blocks?": TEXT, id: TEXT, "prior_id?": TEXT, sha256: SHA })),
  ledger: listOf(open({
    account: TEXT, amount: whole(Number.MIN_SAFE_INTEGER), currency: TEXT, line: COUNT, scale: whole(0, 9),
  })),
  workspace: open({
    base_tree: TEXT,
    base_version: COUNT,
    name: TEXT,
    ops: listOf(open({ "after?": TEXT, "before?": TEXT, bytes: COUNT, op: TEXT, path: TEXT, seq: COUNT })),
    "result_tree?": TEXT,
    "result_version?": COUNT,
  }),
};

// What a section says, by its name. Throws Refused with its place.
export function sectionShape(name, value) {
  const start = `$.sections.${name}.value`;
  try {
    return SECTIONS[name](value, start);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const said = error.message.replace(/ - at `[^`]*`$/, "");
    const refusal = new Refused(`the section ${name} is not one: ${said}`);
    refusal.at = error.at;
    throw refusal;
  }
}

export const LISTED = closed({ sha256: SHA, size: COUNT });
const NAME = sized(0, 300);
const MANIFEST = {
  "agent?": NAME,
  files: anything,
  kind: oneOf("pack"),
  made_at: INSTANT,
  made_by: NAME,
  org: NAME,
  runs: COUNT,
  "since?": INSTANT,
  "until?": INSTANT,
  v: oneOf(1),
  view: oneOf("whole", "own"),
};

// What a pack says of itself, its files as a Map. Throws Refused.
export function manifestShape(value) {
  const manifest = closed(MANIFEST)(value, "$");
  expect("object", manifest.files, "$.files");
  manifest.files = new Map(
    Object.entries(manifest.files).map(([name, listed]) => [name, LISTED(listed, `$.files["${name}"]`)]),
  );
  return manifest;
}

const EVENTS = closed({
  events: listOf(closed({ index: COUNT, payload: TEXT, salt: SALT, "proof?": TEXT })),
  receipt_id: RECEIPT_ID,
  run: sized(0, 256),
});
const SHORT = sized(1, 512);
const REVIEWS = closed({
  receipt_id: RECEIPT_ID,
  reviews: listOf(closed({
    statement: closed({
      v: oneOf(1),
      kind: oneOf("review"),
      receipt_id: RECEIPT_ID,
      run_id: SHORT,
      verdict: oneOf("approve", "reject"),
      by: SHORT,
      at: INSTANT,
      signed_by: oneOf("key", "platform"),
      "key_id?": SHORT,
      "notes_sha256?": SHA,
    }),
    key: TEXT,
    protected: TEXT,
    signature: TEXT,
    "notes?": closed({ salt: SALT, text: sized(1, 10_000) }),
  })),
  run: sized(0, 256),
});

// A run's events of the log, its reviews, as a pack has them. Throws Refused.
export const eventsShape = (value) => EVENTS(value, "$");
export const reviewsShape = (value) => REVIEWS(value, "$");
