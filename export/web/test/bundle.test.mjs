import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import * as ort from "onnxruntime-web/wasm";

import { readBundle } from "../src/bundle.js";
import { convert, faults, parseManifest } from "../src/manifest.js";
import { Model, configure } from "../src/model.js";
import { checkSelfContained, readMetadata } from "../src/onnx_metadata.js";
import { BUNDLE, NO_BUNDLE, SCHEMA, randomNumbers, reader, sha256 } from "./helpers.mjs";

const options = { skip: NO_BUNDLE };
const encoder = new TextEncoder();

/** @typedef {import("../src/manifest.js").Manifest} Manifest */

/** As it is written. @returns {Promise<Record<string, any>>} */
async function written() {
  return JSON.parse(await readFile(path.join(BUNDLE, "manifest.json"), "utf8"));
}

/** In the newest format. */
async function manifest() {
  return /** @type {Manifest & Record<string, any>} */ (convert(await written()));
}

/** @param {string} name */
async function file(name) {
  return new Uint8Array(await readFile(path.join(BUNDLE, name)));
}

/**
 * The bundle with another manifest, and other files that the manifest knows.
 *
 * @param {(manifest: Manifest & Record<string, any>) => void} change
 * @param {Record<string, Uint8Array>} [files]
 */
async function changed(change, files = {}) {
  const said = await manifest();
  for (const [name, content] of Object.entries(files)) said.files[name] = { sha256: sha256(content) };
  change(said);
  return readBundle(reader(BUNDLE, { ...files, "manifest.json": encoder.encode(JSON.stringify(said)) }), SCHEMA);
}

/**
 * @param {(manifest: Manifest & Record<string, any>) => void} change
 * @param {RegExp} message
 */
async function refused(change, message) {
  await assert.rejects(changed(change), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"));
    return true;
  });
}

test("a whole bundle is read, and its model says what its manifest says", options, async () => {
  const bundle = await readBundle(reader(BUNDLE), SCHEMA);
  assert.ok(bundle.files.has("model.onnx") && bundle.files.has("test_vectors.json"));
  assert.equal(bundle.unknownBelow, bundle.manifest.unknown.below ?? 0);
  const metadata = readMetadata("model.onnx", await file("model.onnx"));
  const inside = convert(Object.fromEntries([...metadata].map(([name, text]) => [name, JSON.parse(text)])));
  assert.deepEqual(inside.spec, bundle.manifest.spec);
});

test("every pretrained bundle is read", async () => {
  const folder = path.join(import.meta.dirname, "..", "..", "pretrained");
  for (const name of await readdir(folder)) await readBundle(reader(path.join(folder, name)), SCHEMA);
});

test("golden vectors: this runtime computes what was exported", options, async (t) => {
  configure(ort);
  const model = await Model.open(ort, await readBundle(reader(BUNDLE), SCHEMA));
  const { windows, largest } = await model.checkGolden();
  assert.ok(windows > 0 && largest <= model.bundle.manifest.tolerance);
  t.diagnostic(`${windows} golden windows, largest difference ${largest.toExponential(2)}`);

  const size = model.bundle.manifest.spec.window_size * 6;
  const random = randomNumbers(7);
  const [a, b] = [0.5, -0.5].map((middle) => new Float32Array(size).map(() => middle + 0.1 * random()));
  const [together, alone] = [await model.predict([a, b, a]), await model.predict([b])];
  assert.ok(together[1].every((p, i) => Math.abs(p - alone[0][i]) < 1e-6));
  await assert.rejects(model.predict([new Float32Array(5)]), /Window 0 has 5 values, expected 768/);
  await assert.rejects(model.predict([a.map((value, i) => (i === 13 ? NaN : value))]), /not finite at sample 2, channel total_acc_y/);
  for (const [at, value, message] of /** @type {[number, number, RegExp][]} */ ([
    [13, -1000, /Window 1 has total_acc_y = -1000 at sample 2, outside the physical limits \(16 g, 40 rad\/s\); leave it out/],
    [23, 40.1, /Window 1 has gyro_z = 40\.1 at sample 3, outside/],
    [23, Infinity, /Window 1 is not finite at sample 3, channel gyro_z/],
  ])) {
    for (const ask of [model.predict.bind(model), (/** @type {Float32Array[]} */ windows) => model.openStream().answer(windows)]) {
      await assert.rejects(ask([b, a.map((old, i) => (i === at ? value : old))]), message);
    }
  }
  const frozen = (/** @type {number} */ samples, sensor = 0) =>
    a.map((old, i) => (i % 6 >= 3 * sensor && i % 6 < 3 * sensor + 3 && i >= 60 && i < 60 + 6 * samples ? 0.25 : old));
  await assert.rejects(model.predict([frozen(51)]), /Window 0 holds 1 s or more in which the accelerometer repeats one value, up to sample 60/);
  await assert.rejects(model.predict([frozen(51, 1)]), /the gyroscope repeats one value/);
  assert.equal((await model.predict([frozen(50), frozen(50, 1)])).length, 2); // 0.98 s
  assert.deepEqual(await model.predict([]), []);
});

