/**
 * Files of a zip archive, by the browser's own means: its directory is at its end.
 */

import { HarError } from "./contract.js";

const END = 0x06054b50; // signatures
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const ENTRY = 0x02014b50;
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const LONGEST_COMMENT = 0xffff;
const IN_EXTRA = 0xffffffff; // a number that does not fit is in the entry's extra field
const EXTRA_64 = 1;
const STORED = 0;
const DEFLATED = 8;

/** @typedef {{blob: Blob, at: number, packed: number, size: number, crc: number, method: number, encrypted: boolean}} Entry */

/**
 * Where the files of an archive are; null where a file is no archive.
 *
 * @param {Blob} blob
 * @returns {Promise<Map<string, Entry> | null>}
 * @throws {RangeError | HarError} the archive is not whole
 */
export async function readDirectory(blob) {
  const from = Math.max(0, blob.size - LONGEST_COMMENT - END_BYTES - LOCATOR_BYTES);
  const tail = await view(blob, from, blob.size);
  let end = tail.byteLength - END_BYTES;
  while (end >= 0 && (tail.getUint32(end, true) !== END || end + END_BYTES + tail.getUint16(end + 20, true) > tail.byteLength)) end--;
  if (end < 0) return null;
  let [count, bytes, at] = [tail.getUint16(end + 10, true), tail.getUint32(end + 12, true), tail.getUint32(end + 16, true)];
  if (end >= LOCATOR_BYTES && tail.getUint32(end - LOCATOR_BYTES, true) === LOCATOR_64) {
    const place = Number(tail.getBigUint64(end - LOCATOR_BYTES + 8, true));
    const wide = await view(blob, place, place + 56);
    if (wide.getUint32(0, true) !== END_64) throw new HarError("its directory is damaged");
    [count, bytes, at] = [32, 40, 48].map((offset) => Number(wide.getBigUint64(offset, true)));
  }
  const directory = await view(blob, at, at + bytes);
  /** @type {Map<string, Entry>} */
  const found = new Map();
  for (let i = 0, place = 0; i < count; i++) {
    if (directory.getUint32(place, true) !== ENTRY) throw new HarError("its directory is damaged");
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) => directory.getUint16(place + offset, true));
    const flags = directory.getUint16(place + 8, true);
    const start = directory.byteOffset + place + 46;
    const name = new TextDecoder().decode(new Uint8Array(directory.buffer, start, nameBytes));
    const extra = new DataView(directory.buffer, start + nameBytes, extraBytes);
    const [size, packed, offset] = wideNumbers(extra, [24, 20, 42].map((field) => directory.getUint32(place + field, true)));
    const [method, crc] = [directory.getUint16(place + 10, true), directory.getUint32(place + 16, true)];
    if (!name.endsWith("/")) found.set(name, { blob, at: offset, packed, size, crc, method, encrypted: (flags & 1) === 1 });
    place += 46 + nameBytes + extraBytes + commentBytes;
  }
  return found;
}

/**
 * The bytes of a file of an archive, unpacked and compared with their checksum.
 *
 * @param {Entry} entry
 * @returns {Promise<ReadableStream<Uint8Array>>}
 * @throws {RangeError | HarError} it is not whole, or cannot be unpacked here; later ones come out of the stream
 */
export async function openEntry({ blob, at, packed, size, crc, method, encrypted }) {
  if (encrypted) throw new HarError("it is encrypted");
  if (method !== STORED && method !== DEFLATED) throw new HarError(`it is packed by method ${method}, expected deflate`);
  const head = await view(blob, at, at + 30);
  const first = at + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  if (first + packed > blob.size) throw new HarError("it is cut off");
  const raw = blob.slice(first, first + packed).stream();
  const unpacked = method === STORED ? raw : raw.pipeThrough(new DecompressionStream("deflate-raw"));
  let [sum, bytes] = [~0, 0];
  return unpacked.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        bytes += chunk.length;
        if (bytes > size) throw new HarError("it is longer than the archive says");
        for (const byte of chunk) sum = CRC[(sum ^ byte) & 0xff] ^ (sum >>> 8);
        controller.enqueue(chunk);
      },
      flush() {
        if (bytes !== size || ~sum >>> 0 !== crc) throw new HarError("its checksum is another than the archive says");
      },
    }),
  );
}

/**
 * Of numbers that the fields of an entry hold, those that do not fit in there are taken from its extra field.
 *
 * @param {DataView} extra
 * @param {number[]} numbers in the order of that field
 */
function wideNumbers(extra, numbers) {
  for (let place = 0; place + 4 <= extra.byteLength; place += 4 + extra.getUint16(place + 2, true)) {
    if (extra.getUint16(place, true) !== EXTRA_64) continue;
    let field = place + 4 - 8;
    return numbers.map((number) => (number === IN_EXTRA ? Number(extra.getBigUint64((field += 8), true)) : number));
  }
  return numbers;
}

/**
 * @param {Blob} blob
 * @param {number} from
 * @param {number} to
 */
async function view(blob, from, to) {
  return new DataView(await blob.slice(from, to).arrayBuffer());
}

const CRC = Int32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  return sum;
});
