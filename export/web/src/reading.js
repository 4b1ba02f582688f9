/**
 * From a CSV file to 50 Hz pieces in the signal contract; order, units, limits, gaps and rate are checked or named. It decides
 * as `har/recording/reading.py` does without options: nothing is interpolated, no unit is converted.
 */

import { checkConstant, checkFinite, checkGravity } from "./checks.js";
import { COLUMNS, GAP_PERIODS, HarError, SAMPLE_RATE_HZ, WIDTH, brief } from "./contract.js";
import { readRows } from "./csv.js";
import { CLIPPED_LEAST, FULL_SCALES_G, LIMITS_TEXT, Repeats, SENSORS, checkOutside, isFrozen, outsideChannel, toSamples } from "./limits.js";
import { inOrder, join, pick, take, withLast } from "./order.js";
import { checkStillRegular, measureRate } from "./rate.js";
import { StreamResampler } from "./resampling.js";

const NAMED = 3; // faults of a kind that are named one by one

/** @typedef {import("./csv.js").Rows} Rows */
/** @typedef {{stretch: number, time: Float64Array, samples: Float32Array}} Piece samples: (time, 6) at 50 Hz, row by row */

/** Faults of one kind: how many there are, and the first of them by name. */
class Faults {
  count = 0;
  /** @type {string[]} */
  named = [];

  /** @param {string} text */
  add(text) {
    if (this.count++ < NAMED) this.named.push(text);
  }

  text() {
    const more = this.count - this.named.length;
    return this.named.join(", ") + (more ? ` and ${more} more` : "");
  }
}

/** What was found, sorted and left out; complete once all pieces were taken. */
export class ReadReport {
  rows = 0; // that are used
  rateHz = NaN;
  resampled = false;
  sorted = 0; // rows that were at most LATE_S late
  mostLateS = 0;
  restarts = new Faults();
  duplicates = 0;
  outside = new Faults();
  /** @type {Map<string, {sensor: string, line: number, seconds: number}>} runs of one value, by sensor and first line */
  frozen = new Map();
  gaps = 0;
  low = new Float64Array(WIDTH).fill(Infinity);
  high = new Float64Array(WIDTH).fill(-Infinity);
  atLow = new Float64Array(WIDTH); // samples at exactly the lowest value
  atHigh = new Float64Array(WIDTH);

  /**
   * Take note of samples that are used.
   *
   * @param {Float64Array} values (time, 6), row by row
   */
  add(values) {
    this.rows += values.length / WIDTH;
    values.forEach((value, i) => {
      const c = i % WIDTH;
      if (value < this.low[c]) [this.low[c], this.atLow[c]] = [value, 0];
      if (value > this.high[c]) [this.high[c], this.atHigh[c]] = [value, 0];
      if (value === this.low[c]) this.atLow[c]++;
      if (value === this.high[c]) this.atHigh[c]++;
    });
  }

  /** A phrase about acceleration that clips below the limit; empty where it does not. */
  clipping() {
    const peaks = [0, 1, 2].flatMap((c) => [{ peak: -this.low[c], count: this.atLow[c] }, { peak: this.high[c], count: this.atHigh[c] }]);
    for (const scale of FULL_SCALES_G) {
      let clipped = 0;
      for (const { peak, count } of peaks) {
        if (Math.abs(Math.abs(peak) / scale - 1) <= 0.02 && count >= CLIPPED_LEAST) clipped += count;
      }
      if (clipped) return `acceleration clips at ${scale} g (${brief((100 * clipped) / this.rows, 2)} % of samples)`;
    }
    return "";
  }

  /** One line: rows, rate, and what was sorted or left out. */
  text() {
    const resampled = this.resampled ? `, resampled to ${SAMPLE_RATE_HZ} Hz` : "";
    const parts = [`${this.rows} rows at ${brief(this.rateHz)} Hz${resampled}`];
    for (const [count, what] of /** @type {[number, string][]} */ ([
      [this.sorted, `sorted by time (up to ${brief(this.mostLateS, 3)} s late)`],
      [this.restarts.count, `where the time goes back and a new stretch begins: ${this.restarts.text()}`],
      [this.duplicates, "repeated and dropped"],
      [this.outside.count, `outside the physical limits (${LIMITS_TEXT}), left out as a gap: ${this.outside.text()}`],
    ])) {
      if (count) parts.push(`${count} ${count === 1 ? "row" : "rows"} ${what}`);
    }
    if (this.frozen.size) {
      const runs = new Faults();
      for (const { sensor, line, seconds } of this.frozen.values()) {
        runs.add(`the ${sensor} repeats one value for ${brief(seconds, 3)} s from line ${line} on`);
      }
      parts.push(`left out as a gap: ${runs.text()}`);
    }
    if (this.gaps) parts.push(`${this.gaps} ${this.gaps === 1 ? "gap" : "gaps"} that no window crosses`);
    if (this.clipping()) parts.push(this.clipping());
    return parts.join("; ");
  }
}

/**
 * Read a recording piece by piece. A file that is 50 Hz within 2 % and regular keeps its samples as they are; another is
 * resampled with an anti-alias filter. Where the time goes back, and behind a gap, a new stretch begins.
 *
 * @param {string} name of the file, for messages
 * @param {string} text of the CSV file
 * @param {ReadReport} report gets what was found
 * @param {number} [most] lines that are judged at a time
 * @returns {Generator<Piece, void, void>}
 * @throws {HarError} what does not fit, with line and column
 */
