/**
 * From a CSV file to 50 Hz pieces in the signal contract; order, units, gaps and rate are checked or named. It decides as
 * `har/recording/reading.py` does without options: nothing is interpolated, no unit is converted.
 */

import { checkConstant, checkFinite, checkGravity, checkGyro } from "./checks.js";
import { GAP_PERIODS, SAMPLE_RATE_HZ, WIDTH, brief } from "./contract.js";
import { readRows } from "./csv.js";
import { inOrder } from "./order.js";
import { checkStillRegular, measureRate } from "./rate.js";
import { StreamResampler } from "./resampling.js";

/** @typedef {import("./csv.js").Rows} Rows */
/** @typedef {{stretch: number, time: Float64Array, samples: Float32Array}} Piece samples: (time, 6) at 50 Hz, row by row */

/** What was found; complete once all pieces were taken. */
export class ReadReport {
  rows = 0;
  rateHz = NaN;
  resampled = false;
  outOfOrder = 0;
  duplicates = 0;
  gaps = 0;
  low = new Float64Array(WIDTH).fill(Infinity);
  high = new Float64Array(WIDTH).fill(-Infinity);

  /** One line: rows, rate, and what was mended. */
  text() {
    const mended = this.resampled ? `, resampled to ${SAMPLE_RATE_HZ} Hz` : "";
    const parts = [`${this.rows} rows at ${brief(this.rateHz)} Hz${mended}`];
    if (this.outOfOrder) parts.push(`${this.outOfOrder} rows sorted by time`);
    if (this.duplicates) parts.push(`${this.duplicates} repeated rows dropped`);
    if (this.gaps) parts.push(`${this.gaps} ${this.gaps > 1 ? "gaps" : "gap"}, which no window crosses`);
    return parts.join("; ");
  }
}

/**
 * Read a recording piece by piece. A file that is 50 Hz within 2 % and regular keeps its samples as they are; another is
 * resampled with an anti-alias filter.
 *
 * @param {string} name of the file, for messages
 * @param {string} text of the CSV file
 * @param {ReadReport} report gets what was found
 * @returns {Generator<Piece, void, void>}
 * @throws {HarError} what does not fit, with line and column
 */
export function* readPieces(name, text, report) {
  let stretch = -1;
  let previousS = -Infinity;
  /** @type {StreamResampler | null} */
  let resampler = null;
  for (const rows of inOrder(name, readRows(name, text), report)) {
    checkFinite(name, rows);
    if (report.rows === 0) {
      const rate = measureRate(name, rows.time);
      report.rateHz = rate.hz;
      report.resampled = !rate.regular;
      checkGravity(name, rows.values);
    } else if (!report.resampled) {
      checkStillRegular(name, rows.time, rows.line);
    }
    checkGyro(name, rows.values);
    note(report, rows);
    const longest = GAP_PERIODS / Math.min(report.rateHz, SAMPLE_RATE_HZ);
    let first = 0;
    for (let i = 0; i <= rows.time.length; i++) {
      const before = i === 0 ? previousS : rows.time[i - 1];
      const gap = i < rows.time.length && rows.time[i] - before > longest;
      if (!gap && i < rows.time.length) continue;
      if (i > first) {
        const part = { time: rows.time.slice(first, i), values: rows.values.slice(first * WIDTH, i * WIDTH) };
        yield* piece(stretch, resampler ? resampler.push(part.time, part.values) : part);
      }
      if (!gap) break;
      if (stretch >= 0) {
        if (resampler) yield* piece(stretch, resampler.push([], [], { last: true }));
        report.gaps++;
      }
      stretch++;
      resampler = report.resampled ? new StreamResampler(report.rateHz, SAMPLE_RATE_HZ, WIDTH) : null;
      first = i;
    }
    previousS = rows.time[rows.time.length - 1];
  }
  if (resampler) yield* piece(stretch, resampler.push([], [], { last: true }));
  checkConstant(name, report);
}

/**
 * @param {number} stretch
 * @param {import("./resampling.js").Samples} found
 * @returns {Generator<Piece, void, void>}
 */
function* piece(stretch, found) {
  if (found.time.length) yield { stretch, time: found.time, samples: Float32Array.from(found.values) };
}

/**
 * @param {ReadReport} report
 * @param {Rows} rows
 */
function note(report, rows) {
  report.rows += rows.time.length;
  for (let i = 0; i < rows.values.length; i++) {
    const column = i % WIDTH;
    report.low[column] = Math.min(report.low[column], rows.values[i]);
    report.high[column] = Math.max(report.high[column], rows.values[i]);
  }
}
