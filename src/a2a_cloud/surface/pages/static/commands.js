// A call as a command to paste into a shell.

import { fitsRaw, mediaType, query } from "./call.js";

export const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

function argument(name, value) {
  if (typeof value === "string" && !value.startsWith("@") && !value.startsWith("=@") && !value.startsWith("\\")) return `${name}=${value}`;
  return `${name}:=${JSON.stringify(value)}`;
}

export function asCall(agent, call) {
  if (call.text !== undefined) return ["a2a", "call", agent, "--message", call.text].map(quoted).join(" ");
  const words = Object.entries(call.args).map(([name, value]) => argument(name, value));
  const files = call.files.map(({ param, file }) => `${param.name}=@${file.name}`);
  return ["a2a", "call", agent, call.skill, ...words, ...files].map(quoted).join(" ");
}

export function asCurl(base, call) {
  const key = '-H "Authorization: Bearer $A2A_KEY"';
  const json = "-H 'Content-Type: application/json'";
  const lines = (...parts) => parts.join(" \\\n  ");
  const url = new URL(`${base}/invoke/${encodeURIComponent(call.skill ?? "")}`, location.origin).href;
  if (call.text === undefined && !call.files.length) return lines(`curl -sS ${quoted(url)}`, key, json, `-d ${quoted(JSON.stringify(call.args))}`);
  if (call.text === undefined && fitsRaw(call)) {
    const { param, file } = call.files[0];
    return lines(`curl -sS ${quoted(`${url}?${query(call)}`)}`, key, `-H ${quoted(`Content-Type: ${mediaType(file, param)}`)}`, `--data-binary ${quoted(`@${file.name}`)}`);
  }
  const parts = call.text === undefined
    ? [{ data: { skill: call.skill, arguments: call.args } }, ...call.files.map(({ param, file }) => ({ raw: file.name, filename: file.name, mediaType: mediaType(file, param), metadata: { param: param.name } }))]
    : [{ text: call.text }];
  let body = JSON.stringify({ message: { messageId: `msg-${Date.now()}`, role: "ROLE_USER", parts } }, null, 2);
  const send = new URL(`${base}/message:send`, location.origin).href;
  const version = "-H 'A2A-Version: 1.0'";
  if (!call.files?.length) return lines(`curl -sS ${quoted(send)}`, key, version, json, `-d ${quoted(body)}`);
  // The shell puts the files in as base64.
  body = body.replace(/[\\$`]/g, "\\$&");
  for (const { file } of call.files) body = body.replace(`"raw": ${JSON.stringify(file.name)}`, () => `"raw": "$(base64 < ${quoted(file.name)} | tr -d '\\n')"`);
  return `${lines(`curl -sS ${quoted(send)}`, key, version, json, "--data-binary @- <<END")}\n${body}\nEND`;
}
