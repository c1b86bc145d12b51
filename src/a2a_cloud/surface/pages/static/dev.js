// `/_dev`: the agent that `a2a dev` runs. Looks each second which release serves; when it is another one,
// the forms are made anew and what was typed stays.

import { Api, Refused } from "./api.js";
import { cardView } from "./card.js";
import { byId, h } from "./dom.js";
import { Unfit, field } from "./form.js";
import { keepKey, readKey } from "./key.js";
import { Logs } from "./logs.js";
import { RunView } from "./run.js";
import { problem, size } from "./show.js";

const LOOK = 700;
const RUNS = 20;
const WORDS = "\u0000words";

let api = new Api(readKey());
let agent = null;
let chosen = "";
let form = null;
let noticed = "";
const typed = new Map();
const logs = new Logs(api, byId("view-logs"));

// --- what serves ------------------------------------------------------------------------------------

function link(state, text) {
  byId("link").dataset.state = state;
  if (byId("link-text").textContent !== text) byId("link-text").textContent = text;
}

async function look() {
  try {
    const { agents } = await api.json("/api/v1/agents");
    const wanted = new URLSearchParams(location.search).get("agent");
    const found = agents.find((each) => each.name === wanted) ?? agents[0];
    if (!found && !api.key) throw new Refused(401, { detail: "A key is needed." });
    link("up", "live");
    if (!found) {
      byId("agent").textContent = "No agent serves yet";
    } else if (!agent || found.name !== agent.name || found.release !== agent.release) {
      await load(found);
    }
    await lookForFailure(found);
  } catch (error) {
    if (error instanceof Refused && error.status === 401) askForKey();
    else link("down", error instanceof Refused ? error.message : "reconnecting");
  }
  setTimeout(look, LOOK);
}

async function load(found) {
  const before = agent;
  const [whole, card] = await Promise.all([
    api.json(`/api/v1/agents/${encodeURIComponent(found.name)}`),
    api.json(new URL(found.card_url, location.href).pathname),
  ]);
  byId("view-key").hidden = true;
  document.body.classList.remove("shut");
  agent = { ...whole, base: new URL(whole.url, location.href).pathname };
  logs.of(agent.name);
  document.title = `${agent.name} · a2a dev`;
  byId("agent").textContent = agent.name;
  byId("release").textContent = `release ${agent.release} · ${agent.version}`;
  byId("view-card").replaceChildren(cardView(card));
  keepTyped();
  drawSkills();
  mended = mended || before !== null;
  if (before?.name === agent.name) notify("reloaded", h("p", { class: "notice" }, `Release ${agent.release} is live; the forms are new.`), 4000);
}

// A save that can't serve is the newest release, and failed. Another release that came to serve since then
// has mended it, also when it is an older one. Who may not see releases is told by the terminal alone.
let mayAsk = true;
let mended = false;
let settled = 0;
async function lookForFailure(found) {
  if (!found || !mayAsk) return;
  let newest;
  try {
    newest = (await api.json(`/api/v1/agents/${encodeURIComponent(found.name)}/releases?limit=1`)).releases[0];
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    mayAsk = false;
    return;
  }
  if (mended && newest) settled = newest.release;
  mended = false;
  const failed = newest?.state === "failed" && newest.release > settled;
  if (!failed && noticed.startsWith("failed")) notify("", null);
  if (!failed || noticed === `failed ${newest.release}`) return;
  const { cause } = newest;
  notify(`failed ${newest.release}`, h("div", { class: "broken" },
    problem(cause ?? { detail: "The last save can't be served." }),
    cause?.lines?.length ? h("pre", { class: "code", tabindex: "0" }, h("code", {}, cause.lines.join("\n"))) : null,
    h("button", { type: "button", class: "small", onclick() { settled = newest.release; notify("", null); } }, "Dismiss")));
}

function notify(mark, element, ms) {
  noticed = mark;
  byId("notices").replaceChildren(...(element ? [element] : []));
  if (ms) setTimeout(() => { if (noticed === mark) notify("", null); }, ms);
}

