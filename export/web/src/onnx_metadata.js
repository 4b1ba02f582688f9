/**
 * The metadata of an ONNX file. onnxruntime-web does not give it, so the few bytes that hold it are read here.
 *
 * The file is one protobuf message, `ModelProto` of onnx.proto; its field 14, `metadata_props`, is a list of messages with
 * a key (field 1) and a value (field 2).
 */

import { HarError } from "./contract.js";

const METADATA_PROPS = 14;
const KEY = 1;
const VALUE = 2;
const BYTES_OF_WIRE_TYPE = new Map([[1, 8], [5, 4]]); // fixed64 and fixed32

/**
 * @param {Uint8Array} model content of an ONNX file
 * @returns {Map<string, string>}
 * @throws {HarError} the file is cut off or is no protobuf message
 */
export function readMetadata(model) {
  /** @type {Map<string, string>} */
  const metadata = new Map();
  for (const [field, content] of fields(model)) {
    if (field !== METADATA_PROPS) continue;
    const entry = new Map(fields(content));
    const text = new TextDecoder();
    metadata.set(text.decode(entry.get(KEY)), text.decode(entry.get(VALUE)));
  }
  return metadata;
}

/**
 * Fields of a message that hold bytes; numbers are stepped over.
 *
 * @param {Uint8Array} message
 * @returns {Generator<[number, Uint8Array], void, void>}
 */
function* fields(message) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1; at < message.length; shift *= 128) {
      const byte = message[at++];
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
    throw cutOff();
  };
  while (at < message.length) {
    const tag = varint();
    const wireType = tag % 8;
    if (wireType === 0) {
      varint();
      continue;
    }
    const size = wireType === 2 ? varint() : BYTES_OF_WIRE_TYPE.get(wireType);
    if (size === undefined || at + size > message.length) throw cutOff();
    if (wireType === 2) yield [Math.floor(tag / 8), message.subarray(at, at + size)];
    at += size;
  }
}

function cutOff() {
  return new HarError("model.onnx is cut off or is no ONNX file; copy the whole bundle again, or export it again: har export.");
}
