/**
 * The exported model in onnxruntime-web, one thread on the CPU, and the proof that it computes here what it computed where
 * it was made.
 */

import { MODEL, VECTORS } from "./bundle.js";
import { HarError } from "./contract.js";

/** @typedef {typeof import("onnxruntime-web/wasm")} Runtime */
/** @typedef {import("./bundle.js").Bundle} Bundle */

const BATCH_SIZE = 64; // windows at a time; bounds the memory

/**
 * @param {Runtime} ort
 * @param {string} [folder] address of the folder with the runtime's .wasm and .mjs; left out, the package's own place
 */
export function configure(ort, folder) {
  ort.env.wasm.numThreads = 1; // more need shared memory, which only specially served pages get
  ort.env.wasm.proxy = false;
  ort.env.logLevel = "error";
  if (folder) ort.env.wasm.wasmPaths = folder;
}

/** A bundle, ready to predict. */
export class Model {
  /**
   * @param {Runtime} ort
   * @param {import("onnxruntime-web/wasm").InferenceSession} session
   * @param {Bundle} bundle
   */
  constructor(ort, session, bundle) {
    this.ort = ort;
    this.session = session;
    this.bundle = bundle;
    /** @type {Promise<unknown>} one run at a time, in the order of the calls */
    this.queue = Promise.resolve();
  }

  /**
   * Open a checked bundle's model.
   *
   * @param {Runtime} ort
   * @param {Bundle} bundle
   * @returns {Promise<Model>}
   * @throws {HarError} the file is no model, or it does not fit its manifest
   */
  static async open(ort, bundle) {
    let session;
    try {
      const content = /** @type {Uint8Array} */ (bundle.files.get(MODEL));
      session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"], logSeverityLevel: 3 });
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).split("\n")[0].slice(0, 160);
      if (/backend/i.test(reason)) {
        throw new HarError(`The model cannot run here (${reason}); it needs WebAssembly with SIMD: use a newer browser, or build the page again.`);
      }
      throw new HarError(`${MODEL} is not a readable ONNX model (${reason}); export again: har export.`);
    }
    const { input, output, labels } = bundle.manifest;
    checkShape("input", session.inputMetadata, input.name, [input.window_size, input.channels.length]);
    checkShape("output", session.outputMetadata, output.name, [labels.length]);
    return new Model(ort, session, bundle);
  }

  /**
   * Probabilities of windows.
   *
   * @param {Float32Array[]} windows each (window, channel), oldest sample first, row by row
   * @returns {Promise<Float32Array[]>} one probability a label, for each window
   * @throws {HarError} a value is not finite, or the model gives no probabilities
   */
  async predict(windows) {
    const found = [];
    for (let first = 0; first < windows.length; first += BATCH_SIZE) {
      const batch = windows.slice(first, first + BATCH_SIZE);
      const run = this.queue.then(() => this.#run(batch));
      this.queue = run.catch(() => undefined);
      found.push(...(await run));
    }
    return found;
  }

  /** @param {Float32Array[]} windows */
  async #run(windows) {
    const { input, output, labels } = this.bundle.manifest;
    const size = input.window_size * input.channels.length;
    const data = new Float32Array(windows.length * size);
    windows.forEach((window, i) => {
      if (window.length !== size) throw new HarError(`A window has ${window.length} values, expected ${size}.`);
      const bad = window.findIndex((value) => !Number.isFinite(value));
      if (bad >= 0) {
        const channel = input.channels[bad % input.channels.length].name;
        throw new HarError(`A window is not finite at sample ${Math.floor(bad / input.channels.length)}, channel ${channel}; leave it out.`);
      }
      data.set(window, i * size);
    });
    const tensor = new this.ort.Tensor("float32", data, [windows.length, input.window_size, input.channels.length]);
    const result = (await this.session.run({ [input.name]: tensor }))[output.name];
    const values = /** @type {Float32Array} */ (result.data);
    if (result.dims[0] !== windows.length || result.dims[1] !== labels.length || !values.every(Number.isFinite)) {
      throw new HarError(`The model gave no probabilities (shape ${result.dims.join(" x ")}); export again: har export.`);
    }
    return windows.map((_, i) => values.slice(i * labels.length, (i + 1) * labels.length));
  }

  /**
   * Let the model answer the golden windows, one by one and all at once.
   *
   * @returns {Promise<{windows: number, largest: number}>} how many there are, and the largest difference of a probability
   * @throws {HarError} it is above the manifest's tolerance
   */
  async checkGolden() {
    const { manifest, files } = this.bundle;
    const { windows, probabilities } = readVectors(/** @type {Uint8Array} */ (files.get(VECTORS)), manifest);
    let largest = 0;
    const compare = (/** @type {Float32Array[]} */ found, /** @type {number} */ first) =>
      found.forEach((row, i) =>
        row.forEach((p, k) => (largest = Math.max(largest, Math.abs(p - Math.fround(probabilities[first + i][k]))))),
      );
    for (let i = 0; i < windows.length; i++) compare(await this.predict([windows[i]]), i);
    compare(await this.predict(windows), 0);
    if (!(largest <= manifest.tolerance)) {
      throw new HarError(
        `A golden window differs by ${largest.toExponential(1)}, allowed ${manifest.tolerance}; this browser computes something else ` +
          "than was exported; use another browser, and report this.",
      );
    }
    return { windows: windows.length, largest };
  }
}

/**
 * @param {"input" | "output"} what
 * @param {readonly import("onnxruntime-web/wasm").InferenceSession.ValueMetadata[]} metadata
 * @param {string} name
 * @param {number[]} expected shape behind the batch
 */
function checkShape(what, metadata, name, expected) {
  const found = metadata.find((value) => value.name === name);
  const shape = found?.isTensor ? found.shape.slice(1) : [];
  if (found?.isTensor && found.type === "float32" && shape.length === expected.length && shape.every((size, i) => size === expected[i])) return;
  const there = found ? `of shape batch x ${shape.join(" x ")}` : `named ${metadata.map((value) => value.name).join(", ")}`;
  throw new HarError(`${MODEL} has an ${what} ${there}; the manifest says '${name}' of batch x ${expected.join(" x ")}; export again: har export.`);
}

/**
 * @param {Uint8Array} content
 * @param {import("./bundle.js").Manifest} manifest
 * @returns {{windows: Float32Array[], probabilities: number[][]}}
 */
function readVectors(content, { input, labels }) {
  const vectors = JSON.parse(new TextDecoder().decode(content));
  const size = input.window_size * input.channels.length;
  /** @type {Float32Array[]} */
  // Whole multiples of the unit, which keeps the file small.
  const windows = vectors.windows.map((/** @type {number[][]} */ window) =>
    Float32Array.from(window.flat(), (value) => value * vectors.unit),
  );
  /** @type {number[][]} */
  const probabilities = vectors.probabilities;
  const whole = windows.length > 0 && windows.length === probabilities.length;
  if (!whole || windows.some((window) => window.length !== size) || probabilities.some((row) => row.length !== labels.length)) {
    throw new HarError(`${VECTORS} does not hold windows of ${size} values with ${labels.length} probabilities each; export again: har export.`);
  }
  return { windows, probabilities };
}
