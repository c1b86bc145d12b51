// The zip of a compliance pack (docs/packs.md): files as they are, nothing compressed, one way to write each
// byte. So whatever differs is refused, and reading a pack takes no more room than the pack. Reads a Blob in
// pieces: a pack of gigabytes is not loaded whole.

import { Refused, bytesOf, joined, same } from "./verify_bytes.js";

const MAX_FILES = 200_000;
const MAX_PACK = 0xffffffff - 1;
const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*(\/[A-Za-z0-9_][A-Za-z0-9._-]*)*$/;
const END = 22;
const END64 = 56;
const LOCATOR = 20;
const ENTRY = 46;
const LOCAL = 30;

const TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  for (let bit = 0; bit < 8; bit++) number = number & 1 ? (number >>> 1) ^ 0xedb88320 : number >>> 1;
  return number;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255];
  return (crc ^ 0xffffffff) >>> 0;
}

// Numbers of 2, 4 and 8 bytes, the least first.
function packed(...fields) {
  const parts = fields.map(([size, value]) => {
    const part = new Uint8Array(size);
    for (let at = 0, left = value; at < size; at++, left = Math.floor(left / 256)) part[at] = left % 256;
    return part;
  });
  return joined(...parts);
}

const number = (bytes, at, size) => {
  let value = 0;
  for (let place = size - 1; place >= 0; place--) value = value * 256 + bytes[at + place];
  return value;
};

const local = ({ name, crc, size }) => joined(
  bytesOf("PK\x03\x04"),
  packed([2, 10], [2, 0], [2, 0], [2, 0], [2, 0x21], [4, crc], [4, size], [4, size], [2, name.length], [2, 0]),
  bytesOf(name),
);

const entry = ({ name, crc, size, offset }) => joined(
  bytesOf("PK\x01\x02"),
  packed([2, 0x0314], [2, 10], [2, 0], [2, 0], [2, 0], [2, 0x21], [4, crc], [4, size], [4, size], [2, name.length]),
  packed([2, 0], [2, 0], [2, 0], [2, 0], [4, 0o100644 * 65536], [4, offset]),
  bytesOf(name),
);

function trailer(count, start, length) {
  const few = Math.min(count, 0xffff);
  const end = joined(bytesOf("PK\x05\x06"), packed([2, 0], [2, 0], [2, few], [2, few], [4, length], [4, start], [2, 0]));
  if (count < 0xffff) return end;
  return joined(
    bytesOf("PK\x06\x06"),
    packed([8, 44], [2, 0x032d], [2, 45], [4, 0], [4, 0], [8, count], [8, count], [8, length], [8, start]),
    bytesOf("PK\x06\x07"),
    packed([4, 0], [8, start + length], [4, 1]),
    end,
  );
}

export class Zip {
  constructor(blob) {
    this.blob = blob;
    this.members = new Map();
  }

  // The files of a pack's zip. Throws Refused.
  static async open(blob) {
    const zip = new Zip(blob);
    await zip.read();
    return zip;
  }

  async bytes(at, length) {
    const bytes = new Uint8Array(await this.blob.slice(at, at + length).arrayBuffer());
    if (bytes.length !== length) throw new Refused(`the zip ends early, at byte ${at + bytes.length}`);
    return bytes;
  }

  // A file whole. Throws Refused when it is larger than `most`, or its checksum says another.
  async data(name, most) {
    const member = this.members.get(name);
    if (member.size > most) throw new Refused(`it is larger than ${most} bytes`, name);
    const bytes = await this.bytes(member.start, member.size);
    if (crc32(bytes) !== member.crc) throw new Refused("its bytes are not those that the zip's checksum is of", name);
    return bytes;
  }

  async read() {
    const size = this.blob.size;
    if (size < END) throw new Refused("this is no pack: it is too short for a zip");
    if (size > MAX_PACK) throw new Refused("it is larger than a pack may be");
    if (!same(await this.bytes(0, 4), bytesOf("PK\x03\x04"))) throw new Refused("this is no pack: it does not begin like a zip");
    const [count, start, length] = await this.end(size);
    const directory = await this.bytes(start, length);
    let expected = 0;
    let at = 0;
    for (let index = 0; index < count; index++) {
      const member = parsed(directory, at, start + at);
      const { name } = member;
      at += ENTRY + name.length;
      if (this.members.has(name)) throw new Refused("it is in the zip twice", name);
      if (member.offset !== expected) throw new Refused(`it begins at byte ${member.offset} and not at ${expected}`, name);
      expected = member.start + member.size;
      if (expected > start) throw new Refused("it goes on into the zip's directory", name);
      if (!same(await this.bytes(member.offset, member.start - member.offset), local(member))) {
        throw new Refused(`its head at byte ${member.offset} is not what the directory says`, name);
      }
      this.members.set(name, member);
    }
    if (expected !== start) throw new Refused(`there is something that belongs to no file at byte ${expected}`);
    if (at !== length) throw new Refused("the zip's directory is longer than its files");
  }

  async end(size) {
    const end = await this.bytes(size - END, END);
    const length = number(end, 12, 4);
    const start = number(end, 16, 4);
    let count = number(end, 10, 2);
    const more = END64 + LOCATOR;
    if (count === 0xffff && size >= END + more) {
      count = number(await this.bytes(size - END - more, END64), 24, 8);
    }
    if (count > MAX_FILES || start + length > size || length > count * (ENTRY + 200)) {
      throw new Refused("the end of the zip is damaged, or the zip is cut off");
    }
    const expected = trailer(count, start, length);
    if (size !== start + length + expected.length || !same(await this.bytes(start + length, expected.length), expected)) {
      throw new Refused("the end of the zip is not what belongs there: it was changed or cut off");
    }
    return [count, start, length];
  }
}

// A line of the directory, compared with the one way to write it.
function parsed(directory, at, where) {
  if (at + ENTRY > directory.length) throw new Refused("the zip's directory is shorter than its files");
  const length = number(directory, at + 28, 2);
  const name = String.fromCharCode(...directory.subarray(at + ENTRY, at + ENTRY + length));
  if (name.length > 200 || !NAME.test(name)) {
    throw new Refused(`a file has the name ${name.slice(0, 80).replace(/[^A-Za-z0-9._/-]/g, "?")}, which no pack has`);
  }
  const crc = number(directory, at + 16, 4);
  const size = number(directory, at + 20, 4);
  const offset = number(directory, at + 42, 4);
  const member = { name, crc, size, offset, start: offset + LOCAL + length };
  if (!same(directory.subarray(at, at + ENTRY + length), entry(member))) {
    throw new Refused(`its line in the zip's directory, at byte ${where}, is not what belongs there`, name);
  }
  return member;
}
