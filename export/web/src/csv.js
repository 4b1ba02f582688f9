/**
 * The writing of CSV files, in the form that `har predict` reads.
 */

import { COLUMNS, WIDTH } from "./contract.js";

/**
 * A text as a cell of a CSV file. A spreadsheet takes some first characters for a formula; an apostrophe in front prevents that
 * (`har/redaction.py` does the same).
 *
 * @param {string} text
 */
export function textCell(text) {
  const harmless = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/**
 * A recording as CSV text: times in s with microseconds, values with six decimals, as the Python package writes them.
 *
 * @param {ArrayLike<number>} time (time,)
 * @param {ArrayLike<number>} values (time, 6), row by row
 */
export function recordingCsv(time, values) {
  const rows = [COLUMNS.join(",")];
  for (let i = 0; i < time.length; i++) {
    const sample = Array.from({ length: WIDTH }, (_, c) => values[i * WIDTH + c].toFixed(6));
    rows.push(`${time[i].toFixed(6)},${sample.join(",")}`);
  }
  return `${rows.join("\n")}\n`;
}
