/**
 * A bundle: its manifest, and proof that its files are the ones the manifest names. The rules are those of
 * `har/runtime/bundle.py`; the format is specified in `export/README.md`.
 */

import { CHANNELS, HarError, SAMPLE_RATE_HZ, UNITS, WINDOW_SIZE } from "./contract.js";
import { checkSelfContained, readMetadata } from "./onnx_metadata.js";

/** Versions of the manifest that this page understands. */
export const SCHEMA_VERSIONS = Object.freeze([2]);

export const MANIFEST = "manifest.json";
export const MODEL = "model.onnx";
export const VECTORS = "test_vectors.json";
const AGAIN = "export again: har export.";
const SAID_TWICE = ["labels", "input", "opset", "dataset", "synthetic", "temperature", "unknown", "stream"]; // also in the model
const REQUIRED = [...SAID_TWICE, "model", "output", "files", "tolerance"];
const RULES = Object.freeze({ keep: 1, enough: Infinity, agreement: 1 }); // of a mounting, and the most each can be

/**
 * @typedef {object} Manifest What this page uses of it.
 * @property {number} schema_version
 * @property {string} model
 * @property {string} [run]
 * @property {string} dataset
 * @property {Description} [dataset_description]
 * @property {boolean} synthetic
 * @property {string[]} labels
 * @property {{name: string, window_size: number, stride: number, sample_rate_hz: number, channels: {name: string, unit: string}[], axes?: string}} input
 * @property {{name: string}} output
 * @property {number} tolerance
 * @property {{below: number | null}} unknown
 * @property {{kind: string, hop: number}} stream
 * @property {Record<string, string>} files
 * @property {Mounting} [mounting] of bundles of any mounting alone
 */

/**
 * @typedef {object} Description Texts of the data set itself; what it does not say is absent.
 * @property {string} title
 * @property {string} [subjects] who took part
 * @property {string} [placement] where and how the device was worn
 * @property {string} [axes] where its axes pointed on the body
 */

/**
 * @typedef {object} Mounting What tells how the phone is mounted, and what answers from then on.
 * @property {string} estimator file that tells it
 * @property {string} model file that answers
 * @property {number} keep
 * @property {number} enough
 * @property {number} agreement
 * @property {{value: number}} temperature of the model
 * @property {{below: number | null}} unknown of the model
 */

/**
 * @typedef {object} Bundle A bundle, checked.
 * @property {Manifest} manifest
 * @property {Map<string, Uint8Array<ArrayBuffer>>} files
 * @property {number} unknownBelow least probability that is an answer; 0 where every one is
 */

/**
 * Read and check a bundle.
 *
 * @param {(name: string) => Promise<Uint8Array<ArrayBuffer> | null>} read gives a file of the bundle, null where it is not there
 * @returns {Promise<Bundle>}
 * @throws {HarError} a file is missing or was changed, or the manifest is not of a kind this page knows
 */
export async function readBundle(read) {
  if (!globalThis.crypto?.subtle) {
    throw new HarError(
      "This page cannot check the model, because browsers compute checksums only on secure pages; open it over https, " +
        "or on this machine as http://localhost or http://127.0.0.1.",
    );
  }
  const manifest = parseManifest(await read(MANIFEST));
  /** @type {Bundle["files"]} */
  const files = new Map();
  for (const [name, expected] of Object.entries(manifest.files)) {
    const content = name.includes("/") || name.includes("\\") || name === MANIFEST ? null : await read(name);
    if (content === null) throw new HarError(`The manifest names '${name}', which is not there; copy the whole bundle or ${AGAIN}`);
    if ((await sha256(content)) !== expected) {
      throw new HarError(`${name} is not the file that was exported (its SHA-256 differs from the manifest); do not use it, ${AGAIN}`);
    }
    files.set(name, content);
  }
  const said = (/** @type {string} */ name, /** @type {object} */ own = {}) =>
    checkMetadata(name, { ...manifest, ...own }, /** @type {Uint8Array} */ (files.get(name)));
  said(MODEL);
  if (manifest.mounting) {
    const { estimator, model, temperature, unknown } = manifest.mounting;
    said(estimator);
    said(model, { temperature, unknown });
  }
  return { manifest, files, unknownBelow: manifest.unknown.below ?? 0 };
}

/**
 * SHA-256 in hexadecimal.
 *
 * @param {Uint8Array<ArrayBuffer>} content
 */
export async function sha256(content) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {Uint8Array | null} content of manifest.json
 * @returns {Manifest}
 */
