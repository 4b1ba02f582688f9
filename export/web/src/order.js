/**
 * Rows of a recording in the order of their times.
 */

import { HarError, WIDTH, WINDOW_SIZE } from "./contract.js";

const LATE_S = 5; // rows may stand this much too late in the file
const FEWEST_ROWS = 256; // taken at a time, so that rate and units are measured on more than a moment

/** @typedef {import("./csv.js").Rows} Rows */

/**
 * Rows sorted by time, without repeated times. A row may be up to `LATE_S` too late.
 *
 * @param {string} name
 * @param {Iterable<Rows>} parts
 * @param {{outOfOrder: number, duplicates: number}} report gets what was mended
 * @returns {Generator<Rows, void, void>}
 * @throws {HarError} a time is not finite, or rows are out of order by more or share their times
 */
export function* inOrder(name, parts, report) {
  /** @type {Rows | null} */
  let held = null;
  let doneS = -Infinity;
  for (const part of parts) {
    for (let i = 0; i < part.time.length; i++) {
      if (!Number.isFinite(part.time[i])) throw new HarError(`${name}: the time in line ${part.line[i]} is not a finite number.`);
      if (part.time[i] <= doneS) {
        throw new HarError(`${name}: line ${part.line[i]} is out of order by more than ${LATE_S} s; sort the rows by time.`);
      }
    }
    const sorted = sortByTime(held ? join(held, part) : part, report);
    const unique = withoutRepeated(name, sorted, report);
    const limit = unique.time[unique.time.length - 1] - LATE_S;
    let ready = unique.time.length;
    while (ready > 0 && unique.time[ready - 1] > limit) ready--;
    if (ready < FEWEST_ROWS) ready = 0;
    held = take(unique, ready, unique.time.length);
    if (ready) {
      doneS = unique.time[ready - 1];
      yield take(unique, 0, ready);
    }
  }
  if (held && held.time.length) yield held;
}

/**
 * @param {Rows} rows
 * @param {{outOfOrder: number, duplicates: number}} report
 */
function sortByTime(rows, report) {
  const before = report.outOfOrder;
  for (let i = 1; i < rows.time.length; i++) if (rows.time[i] < rows.time[i - 1]) report.outOfOrder++;
  if (report.outOfOrder === before) return rows;
  return pick(rows, Array.from(rows.time.keys()).sort((a, b) => rows.time[a] - rows.time[b])); // stable
}

/**
 * A row that stands twice is dropped; other values at the time of the row before are samples that would be lost.
 *
 * @param {string} name
 * @param {Rows} rows sorted by time
 * @param {{outOfOrder: number, duplicates: number}} report
 */
function withoutRepeated(name, rows, report) {
  const kept = [];
  let lost = 0;
  let firstLost = 0;
  for (let i = 0; i < rows.time.length; i++) {
    if (i === 0 || rows.time[i] > rows.time[i - 1]) {
      kept.push(i);
      continue;
    }
    report.duplicates++;
    const same = [0, 1, 2, 3, 4, 5].every((c) => rows.values[i * WIDTH + c] === rows.values[(i - 1) * WIDTH + c]);
    if (!same && lost++ === 0) firstLost = rows.line[i];
  }
  if (lost > 1 + rows.time.length / WINDOW_SIZE) {
    throw new HarError(
      `${name}: ${lost} of ${rows.time.length} rows have the time of the row before and other values, the first in line ${firstLost}; ` +
        "expected the time at which each was measured: use the sensor's own times, with all digits.",
    );
  }
  return kept.length === rows.time.length ? rows : pick(rows, kept);
}

/**
 * @param {Rows} a
 * @param {Rows} b
 * @returns {Rows}
 */
function join(a, b) {
  return {
    line: concat(a.line, b.line),
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
function take(rows, first, stop) {
  return { line: rows.line.slice(first, stop), time: rows.time.slice(first, stop), values: rows.values.slice(first * WIDTH, stop * WIDTH) };
}

/**
 * @param {Rows} rows
 * @param {number[]} index
 * @returns {Rows}
 */
function pick(rows, index) {
  const values = new Float64Array(index.length * WIDTH);
  index.forEach((row, i) => values.set(rows.values.subarray(row * WIDTH, (row + 1) * WIDTH), i * WIDTH));
  return { line: Float64Array.from(index, (i) => rows.line[i]), time: Float64Array.from(index, (i) => rows.time[i]), values };
}
