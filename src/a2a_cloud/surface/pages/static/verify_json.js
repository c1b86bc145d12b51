// JSON in which nothing is ambiguous, and its canonical form (RFC 8785 for what has no floats). JSON.parse
// keeps the last of two equal keys and rounds large numbers: a document could then mean one thing here and
// another elsewhere. So this refuses both, and floats, and halves of surrogate pairs.

import { Refused, textOf } from "./verify_bytes.js";

// Each value costs many times its bytes in memory.
const MAX_MARKS = 1 << 22;
const [COMMA, BRACKET, BRACE] = [...",[{"].map((mark) => mark.charCodeAt(0));
const MAX_DEPTH = 64;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const SPACE = /[ \t\n\r]*/y;
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };
const WORDS = [["true", true], ["false", false], ["null", null]];

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  broken(why, at = this.at) {
    throw new Refused(`not JSON (${why}), at character ${counted(this.text, at)}`);
  }

  value(depth) {
    if (depth > MAX_DEPTH) throw new Refused("nested too deeply");
    this.take(SPACE);
    const letter = this.text[this.at];
    if (letter === "{") return this.object(depth);
    if (letter === "[") return this.array(depth);
    if (letter === '"') return this.string();
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    for (const word of ["NaN", "Infinity", "-Infinity"]) {
      if (this.text.startsWith(word, this.at)) throw new Refused(`the number ${word} is not an integer`);
    }
    const found = this.take(NUMBER);
    if (!found) this.broken("Expecting value");
    const [digits, fraction, exponent] = found;
    if (fraction || exponent) throw new Refused(`the number ${digits.slice(0, 40)} is not an integer`);
    const number = Number(digits);
    if (digits.length > 17 || !Number.isSafeInteger(number)) throw new Refused("an integer beyond 2^53 - 1");
    return number === 0 ? 0 : number; // Never -0.
  }

  object(depth) {
    const found = Object.create(null);
    this.at++;
    this.take(SPACE);
    if (this.text[this.at] === "}") {
      this.at++;
      return found;
    }
    for (;;) {
      this.take(SPACE);
      if (this.text[this.at] !== '"') this.broken("Expecting property name enclosed in double quotes");
      const key = this.string();
      if (key in found) throw new Refused(`the key ${quoted(key)} stands twice in one object`);
      this.take(SPACE);
      if (this.text[this.at] !== ":") this.broken("Expecting ':' delimiter");
      this.at++;
      found[key] = this.value(depth + 1);
      this.take(SPACE);
      const next = this.text[this.at];
      if (next !== "," && next !== "}") this.broken("Expecting ',' delimiter");
      this.at++;
      if (next === "}") return found;
    }
  }

  array(depth) {
    const found = [];
    this.at++;
    this.take(SPACE);
    if (this.text[this.at] === "]") {
      this.at++;
      return found;
    }
    for (;;) {
      found.push(this.value(depth + 1));
      this.take(SPACE);
      const next = this.text[this.at];
      if (next !== "," && next !== "]") this.broken("Expecting ',' delimiter");
      this.at++;
      if (next === "]") return found;
    }
  }

  string() {
    const start = this.at++;
    let found = "";
    for (;;) {
      found += this.take(PLAIN)[0];
      const letter = this.text[this.at];
      if (letter === undefined) this.broken("Unterminated string starting at", start);
      if (letter === '"') {
        this.at++;
        if (/[\ud800-\udfff]/.test(found) && /\p{Surrogate}/u.test(found)) {
          throw new Refused("half of a surrogate pair");
        }
        return found;
      }
      if (letter !== "\\") this.broken("Invalid control character at");
      const kind = this.text[this.at + 1];
      if (kind === "u") {
        const digits = this.text.slice(this.at + 2, this.at + 6);
        if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.broken("Invalid \\uXXXX escape", this.at + 1);
        found += String.fromCharCode(parseInt(digits, 16));
        this.at += 6;
      } else {
        if (!Object.hasOwn(ESCAPES, kind ?? "")) this.broken("Invalid \\escape", this.at);
        found += ESCAPES[kind];
        this.at += 2;
      }
    }
  }
}

const quoted = (text) => `'${text.replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)}'`;

// Characters before a place, each counted once though UTF-16 has two units for some.
const counted = (text, at) => [...text.slice(0, at)].length;

// The value of a text's bytes. Objects have no prototype. Throws Refused.
export function parseStrict(bytes) {
  let marks = 0;
  for (const byte of bytes) marks += byte === COMMA || byte === BRACKET || byte === BRACE;
  if (marks > MAX_MARKS) throw new Refused(`more than ${MAX_MARKS} brackets and commas`);
  const text = textOf(bytes);
  if (text === null) throw new Refused(`not UTF-8 at byte ${badByte(bytes)}`);
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.take(SPACE);
  if (reader.at < text.length) throw new Refused(`more follows after the end, at character ${counted(text, reader.at)}`);
  return value;
}

// Where the bytes stop being UTF-8.
function badByte(bytes) {
  let good = 0;
  let bad = bytes.length;
  // The longest beginning that is UTF-8 but for an open last character.
  const reads = (length) => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  while (good < bad) {
    const middle = (good + bad + 1) >> 1;
    if (reads(middle)) good = middle;
    else bad = middle - 1;
  }
  while (good > 0 && textOf(bytes.subarray(0, good)) === null) good--;
  return good;
}

// The canonical text: keys by UTF-16 code units, no space.
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const members = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${members.join(",")}}`;
}