export function* readPieces(name, text, report, most) {
  let stretch = -1;
  let previousS = -Infinity;
  let previousStretch = -1; // in the order of the file
  /** @type {StreamResampler | null} */
  let resampler = null;
  for (const rows of withinLimits(name, inOrder(name, readRows(name, text, most), report), report)) {
    if (report.rows === 0) {
      const rate = measureRate(name, rows.time);
      report.rateHz = rate.hz;
      report.resampled = !rate.regular;
    } else if (!report.resampled) {
      checkStillRegular(name, rows.time, rows.line);
    }
    report.add(rows.values);
    const longest = GAP_PERIODS / Math.min(report.rateHz, SAMPLE_RATE_HZ);
    let first = 0;
    for (let i = 0; i <= rows.time.length; i++) {
      const inside = i < rows.time.length;
      const restart = inside && rows.stretch[i] !== (i === 0 ? previousStretch : rows.stretch[i - 1]);
      const gap = inside && !restart && rows.time[i] - (i === 0 ? previousS : rows.time[i - 1]) > longest;
      if (inside && !restart && !gap) continue;
      if (i > first) {
        const part = { time: rows.time.slice(first, i), values: rows.values.slice(first * WIDTH, i * WIDTH) };
        yield* piece(stretch, resampler ? resampler.push(part.time, part.values) : part);
      }
      if (!inside) break;
      if (resampler) yield* piece(stretch, resampler.push([], [], { last: true }));
      if (gap) report.gaps++;
      stretch++;
      resampler = report.resampled ? new StreamResampler(report.rateHz, SAMPLE_RATE_HZ, WIDTH) : null;
      first = i;
    }
    previousS = rows.time[rows.time.length - 1];
    previousStretch = rows.stretch[rows.stretch.length - 1];
  }
  if (!report.rows) {
    const sensors = SENSORS.filter((sensor) => [...report.frozen.values()].some((run) => run.sensor === sensor));
    throw new HarError(
      `${name}: ${sensors.map((sensor) => `the ${sensor}`).join(" and ")} ${sensors.length > 1 ? "repeat" : "repeats"} one value over all rows; ` +
        "the sensor was off or the column is wrong.",
    );
  }
  if (resampler) yield* piece(stretch, resampler.push([], [], { last: true }));
  checkConstant(name, report);
}

/**
 * Rows without those that break a physical limit: their times are left as gaps.
 *
 * @param {string} name
 * @param {Iterable<Rows>} parts in order
 * @param {ReadReport} report gets what is left out
 * @returns {Generator<Rows, void, void>}
 * @throws {HarError} a value is missing, or the values are in another unit
 */
function* withinLimits(name, parts, report) {
  const repeats = new Repeats();
  /** @type {{seconds: number[], line: number[]}[]} since when the sensors of each row repeat their values, and from which line on */
  let runs = [];
  /** @type {Rows | null} whose run may become a frozen one with the next rows */
  let held = null;
  let line = [0, 0];
  let unitsKnown = false;
  for (const { part, last } of withLast(parts)) {
    checkFinite(name, part);
    if (!unitsKnown) checkGravity(name, part.values);
    unitsKnown = true;
    const inside = withoutOutside(name, part, report);
    inside.time.forEach((timeS, i) => {
      const seconds = repeats.push(timeS, inside.values, i * WIDTH);
      line = line.map((first, s) => (seconds[s] === 0 ? inside.line[i] : first));
      runs.push({ seconds, line });
    });
    /** @type {Rows} */
    const rows = held ? join(held, inside) : inside;
    const frozen = runs.map(() => false);
    let ready = runs.length;
    SENSORS.forEach((sensor, s) => {
      for (const run of runs) {
        if (isFrozen(run.seconds[s])) report.frozen.set(`${sensor} ${run.line[s]}`, { sensor, line: run.line[s], seconds: run.seconds[s] });
      }
      for (let i = runs.length - 1, later = false; i >= 0; i--) {
        later = isFrozen(runs[i].seconds[s]) || (later && runs[i + 1].seconds[s] > 0);
        if (later) frozen[i] = true;
      }
      const end = runs[runs.length - 1];
      if (!last && end && !isFrozen(end.seconds[s])) ready = Math.min(ready, runs.findLastIndex((run) => run.seconds[s] === 0));
    });
    const used = Array.from(frozen.keys()).filter((i) => i < ready && !frozen[i]);
    if (used.length) yield used.length === rows.time.length ? rows : pick(rows, used);
    held = take(rows, ready, rows.time.length);
    runs = runs.slice(ready);
  }
}

/**
 * @param {string} name
 * @param {Rows} rows
 * @param {ReadReport} report gets the rows that are left out
 * @returns {Rows}
 */
function withoutOutside(name, rows, report) {
  const channels = Array.from(rows.time, (_, i) => outsideChannel(rows.values, i * WIDTH));
  const broken = [...channels.keys()].filter((i) => channels[i] >= 0);
  checkOutside(name, rows.values, broken, `line ${rows.line[broken[0]]}`, "multiply it by pi/180, or read the file with har predict --gyro-unit deg/s.");
  for (const i of broken) {
    report.outside.add(`line ${rows.line[i]} (${COLUMNS[1 + channels[i]]} is ${brief(rows.values[i * WIDTH + channels[i]])})`);
  }
  return broken.length ? pick(rows, [...channels.keys()].filter((i) => channels[i] < 0)) : rows;
}

/**
 * @param {number} stretch
 * @param {import("./resampling.js").Samples} found
 * @returns {Generator<Piece, void, void>}
 */
function* piece(stretch, found) {
  if (found.time.length) yield { stretch, time: found.time, samples: toSamples(found.values) };
}
