// Forms made from JSON Schemas. `field(schema, root, options)` gives { element, read, write }: `read()`
// gives the value, undefined for "left out", and throws Unfit for what can't be sent.

import { h, uniqueId } from "./dom.js";

export class Unfit extends Error {
  constructor(message, element) {
    super(message);
    this.element = element;
  }
}

const DEEPEST = 8;

export function resolved(schema, root) {
  let found = schema === true || schema === undefined ? {} : schema;
  for (let n = 0; n < 8 && typeof found.$ref === "string" && found.$ref.startsWith("#/$defs/"); n += 1) {
    const { $ref, ...beside } = found;
    found = { ...(root.$defs?.[$ref.slice(8)] ?? {}), ...beside };
  }
  if (Array.isArray(found.allOf) && found.allOf.length === 1) {
    const { allOf, ...beside } = found;
    found = { ...resolved(allOf[0], root), ...beside };
  }
  return found;
}

// The schema without its alternative null, and whether it had one.
function withoutNull(schema, root) {
  const name = schema.anyOf ? "anyOf" : schema.oneOf ? "oneOf" : "";
  if (name) {
    const arms = schema[name].map((arm) => resolved(arm, root));
    const rest = arms.filter((arm) => arm.type !== "null");
    const { [name]: _, ...beside } = schema;
    if (rest.length === 1) return [{ ...rest[0], ...beside }, rest.length < arms.length];
    if (rest.length < arms.length) return [{ ...beside, anyOf: rest }, true];
    return [schema, false];
  }
  if (Array.isArray(schema.type)) {
    const kinds = schema.type.filter((kind) => kind !== "null");
    const nullable = kinds.length < schema.type.length;
    if (kinds.length === 1) return [{ ...schema, type: kinds[0] }, nullable];
    return [{ ...schema, type: undefined, anyOf: kinds.map((kind) => ({ ...schema, type: kind, default: undefined })) }, nullable];
  }
  return [schema, false];
}

export function choicesOf(schema) {
  if ("const" in schema) return [schema.const];
  if (Array.isArray(schema.enum)) return schema.enum;
  const arms = schema.oneOf ?? schema.anyOf ?? [];
  return arms.length && arms.every((arm) => "const" in arm) ? arms.map((arm) => arm.const) : null;
}

export function field(schema, root, { label = "", required = true, depth = 0 } = {}) {
  const [inner, nullable] = withoutNull(resolved(schema, root), root);
  const about = { schema: inner, root, required, nullable, depth, label };
  const choices = choicesOf(inner);
  if (depth > DEEPEST) return raw(about);
  if (choices) return choice(about, choices);
  if (inner.anyOf || inner.oneOf) return variants(about, (inner.anyOf ?? inner.oneOf).map((arm) => resolved(arm, root)));
  switch (inner.type) {
    case "boolean": return boolean(about);
    case "integer":
    case "number": return number(about);
    case "string": return string(about);
    case "array": return inner.prefixItems ? tuple(about) : list(about);
    case "object": break;
    default: if (!inner.properties) return raw(about);
  }
  if (inner.properties && Object.keys(inner.properties).length) return object(about);
  if (inner.additionalProperties && typeof inner.additionalProperties === "object") return map(about);
  return inner.type === "object" && inner.additionalProperties === false ? fixed({}) : raw(about);
}

const fixed = (value) => ({ element: h("span", { class: "quiet" }, "nothing to fill in"), read: () => value, write() {} });

// What an empty control stands for.
const empty = ({ required, nullable }) => (required && nullable ? null : undefined);

