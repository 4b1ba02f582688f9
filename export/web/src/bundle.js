/**
 * A bundle: its manifest, and proof that its files are the ones the manifest names. The rules are those of
 * `har/runtime/bundle.py`; the format is specified in `export/README.md`.
 */

import { HarError } from "./contract.js";
import { AGAIN, MANIFEST, MODEL, completed, convert, parseManifest } from "./manifest.js";
import { checkSelfContained, readMetadata } from "./onnx_metadata.js";

/** Entries that decide an answer, with those of `spec`: they stand in the model too. */
const DECIDING = ["needs", "outputs", "opset", "temperature", "unknown", "activities", "domain", "smoothing", "stream", "mounting"];

/** @typedef {import("./manifest.js").Manifest} Manifest */

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
 * @param {import("./manifest.js").Entries} schema of manifests
 * @returns {Promise<Bundle>}
 * @throws {HarError} a file is missing or was changed, or the manifest is not of a kind this page knows
 */
export async function readBundle(read, schema) {
  if (!globalThis.crypto?.subtle) {
    throw new HarError(
      "This page cannot check the model, because browsers compute checksums only on secure pages; open it over https, " +
        "or on this machine as http://localhost or http://127.0.0.1.",
    );
  }
  const manifest = parseManifest(await read(MANIFEST), schema);
  /** @type {Bundle["files"]} */
  const files = new Map();
  for (const [name, { sha256: expected }] of Object.entries(manifest.files)) {
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
 * The manifest is not covered by a checksum, so what decides an answer must also stand in the model, which is.
 *
 * @param {string} file its name
 * @param {import("./manifest.js").Entries} manifest
 * @param {Uint8Array} model
 */
function checkMetadata(file, manifest, model) {
  checkSelfContained(file, model);
  /** @type {import("./manifest.js").Entries} */
  let found;
  try {
    const texts = [...readMetadata(file, model)].map(([name, text]) => [name, JSON.parse(text)]);
    found = deciding(completed(convert(Object.fromEntries(texts))));
  } catch (error) {
    if (error instanceof HarError) throw error;
    throw new HarError(`${file} has metadata of another structure (${error instanceof Error ? error.message : error}); ${AGAIN}`);
  }
  const said = deciding(manifest);
  for (const name of Object.keys({ ...found, ...said })) {
    const [there, here] = [canonical(found[name]), canonical(said[name])];
    if (there !== here) throw new HarError(`${file} says ${name} = ${there}, the manifest says ${here}; ${AGAIN}`);
  }
}

/**
 * Of a manifest or a model's metadata, what decides an answer, by its place.
 *
 * @param {import("./manifest.js").Entries} said
 * @returns {import("./manifest.js").Entries}
 */
function deciding(said) {
  const spec = Object.entries(said.spec).map(([name, value]) => [`spec.${name}`, value]);
  const trainedOn = said.datasets.map((/** @type {{name: string, synthetic: boolean}} */ { name, synthetic }) => ({ name, synthetic }));
  return Object.fromEntries([...spec, ...DECIDING.map((name) => [name, said[name]]), ["datasets", trainedOn]]);
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