const ROBUST = path.join(path.dirname(BUNDLE), "robust");
test("a window that is refused does not change what is known of the mounting", { skip: existsSync(ROBUST) ? false : `no bundle at ${ROBUST}` }, async () => {
  configure(ort);
  const model = await Model.open(ort, await readBundle(reader(ROBUST), SCHEMA));
  const random = randomNumbers(8);
  const good = new Float32Array(768).map((_, i) => (i % 6 === 0 ? 1 : 0) + 0.2 * random());
  const stream = model.openStream();
  await assert.rejects(stream.answer([good, good.map((value, i) => (i === 6 ? 3000 : value))]), /Window 1 has total_acc_x = 3000 at sample 1, outside/);
  assert.deepEqual(stream.told, model.openStream().told);
  const [answer] = await stream.answer([good]);
  assert.ok(answer.probabilities.every(Number.isFinite) && stream.told && stream.told.worth > 0);
});

test("a file that was changed or is missing is named", options, async () => {
  for (const name of ["model.onnx", "test_vectors.json"]) {
    const content = await file(name);
    content[content.length >> 1] ^= 1;
    await assert.rejects(readBundle(reader(BUNDLE, { [name]: content }), SCHEMA), new RegExp(`Error: ${name} is not the file that was exported`));
    await assert.rejects(readBundle(reader(BUNDLE, { [name]: null }), SCHEMA), new RegExp(`names '${name}', which is not there`));
  }
  await assert.rejects(readBundle(reader(BUNDLE, { "manifest.json": null }), SCHEMA), /no bundle: manifest\.json is missing/);
  await assert.rejects(readBundle(reader(BUNDLE, { "manifest.json": encoder.encode("{") }), SCHEMA), /is not valid JSON/);
});

test("a manifest of another kind is refused", options, async () => {
  await refused((said) => (said.schema_version = 99), /schema version 99, expected 2 or 3/);
  await refused((said) => Reflect.deleteProperty(said, "schema_version"), /schema version undefined/);
  await refused((said) => Reflect.deleteProperty(said, "spec"), /no entry 'spec'/);
  await refused((said) => Reflect.deleteProperty(said.files, "model.onnx"), /no entry 'files\.model\.onnx'/);
  await refused((said) => (said.files["../model.onnx"] = { sha256: "0".repeat(64) }), /names '\.\.\/model\.onnx', which is not there/);
  await refused((said) => (said.spec.sample_rate_hz = 0), /has spec\.sample_rate_hz = 0, expected at least 1/);
  await refused((said) => (said.spec.window_size = 256), /model\.onnx says spec\.window_size = 128, the manifest says 256/);
  await refused((said) => (said.spec.stride = 0), /has spec\.stride = 0, expected at least 1/);
  await refused((said) => said.spec.sensors[0].channels.reverse(), /asks for total_acc_z in g, .*this page gives total_acc_x in g/);
  await refused((said) => (said.spec.sensors[0].name = "magnetometer"), /asks for an unknown sensor 'magnetometer'/);
  await refused((said) => said.spec.sensors.push(said.spec.sensors[0]), /names a sensor twice in its spec/);
  await refused((said) => (said.spec.sensors[0].unit = "m/s2"), /has spec\.sensors\[0\]\.unit = "m\/s2", expected one of g, rad\/s/);
  await refused((said) => (said.tolerance = 1), /has tolerance = 1, expected at most 0\.001/);
  await refused((said) => (said.unknown.below = 2), /has unknown\.below = 2, expected at most 1/);
  for (const label of ["WALK\u001b[2J", "A\nB", " WALKING", "", "\u202eWALKING", 7]) {
    await refused((said) => (said.spec.labels[0] = /** @type {any} */ (label)), /manifest\.json has (a label|spec\.labels\[0\])/);
  }
  await refused((said) => (said.spec.labels[0] = said.spec.labels[1]), /has an entry of spec\.labels twice/);
  await refused((said) => (said.stream = /** @type {any} */ ({ kind: "state", hop: 1, state_size: 3 })), /streams as 'state'/);
  await refused((said) => (said.stream.kind = "foo"), /has stream\.kind = "foo", expected "ring_buffer"/);
  await refused((said) => (said.surprise = 1), /has an unknown entry 'surprise'/);
});

