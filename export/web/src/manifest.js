/**
 * The manifest of a bundle: one reader for every format, its types and ranges, and what this page can deliver. The rules are
 * those of `har/runtime/manifest.py`; `har/runtime/manifest.schema.json` is the schema of both.
 */

import { HarError, SAMPLE_RATE_HZ, WINDOW_SIZE, channelsOf, sentence } from "./contract.js";
import { BOTH } from "./limits.js";

export const MANIFEST = "manifest.json";
export const MODEL = "model.onnx";
export const VECTORS = "test_vectors.json";
/** The JSON schema, a file of the page next to its bundle. */
export const SCHEMA = "manifest.schema.json";
export const AGAIN = "export again: har export.";
const FORMAT = 3; // what `har export` writes; format 2 is converted
const REQUIRED_2 = [
  ...["model", "labels", "input", "output", "opset", "dataset", "synthetic", "files", "tolerance"],
  ...["temperature", "unknown", "stream", "models"],
];
const SENSORS = Object.freeze({ accelerometer: /^total_acc_/, linear_acceleration: /^body_acc_/, gyroscope: /^gyro_/ });

/** @typedef {Record<string, any>} Entries of a JSON object */

/**
 * @typedef {object} Spec What the model reads and names.
 * @property {{name: string, unit: string, channels: string[]}[]} sensors
 * @property {string[]} labels
 * @property {number} sample_rate_hz
 * @property {number} window_size
 * @property {number} stride
 * @property {string} [axes]
 */

/**
 * @typedef {object} Manifest What this page uses of it.
 * @property {string} model
 * @property {string} run
 * @property {Spec} spec
 * @property {DataSet[]} datasets
 * @property {{name: string}} input
 * @property {number} tolerance
 * @property {{below: number | null}} unknown
 * @property {{kind: string, hop: number}} stream
 * @property {Record<string, {sha256: string}>} files
 * @property {{sensors?: string[], least_rate_hz?: number}} [needs] of a recording
 * @property {Mounting} [mounting] of bundles of any mounting alone
 */

/**
 * @typedef {object} DataSet Its texts are its own; what it does not say is absent.
 * @property {string} name
 * @property {boolean} [synthetic]
 * @property {string} [title]
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
 * Read a manifest: converted to the newest format, validated, and completed where it leaves out what it may.
 *
 * @param {Uint8Array | null} content
 * @param {Entries} schema
 * @returns {Manifest}
 * @throws {HarError} it is missing, not JSON, of an unknown format, breaks the schema, or asks for what this page cannot deliver
 */
export function parseManifest(content, schema) {
  if (content === null) throw new HarError(`There is no bundle: ${MANIFEST} is missing; make one: har export, then build the page again.`);
  let said;
  try {
    said = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(content));
  } catch (error) {
    throw new HarError(`${MANIFEST} is not valid JSON (${error instanceof Error ? error.message : error}); ${AGAIN}`);
  }
  const found = said?.schema_version;
  if (found !== 2 && found !== FORMAT) {
    throw new HarError(
      `${MANIFEST} has schema version ${JSON.stringify(found)}, expected 2 or ${FORMAT}; ` +
        "export again with a version of the package that this page knows, or use a newer page.",
    );
  }
  const missing = found === 2 ? REQUIRED_2.find((name) => !(name in said)) : undefined;
  /** @type {string | undefined} */
  let fault = missing && `has no entry '${missing}'`;
  let manifest = said;
  try {
    manifest = convert(said);
    fault ??= faults(manifest, schema, schema).next().value ?? misfit(manifest);
  } catch (error) {
    fault ??= `has another structure than format ${found} (${error instanceof Error ? error.message : error})`;
  }
  if (fault) throw new HarError(`${MANIFEST} ${fault}; ${AGAIN}`);
  return /** @type {Manifest} */ (completed(manifest));
}

/**
 * Entries of format 3, with the defaults of those that may be left out.
 *
 * @param {Entries} said
 * @returns {Entries}
 */
export function completed(said) {
  return {
    model: "unnamed",
    run: said.model ?? "unnamed",
    datasets: [],
    unknown: { below: null, answered: 1, right: null, fitted_on: "no subjects" },
    tolerance: 1e-5,
    stream: { kind: "ring_buffer", hop: said.spec?.stride ?? null },
    input: { name: "windows" },
    outputs: { probabilities: {} },
    ...said,
  };
}

