// Grants as a receipt shows them: blocks without the signature, which is an HMAC and checkable by the platform
// alone. Each block narrows: what is done has to be allowed by every one of them (docs/grants.md).

import { bytesOf, hex, sha256, unbase64url } from "./verify_bytes.js";
import { parseStrict } from "./verify_json.js";
import { closed, listOf, oneOf, sized, whole } from "./verify_shape.js";
import { refuse } from "./verify_trail.js";

const VERSION = "g1";
const MAX_BLOCKS = 10;
const READING = ["read", "stat", "list"];
const WRITING = ["write", "delete"];
const EVERYTHING = [...READING, ...WRITING, "call", "egress"];

const NAME = sized(1, 256);
const TEXT = sized(0, 1 << 20);
const PATTERNS = listOf(TEXT);
const OPERATIONS = listOf(oneOf(...EVERYTHING));
const TIME = whole(1, 2 ** 40);
const TOTAL = whole(1);
const DEPTH = whole(0, 64);

const ROOT = closed({
  v: oneOf(1), kid: NAME, id: NAME, root_id: NAME, iss: NAME, org: NAME, sub: NAME, aud: NAME, run: NAME,
  workspace: sized(0, 256), base: whole(0), ops: OPERATIONS, read: PATTERNS, write: PATTERNS, deny: PATTERNS,
  skills: PATTERNS, egress: PATTERNS, prefix: TEXT, nbf: TIME, exp: TIME, max_depth: DEPTH,
  "max_bytes?": TOTAL, "max_uses?": TOTAL, "prior_id?": NAME, "approval_id?": NAME,
});
const LATER = closed({
  "by?": NAME, "aud?": NAME, "run?": NAME, "ops?": OPERATIONS, "read?": PATTERNS, "write?": PATTERNS,
  "deny?": PATTERNS, "skills?": PATTERNS, "egress?": PATTERNS, "prefix?": TEXT, "nbf?": TIME, "exp?": TIME,
  "max_depth?": DEPTH, "max_bytes?": TOTAL, "max_uses?": TOTAL, "reason?": sized(0, 1000),
});

// Whether `items` are what `pattern` means, where `isStar` stands for any number of them: the first place for
// what follows a star is the best one, so nothing is gone over again but from the last star on.
function matches(pattern, items, isStar, fits) {
  let at = 0;
  let star = -1;
  let from = 0;
  for (let item = 0; item < items.length;) {
    if (at < pattern.length && isStar(pattern[at])) {
      star = at++;
      from = item;
    } else if (at < pattern.length && fits(pattern[at], items[item])) {
      at++;
      item++;
    } else if (star >= 0) {
      at = star + 1;
      item = ++from;
    } else {
      return false;
    }
  }
  while (at < pattern.length && isStar(pattern[at])) at++;
  return at === pattern.length;
}

const segmentFits = (pattern, name) => matches([...pattern], [...name], (c) => c === "*", (c, d) => c === "?" || c === d);
const globFits = (pattern, path) => matches(pattern.split("/"), path.split("/"), (s) => s === "**", segmentFits);
const anyFits = (patterns, path) => patterns.some((pattern) => globFits(pattern, path));

// Whether a path is one: relative, NFC, nothing that means another place somewhere.
function isPath(path) {
  if (!path || bytesOf(path).length > 1024 || path.normalize("NFC") !== path) return false;
  if (/[\\:\p{Cc}\p{Zl}\p{Zp}]|%(?:2[ef]|5c|25|[01][0-9a-f]|7f)/iu.test(path)) return false;
  return path.split("/").every((segment) => segment && !segment.endsWith(".") && segment === segment.trim());
}

function allows(block, operation, path) {
  if (!(block.ops ?? EVERYTHING).includes(operation)) return false;
  const reading = READING.includes(operation);
  if (block.deny && anyFits(block.deny, path)) return false;
  const { prefix } = block;
  if (prefix && (path.startsWith(prefix) || (reading && path === prefix.slice(0, -1)))) return true;
  const asked = reading ? block.read : block.write;
  return asked === undefined || anyFits(asked, path);
}

// Whether every block of a chain allows it.
export const chainAllows = (chain, operation, path) => isPath(path) && chain.blocks.every((block) => allows(block, operation, path));

function checkBlock(block, number) {
  const bad = (why) => { throw new Error(why); };
  if (block.exp && block.exp <= (block.nbf ?? 0)) bad("it ends before it begins");
  if (number && block.run && !block.aud) bad("it names a run and no audience");
  for (const pattern of [block.read, block.write, block.deny, block.skills].flatMap((list) => list ?? [])) {
    if (/[[\]{}!]/.test(pattern) || pattern.split("/").some((part) => part.includes("**") && part !== "**")) {
      bad(`it has the pattern ${JSON.stringify(pattern.slice(0, 120))}, which is none`);
    }
  }
  if (block.prefix && (!block.prefix.endsWith("/") || !isPath(block.prefix.slice(0, -1)))) bad("its prefix is no folder");
}

// The chain of a grant without its signature. Throws Refused.
export function readBlocks(text, at) {
  const [version, ...texts] = text.split(".");
  if (version !== VERSION || !texts.length) refuse("the blocks of a grant can't be read", at);
  const blocks = texts.map((each, number) => {
    try {
      const block = (number ? LATER : ROOT)(parseStrict(unbase64url(each)), "$");
      checkBlock(block, number);
      return block;
    } catch (error) {
      return refuse(`A block of a grant can't be used: ${error.message}.`, at);
    }
  });
  const [root] = blocks;
  let holder = root.aud;
  let { run } = root;
  let depth = 0;
  blocks.forEach((block, number) => {
    if (!number) return;
    if (!block.by || (block.aud && block.by !== holder)) {
      refuse(`block ${number} was added by ${block.by ?? "nobody"}, who had it not`, at);
    }
    if (!block.aud) return;
    holder = block.aud;
    run = block.run ?? run;
    depth++;
  });
  let left = MAX_BLOCKS;
  let since = 0;
  for (const block of [...blocks].reverse()) {
    if (block.max_depth !== undefined) left = Math.min(left, block.max_depth - since);
    if (block.aud) since++;
  }
  if (left < 0) refuse("the grant was handed on more often than it may be", at);
  return { blocks, texts, root, holder, run, depth };
}

// The chain of one entry of a receipt's grants. Throws Refused.
export async function readChain(entry, body, at) {
  if (hex(await sha256(bytesOf(entry.blocks))) !== entry.sha256) {
    refuse(`the blocks of ${entry.id} do not have the hash beside them`, `${at}.sha256`);
  }
  const chain = readBlocks(entry.blocks, `${at}.blocks`);
  const holder = `agent:${body.org}/${body.agent.id}`;
  if (chain.holder !== holder || chain.run !== body.run_id) {
    refuse(`the grant ${entry.id} is ${chain.holder}'s for ${chain.run}, not ${holder}'s for ${body.run_id}`, `${at}.blocks`);
  }
  if (!chain.depth && chain.root.id !== entry.id) {
    refuse(`the blocks are those of ${chain.root.id}, not of ${entry.id}`, `${at}.blocks`);
  }
  if (entry.prior_id !== undefined && chain.root.prior_id !== entry.prior_id) {
    refuse(`the blocks of ${entry.id} do not say that it is in the place of ${entry.prior_id}`, `${at}.blocks`);
  }
  return chain;
}