test("format 2 is converted, and what is wrong in it is named", options, async () => {
  const old = await written();
  assert.equal(old.schema_version, 2);
  const parse = (/** @type {object} */ said) => parseManifest(encoder.encode(JSON.stringify(said)), SCHEMA);
  assert.deepEqual(parse(old), parse(convert(old)));
  assert.throws(() => parse({ ...old, labels: undefined }), /has no entry 'labels'/);
  assert.throws(() => parse({ ...old, input: [] }), /has another structure than format 2/);
  assert.throws(() => parse({ ...old, input: { ...old.input, channels: old.input.channels.toReversed() } }), /asks for gyro_z in rad\/s/);
  assert.throws(() => parse({ ...old, stream: { ...old.stream, kind: "foo" } }), /has stream\.kind = "foo"/);
});

test("the validator finds what `har` finds", async () => {
  const cases = JSON.parse(await readFile(path.join(import.meta.dirname, "..", "..", "..", "tests", "runtime", "manifests.json"), "utf8"));
  assert.ok(cases.length >= 20);
  for (const { place, value, faults: expected } of cases) {
    const said = await manifest();
    const inner = place.slice(0, -1).reduce((/** @type {any} */ at, /** @type {string | number} */ name) => at[name], said);
    inner[place.at(-1)] = value;
    assert.deepEqual([...faults(said, SCHEMA, SCHEMA)], expected);
  }
});