function shown(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function labelled(about, control, extra) {
  const { schema, label, required } = about;
  if (!label) return control;
  control.id ||= uniqueId("field");
  const hint = schema.description ? h("p", { class: "hint", id: `${control.id}-hint` }, schema.description) : null;
  if (hint) control.setAttribute("aria-describedby", hint.id);
  return h("div", { class: "field" },
    h("label", { for: control.id }, label, required ? h("span", { class: "need", title: "required" }, " *") : null),
    control, extra ?? null, hint);
}

function choice(about, choices) {
  const { schema, required } = about;
  const chosen = schema.default === undefined || schema.default === null ? -1 : choices.findIndex((each) => JSON.stringify(each) === JSON.stringify(schema.default));
  const open = !required || about.nullable || choices.length !== 1;
  const select = h("select", {},
    open ? h("option", { value: "" }, chosen >= 0 ? `default: ${shown(choices[chosen])}` : required && !about.nullable ? "choose…" : "not set") : null,
    choices.map((each, n) => h("option", { value: String(n) }, shown(each))));
  return {
    element: labelled(about, select),
    read() {
      if (select.value !== "") return choices[Number(select.value)];
      if (required && !about.nullable) throw new Unfit(`${about.label || "A value"}: choose one.`, select);
      return empty(about);
    },
    write(value) {
      const at = choices.findIndex((each) => JSON.stringify(each) === JSON.stringify(value));
      select.value = at < 0 ? (open ? "" : "0") : String(at);
    },
  };
}

function boolean(about) {
  const { schema, required } = about;
  const given = typeof schema.default === "boolean";
  if (about.nullable || (!required && !given)) return choice(about, [true, false]);
  const box = h("input", { type: "checkbox", id: uniqueId("field") });
  box.checked = schema.default === true;
  const hint = schema.description ? h("p", { class: "hint" }, schema.description) : null;
  return {
    element: h("div", { class: "field check" }, h("label", {}, box, " ", about.label || "yes"), hint),
    read: () => (!required && box.checked === schema.default ? undefined : box.checked),
    write(value) { box.checked = value === undefined ? schema.default === true : value === true; },
  };
}

function placeholder({ schema, required, nullable }) {
  if (schema.default !== undefined && schema.default !== null) return `default: ${shown(schema.default)}`;
  if (schema.examples?.length) return `such as ${shown(schema.examples[0])}`;
  return required && !nullable ? "" : "not set";
}

function number(about) {
  const { schema, required } = about;
  const whole = schema.type === "integer";
  const input = h("input", {
    type: "number", inputmode: whole ? "numeric" : "decimal", placeholder: placeholder(about),
    min: schema.minimum, max: schema.maximum, step: schema.multipleOf ?? (whole ? 1 : "any"),
    required: required && !about.nullable,
  });
  return {
    element: labelled(about, input),
    read() {
      if (input.value.trim() === "" && !input.validity.badInput) {
        if (required && !about.nullable) throw new Unfit(`${about.label || "A number"} is needed.`, input);
        return empty(about);
      }
      if (!input.checkValidity()) throw new Unfit(`${about.label}: ${input.validationMessage}`, input);
      return Number(input.value);
    },
    write(value) { input.value = typeof value === "number" ? String(value) : ""; },
  };
}

const KINDS = { date: "date", time: "time", "date-time": "datetime-local", email: "email", uri: "url" };

function string(about) {
  const { schema, required } = about;
  const kind = KINDS[schema.format];
  const input = kind
    ? h("input", { type: kind, step: kind === "time" || kind === "datetime-local" ? "1" : null, placeholder: placeholder(about) })
    : h("textarea", { rows: "1", placeholder: placeholder(about), minlength: schema.minLength, maxlength: schema.maxLength, spellcheck: "true" });
  if (!kind) input.addEventListener("input", () => grow(input));
  const dated = schema.format === "date-time";
  return {
    element: labelled(about, input, schema.contentEncoding ? h("p", { class: "hint" }, `bytes, as ${schema.contentEncoding}`) : null),
    read() {
      if (input.value === "") {
        if (!required || about.nullable) return empty(about);
        if (kind || schema.minLength || schema.pattern) throw new Unfit(`${about.label || "A text"} is needed.`, input);
        return "";
      }
      if (!input.checkValidity()) throw new Unfit(`${about.label}: ${input.validationMessage}`, input);
      if (schema.pattern && !matches(schema.pattern, input.value)) throw new Unfit(`${about.label} has to match ${schema.pattern}.`, input);
      return dated ? new Date(input.value).toISOString() : input.value;
    },
    write(value) {
      input.value = typeof value === "string" ? (dated ? local(value) : value) : "";
      if (!kind) grow(input);
    },
  };
}

function matches(pattern, text) {
  try {
    return new RegExp(pattern, "u").test(text);
  } catch {
    return true; // The platform checks it in its own dialect.
  }
}

function local(stamp) {
  const time = new Date(stamp);
  if (Number.isNaN(time.getTime())) return "";
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

function grow(area) {
  area.rows = Math.min(14, Math.max(1, area.value.split("\n").length + (area.value.length > 90 ? Math.floor(area.value.length / 90) : 0)));
}

// A group that may be left out: the box says whether it is there.
function group(about, body, inner) {
  const { label, required, nullable, schema } = about;
  const open = required && !nullable;
  const box = open || !label ? null : h("input", { type: "checkbox" });
  const legend = label ? h("legend", {}, box ? h("label", {}, box, " ", label) : label, required ? h("span", { class: "need", title: "required" }, " *") : null) : null;
  const hint = schema.description && label ? h("p", { class: "hint" }, schema.description) : null;
  const element = label ? h("fieldset", { class: "group" }, legend, hint, body) : body;
  const show = () => { body.hidden = Boolean(box) && !box.checked; };
  box?.addEventListener("change", show);
  show();
  return {
    element,
    read: () => (box && !box.checked ? empty(about) : inner.read()),
    write(value) {
      const there = value !== undefined && value !== null;
      if (box) box.checked = there;
      show();
      if (there) inner.write(value);
    },
  };
}

function object(about) {
  const { schema, root, depth } = about;
  const needed = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties).map(([name, each]) => [name, field(each, root, { label: name, required: needed.has(name), depth: depth + 1 })]);
  const body = h("div", { class: "fields" }, fields.map(([, each]) => each.element));
  return group(about, body, {
    read() {
      const value = {};
      for (const [name, each] of fields) {
        const read = each.read();
        if (read !== undefined) value[name] = read;
      }
      return value;
    },
    write(value) { for (const [name, each] of fields) each.write(value?.[name]); },
  });
}

function list(about) {
  const { schema, root, depth, label } = about;
  const rows = [];
  const body = h("div", { class: "items" });
  const add = h("button", { type: "button", class: "small", onclick: () => { grown(undefined).focus(); } }, "Add");
  function grown(value) {
    const each = field(schema.items ?? {}, root, { required: true, depth: depth + 1 });
    const row = { each };
    const remove = h("button", { type: "button", class: "small", "aria-label": `Remove this ${label || "item"}`, onclick() {
      rows.splice(rows.indexOf(row), 1);
      line.remove();
      add.focus();
    } }, "×");
    const line = h("div", { class: "item" }, each.element, remove);
    if (value !== undefined) each.write(value);
    rows.push(row);
    body.insertBefore(line, add);
    const first = line.querySelector("input, select, textarea");
    if (first && !first.labels?.length) first.setAttribute("aria-label", `${label || "item"} ${rows.length}`);
    return first ?? remove;
  }
  body.append(add);
  for (let n = 0; n < (schema.minItems ?? 0); n += 1) grown(undefined);
  return group(about, body, {
    read: () => rows.map(({ each }) => each.read() ?? null),
    write(value) {
      rows.length = 0;
      body.replaceChildren(add);
      for (const each of Array.isArray(value) ? value : []) grown(each);
    },
  });
}

function tuple(about) {
  const { schema, root, depth } = about;
  const fields = schema.prefixItems.map((each, n) => field(each, root, { label: String(n + 1), required: true, depth: depth + 1 }));
  return group(about, h("div", { class: "fields" }, fields.map((each) => each.element)), {
    read: () => fields.map((each) => each.read() ?? null),
    write(value) { fields.forEach((each, n) => { each.write(Array.isArray(value) ? value[n] : undefined); }); },
  });
}

function map(about) {
  const { schema, root, depth } = about;
  const rows = [];
  const body = h("div", { class: "items" });
  const add = h("button", { type: "button", class: "small", onclick: () => { grown("", undefined).focus(); } }, "Add");
  function grown(name, value) {
    const key = h("input", { placeholder: "name", "aria-label": "name", value: name });
    const each = field(schema.additionalProperties, root, { required: true, depth: depth + 1 });
    const row = { key, each };
    const remove = h("button", { type: "button", class: "small", "aria-label": "Remove this entry", onclick() {
      rows.splice(rows.indexOf(row), 1);
      line.remove();
      add.focus();
    } }, "×");
    const line = h("div", { class: "item pair" }, key, each.element, remove);
    if (value !== undefined) each.write(value);
    const first = each.element.matches("input, select, textarea") ? each.element : each.element.querySelector("input, select, textarea");
    if (first && !first.labels?.length) first.setAttribute("aria-label", "value");
    rows.push(row);
    body.insertBefore(line, add);
    return key;
  }
  body.append(add);
  return group(about, body, {
    read() {
      const value = {};
      for (const { key, each } of rows) {
        if (key.value === "") throw new Unfit(`${about.label}: an entry has no name.`, key);
        value[key.value] = each.read() ?? null;
      }
      return value;
    },
    write(value) {
      rows.length = 0;
      body.replaceChildren(add);
      for (const [name, each] of Object.entries(value ?? {})) grown(name, each);
    },
  });
}

function kindOf(schema) {
  return schema.title ?? { integer: "whole number", array: "list" }[schema.type] ?? schema.format ?? schema.type ?? "any value";
}

function variants(about, arms) {
  const { root, depth, label, required } = about;
  const fields = arms.map((arm) => field(arm, root, { required: true, depth: depth + 1 }));
  const open = !required || about.nullable;
  const select = h("select", { "aria-label": `Kind of ${label || "value"}` },
    open ? h("option", { value: "" }, "not set") : null,
    arms.map((arm, n) => h("option", { value: String(n) }, kindOf(arm))));
  const place = h("div", { class: "fields" });
  const show = () => {
    const chosen = select.value === "" ? null : fields[Number(select.value)];
    place.replaceChildren(...(chosen ? [chosen.element] : []));
    const first = place.querySelector("input, select, textarea");
    if (first && !first.labels?.length) first.setAttribute("aria-label", label || "value");
  };
  select.addEventListener("change", show);
  show();
  return {
    element: labelled(about, select, place),
    read: () => (select.value === "" ? empty(about) : fields[Number(select.value)].read()),
    write(value) {
      if (value === undefined || value === null) {
        select.value = open ? "" : "0";
      } else {
        const kind = Array.isArray(value) ? "array" : typeof value;
        const at = arms.findIndex((arm) => arm.type === kind || (kind === "number" && arm.type === "integer" && Number.isInteger(value)));
        select.value = String(Math.max(0, at));
      }
      show();
      if (select.value !== "") fields[Number(select.value)].write(value);
    },
  };
}

// Any JSON, where the schema says no more.
function raw(about) {
  const area = h("textarea", { rows: "1", class: "mono", spellcheck: "false", placeholder: placeholder(about) || "JSON" });
  area.addEventListener("input", () => grow(area));
  return {
    element: labelled(about, area, h("p", { class: "hint" }, "JSON")),
    read() {
      if (area.value.trim() === "") {
        if (about.required && !about.nullable) throw new Unfit(`${about.label || "A value"} is needed, as JSON.`, area);
        return empty(about);
      }
      try {
        return JSON.parse(area.value);
      } catch (error) {
        throw new Unfit(`${about.label || "The value"} is not JSON: ${error.message}`, area);
      }
    },
    write(value) {
      area.value = value === undefined ? "" : JSON.stringify(value, null, 2);
      grow(area);
    },
  };
}