/**
 * Entries of format 2, all of a manifest or those in a model's metadata, as those of format 3.
 *
 * @param {Entries} content
 * @returns {Entries}
 */
export function convert(content) {
  if ("spec" in content || !("input" in content) || content.schema_version === FORMAT) return content;
  const { labels = [], input, output = {}, licence = {}, dataset, synthetic, data_digest, dataset_description = {}, models, ...said } = content;
  const { channels, sample_rate_hz, window_size, stride, axes, ...given } = input;
  // As it is written, so that a unit that does not fit its channel, or another order, is found afterwards.
  /** @type {Entries[]} */
  const sensors = [];
  for (const channel of channels) {
    const name = Object.entries(SENSORS).find(([, own]) => own.test(channel.name))?.[0] ?? channel.name;
    const last = sensors.at(-1);
    if (last && last.name === name && last.unit === channel.unit) last.channels.push(channel.name);
    else sensors.push({ name, unit: channel.unit, channels: [channel.name] });
  }
  const { name: answers = "probabilities", ...about } = output;
  said.spec = defined({ sensors, labels, sample_rate_hz, window_size, stride, axes });
  said.input = given;
  said.outputs = { [answers]: about };
  const terms = { licence: licence.training_data, cite: licence.cite };
  said.datasets = [defined({ name: dataset, synthetic, digest: data_digest, ...dataset_description, ...terms })];
  if (licence.code_and_weights !== undefined) said.licence = licence.code_and_weights;
  if (said.files) {
    const entries = Object.entries(/** @type {Record<string, Entries>} */ (models));
    said.left_out = Object.fromEntries(
      entries.flatMap(([name, { left_out, ...entry }]) => (left_out === undefined ? [] : [[name, { reason: left_out, ...entry }]])),
    );
    said.files = Object.fromEntries(Object.entries(said.files).map(([name, sha256]) => [name, { sha256, ...models[name] }]));
    said.schema_version = FORMAT;
  }
  return said;
}

/** @param {Entries} entries @returns {Entries} those that have a value */
const defined = (entries) => Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));

/**
 * What breaks a JSON schema, a phrase for each; of the keywords, those that the schema of manifests uses are known.
 *
 * @param {any} value
 * @param {Entries} rule schema of the value
 * @param {Entries} schema whole, for references
 * @param {string} [place] of the value, such as stream.hop
 * @returns {Generator<string, undefined>}
 */
export function* faults(value, rule, schema, place = "") {
  if (rule.$ref) rule = schema.$defs[rule.$ref.split("/").at(-1)];
  const has = `has ${place || "the manifest"} = ${JSON.stringify(value)?.slice(0, 60)}, expected`;
  const kinds = [rule.type ?? []].flat();
  if (kinds.length && !kinds.some((kind) => isOf(value, kind))) {
    yield `${has} ${kinds.join(" or ")}`;
    return;
  }
  if ("const" in rule && value !== rule.const) yield `${has} ${JSON.stringify(rule.const)}`;
  if (rule.enum && !rule.enum.includes(value)) yield `${has} one of ${rule.enum.join(", ")}`;
  for (const word of ["oneOf", "anyOf"]) {
    if (!rule[word]) continue;
    const tried = rule[word].map((/** @type {Entries} */ option) => [...faults(value, option, schema, place)]);
    tried.sort((/** @type {string[]} */ a, /** @type {string[]} */ b) => a.length - b.length);
    if (tried[0].length) yield tried[0][0];
    else if (word === "oneOf" && tried[1]?.length === 0) yield `${has} one of two things, not both`;
  }
  if (typeof value === "number") {
    if (value < rule.minimum) yield `${has} at least ${rule.minimum}`;
    if (value > rule.maximum) yield `${has} at most ${rule.maximum}`;
    if (value <= rule.exclusiveMinimum) yield `${has} more than ${rule.exclusiveMinimum}`;
  } else if (typeof value === "string") {
    if (value.length < rule.minLength) yield `${has} a text that is not empty`;
    if (rule.pattern && !new RegExp(rule.pattern, "u").test(value)) yield `${has} what matches ${rule.pattern}`;
  } else if (Array.isArray(value)) {
    if (value.length < (rule.minItems ?? 0) || value.length > (rule.maxItems ?? Infinity)) {
      yield `has ${value.length} entries in ${place}, expected ${rule.minItems ?? 0} to ${rule.maxItems ?? "any number"}`;
    }
    if (rule.uniqueItems && new Set(value.map((item) => JSON.stringify(item))).size < value.length) {
      yield `has an entry of ${place} twice, expected different ones`;
    }
    if (rule.items) for (const [index, item] of value.entries()) yield* faults(item, rule.items, schema, `${place}[${index}]`);
  } else if (value !== null && typeof value === "object") {
    yield* objectFaults(value, rule, schema, place);
  }
}

