/**
 * What cannot be a phone's recording is named: missing values, wrong units, a sensor that was off.
 */

import { COLUMNS, HarError, WIDTH, brief } from "./contract.js";
import { median } from "./numbers.js";

const GRAVITY_RANGE_G = [0.8, 1.2]; // median |total_acc| of a person's day; 9.8 means m/s^2, near 0 body acceleration

/** @typedef {import("./csv.js").Rows} Rows */

/**
 * @param {string} name
 * @param {Rows} rows
 */
export function checkFinite(name, rows) {
  const bad = rows.values.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  const row = Math.floor(bad / WIDTH);
  const column = bad % WIDTH;
  let run = 1;
  while (row + run < rows.time.length && !Number.isFinite(rows.values[(row + run) * WIDTH + column])) run++;
  throw new HarError(
    `${name}: column ${COLUMNS[1 + column]} is not finite from line ${rows.line[row]} on, ${run} ${run > 1 ? "rows" : "row"} long; ` +
      "repair it, or interpolate short runs with har predict --interpolate SECONDS.",
  );
}

/**
 * @param {string} name
 * @param {Float64Array} values
 */
export function checkGravity(name, values) {
  const rows = values.length / WIDTH;
  const length = median(Float64Array.from({ length: rows }, (_, i) => Math.hypot(...values.subarray(i * WIDTH, i * WIDTH + 3))));
  if (length >= GRAVITY_RANGE_G[0] && length <= GRAVITY_RANGE_G[1]) return;
  const cause =
    length > 7 && length < 13
      ? "it looks like m/s^2: divide it by 9.80665, or read the file with har predict --acc-unit m/s2"
      : "gravity must be included and the unit must be g";
  throw new HarError(`${name}: the median length of total acceleration is ${brief(length, 3)} g, expected about 1 g; ${cause}.`);
}

/**
 * @param {string} name
 * @param {{rows: number, low: Float64Array, high: Float64Array}} report
 */
export function checkConstant(name, report) {
  const constant = COLUMNS.slice(1).filter((_, c) => report.low[c] === report.high[c]);
  if (!constant.length) return;
  const value = report.low[COLUMNS.indexOf(constant[0]) - 1];
  throw new HarError(
    `${name}: ${constant.join(", ")} is constant (${brief(value)}) over all ${report.rows} rows; the sensor was off or the column is wrong.`,
  );
}
