// The agent card: checked against what A2A 1.0 requires, drawn, and raw.

import { h, json } from "./dom.js";
import { copyable } from "./show.js";

const text = (any) => typeof any === "string" && any.length > 0;
const isUrl = (any) => text(any) && URL.canParse(any) && /^https?:/.test(any);
const list = (any) => Array.isArray(any) && any.length > 0;

// [what is checked, whether it holds, whether it is only advice]
function checks(card) {
  const skills = Array.isArray(card.skills) ? card.skills : [];
  const interfaces = Array.isArray(card.supportedInterfaces) ? card.supportedInterfaces : [];
  const schemes = new Set(Object.keys(card.securitySchemes ?? {}));
  const ids = skills.map((each) => each.id);
  const without = (rule) => skills.filter((each) => !rule(each)).map((each) => each.id).join(", ");
  const named = (what, missing) => (missing ? `${what} (not: ${missing})` : what);
  return [
    ["name, description and version are there", text(card.name) && text(card.description) && text(card.version)],
    ["an interface at an address, with binding and version", interfaces.length > 0 && interfaces.every((each) => (isUrl(each.url) || (each.protocolBinding === "GRPC" && text(each.url))) && text(each.protocolBinding) && text(each.protocolVersion))],
    ["capabilities are named", typeof card.capabilities === "object" && card.capabilities !== null],
    ["default input and output modes", list(card.defaultInputModes) && list(card.defaultOutputModes)],
    ["skills have id, name, description and tags", skills.every((each) => text(each.id) && text(each.name) && text(each.description) && Array.isArray(each.tags))],
    ["skill ids are unique", new Set(ids).size === ids.length],
    ["what is required for access is declared", (card.securityRequirements ?? []).every((each) => Object.keys(each.schemes ?? {}).every((name) => schemes.has(name)))],
    ["there is a documentation address", isUrl(card.documentationUrl), true],
    ["a provider is named", text(card.provider?.organization), true],
    ["the description says more than the name", text(card.description) && card.description !== card.name && card.description.length >= 20, true],
    [named("each skill has an example", without((each) => list(each.examples))), skills.every((each) => list(each.examples)), true],
    [named("each skill has a tag", without((each) => list(each.tags))), skills.every((each) => list(each.tags)), true],
  ];
}

export function cardView(card) {
  const done = checks(card);
  const wrong = done.filter(([, holds, advice]) => !holds && !advice).length;
  const weak = done.filter(([, holds, advice]) => !holds && advice).length;
  const badges = [
    ...(card.supportedInterfaces ?? []).map((each) => `${each.protocolBinding} ${each.protocolVersion}`),
    card.capabilities?.streaming ? "streams" : null,
    card.securityRequirements?.length ? "needs a key" : "public",
    ...(card.defaultInputModes ?? []).map((mode) => `takes ${mode}`),
    ...(card.defaultOutputModes ?? []).map((mode) => `gives ${mode}`),
  ].filter(Boolean);
  const raw = JSON.stringify(card, null, 2);
  return h("div", { class: "card" },
    h("div", { class: "face" },
      h("p", { class: "quiet" }, card.provider?.organization ?? ""),
      h("h2", {}, card.name ?? "?", " ", h("small", { class: "quiet" }, card.version ?? "")),
      h("p", {}, card.description ?? ""),
      h("ul", { class: "badges" }, badges.map((each) => h("li", {}, each))),
      (card.skills ?? []).map((skill) => h("section", {},
        h("h3", {}, skill.name, " ", h("code", { class: "quiet" }, skill.id)),
        h("p", {}, skill.description),
        skill.tags?.length ? h("ul", { class: "badges" }, skill.tags.map((tag) => h("li", {}, tag))) : null,
        skill.examples?.length ? h("ul", { class: "examples" }, skill.examples.map((each) => h("li", {}, each))) : null)),
      card.documentationUrl && isUrl(card.documentationUrl) ? h("p", {}, h("a", { href: card.documentationUrl, rel: "noreferrer noopener", target: "_blank" }, "Documentation")) : null),
    h("div", {},
      h("p", { class: wrong ? "notice bad" : weak ? "notice warn" : "notice" }, h("strong", {}, wrong ? `${wrong} of A2A's rules are not kept.` : "The card is valid (A2A 1.0)."), weak ? ` ${weak} ${weak === 1 ? "thing" : "things"} could be better.` : ""),
      h("ul", { class: "checks" }, done.map(([what, holds, advice]) => h("li", { class: holds ? "holds" : advice ? "weak" : "wrong" }, h("span", { "aria-label": holds ? "yes:" : "no:" }, holds ? "✓" : advice ? "·" : "✗"), " ", what))),
      h("details", {}, h("summary", {}, "Raw card"), copyable(json(card), raw))));
}
