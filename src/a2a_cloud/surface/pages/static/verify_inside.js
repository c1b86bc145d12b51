// What the sections of a whole receipt say, held against each other: grants only narrow and cover what was
// done, every wider one has its decision, the ledger's entries add up to the price.

import { bytesOf } from "./verify_bytes.js";
import { chainAllows, readBlocks, readChain } from "./verify_grants.js";
import { canonical } from "./verify_json.js";
import { sectionShape } from "./verify_shape.js";
import { many, refuse, salted } from "./verify_trail.js";

const NO_SECTIONS = "this view shows no sections";
const NO_MAC = "their MAC is not checkable without the platform's key";
const NEEDS = { read: "read", write: "write", append: "write", adopt: "write", copy: "write", delete: "delete" };

// The steps `grants`, `approvals`, `ledger` and `children`. Gives what the check of a tree goes on with.
export async function checkInside(trail, receipt) {
  const inside = { grants: null, chains: [], children: null };
  const shown = receipt.sections ?? {};
  for (const [name, check] of [["grants", grants], ["approvals", approvals], ["ledger", ledger], ["children", children]]) {
    await trail.step(name, () => check(trail, inside, receipt.body, shown));
  }
  return inside;
}

async function grants(trail, inside, body, sections) {
  if (!sections.grants && (body.sections.grants || !sections.env)) return trail.unchecked("grants", hidden(sections));
  const entries = sections.grants ? sectionShape("grants", sections.grants.value) : [];
  inside.grants = entries;
  if (!entries.length) {
    if (body.sections.grants) covered([], sections);
    return trail.ok("grants", "the run used none");
  }
  const seen = new Set();
  let bare = 0;
  for (const [number, entry] of entries.entries()) {
    const at = `$.sections.grants.value[${number}]`;
    if (entry.prior_id !== undefined && !seen.has(entry.prior_id)) {
      refuse(`the grant ${entry.id} is in the place of ${entry.prior_id}, which the run had not`, at);
    }
    seen.add(entry.id);
    if (entry.blocks === undefined) bare++;
    else inside.chains.push(await readChain(entry, body, at));
  }
  if (bare) return trail.unchecked("grants", `${bare} of ${entries.length} are given by their hash alone`);
  const chains = `${many(entries.length, "chain")} of blocks`;
  if (!sections.workspace && body.sections.workspace) {
    return trail.unchecked("grants", `${chains}; what was done with files is not shown here`);
  }
  return trail.ok("grants", `${chains}, ${covered(inside.chains, sections)}; ${NO_MAC}`);
}

// A whole view shows empty sections too: else who leaves one out could say that there was nothing in it.
const hidden = ({ env }) => (env ? "this view does not show them" : NO_SECTIONS);

function covered(chains, sections) {
  if (!sections.workspace || sections.workspace.value === null) return "nothing was done with files";
  let count = 0;
  for (const [number, { op, path }] of sectionShape("workspace", sections.workspace.value).ops.entries()) {
    const needed = Object.hasOwn(NEEDS, op) ? NEEDS[op] : null;
    if (needed === null) continue;
    if (!chains.some((chain) => chainAllows(chain, needed, path))) {
      refuse(`no grant of the run allows to ${op} ${path}`, `$.sections.workspace.value.ops[${number}]`);
    }
    count++;
  }
  return `${many(count, "operation")} on files, each allowed by every block of one`;
}

function approvals(trail, inside, body, sections) {
  const name = "approvals";
  if (!sections.approvals && body.sections.approvals) return trail.unchecked(name, hidden(sections));
  if (inside.grants === null) return trail.unchecked(name, sections.env ? "its grants are unknown" : NO_SECTIONS);
  const entries = sections.approvals ? sectionShape(name, sections.approvals.value) : [];
  const granted = new Set(inside.grants.map(({ id }) => id));
  const approved = new Map(entries.filter(({ state }) => state === "approved").map((entry) => [entry.id, entry]));
  for (const [number, entry] of entries.entries()) {
    if (entry.grant_id === undefined) continue;
    const at = `$.sections.approvals.value[${number}]`;
    if (!approved.has(entry.id)) refuse(`${entry.id} is ${entry.state}, and a grant came of it`, at);
    if (!granted.has(entry.grant_id)) refuse(`the grant ${entry.grant_id} that came of ${entry.id} is not the run's`, at);
  }
  for (const [number, entry] of inside.grants.entries()) {
    // The first one may be of a decision about the run that called.
    if (entry.prior_id === undefined || entry.blocks === undefined) continue;
    const at = `$.sections.grants.value[${number}]`;
    const asked = readBlocks(entry.blocks, `${at}.blocks`).root.approval_id;
    if (asked !== undefined && approved.get(asked)?.grant_id !== entry.id) {
      refuse(`the grant ${entry.id} says that it came of ${asked}, which approved no such grant`, at);
    }
  }
  if (!entries.length) return trail.ok(name, "the run asked for none");
  return trail.ok(name, `${many(entries.length, "decision")}, ${approved.size} of them a yes`);
}

export function money({ amount, scale, currency }) {
  const digits = String(amount).padStart(scale + 1, "0");
  const whole = scale ? `${digits.slice(0, -scale)}.${digits.slice(-scale)}` : digits;
  return `${whole} ${currency}`;
}

async function ledger(trail, _inside, { price, ledger: facts }, { ledger: shown }) {
  const name = "ledger";
  if (!facts) {
    if (shown) refuse("there are entries, and the body names no transaction", "$.sections.ledger");
    if (price?.amount) refuse(`the run cost ${money(price)}, and no transaction says so`, "$.body.price");
    return trail.ok(name, price ? `the run cost ${money(price)}` : "the run has no price");
  }
  if (!shown) {
    const cost = price ? `${money(price)}: ` : "";
    return trail.unchecked(name, `${cost}this view shows no entries of ${facts.txn_id}`);
  }
  if ((await salted(shown.salt, bytesOf(canonical(shown.value)))) !== facts.entries_sha256) {
    refuse("the section ledger does not have the hash that the body gives", "$.sections.ledger");
  }
  const entries = sectionShape(name, shown.value);
  const sums = new Map();
  for (const { amount, currency, scale } of entries) {
    const key = `${scale} ${currency}`;
    const sum = sums.get(key) ?? { currency, scale, total: 0n, moved: 0n };
    sum.total += BigInt(amount);
    if (amount > 0) sum.moved += BigInt(amount);
    sums.set(key, sum);
  }
  for (const { currency, scale, total } of sums.values()) {
    if (total) refuse(`the entries in ${currency} sum to ${total} (10^-${scale}), not to 0`, "$.sections.ledger.value");
  }
  if (!price) refuse("there is a transaction, and the body names no price", "$.body.ledger");
  const moved = sums.get(`${price.scale} ${price.currency}`)?.moved ?? 0n;
  if (moved !== BigInt(price.amount)) {
    refuse(
      `the entries move ${moved}, and the price is ${price.amount} (10^-${price.scale} ${price.currency})`,
      "$.sections.ledger.value",
    );
  }
  const what = many(entries.length, "entry", "entries");
  return trail.ok(name, `${what} of ${facts.txn_id} sum to 0 and move ${money(price)}`);
}

function children(trail, inside, _body, { children: shown }) {
  if (!shown) return trail.unchecked("children", NO_SECTIONS);
  inside.children = sectionShape("children", shown.value).map(({ receipt_id: id }) => id);
  if (!inside.children.length) return trail.ok("children", "the run called nobody");
  return trail.unchecked("children", `${many(inside.children.length, "receipt")} of its children, which are not here`);
}