function askForKey() {
  link("down", "no key");
  byId("view-key").hidden = false;
  document.body.classList.add("shut");
}

byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  takeKey(byId("key").value);
});

function takeKey(key) {
  keepKey(key);
  api = new Api(key.trim());
  logs.api = api;
  agent = null;
  mayAsk = true;
  byId("key").value = "";
}

// A link with another key, opened in the same tab, changes the fragment alone.
addEventListener("hashchange", () => {
  const key = readKey();
  if (key !== api.key) takeKey(key);
});

// --- skills and their forms -------------------------------------------------------------------------

function choices() {
  const every = agent.skills.map((skill) => ({ id: skill.id, label: skill.id, skill }));
  if (agent.message_handler || agent.default_skill) every.push({ id: WORDS, label: "in plain words", skill: null });
  return every;
}

function drawSkills() {
  const every = choices();
  if (!every.some((each) => each.id === chosen)) {
    const kept = sessionStorage.getItem(`a2a-skill ${agent.name}`);
    chosen = (every.find((each) => each.id === kept) ?? every[0])?.id ?? "";
  }
  byId("skills").replaceChildren(...every.map((each) =>
    h("button", { type: "button", "aria-current": each.id === chosen ? "true" : null, onclick: () => choose(each.id) }, each.label)));
  const one = every.find((each) => each.id === chosen);
  byId("form").replaceChildren(one ? (one.skill ? skillForm(one.skill) : wordsForm()) : h("p", { class: "quiet" }, "This agent has no skill."));
}

function choose(id) {
  keepTyped();
  chosen = id;
  sessionStorage.setItem(`a2a-skill ${agent.name}`, id);
  drawSkills();
  byId("skills").querySelector("[aria-current]")?.focus();
}

function keepTyped() {
  if (!form) return;
  try {
    typed.set(form.id, form.draft());
  } catch (error) {
    if (!(error instanceof Unfit)) throw error;
  }
}

function wordsForm() {
  const area = h("textarea", { id: "words", rows: "4", placeholder: "Say something", value: typed.get(WORDS) ?? "" });
  form = { id: WORDS, draft: () => area.value };
  return shell(h("h2", {}, "In plain words"), h("p", {}, agent.message_handler ? "Goes to the agent's message handler." : `Goes to the skill ${agent.default_skill}.`),
    h("label", { for: "words" }, "Message"), area)(() => ({ text: area.value, args: {}, files: [] }));
}

function skillForm(skill) {
  const root = skill.input_schema;
  const known = Object.keys(root.properties ?? {}).length > 0;
  const fields = field({ ...root, description: undefined, type: "object" }, root, {});
  const files = skill.files.map(fileField);
  const area = h("textarea", { class: "mono", rows: "10", spellcheck: "false", "aria-label": "Arguments as JSON" });
  const toggle = h("button", { type: "button", class: "small", "aria-pressed": "false" }, "Edit as JSON");
  const body = h("div", { class: "fields" }, files.map((each) => each.element), known ? fields.element : null);
  const plain = files.length === 0 && !known ? h("p", { class: "quiet" }, "This skill takes no arguments.") : null;
  let asJson = false;
  const why = h("p", { class: "hint bad", role: "alert" });
  function fromArea() {
    try {
      const value = JSON.parse(area.value.trim() || "{}");
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
    } catch (error) {
      throw new Unfit(`The arguments are not JSON: ${error.message}`, area);
    }
    throw new Unfit("The arguments have to be a JSON object.", area);
  }
  const read = () => (asJson ? fromArea() : known ? fields.read() : {});
  toggle.addEventListener("click", () => {
    try {
      if (asJson) fields.write(fromArea());
      else area.value = JSON.stringify(drafted(fields), null, 2);
    } catch (error) {
      why.textContent = error.message;
      return;
    }
    why.textContent = "";
    asJson = !asJson;
    toggle.textContent = asJson ? "Back to the form" : "Edit as JSON";
    toggle.setAttribute("aria-pressed", String(asJson));
    if (asJson) fields.element.replaceWith(area);
    else area.replaceWith(fields.element);
    (asJson ? area : toggle).focus();
  });
  form = { id: skill.id, draft: read };
  const before = typed.get(skill.id) ?? stored(skill.id);
  if (before && known) fields.write(before);
  return shell(
    h("h2", {}, skill.name || skill.id, " ", h("code", { class: "quiet" }, skill.id)),
    (skill.description ?? "").split("\n\n").map((each) => h("p", {}, each)),
    skill.tags?.length ? h("ul", { class: "badges" }, skill.tags.map((tag) => h("li", {}, tag))) : null,
    skill.examples?.length ? h("details", {}, h("summary", {}, "Examples"), h("ul", { class: "examples" }, skill.examples.map((each) => h("li", {}, each)))) : null,
    plain, body, why)(() => {
    const call = { skill: skill.id, args: read(), files: files.flatMap((each) => each.read()) };
    sessionStorage.setItem(`a2a-args ${agent.name} ${skill.id}`, JSON.stringify(call.args));
    return call;
  }, known ? toggle : null);
}

