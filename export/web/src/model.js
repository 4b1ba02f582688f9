/**
 * The exported model in onnxruntime-web, one thread on the CPU, and the proof that it computes here what it computed where
 * it was made.
 */

import { HarError } from "./contract.js";
import { faultOf } from "./limits.js";
import { widthOf } from "./manifest.js";
import { MODEL, VECTORS } from "./manifest.js";
import { Told, remounted } from "./told.js";

/** @typedef {typeof import("onnxruntime-web/wasm")} Runtime */
/** @typedef {import("./bundle.js").Bundle} Bundle */
/** @typedef {import("onnxruntime-web/wasm").InferenceSession} Session */

/**
 * @typedef {object} Answer
 * @property {Float32Array} probabilities one a label
 * @property {number} below least probability that is an answer
 */

/** @typedef {{estimator: Session, model: Session}} Beside files that tell the mounting, and answer where it is known */

const PROBABILITIES = "probabilities"; // output of the files that name activities
const TOLD = "told"; // output of the file that tells the mounting
const TOLD_WIDTH = 6;
const TOLD_TOLERANCE = 1e-4;

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
   * @param {Session} session
   * @param {Bundle} bundle
   * @param {Beside | null} beside
   */
  constructor(ort, session, bundle, beside = null) {
    this.ort = ort;
    this.session = session;
    this.bundle = bundle;
    this.beside = beside;
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
    const { input, spec, mounting } = bundle.manifest;
    const { labels } = spec;
    const opened = async (/** @type {string} */ file, /** @type {string} */ gives, /** @type {number[]} */ shape) => {
      const session = await openFile(ort, bundle, file);
      checkShape(file, "input", session.inputMetadata, input.name, [spec.window_size, widthOf(spec)]);
      checkShape(file, "output", session.outputMetadata, gives, shape);
      return session;
    };
    const session = await opened(MODEL, PROBABILITIES, [labels.length]);
    if (!mounting) return new Model(ort, session, bundle);
    const beside = {
      estimator: await opened(mounting.estimator, TOLD, [2, 3]),
      model: await opened(mounting.model, PROBABILITIES, [labels.length]),
    };
    return new Model(ort, session, bundle, beside);
  }

  /**
   * Probabilities of windows, each by itself.
   *
   * @param {Float32Array[]} windows each (window, channel), oldest sample first, row by row
   * @returns {Promise<Float32Array[]>} one probability a label, for each window
   * @throws {HarError} a window holds what no worn sensor measures, or the model gives no probabilities
   */
  async predict(windows) {
    this.check(windows);
    return this.#predict(windows);
  }

  /** @param {Float32Array[]} windows */
  #predict(windows) {
    return this.#inBatches(this.session, PROBABILITIES, this.bundle.manifest.spec.labels.length, windows);
  }

  /**
   * Refuse windows that hold values that are not finite or outside the physical limits, or a frozen sensor.
   *
   * @param {Float32Array[]} windows as the sensors measured them
   */
  check(windows) {
    const { spec } = this.bundle.manifest;
    const size = spec.window_size * widthOf(spec);
    windows.forEach((window, i) => {
      if (window.length !== size) throw new HarError(`Window ${i} has ${window.length} values, expected ${size}.`);
      const fault = faultOf(window, spec.sample_rate_hz, spec.sensors.map(({ name }) => name));
      if (fault) throw new HarError(`Window ${i} ${fault}; leave it out.`);
    });
  }

  /** For windows in the order of time; each recording, or session with the sensors, needs its own. */
  openStream() {
    const { mounting } = this.bundle.manifest;
    return new ModelStream(this, mounting && this.beside ? new Told(mounting) : null);
  }

  /**
   * What windows tell of the mounting, six numbers each.
   *
   * @param {Float32Array[]} windows
   */
  async tell(windows) {
    return this.#inBatches(/** @type {Beside} */ (this.beside).estimator, TOLD, TOLD_WIDTH, windows);
  }

  /**
   * Probabilities of windows that were turned into place.
   *
   * @param {Float32Array[]} windows
   */
  async predictInPlace(windows) {
    const { labels } = this.bundle.manifest.spec;
    return this.#inBatches(/** @type {Beside} */ (this.beside).model, PROBABILITIES, labels.length, windows);
  }

  /**
   * @param {Session} session
   * @param {string} output
   * @param {number} width values a window
   * @param {Float32Array[]} windows
   */
  async #inBatches(session, output, width, windows) {
    const found = [];
    for (let first = 0; first < windows.length; first += BATCH_SIZE) {
      const batch = windows.slice(first, first + BATCH_SIZE);
      const run = this.queue.then(() => this.#run(session, output, width, batch));
      this.queue = run.catch(() => undefined);
      found.push(...(await run));
    }
    return found;
  }

  /**
   * @param {Session} session
   * @param {string} output
   * @param {number} width
   * @param {Float32Array[]} windows
   */
  async #run(session, output, width, windows) {
    const { input, spec } = this.bundle.manifest;
    const size = spec.window_size * widthOf(spec);
    const data = new Float32Array(windows.length * size);
    windows.forEach((window, i) => data.set(window, i * size));
    const tensor = new this.ort.Tensor("float32", data, [windows.length, spec.window_size, widthOf(spec)]);
    const result = (await session.run({ [input.name]: tensor }))[output];
    const values = /** @type {Float32Array} */ (result.data);
    if (result.dims[0] !== windows.length || values.length !== windows.length * width || !values.every(Number.isFinite)) {
      throw new HarError(`The model gave no ${output} (shape ${result.dims.join(" x ")}); export again: har export.`);
    }
    return windows.map((_, i) => values.slice(i * width, (i + 1) * width));
  }

  /**
   * Let the model answer the golden windows, one by one and all at once.
   *
   * @returns {Promise<{windows: number, largest: number}>} how many there are, and the largest difference of a probability
   * @throws {HarError} it is above the manifest's tolerance
   */
  async checkGolden() {
    const { manifest, files } = this.bundle;
    const { windows, probabilities, mounting } = readVectors(/** @type {Uint8Array} */ (files.get(VECTORS)), manifest);
    const allowed = (/** @type {number} */ difference, /** @type {number} */ tolerance) => {
      if (difference <= tolerance) return difference;
      throw new HarError(
        `A golden window differs by ${difference.toExponential(1)}, allowed ${tolerance}; this browser computes something else ` +
          "than was exported; use another browser, and report this.",
      );
    };
    const alone = [];
    for (const window of windows) alone.push(...(await this.#predict([window])));
    let largest = Math.max(difference(alone, probabilities), difference(await this.#predict(windows), probabilities));
    largest = allowed(largest, manifest.tolerance);
    if (mounting) {
      allowed(difference(await this.tell(windows), mounting.told), TOLD_TOLERANCE);
      largest = Math.max(largest, allowed(difference(await this.predictInPlace(windows), mounting.probabilities), manifest.tolerance));
    }
    return { windows: windows.length, largest };
  }
}

/** Answers along one stream: as soon as it has told the mounting, those of the model of phones in their place. */
export class ModelStream {
  /**
   * @param {Model} model
   * @param {Told | null} told null where the bundle has no use for it
   */
  constructor(model, told) {
    this.model = model;
    this.told = told;
  }

  /**
   * @param {Float32Array[]} windows the next ones; wait for their answers before you ask again
   * @returns {Promise<Answer[]>}
   * @throws {HarError} as `Model.predict`
   */
  async answer(windows) {
    const { model, told } = this;
    const { manifest, unknownBelow } = model.bundle;
    if (!told) return (await model.predict(windows)).map((probabilities) => ({ probabilities, below: unknownBelow }));
    model.check(windows); // before they change what is known of the mounting
    const turns = (await model.tell(windows)).map((row) => {
      told.add(row);
      return told.turn();
    });
    const unknown = windows.filter((_, i) => !turns[i]);
    const inPlace = windows.flatMap((window, i) => {
      const turn = turns[i];
      return turn ? [remounted(window, turn)] : [];
    });
    const [ofAny, ofKnown] = [await model.predict(unknown), await model.predictInPlace(inPlace)];
    const knownBelow = manifest.mounting?.unknown.below ?? 0;
    const next = (/** @type {Float32Array[]} */ rows) => /** @type {Float32Array} */ (rows.shift());
    return turns.map((turn) =>
      turn ? { probabilities: next(ofKnown), below: knownBelow } : { probabilities: next(ofAny), below: unknownBelow },
    );
  }
}

/**
 * @param {Runtime} ort
 * @param {Bundle} bundle
 * @param {string} file
 */
async function openFile(ort, bundle, file) {
  try {
    const content = /** @type {Uint8Array} */ (bundle.files.get(file));
    return await ort.InferenceSession.create(content, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).split("\n")[0].slice(0, 160);
    if (/backend/i.test(reason)) {
      throw new HarError(`The model cannot run here (${reason}); it needs WebAssembly with SIMD: use a newer browser, or build the page again.`);
    }
    throw new HarError(`${file} is not a readable ONNX model (${reason}); export again: har export.`);
  }
}

/**
 * The largest one between two tables.
 *
 * @param {Float32Array[]} found
 * @param {number[][]} expected
 */
function difference(found, expected) {
  let largest = 0;
  found.forEach((row, i) => row.forEach((value, k) => (largest = Math.max(largest, Math.abs(value - Math.fround(expected[i][k]))))));
  return largest;
}

/**
 * @param {string} file
 * @param {"input" | "output"} what
 * @param {readonly import("onnxruntime-web/wasm").InferenceSession.ValueMetadata[]} metadata
 * @param {string} name
 * @param {number[]} expected shape behind the batch
 */
function checkShape(file, what, metadata, name, expected) {
  const found = metadata.find((value) => value.name === name);
  const shape = found?.isTensor ? found.shape.slice(1) : [];
  if (found?.isTensor && found.type === "float32" && shape.length === expected.length && shape.every((size, i) => size === expected[i])) return;
  const there = found ? `of shape batch x ${shape.join(" x ")}` : `named ${metadata.map((value) => value.name).join(", ")}`;
  throw new HarError(`${file} has an ${what} ${there}; the manifest says '${name}' of batch x ${expected.join(" x ")}; export again: har export.`);
}

/**
 * @param {Uint8Array} content
 * @param {import("./manifest.js").Manifest} manifest
 * @returns {{windows: Float32Array[], probabilities: number[][], mounting: {told: number[][], probabilities: number[][]} | null}}
 */
function readVectors(content, { spec, mounting: said }) {
  const { labels } = spec;
  const vectors = JSON.parse(new TextDecoder().decode(content));
  const size = spec.window_size * widthOf(spec);
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
  if (!said) return { windows, probabilities, mounting: null };
  const mounting = { told: vectors.mounting?.told?.map((/** @type {number[][]} */ pair) => pair.flat()), probabilities: vectors.mounting?.probabilities };
  if (mounting.told?.length !== windows.length || mounting.probabilities?.length !== windows.length) {
    throw new HarError(`${VECTORS} does not hold what each window tells of the mounting; export again: har export.`);
  }
  return { windows, probabilities, mounting };
}
