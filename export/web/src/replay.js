/**
 * A recording instead of the sensors: the same windows, answers and timeline as `har predict` gives.
 */

import { HarError } from "./contract.js";
import { ReadReport, readPieces } from "./reading.js";
import { Signals } from "./signals.js";
import { DEFAULTS } from "./tables.js";
import { pause } from "./text_tables.js";
import { Timeline } from "./timeline.js";
import { WindowStream } from "./windows.js";

/** @typedef {import("./tables.js").ReadOptions} ReadOptions */

/**
 * @typedef {object} Session Answers and the signals they were given for, of a recording or of the sensors.
 * @property {Timeline} timeline
 * @property {Signals} signals
 */

/**
 * @param {import("./model.js").Model} model
 * @param {number} [most] samples that are kept for the plot; all, where it is left out
 * @returns {{windows: WindowStream, timeline: Timeline, signals: Signals}}
 */
export function emptySession(model, most) {
  const { manifest, unknownBelow } = model.bundle;
  const { window_size: windowSize, stride, sample_rate_hz: sampleRateHz, labels } = manifest.spec;
  const sensors = manifest.spec.sensors.map(({ name }) => name);
  return {
    windows: new WindowStream({ windowSize, stride, sampleRateHz, width: 3 * sensors.length }),
    timeline: new Timeline(labels, unknownBelow),
    signals: new Signals(most, sensors, sampleRateHz),
  };
}

/**
 * How a recording is read for a model: its sensors, at its rate.
 *
 * @param {import("./manifest.js").Manifest} manifest
 * @param {Partial<ReadOptions>} [chosen]
 * @returns {ReadOptions}
 */
export function readingFor({ spec, needs }, chosen = {}) {
  const leastRateHz = needs?.least_rate_hz ?? null;
  return { ...DEFAULTS, ...chosen, sensors: spec.sensors.map(({ name }) => name), sampleRateHz: spec.sample_rate_hz, leastRateHz };
}

/**
 * @param {import("./model.js").Model} model
 * @param {import("./source.js").Source} source
 * @param {Partial<ReadOptions>} [chosen] what the user said of its columns and units
 * @param {(windows: number) => void} [onProgress] told how many windows are answered
 * @returns {Promise<Session & {report: ReadReport}>}
 * @throws {HarError} what does not fit, with line and column; or no stretch is as long as a window
 */
export async function replay(model, source, chosen = {}, onProgress = () => undefined) {
  const report = new ReadReport();
  const { windows, timeline, signals } = emptySession(model);
  const stream = model.openStream(); // a gap is no reason to wear the phone otherwise
  let stretch = -1;
  for await (const piece of readPieces(source, report, readingFor(model.bundle.manifest, chosen))) {
    if (piece.stretch !== stretch) windows.reset();
    stretch = piece.stretch;
    signals.push(piece.time, piece.samples);
    for (const batch of batches(windows.push(piece.time, piece.samples))) {
      const found = await stream.answer(batch.map((window) => window.samples));
      batch.forEach((window, i) => timeline.add(window, found[i].probabilities, found[i].below));
      onProgress(timeline.length);
      await pause();
    }
  }
  if (!timeline.length) {
    const { windowSize, periodS } = windows;
    throw new HarError(
      `${source.name} has no stretch of ${windowSize} samples (${(windowSize * periodS).toFixed(2)} s) without a gap; record longer`,
    );
  }
  return { timeline, signals, report };
}

/**
 * @template T
 * @param {T[]} items
 */
function* batches(items, size = 32) {
  for (let first = 0; first < items.length; first += size) yield items.slice(first, first + size);
}
