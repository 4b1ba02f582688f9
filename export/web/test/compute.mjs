/**
 * Computes without a browser what the tests of the Python package compare with its runtime.
 *
 * Reads one JSON object from standard input and writes the result as JSON: {resample: [...]}, {bundle, golden: true},
 * {bundle, recordings: [path, ...]} or, for files whose samples arrive as from sensors, {bundle, live: [path, ...]}.
 */

import { readFile } from "node:fs/promises";
import path from "node:path";
import { text } from "node:stream/consumers";

import * as ort from "onnxruntime-web/wasm";

import { readBundle } from "../src/bundle.js";
import { WIDTH } from "../src/contract.js";
import { readRows } from "../src/csv.js";
import { LiveStream } from "../src/live.js";
import { Model, configure } from "../src/model.js";
import { emptySession, replay } from "../src/replay.js";
import { StreamResampler } from "../src/resampling.js";
import { SCHEMA, reader } from "./helpers.mjs";

/** @typedef {{source_hz: number, width: number, time: number[], values: number[], cuts: number[]}} Stretch cuts: where it is cut into pieces */

/** @param {Stretch} stretch */
function resample({ source_hz: sourceHz, width, time, values, cuts }) {
  const resampler = new StreamResampler(sourceHz, 50, width);
  const edges = [0, ...cuts, time.length];
  const found = edges.slice(1).map((stop, i) => resampler.push(time.slice(edges[i], stop), values.slice(edges[i] * width, stop * width)));
  found.push(resampler.push([], [], { last: true }));
  return { time: found.flatMap((part) => [...part.time]), values: found.flatMap((part) => [...part.values]) };
}

/** @param {string} bundle */
async function open(bundle) {
  configure(ort);
  return Model.open(ort, await readBundle(reader(bundle), SCHEMA));
}

/**
 * @param {string} bundle
 * @param {string[]} recordings
 */
async function recognize(bundle, recordings) {
  const model = await open(bundle);
  const found = [];
  for (const name of recordings) {
    try {
      const { timeline, report } = await replay(model, path.basename(name), await readFile(name, "utf8"));
      const windows = Array.from(timeline, ({ fromS, toS, probabilities }) => ({ from_s: fromS, to_s: toS, probabilities: [...probabilities] }));
      found.push({ windows, csv: timeline.csv(), report: report.text() });
    } catch (error) {
      found.push({ refused: error instanceof Error ? error.message : String(error) });
    }
  }
  return found;
}

/**
 * @param {string} bundle
 * @param {string[]} recordings
 */
async function recognizeLive(bundle, recordings) {
  const model = await open(bundle);
  const found = [];
  for (const name of recordings) {
    const { windows, timeline } = emptySession(model);
    /** @type {import("../src/windows.js").CutWindow[]} */
    const cut = [];
    const stream = new LiveStream(windows, {
      onSamples() {}, onRate() {}, onGap() {}, onProblem() {}, onWindow: (window) => cut.push(window),
    });
    for (const rows of readRows(path.basename(name), await readFile(name, "utf8"))) {
      rows.time.forEach((timeS, i) => stream.push(timeS, rows.values.subarray(i * WIDTH, (i + 1) * WIDTH)));
    }
    stream.end("end of the file");
    const answers = await model.openStream().answer(cut.map((window) => window.samples));
    cut.forEach((window, i) => timeline.add(window, answers[i].probabilities, answers[i].below));
    found.push(Array.from(timeline, (entry) => ({ said: entry.activity, probabilities: [...entry.probabilities] })));
  }
  return found;
}

/** @type {{resample?: Stretch[], bundle?: string, golden?: boolean, recordings?: string[], live?: string[]}} */
const wanted = JSON.parse(await text(process.stdin));
let result;
if (wanted.resample) result = wanted.resample.map(resample);
else if (wanted.bundle && wanted.golden) result = await (await open(wanted.bundle)).checkGolden();
else if (wanted.bundle && wanted.live) result = await recognizeLive(wanted.bundle, wanted.live);
else if (wanted.bundle) result = await recognize(wanted.bundle, wanted.recordings ?? []);
process.stdout.write(JSON.stringify(result));
