// Elements made by name. Text always goes in as text, never as markup.

export function h(name, props, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(4).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export const byId = (id) => document.getElementById(id);

// JSON for a reader: coloured, indented, and with nothing lost.
export function json(value) {
  const code = h("code");
  const text = JSON.stringify(value, null, 2) ?? "null";
  const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  let end = 0;
  for (const found of text.length > 200_000 ? [] : text.matchAll(token)) {
    code.append(text.slice(end, found.index));
    const kind = found[2] ? "name" : found[1] ? "string" : "number";
    code.append(h("span", { class: `j-${kind}` }, found[1] ?? found[0]));
    if (found[2]) code.append(found[2]);
    end = found.index + found[0].length;
  }
  code.append(text.slice(end));
  return h("pre", { class: "code", tabindex: "0" }, code);
}

let made = 0;
export const uniqueId = (what) => `${what}-${++made}`;