/**
 * @param {Entries} value
 * @param {Entries} rule
 * @param {Entries} schema
 * @param {string} place
 * @returns {Generator<string, undefined>}
 */
function* objectFaults(value, rule, schema, place) {
  const at = (/** @type {string} */ name) => (place ? `${place}.` : "") + (/^[\P{C}]*$/u.test(name) ? name : JSON.stringify(name));
  for (const name of rule.required ?? []) if (!Object.hasOwn(value, name)) yield `has no entry '${at(name)}'`;
  for (const [name, item] of Object.entries(value)) {
    if (rule.propertyNames && !faults(name, rule.propertyNames, schema).next().done) yield `has an unknown entry '${at(name)}'`;
    if (rule.properties && Object.hasOwn(rule.properties, name)) yield* faults(item, rule.properties[name], schema, at(name));
    else if (rule.additionalProperties === false) yield `has an unknown entry '${at(name)}'`;
    else if (typeof rule.additionalProperties === "object") yield* faults(item, rule.additionalProperties, schema, at(name));
  }
}

/** @param {unknown} value @param {string} kind of JSON schema */
function isOf(value, kind) {
  if (kind === "integer") return Number.isInteger(value);
  if (kind === "number") return Number.isFinite(value);
  if (kind === "null") return value === null;
  if (kind === "array") return Array.isArray(value);
  if (kind === "object") return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === kind;
}

/**
 * Values a sample of a model's sensors has.
 *
 * @param {Pick<Spec, "sensors">} spec
 */
export function widthOf({ sensors }) {
  return 3 * sensors.length;
}

/**
 * Whether a model reads what the phone's own sensors give, so that it can answer live.
 *
 * @param {Pick<Spec, "sensors" | "sample_rate_hz" | "window_size">} spec
 */
export function isOfPhone({ sensors, sample_rate_hz, window_size }) {
  return sensors.map(({ name }) => name).join() === BOTH.join() && sample_rate_hz === SAMPLE_RATE_HZ && window_size === WINDOW_SIZE;
}

/**
 * @param {Spec["sensors"]} sensors
 * @returns {string | undefined}
 */
function sensorFault(sensors) {
  for (const { name, unit, channels } of sensors) {
    let known;
    try {
      known = channelsOf(name);
    } catch (error) {
      return `asks for an ${sentence(error).slice(0, -1)}`;
    }
    const [asked, given] = [{ channels, unit }, known].map((one) => one.channels.map((channel) => `${channel} in ${one.unit}`).join(", "));
    if (asked !== given) return `asks for ${asked} of the ${name}; this page gives ${given}`;
  }
  return new Set(sensors.map(({ name }) => name)).size < sensors.length ? "names a sensor twice in its spec" : undefined;
}

/**
 * What fits the schema and does not fit together, or is nothing that this page delivers.
 *
 * @param {Entries} manifest
 * @returns {string | undefined}
 */
function misfit(manifest) {
  const { spec, mounting, files } = manifest;
  const { stream } = completed(manifest);
  const fault = sensorFault(spec.sensors);
  if (fault) return fault;
  if (mounting && !isOfPhone(spec)) return `estimates the mounting from other sensors than ${BOTH.join(", ")} at ${SAMPLE_RATE_HZ} Hz`;
  const odd = spec.labels.find((/** @type {string} */ label) => !/^[^\p{C}\p{Z}]+( +[^\p{C}\p{Z}]+)*$/u.test(label));
  if (odd !== undefined) return `has a label ${JSON.stringify(odd)}, expected a name in one printable line`;
  if (stream.kind !== "ring_buffer") return `streams as '${stream.kind}'; this page knows models that look at windows (ring_buffer)`;
  if (!(spec.stride <= spec.window_size) || stream.hop !== spec.stride) {
    return `has windows of ${spec.window_size} samples, ${spec.stride} apart, and a hop of ${stream.hop}; this page answers after each window`;
  }
  const named = [MODEL, VECTORS, ...(mounting ? [mounting.estimator, mounting.model] : [])];
  const missing = named.find((name) => !Object.hasOwn(files, name));
  return missing && `names no checksum for ${missing}`;
}