test("what decides an answer must also stand in the model", options, async () => {
  await refused((said) => said.spec.labels.reverse(), /model\.onnx says spec\.labels = \[.*the manifest says \[/);
  await refused((said) => (said.datasets[0].synthetic = !said.datasets[0].synthetic), /model\.onnx says datasets =/);
  await refused((said) => (said.unknown.below = 0.987), /model\.onnx says unknown =/);
  await refused((said) => (said.temperature.value += 1), /model\.onnx says temperature =/);
});

test("a model that is cut off, no model, or of another shape is refused even where its checksum fits", options, async () => {
  configure(ort);
  const model = await file("model.onnx");
  const cut = model.slice(0, Math.floor(0.9 * model.length));
  await assert.rejects(changed(() => undefined, { "model.onnx": cut }), /model\.onnx (is cut off|has metadata of another structure)/);
  await assert.rejects(changed(() => undefined, { "model.onnx": encoder.encode("garbage") }), /model\.onnx (is cut off|has metadata of another structure)/);

  const metadata = metadataOf(model);
  const bundle = await changed(() => undefined, { "model.onnx": Uint8Array.from([...metadata, 0x3a, 2, 0x12, 0]) }); // a graph without nodes
  await assert.rejects(Model.open(ort, bundle), /model\.onnx is not a readable ONNX model/);

  const whole = await readBundle(reader(BUNDLE), SCHEMA);
  const other = { ...whole, manifest: { ...whole.manifest, spec: { ...whole.manifest.spec, labels: [...whole.manifest.spec.labels, "FLYING"] } } };
  await assert.rejects(Model.open(ort, other), /has an output of shape batch x \d+; the manifest says 'probabilities' of batch x \d+/);
  const renamed = { ...whole, manifest: { ...whole.manifest, input: { ...whole.manifest.input, name: "x" } } };
  await assert.rejects(Model.open(ort, renamed), /has an input named windows/);
});

/** @param {number} value @param {number} [extra] superfluous bytes */
function varint(value, extra = 0) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  bytes.push(value);
  for (; extra > 0; extra--) bytes.push(((bytes.pop() ?? 0) | 128), 0);
  return bytes;
}

/** @param {number} field @param {number[]} content */
const held = (field, content) => [...varint(field * 8 + 2), ...varint(content.length), ...content];

test("a model that takes weights from another file is refused, however that is encoded", options, async () => {
  /** @type {Record<string, (tensor: number[]) => number[]>} */
  const places = {
    weights: (tensor) => held(7, held(5, tensor)),
    attribute: (tensor) => held(7, held(1, held(5, held(5, tensor)))),
    branch: (tensor) => held(7, held(1, held(5, held(6, held(5, tensor))))),
    sparse: (tensor) => held(7, held(15, held(1, tensor))),
    function: (tensor) => held(25, held(7, held(5, held(5, tensor)))),
    training: (tensor) => held(20, held(2, held(5, tensor))),
  };
  const named = held(13, [...held(1, [...encoder.encode("location")]), ...held(2, [...encoder.encode("secret.bin")])]);
  for (const [place, around] of Object.entries(places)) {
    const refuses = (/** @type {number[]} */ tensor, /** @type {RegExp} */ message) =>
      assert.throws(() => checkSelfContained("a.onnx", Uint8Array.from(around(tensor))), message, place);
    const minusOne = [...Array(9).fill(255), 1];
    checkSelfContained("a.onnx", Uint8Array.from(around([...held(9, [1, 2, 3, 4]), ...varint(7 * 8), ...minusOne])));
    refuses([...varint(7 * 8), ...Array(9).fill(255), 2], /encoded in an unusual way/);
    refuses([...varint(14 * 8), 1], /a\.onnx takes weights from another file/);
    refuses([...varint(14 * 8), ...varint(2 ** 32 + 1)], /a\.onnx takes weights from another file/);
    refuses(named, /a\.onnx takes weights from another file/);
    for (const high of [2 ** 32, 3 * 2 ** 32, 2 ** 35]) {
      refuses([...varint(14 * 8 + high), 1], /encoded in an unusual way/);
      refuses([...varint(13 * 8 + 2 + high), ...named.slice(1)], /encoded in an unusual way/);
    }
    refuses([...varint(14 * 8, 1), 1], /encoded in an unusual way/);
    refuses([...varint(14 * 8 + 3), ...varint(14 * 8 + 4)], /encoded in an unusual way/);
    refuses([0, 0], /encoded in an unusual way/);
  }
  const hidden = Uint8Array.from([...(await file("model.onnx")), ...held(7, held(5, [...varint(14 * 8 + 2 ** 32), 1]))]);
  await assert.rejects(changed(() => undefined, { "model.onnx": hidden }), /model\.onnx is cut off, is no ONNX file, or is encoded in an unusual way/);
});

test("a browser without WebAssembly or its SIMD is named, not the model", options, async () => {
  const fails = { InferenceSession: { create: () => Promise.reject(new Error("no available backend found. ERR: [wasm] no SIMD")) } };
  const old = /** @type {import("../src/model.js").Runtime} */ (/** @type {unknown} */ (fails));
  await assert.rejects(Model.open(old, await readBundle(reader(BUNDLE), SCHEMA)), /The model cannot run here .*use a newer browser/);
});

test("golden vectors that differ are refused", options, async () => {
  configure(ort);
  for (const [change, message] of /** @type {[(vectors: any) => void, RegExp][]} */ ([
    [(vectors) => (vectors.probabilities[3][0] += 0.01), /A golden window differs by 1\.0e-2, allowed 0\.00001/],
    [(vectors) => (vectors.probabilities[0][0] = null), /A golden window differs/],
    [(vectors) => vectors.windows.pop(), /does not hold windows of 768 values/],
    [(vectors) => (vectors.windows = vectors.probabilities = []), /does not hold windows of 768 values/],
  ])) {
    const vectors = JSON.parse(await readFile(path.join(BUNDLE, "test_vectors.json"), "utf8"));
    change(vectors);
    const bundle = await changed(() => undefined, { "test_vectors.json": encoder.encode(JSON.stringify(vectors)) });
    const model = await Model.open(ort, bundle);
    await assert.rejects(model.checkGolden(), message);
  }
});

/**
 * The bytes of a model's metadata alone: its fields 14.
 *
 * @param {Uint8Array} model
 */
function metadataOf(model) {
  /** @type {number[]} */
  const bytes = [];
  const put = (/** @type {number} */ value) => {
    for (; value > 127; value >>= 7) bytes.push((value & 127) | 128);
    bytes.push(value);
  };
  for (const [key, value] of readMetadata("model.onnx", model)) {
    const [k, v] = [encoder.encode(key), encoder.encode(value)];
    const size = (/** @type {number} */ length) => (length < 128 ? 1 : length < 16384 ? 2 : 3);
    put((14 << 3) | 2);
    put(1 + size(k.length) + k.length + 1 + size(v.length) + v.length);
    put((1 << 3) | 2);
    put(k.length);
    bytes.push(...k);
    put((2 << 3) | 2);
    put(v.length);
    bytes.push(...v);
  }
  return bytes;
}