function drafted(fields) {
  try {
    return fields.read();
  } catch (error) {
    if (error instanceof Unfit) return {};
    throw error;
  }
}

function stored(id) {
  try {
    return JSON.parse(sessionStorage.getItem(`a2a-args ${agent.name} ${id}`));
  } catch {
    return null;
  }
}

function fileField(param) {
  const input = h("input", { type: "file", id: `file-${param.name}`, multiple: param.many, accept: (param.media_types ?? []).join(",") || null });
  const told = h("p", { class: "hint" }, [param.description, (param.media_types ?? []).join(", ")].filter(Boolean).join(" · "));
  const chosenFiles = h("p", { class: "hint" });
  input.addEventListener("change", () => { chosenFiles.textContent = [...input.files].map((each) => `${each.name}, ${size(each.size)}`).join(" · "); });
  return {
    element: h("div", { class: "field" }, h("label", { for: input.id }, param.name, param.required ? h("span", { class: "need" }, " *") : null), input, told, chosenFiles),
    read() {
      if (param.required && !input.files.length) throw new Unfit(`${param.name}: choose a file.`, input);
      return [...input.files].map((file) => ({ param, file }));
    },
  };
}

// A form with its button: give it the parts, then what makes the call.
function shell(...parts) {
  return (prepare, beside) => {
    const why = h("p", { class: "hint bad", role: "alert" });
    const element = h("form", { class: "skill" }, parts, why,
      h("div", { class: "send" }, h("button", { type: "submit", class: "go", id: "call" }, "Call"), beside, h("span", { class: "quiet keys" }, "Ctrl+Enter")));
    element.noValidate = true;
    element.addEventListener("submit", (event) => {
      event.preventDefault();
      why.textContent = "";
      try {
        begin(prepare());
      } catch (error) {
        if (!(error instanceof Unfit)) throw error;
        why.textContent = error.message;
        error.element?.focus();
      }
    });
    element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        element.requestSubmit();
      }
    });
    return element;
  };
}

function begin(call) {
  const runs = byId("runs");
  runs.querySelector(".empty")?.remove();
  for (const run of runs.querySelectorAll(":scope > details[data-ended]")) run.open = false;
  const view = new RunView(api, agent, call);
  runs.prepend(view.element);
  while (runs.children.length > RUNS && runs.lastChild.dataset.ended) runs.lastChild.remove();
  if (matchMedia("(max-width: 60rem)").matches) view.element.scrollIntoView({ block: "start" });
}

// --- tabs -------------------------------------------------------------------------------------------

const tabs = [...byId("tabs").children];

function show(tab) {
  for (const each of tabs) {
    const on = each === tab;
    each.setAttribute("aria-selected", String(on));
    each.tabIndex = on ? 0 : -1;
    byId(each.getAttribute("aria-controls")).hidden = !on;
  }
  logs.shown = tab.id === "tab-logs";
}

for (const tab of tabs) tab.addEventListener("click", () => show(tab));
byId("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
  show(next);
  next.focus();
});

look();
