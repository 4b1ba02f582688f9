/**
 * What an ONNX file says of itself: its metadata, which onnxruntime-web does not give, and whether it takes weights from other
 * files, which is refused by the rules of `har/runtime/onnx_guard.py`.
 *
 * The file is one protobuf message, `ModelProto` of onnx.proto; its field 14, `metadata_props`, is a list of messages with
 * a key (field 1) and a value (field 2). Protobuf readers disagree on unusual encodings, so only the usual one is read: numbers
 * without superfluous bytes, keys of at most 32 bits, no groups.
 */

import { HarError } from "./contract.js";

const METADATA_PROPS = 14;
const KEY = 1;
const VALUE = 2;
const BYTES_OF_WIRE_TYPE = new Map([[1, 8], [5, 4]]); // fixed64 and fixed32

/** @type {Record<string, Record<number, string>>} fields of each message that hold, at any depth, a tensor */
const TENSORS = {
  ModelProto: { 7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto" },
  TrainingInfoProto: { 1: "GraphProto", 2: "GraphProto" },
  GraphProto: { 1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto" },
  FunctionProto: { 7: "NodeProto", 11: "AttributeProto" },
  NodeProto: { 5: "AttributeProto" },
  AttributeProto: {
    5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto", 22: "SparseTensorProto", 23: "SparseTensorProto",
  },
  SparseTensorProto: { 1: "TensorProto", 2: "TensorProto" },
  TensorProto: {},
};
const EXTERNAL_DATA = 13; // of a tensor
const DATA_LOCATION = 14; // 0 where it holds its values itself
const MAX_DEPTH = 64;

/**
 * Refuse a model that takes weights from other files.
 *
 * @param {string} file its name
 * @param {Uint8Array} model content of an ONNX file
 * @throws {HarError} it does, is cut off, or is encoded in an unusual way
 */
export function checkSelfContained(file, model) {
  if (namesFiles(file, model, "ModelProto", 0)) {
    throw new HarError(`${file} takes weights from another file, which no bundle does; do not use it, export again: har export.`);
  }
}

/**
 * @param {string} file
 * @param {Uint8Array} content
 * @param {string} message
 * @param {number} depth
 * @returns {boolean}
 */
function namesFiles(file, content, message, depth) {
  if (depth > MAX_DEPTH) throw broken(file);
  for (const [field, value] of fields(file, content)) {
    if (message === "TensorProto" && (field === EXTERNAL_DATA || (field === DATA_LOCATION && value !== 0))) return true;
    const inner = TENSORS[message][field];
    if (inner === undefined) continue;
    if (!(value instanceof Uint8Array)) throw broken(file);
    if (namesFiles(file, value, inner, depth + 1)) return true;
  }
  return false;
}

/**
 * @param {string} file its name
 * @param {Uint8Array} model content of an ONNX file
 * @returns {Map<string, string>}
 * @throws {HarError} the file is cut off or is no protobuf message
 */
export function readMetadata(file, model) {
  /** @type {Map<string, string>} */
  const metadata = new Map();
  for (const [field, content] of fields(file, model)) {
    if (field !== METADATA_PROPS || !(content instanceof Uint8Array)) continue;
    const entry = new Map(fields(file, content));
    const text = new TextDecoder();
    const read = (/** @type {number} */ number) => {
      const value = entry.get(number);
      return value instanceof Uint8Array ? text.decode(value) : "";
    };
    metadata.set(read(KEY), read(VALUE));
  }
  return metadata;
}

/**
 * Fields of a message: bytes, whole numbers (those above 2^53 rounded), or null for numbers of fixed width.
 *
 * @param {string} file
 * @param {Uint8Array} message
 * @returns {Generator<[number, Uint8Array | number | null], void, void>}
 */
function* fields(file, message) {
  let at = 0;
  const varint = (/** @type {number} */ bits) => {
    let value = 0;
    for (let length = 0; at < message.length && 7 * length < bits; length++) {
      const byte = message[at++];
      value += (byte & 127) * 128 ** length;
      if (byte >= 128) continue;
      if (byte >= 2 ** (bits - 7 * length) || (byte === 0 && length > 0)) break; // too large, or superfluous bytes
      return value;
    }
    throw broken(file);
  };
  while (at < message.length) {
    const tag = varint(32);
    const [field, wireType] = [Math.floor(tag / 8), tag % 8];
    if (field === 0) throw broken(file);
    if (wireType === 0) {
      yield [field, varint(64)];
      continue;
    }
    const size = wireType === 2 ? varint(31) : BYTES_OF_WIRE_TYPE.get(wireType);
    if (size === undefined || at + size > message.length) throw broken(file);
    yield [field, wireType === 2 ? message.subarray(at, at + size) : null];
    at += size;
  }
}

/** @param {string} file */
function broken(file) {
  return new HarError(
    `${file} is cut off, is no ONNX file, or is encoded in an unusual way; copy the whole bundle again, or export it again: har export.`,
  );
}
