// The page: takes files, checks them here and shows each step. It sends nothing anywhere.

import { byId, h } from "./dom.js";
import { NO_ED25519, Refused, bytesOf, canVerify, textOf } from "./verify_bytes.js";
import { parseStrict } from "./verify_json.js";
import { readProof, readVkey } from "./verify_log.js";
import { packSentence, verifyPack, withChildren } from "./verify_pack.js";
import { checkProof, readKeys, sentence, verifyReceipt } from "./verify_steps.js";
import { Trail } from "./verify_trail.js";

const SIGNS = { ok: "✓", failed: "✗", unchecked: "–" };
const WORDS = { ok: "ok", failed: "failed", unchecked: "not checkable" };
const SHOWN = 200;

const held = { files: new Map(), keys: null, keyFiles: [], witnesses: [] };
let turn = 0;

const startsWith = async (file, text) => textOf(new Uint8Array(await file.slice(0, bytesOf(text).length).arrayBuffer())) === text;

// Sorts what was given by what it is: keys are trusted, because somebody put them in on purpose, by themselves. Those
// among other files may have been in one folder or mail with what they would vouch for, under whatever name.
async function take(files) {
  say("");
  for (const file of files) {
    try {
      await takeOne(file, files.length === 1);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(`${file.name}: ${error.message}`);
    }
  }
  await show();
}

