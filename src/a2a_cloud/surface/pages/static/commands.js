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
  const address = new URL(`${base}/invoke/${encodeURIComponent(call.skill ?? "")}`, location.origin).href;
  if (call.text === undefined && !call.files.length) return lines(`curl -sS ${quoted(address)}`, key, json, `-d ${quoted(JSON.stringify(call.args))}`);
  if (call.text === undefined && fitsRaw(call)) {
    const { param, file } = call.files[0];
    return lines(`curl -sS ${quoted(`${address}?${query(call)}`)}`, key, `-H ${quoted(`Content-Type: ${mediaType(file, param)}`)}`, `--data-binary ${quoted(`@${file.name}`)}`);
  }
  const files = call.files ?? [];
  const parts = call.text === undefined
    ? [{ data: { skill: call.skill, arguments: call.args } }, ...files.map(({ param, file }, n) => ({ raw: `file ${n}`, filename: file.name, mediaType: mediaType(file, param), metadata: { param: param.name } }))]
    : [{ text: call.text }];
  // The shell makes the messageId, since the same one again is the same run, and puts the files in as base64.
  let body = JSON.stringify({ message: { messageId: "made by the shell", role: "ROLE_USER", parts } }, null, 2)
    .replace(/[\\$`]/g, "\\$&")
    .replace('"made by the shell"', () => '"call-$(date +%s)-$$"');
  files.forEach(({ file }, n) => { body = body.replace(`"raw": "file ${n}"`, () => `"raw": "$(base64 < ${quoted(file.name)} | tr -d '\\n')"`); });
  const send = new URL(`${base}/message:send`, location.origin).href;
  return `${lines(`curl -sS ${quoted(send)}`, key, "-H 'A2A-Version: 1.0'", json, "--data-binary @- <<END")}\n${body}\nEND`;
}