function parseManifest(content) {
  if (content === null) throw new HarError(`There is no bundle: ${MANIFEST} is missing; make one: har export, then build the page again.`);
  let manifest;
  try {
    manifest = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch (error) {
    throw new HarError(`${MANIFEST} is not valid JSON (${error instanceof Error ? error.message : error}); ${AGAIN}`);
  }
  const version = manifest?.schema_version;
  if (!SCHEMA_VERSIONS.includes(version)) {
    throw new HarError(
      `${MANIFEST} has schema version ${JSON.stringify(version)}, expected ${SCHEMA_VERSIONS.join(" or ")}; ` +
        "export again with a version of the package that this page knows, or use a newer page.",
    );
  }
  const missing = REQUIRED.find((name) => !(name in manifest));
  if (missing) throw new HarError(`${MANIFEST} has no entry '${missing}'; ${AGAIN}`);
  const { mounting } = manifest;
  for (const name of [MODEL, VECTORS, ...(mounting ? [mounting.estimator, mounting.model] : [])]) {
    if (!Object.hasOwn(manifest.files, name)) throw new HarError(`${MANIFEST} names no checksum for ${name}; ${AGAIN}`);
  }
  checkContract(manifest);
  return manifest;
}

/**
 * What this page feeds must be what the model was made for.
 *
 * @param {Manifest} manifest
 */
function checkContract({ input, labels, tolerance, unknown, stream, mounting }) {
  const wanted = CHANNELS.map((name, i) => `${name} in ${UNITS[i]}`).join(", ");
  const found = input.channels.map(({ name, unit }) => `${name} in ${unit}`).join(", ");
  if (found !== wanted) throw new HarError(`The model takes ${found}; this page gives ${wanted}; export a model of raw6 channels.`);
  if (input.sample_rate_hz !== SAMPLE_RATE_HZ) {
    throw new HarError(`The model takes ${input.sample_rate_hz} Hz; this page gives ${SAMPLE_RATE_HZ} Hz; export a model of that rate.`);
  }
  if (input.window_size !== WINDOW_SIZE || !(Number.isInteger(input.stride) && input.stride > 0 && input.stride <= input.window_size)) {
    throw new HarError(
      `The model takes windows of ${input.window_size} samples, ${input.stride} apart; this page gives ${WINDOW_SIZE}, ` +
        `1 to ${WINDOW_SIZE} apart; export a model with such windows.`,
    );
  }
  if (!(labels.length > 1 && new Set(labels).size === labels.length)) {
    throw new HarError(`${MANIFEST} names the labels ${labels.join(", ") || "not at all"}; expected two or more, each once; ${AGAIN}`);
  }
  const odd = labels.find((label) => typeof label !== "string" || !/^[^\p{C}\p{Z}]+( +[^\p{C}\p{Z}]+)*$/u.test(label));
  if (odd !== undefined) throw new HarError(`${MANIFEST} has a label ${JSON.stringify(odd)}, expected a name in one printable line; ${AGAIN}`);
  if (!(tolerance > 0 && tolerance <= 1e-3)) throw new HarError(`${MANIFEST} has the tolerance ${tolerance}, expected at most 0.001; ${AGAIN}`);
  for (const below of [unknown.below ?? 0, mounting?.unknown.below ?? 0]) {
    if (!(below >= 0 && below <= 1)) throw new HarError(`${MANIFEST} has unknown.below ${below}, expected a probability from 0 to 1; ${AGAIN}`);
  }
  for (const [name, most] of Object.entries(mounting ? RULES : {})) {
    const value = Reflect.get(/** @type {Mounting} */ (mounting), name);
    if (!(value >= 0 && value <= most)) throw new HarError(`${MANIFEST} has mounting.${name} ${value}, expected 0 to ${most}; ${AGAIN}`);
  }
  if (stream.kind !== "ring_buffer" || stream.hop !== input.stride) {
    throw new HarError(
      `The model streams as '${stream.kind}' with a hop of ${stream.hop}; this page knows a ring_buffer with a hop of ${input.stride}; ` +
        "export a model that looks at windows.",
    );
  }
}

/**
 * The manifest is not covered by a checksum, so what decides an answer must also stand in the model, which is.
 *
 * @param {string} file its name
 * @param {object} manifest
 * @param {Uint8Array} model
 */
function checkMetadata(file, manifest, model) {
  checkSelfContained(file, model);
  const inside = readMetadata(file, model);
  for (const name of [...SAID_TWICE, "mounting"]) {
    const said = canonical(Reflect.get(manifest, name));
    const found = inside.get(name);
    if (canonical(found === undefined ? undefined : JSON.parse(found)) !== said) {
      throw new HarError(`${file} says ${name} = ${found ?? "nothing"}, the manifest says ${said}; ${AGAIN}`);
    }
  }
}

/**
 * JSON whose keys are sorted, so that equal values have equal texts.
 *
 * @param {unknown} value
 * @returns {string}
 */
function canonical(value) {
  const sorted = (/** @type {object} */ inner) => Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  const isObject = (/** @type {unknown} */ inner) => typeof inner === "object" && inner !== null && !Array.isArray(inner);
  return JSON.stringify(value, (_, inner) => (isObject(inner) ? sorted(inner) : inner)) ?? "nothing";
}
