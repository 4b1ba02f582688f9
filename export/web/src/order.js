/**
 * Rows of a recording in the order of their times, in stretches: where the time goes back, a new stretch begins.
 */

import { HarError, LATE_S, ROUNDING_S, WINDOW_SIZE, brief } from "./contract.js";
import { pause } from "./text_tables.js";

const FEWEST_ROWS = 256; // taken at a time, so that rate and units are measured on more than a moment

/** @typedef {import("./tables.js").Rows} Rows */
/** @typedef {import("./reading.js").StreamReport} StreamReport */

/**
 * Rows sorted by time within each stretch, without repeated times.
 *
 * A row that is more than `LATE_S` earlier than the newest one begins a new stretch, in the order of the file; rows that are
 * less late are sorted.
 *
 * @param {string} name
 * @param {AsyncIterable<Rows>} parts
 * @param {StreamReport} report gets the restarts, and what was sorted and dropped
 * @returns {AsyncGenerator<Rows, void, void>}
 * @throws {HarError} a time is not finite, too many rows are late, or rows share their times
 */
export async function* inOrder(name, parts, report) {
  /** @type {Rows | null} */
  let held = null;
  let stretch = 0;
  let newestS = -Infinity; // of the stretch
  for await (const { part, last } of withLast(parts)) {
    /** @type {{line: number, byS: number}[]} */
    const restarts = [];
    let sorted = true;
    const mostRestarts = 1 + part.time.length / WINDOW_SIZE; // with more, the rows are in no order at all
    const missing = part.time.findIndex((timeS) => !Number.isFinite(timeS));
    if (missing >= 0) throw new HarError(`${name}: the time in line ${part.line[missing]} is not a finite number`);
    for (const [i, timeS] of part.time.entries()) {
      const lateS = newestS - timeS;
      const restarted = lateS > LATE_S + ROUNDING_S;
      if (restarted) {
        restarts.push({ line: part.line[i], byS: lateS });
        stretch++;
      } else if (lateS > 0) {
        sorted = false;
        report.sorted++;
        report.mostLateS = Math.max(report.mostLateS, lateS);
      }
      if (restarted || lateS < 0) newestS = timeS;
      part.stretch[i] = stretch;
      if (restarts.length > mostRestarts) {
        throw new HarError(
          `${name}: ${restarts.length} or more of ${part.time.length} rows are more than ${LATE_S} s late, the first in line ` +
            `${restarts[0].line}; expected the rows in the order of their times: sort them`,
        );
      }
    }
    for (const { line, byS } of restarts) report.restarts.add(`by ${brief(byS)} s in line ${line}`);
    const joined = held ? join(held, part) : part;
    const rows = withoutRepeated(name, sorted ? joined : sortByTime(joined), report);
    let ready = rows.time.length; // what comes later in the file can stand before the rows from here on
    while (!last && ready > 0 && rows.stretch[ready - 1] === stretch && newestS - rows.time[ready - 1] <= LATE_S + ROUNDING_S) ready--;
    if (!last && ready < FEWEST_ROWS) ready = 0;
    held = take(rows, ready, rows.time.length);
    if (ready) yield take(rows, 0, ready);
  }
}

/**
 * Each part, and whether it is the last one.
 *
 * @template T
 * @param {AsyncIterable<T>} parts
 * @returns {AsyncGenerator<{part: T, last: boolean}, void, void>}
 */
export async function* withLast(parts) {
  /** @type {T[]} */
  const before = [];
  for await (const part of parts) {
    await pause();
    if (before.length) yield { part: /** @type {T} */ (before.pop()), last: false };
    before.push(part);
  }
  for (const part of before) yield { part, last: true };
}

/** @param {Rows} rows */
function sortByTime(rows) {
  const { stretch, time } = rows;
  return pick(rows, Array.from(time.keys()).sort((a, b) => stretch[a] - stretch[b] || time[a] - time[b])); // stable
}

/**
 * A row that stands twice is dropped; other values at the time of the row before are samples that would be lost.
 *
 * @param {string} name
 * @param {Rows} rows sorted by time
 * @param {StreamReport} report
 */
function withoutRepeated(name, rows, report) {
  const kept = [];
  const width = widthOf(rows);
  let lost = 0;
  let firstLost = 0;
  for (let i = 0; i < rows.time.length; i++) {
    if (i === 0 || rows.time[i] !== rows.time[i - 1] || rows.stretch[i] !== rows.stretch[i - 1]) {
      kept.push(i);
      continue;
    }
    report.duplicates++;
    const before = rows.values.subarray((i - 1) * width, i * width);
    const same = before.every((value, c) => rows.values[i * width + c] === value);
    if (!same && lost++ === 0) firstLost = rows.line[i];
  }
  if (lost > 1 + rows.time.length / WINDOW_SIZE) {
    throw new HarError(
      `${name}: ${lost} of ${rows.time.length} rows have the time of the row before and other values, the first in line ${firstLost}; ` +
        "expected the time at which each was measured: use the sensor's own times, with all digits",
    );
  }
  return kept.length === rows.time.length ? rows : pick(rows, kept);
}

/**
 * @param {Rows} a
 * @param {Rows} b
 * @returns {Rows}
 */
export function join(a, b) {
  return {
    line: concat(a.line, b.line),
    stretch: concat(a.stretch, b.stretch),
    time: concat(a.time, b.time),
    values: concat(a.values, b.values),
  };
}

/**
 * @param {Float64Array} a
 * @param {Float64Array} b
 */
function concat(a, b) {
  const result = new Float64Array(a.length + b.length);
  result.set(a);
  result.set(b, a.length);
  return result;
}

/**
 * @param {Rows} rows
 * @param {number} first
 * @param {number} stop
 * @returns {Rows}
 */
export function take(rows, first, stop) {
  return {
    line: rows.line.slice(first, stop),
    stretch: rows.stretch.slice(first, stop),
    time: rows.time.slice(first, stop),
    values: rows.values.slice(first * widthOf(rows), stop * widthOf(rows)),
  };
}

/**
 * @param {Rows} rows
 * @param {number[]} index
 * @returns {Rows}
 */
export function pick(rows, index) {
  const width = widthOf(rows);
  const values = new Float64Array(index.length * width);
  index.forEach((row, i) => values.set(rows.values.subarray(row * width, (row + 1) * width), i * width));
  const of = (/** @type {Float64Array} */ column) => Float64Array.from(index, (i) => column[i]);
  return { line: of(rows.line), stretch: of(rows.stretch), time: of(rows.time), values };
}

/** @param {Rows} rows */
function widthOf({ time, values }) {
  return time.length ? values.length / time.length : 0;
}
