/**
 * Plays a phone's day to the page, without a browser: node --expose-gc test/day_stream.mjs --day FOLDER --bundle FOLDER --every N
 *
 * The folder holds the samples in the order of their delivery, as benchmarks/faults/day_stream.py writes them; they arrive as events of the
 * sensors, and every restart of the app is another `LiveSession`. Writes into the folder `page_answers.f64`, rows of delivery, run, start
 * and end of what an answer speaks for, place of what is said among the labels (-1: unknown) and the probabilities; and to standard output, as
 * JSON, the seconds it took and the bytes in use after every N samples.
 */

import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import * as ort from "onnxruntime-web/wasm";

import { readBundle } from "../src/bundle.js";
import { WIDTH } from "../src/contract.js";
import { LiveSession } from "../src/live_session.js";
import { Model, configure } from "../src/model.js";
import { SCHEMA, Sensors, reader } from "./helpers.mjs";

const { values: options } = parseArgs({ options: { day: { type: "string" }, bundle: { type: "string" }, every: { type: "string" } } });
const day = /** @type {string} */ (options.day);
const every = Number(options.every);
const collect = globalThis.gc;
if (!collect) throw new Error("run node with --expose-gc");
configure(ort);
const model = await Model.open(ort, await readBundle(reader(/** @type {string} */ (options.bundle)), SCHEMA));
const { labels } = model.bundle.manifest.spec;

/** A file of numbers that is read piece by piece, so that the day is not held in memory. */
class Numbers {
  /** @param {string} name */
  constructor(name) {
    this.file = openSync(path.join(day, name), "r");
  }

  /**
   * The next numbers.
   *
   * @template {Float64Array | Float32Array} T
   * @param {T} into
   */
  next(into) {
    const bytes = new Uint8Array(into.buffer);
    if (readSync(this.file, bytes, 0, bytes.length, null) !== bytes.length) throw new Error("the day ends too early");
    return into;
  }
}

const counts = new Int32Array(new Uint8Array(readFileSync(path.join(day, "counts.i32"))).buffer);
const restarts = readFileSync(path.join(day, "restarts.u8"));
const times = new Numbers("time_s.f64");
const values = new Numbers("values.f32");
const output = openSync(path.join(day, "page_answers.f64"), "w");

/** @type {string[]} */
const problems = [];
let [delivery, run] = [0, 0];

async function start() {
  const sensors = new Sensors();
  const session = new LiveSession(model, Sensors.reading, {
    onAnswer() {
      const { timeline } = session;
      const entry = timeline.entry(-1); // its end is that of its window until the next one comes
      const said = labels.indexOf(entry.activity);
      writeSync(output, Float64Array.of(delivery, run, entry.fromS, entry.toS, said, ...entry.probabilities));
    },
    onSamples() {},
    onStatus() {},
    onProblem: (message) => message !== null && problems.push(message),
  });
  await session.start(sensors.window);
  return { sensors, session };
}

const memory = [];
let app = await start();
let [samples, next] = [0, every];
const started = performance.now();
for (; delivery < counts.length; delivery++) {
  if (restarts[delivery]) {
    await app.session.stop();
    app = await start();
    run++;
  }
  const time = times.next(new Float64Array(counts[delivery]));
  const rows = values.next(new Float32Array(counts[delivery] * WIDTH));
  time.forEach((timeS, i) => app.sensors.measure(timeS, rows.subarray(i * WIDTH, (i + 1) * WIDTH)));
  await app.session.answered;
  samples += time.length;
  if (samples >= next) {
    collect();
    const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
    const { timeline, signals, recorder } = app.session;
    const kept = { answers: timeline.length, runs: timeline.spans().length, plotted: signals.count, recorded: recorder.count };
    memory.push({ samples, rss, heap: heapUsed, buffers: arrayBuffers, ...kept });
    next += every;
  }
}
await app.session.stop();
const seconds = (performance.now() - started) / 1000;
closeSync(output);
console.log(JSON.stringify({ seconds, memory, problems, versions: { node: process.version, "onnxruntime-web": ort.env.versions.web } }));
