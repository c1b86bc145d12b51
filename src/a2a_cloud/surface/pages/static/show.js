// What a run puts out, shown so that none of it can run: text as text, pictures by <img>, the rest to save.

import { copyText } from "./copy.js";
import { h, json } from "./dom.js";

const PICTURE = /^image\/[a-z0-9.+-]+$/i;

export function copyable(pre, text) {
  const button = h("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", () => copyText(text, button));
  pre.append(button);
  return pre;
}

export function value(any) {
  if (typeof any === "string") return copyable(h("pre", { class: "code text", tabindex: "0" }, h("code", {}, any)), any);
  return copyable(json(any), JSON.stringify(any, null, 2));
}

export function problem({ code, detail, remedy }) {
  return h("div", { class: "notice bad" },
    h("strong", {}, detail ?? ""), h("br"),
    remedy ? [remedy, h("br")] : null,
    h("code", { class: "quiet" }, code ?? ""));
}

export function message(any) {
  const parts = any?.parts ?? [];
  return h("div", { class: "said" }, parts.map((each) => part(each, "message")));
}

// Pieces of one artifact joined, as `append` asks.
export function joined(before, artifact, append) {
  if (!before || !append) return { ...artifact, parts: artifact.parts.map((each) => ({ ...each })) };
  for (const each of artifact.parts) {
    const last = before.parts.at(-1);
    if (typeof each.text === "string" && typeof last?.text === "string") last.text += each.text;
    else before.parts.push({ ...each });
  }
  return before;
}

export function artifact(made) {
  const name = made.name || made.artifactId;
  const kinds = made.parts.map((each) => each.mediaType ?? (each.data === undefined ? "" : "application/json")).filter(Boolean);
  return h("figure", { class: "artifact" },
    h("figcaption", {}, h("strong", {}, name), " ", h("span", { class: "quiet" }, [...new Set(kinds)].join(", "))),
    made.description ? h("p", { class: "hint" }, made.description) : null,
    made.parts.map((each) => part(each, name)));
}

function part(each, name) {
  const kind = each.mediaType ?? "";
  const file = each.filename ?? name;
  if (typeof each.text === "string") {
    if (kind === "image/svg+xml") return picture(`data:image/svg+xml;charset=utf-8,${encodeURIComponent(each.text)}`, file, save(new Blob([each.text]), file));
    const shown = value(each.text);
    return shown;
  }
  if (each.data !== undefined) return value(each.data);
  if (typeof each.raw === "string") {
    const bytes = Uint8Array.from(atob(each.raw), (sign) => sign.charCodeAt(0));
    const link = save(new Blob([bytes]), file);
    return PICTURE.test(kind) ? picture(`data:${kind};base64,${each.raw}`, file, link) : h("p", {}, link);
  }
  if (typeof each.url === "string") return linked(each.url, kind, file);
  return h("p", { class: "quiet" }, "nothing");
}

function linked(address, kind, file) {
  let url;
  try {
    url = new URL(address, location.href);
  } catch {
    return h("p", {}, address);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return h("p", {}, address);
  const own = url.origin === location.origin;
  const link = h("a", { href: url.href, rel: "noreferrer noopener", target: "_blank", download: own ? file : null }, own ? `Save ${file}` : url.href);
  return own && PICTURE.test(kind) ? picture(url.href, file, link) : h("p", {}, link);
}

function picture(source, name, link) {
  return h("div", { class: "picture" }, h("img", { src: source, alt: name, loading: "lazy" }), link);
}

// A download never has a type that a browser would open on this origin.
function save(blob, name) {
  const link = h("a", { href: "#", download: name }, `Save ${name} (${size(blob.size)})`);
  link.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
    link.href = url;
    setTimeout(() => { URL.revokeObjectURL(url); link.href = "#"; }, 10_000);
  });
  return link;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}
