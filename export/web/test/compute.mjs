/**
 * Computes without a browser what the tests of the Python package compare with its runtime.
 *
 * Reads one JSON object from standard input and writes the result as JSON: {resample: [...]}, {bundle, golden: true},
 * {read: [{path, options}, ...]}, {bundle, recordings: [path, ...], options} or, for files whose samples arrive as from sensors, {bundle, live: [path, ...]}.
 */

import { text } from "node:stream/consumers";

import * as ort from "onnxruntime-web/wasm";

import { readBundle } from "../src/bundle.js";
import { WIDTH } from "../src/contract.js";
import { LiveStream } from "../src/live.js";
import { Model, configure } from "../src/model.js";
import { ReadReport, readPieces } from "../src/reading.js";
import { emptySession, replay } from "../src/replay.js";
import { StreamResampler } from "../src/resampling.js";
import { DEFAULTS, findStreams, readRows } from "../src/tables.js";
import { SCHEMA, reader, sourceAt } from "./helpers.mjs";

/** @typedef {{source_hz: number, width: number, time: number[], values: number[], cuts: number[]}} Stretch cuts: where it is cut into pieces */

/** @param {Stretch} stretch */
function resample({ source_hz: sourceHz, width, time, values, cuts }) {
  const resampler = new StreamResampler(sourceHz, 50, width);
  const edges = [0, ...cuts, time.length];
  const found = edges.slice(1).map((stop, i) => resampler.push(time.slice(edges[i], stop), values.slice(edges[i] * width, stop * width)));
  found.push(resampler.push([], [], { last: true }));
  return { time: found.flatMap((part) => [...part.time]), values: found.flatMap((part) => [...part.values]) };
}

/** @param {{path: string, options: Partial<import("../src/tables.js").ReadOptions>}} wanted */
async function read({ path, options }) {
  const report = new ReadReport();
  const found = [];
  try {
    for await (const { stretch, time, samples } of readPieces(await sourceAt(path), report, options)) {
      found.push({ stretch, time: [...time], samples: [...samples] });
    }
  } catch (error) {
    return { refused: error instanceof Error ? error.message : String(error) };
  }
  return { report: report.text(), pieces: found };
}

/** @param {string} bundle */
async function open(bundle) {
  configure(ort);
  return Model.open(ort, await readBundle(reader(bundle), SCHEMA));
}

/**
 * @param {string} bundle
 * @param {string[]} recordings
 * @param {Partial<import("../src/tables.js").ReadOptions>} [options]
 */
async function recognize(bundle, recordings, options) {
  const model = await open(bundle);
  const found = [];
  for (const name of recordings) {
    try {
      const { timeline, report } = await replay(model, await sourceAt(name), options);
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
    const { streams } = await findStreams(await sourceAt(name), DEFAULTS);
    for await (const rows of readRows(streams[0], DEFAULTS)) {
      rows.time.forEach((timeS, i) => stream.push(timeS, rows.values.subarray(i * WIDTH, (i + 1) * WIDTH)));
    }
    stream.end("end of the file");
    const answers = await model.openStream().answer(cut.map((window) => window.samples));
    cut.forEach((window, i) => timeline.add(window, answers[i].probabilities, answers[i].below));
    found.push(Array.from(timeline, (entry) => ({ said: entry.activity, probabilities: [...entry.probabilities] })));
  }
  return found;
}

/** @type {{resample?: Stretch[], read?: Parameters<typeof read>[0][], bundle?: string, golden?: boolean, recordings?: string[], options?: object, live?: string[]}} */
const wanted = JSON.parse(await text(process.stdin));
let result;
if (wanted.resample) result = wanted.resample.map(resample);
else if (wanted.read) {
  result = [];
  for (const one of wanted.read) result.push(await read(one));
} else if (wanted.bundle && wanted.golden) result = await (await open(wanted.bundle)).checkGolden();
else if (wanted.bundle && wanted.live) result = await recognizeLive(wanted.bundle, wanted.live);
else if (wanted.bundle) result = await recognize(wanted.bundle, wanted.recordings ?? [], wanted.options);
process.stdout.write(JSON.stringify(result));