async function takeOne(file, alone) {
  if (await startsWith(file, "PK\x03\x04")) {
    held.files.set(file.name, { kind: "pack", file });
    return;
  }
  if (file.size > 64 << 20) throw new Refused("it is larger than 64 MiB, and no pack");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const text = textOf(bytes) ?? "";
  if (text.startsWith("c2sp.org/tlog-proof")) {
    held.files.set(file.name, { kind: "proof", text });
    return;
  }
  let parsed = null;
  try {
    parsed = parseStrict(bytes);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  if (parsed !== null && typeof parsed === "object" && ("keys" in parsed || "kty" in parsed)) {
    if ("note" in parsed) throw new Refused("these keys came with a pack and prove nothing: take them from the issuer");
    if (!alone) throw new Refused("it holds keys, and came together with other files: give it by itself, from elsewhere");
    const keys = await readKeys(bytes);
    if (!keys.size) throw new Refused("there is no Ed25519 key in it");
    held.keys = new Map([...(held.keys ?? []), ...keys]);
    held.keyFiles.push(`${file.name} (${keys.size})`);
    return;
  }
  held.files.set(file.name, { kind: "receipt", bytes });
}

function say(why) {
  const place = byId("why");
  place.textContent = [place.textContent, why].filter((part) => why && part).join(" ");
}

// --- checking ---------------------------------------------------------------------------------------------

async function show() {
  const mine = ++turn;
  const results = byId("results");
  results.replaceChildren();
  byId("keys").textContent = held.keyFiles.length
    ? `Keys that you trust: ${held.keyFiles.join(", ")}.`
    : "No keys yet: without the issuer's keys nobody knows who signed.";
  byId("able").hidden = await canVerify();
  byId("clear").hidden = !held.files.size && !held.keyFiles.length;
  const trusted = { keys: held.keys, witnesses: held.witnesses };
  const receipts = new Map();
  for (const [name, one] of held.files) {
    if (one.kind === "receipt") receipts.set(name, await checkedReceipt(one.bytes, trusted));
  }
  const byId_ = new Map();
  const below = new Map();
  for (const one of receipts.values()) {
    if (!one.receipt) continue;
    byId_.set(one.id, one);
    const parent = one.receipt.body.parent_run;
    if (parent !== undefined) below.set(parent, [...(below.get(parent) ?? []), one]);
  }
  for (const [name, one] of held.files) {
    if (turn !== mine) return;
    let made;
    try {
      if (one.kind === "receipt") made = receiptCard(name, receipts.get(name), byId_, below);
      else if (one.kind === "proof") made = await proofCard(name, one.text, byId_, trusted);
      else made = await packCard(name, one.file, trusted);
    } catch (error) {
      made = card(name, "refused", `refused: ${broken(error)}`);
    }
    if (turn !== mine) return; // What was found with other keys says nothing now.
    results.append(made);
  }
  if (turn === mine) document.body.dataset.checked = String(mine);
}

// A check that broke off has found nothing to rely on.
const broken = (error) => `the check broke off: ${error.message}`;

async function checkedReceipt(bytes, trusted) {
  try {
    return await verifyReceipt(bytes, trusted);
  } catch (error) {
    const why = broken(error);
    const steps = [{ name: "document", state: "failed", why, at: "" }];
    return { outcome: "refused", reason: why, steps, notes: [], receipt: null };
  }
}

function card(name, outcome, line, ...parts) {
  return h(
    "section", { class: `result ${outcome}`, "data-outcome": outcome },
    h("h2", {}, h("span", { class: "file break" }, name)),
    h("p", { class: "verdict" }, line),
    ...parts,
  );
}

function stepsTable(steps) {
  return h("table", { class: "steps" }, h("tbody", {}, ...steps.map(({ name, state, why, at }) => (
    h("tr", { class: state, "data-step": name, "data-state": state },
      h("td", { class: "sign", "aria-hidden": "true" }, SIGNS[state]),
      h("th", { scope: "row" }, name),
      h("td", { class: "state" }, WORDS[state]),
      h("td", { class: "break" }, why, at ? h("code", {}, ` ${at}`) : ""))
  ))));
}

function receiptCard(name, found, byId_, below) {
  const steps = withChildren(found, byId_, below);
  const failed = steps.find(({ state }) => state === "failed");
  const outcome = failed ? "refused" : found.outcome;
  const line = failed && found.outcome !== "refused" ? `refused: ${failed.why}` : sentence(found);
  return card(name, outcome, line, facts(outcome === "refused" ? null : found.receipt), notes(found), stepsTable(steps));
}

const notes = (found) => h("div", {}, ...found.notes.map((note) => h("p", { class: "quiet" }, note)));

// What a receipt says, once it may be relied on as far as the verdict goes.
function facts(receipt) {
  if (!receipt) return "";
  const { body } = receipt;
  const said = [
    ["who", body.caller],
    ["agent", `${body.agent.id} ${body.agent.version}${body.skill ? `, skill ${body.skill.id}` : ""}`],
    ["when", `${body.started_at} to ${body.ended_at}`],
    ["outcome", body.error ? `${body.status}: ${body.error.code}` : body.status],
    ["run", body.run_id],
  ];
  return h("dl", { class: "facts" }, ...said.map(([name, value]) => [h("dt", {}, name), h("dd", { class: "break" }, value)]));
}

async function proofCard(name, text, receipts, trusted) {
  const trail = new Trail();
  const able = await canVerify();
  const checker = {
    keys: able ? trusted.keys : null, witnesses: trusted.witnesses, able, why: able ? "no key was given" : NO_ED25519,
  };
  // A proof does not say what it is for: it is tried with each receipt that is here.
  let index = null;
  await trail.step("proof", () => {
    ({ index } = readProof(text));
  });
  if (index !== null) {
    for (const { receipt } of receipts.values()) {
      const tried = new Trail();
      const entry = Uint8Array.from(receipt.id.slice(5).match(/../g), (two) => parseInt(two, 16));
      await checkProof(tried, text, index, entry, receipt.body.org, checker);
      if (tried.steps[0].state !== "ok") continue;
      const failed = tried.failure;
      const line = failed ? `refused: ${failed.why}` : `the place of ${receipt.id} in the log`;
      const outcome = failed ? "refused" : checker.keys === null ? "unchecked" : "valid";
      return card(name, outcome, line, stepsTable(tried.steps));
    }
    trail.unchecked("proof", "it is for none of the receipts that are here: give its receipt too");
  }
  const failed = trail.failure;
  return card(name, failed ? "refused" : "unchecked", failed ? `refused: ${failed.why}` : trail.steps[0].why, stepsTable(trail.steps));
}

async function packCard(name, file, trusted) {
  const found = await verifyPack(file, trusted, (done, all) => {
    byId("busy").textContent = `${name}: ${done} of ${all} files`;
  }).finally(() => {
    byId("busy").textContent = "";
  });
  const [whole, ...files] = found.files;
  const bad = new Set(files.filter(({ steps }) => steps.some(({ state }) => state === "failed")));
  const listed = [...bad, ...files.filter((one) => !bad.has(one))];
  const { manifest } = found;
  const about = manifest
    ? h("p", {}, `${manifest.runs} runs of ${manifest.org}, packed by ${manifest.made_by} at ${manifest.made_at}, `
      + (manifest.view === "whole" ? "whole." : "as their owner sees them."))
    : "";
  const unseen = bad.size > SHOWN ? `${bad.size - SHOWN} of them failed` : "none of them failed";
  const more = listed.length > SHOWN ? h("p", { class: "quiet" }, `${listed.length - SHOWN} further files; ${unseen}.`) : "";
  return card(name, found.outcome, packSentence(found), about, stepsTable(whole.steps),
    ...listed.slice(0, SHOWN).map((one) => fileDetails(one, bad.has(one))), more);
}

function fileDetails({ file, steps }, open) {
  const count = (state) => steps.filter((step) => step.state === state).length;
  const told = ["ok", "failed", "unchecked"].filter(count).map((state) => `${count(state)} ${WORDS[state]}`).join(", ");
  return h("details", { open, class: count("failed") ? "bad" : "", "data-file": file },
    h("summary", {}, h("span", { class: "break" }, file), " ", h("span", { class: "quiet" }, told)),
    stepsTable(steps));
}

// --- the page's controls ----------------------------------------------------------------------------------

function start() {
  const zone = byId("zone");
  const picker = byId("files");
  picker.addEventListener("change", () => take([...picker.files]).then(() => { picker.value = ""; }));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover");
      if (kind === "drop") take([...event.dataTransfer.files]);
    });
  }
  byId("witnesses").addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = byId("vkeys").value.split(/\s+/).filter(Boolean);
    byId("why").textContent = "";
    try {
      held.witnesses = await Promise.all(given.map(readVkey));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      say(error.message);
      return;
    }
    await show();
  });
  byId("clear").addEventListener("click", () => {
    Object.assign(held, { files: new Map(), keys: null, keyFiles: [], witnesses: [] });
    byId("vkeys").value = "";
    byId("why").textContent = "";
    show();
  });
  if (globalThis.crypto?.subtle) {
    show();
  } else {
    // A browser keeps its algorithms from pages that came over an open line.
    byId("zone").hidden = true;
    say("This page can check nothing here: open it over HTTPS, from this machine, or as a file.");
  }
}

start();
