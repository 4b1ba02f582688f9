/**
 * Rows of a recording's CSV file, and the writing of one: the form that `har predict` reads (`har/recording/tables.py`).
 */

import { COLUMNS, HarError, WIDTH } from "./contract.js";

const CHUNK_LINES = 200_000; // as the Python reader: the rate is measured on the first chunk
const DELIMITERS = [",", ";", "\t"];
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const NOT_FINITE = /^[+-]?(nan|inf|infinity)$/i;

/**
 * @typedef {object} Rows Some rows as they stand in the file, NaN where a value is missing.
 * @property {Float64Array} line (row,) of the file, from 1 with its header
 * @property {Float64Array} stretch (row,) in which the time does not go back; 0 until the rows are put in order
 * @property {Float64Array} time (row,) in s
 * @property {Float64Array} values (row, 6), row by row
 */

/**
 * All rows of a recording, some at a time.
 *
 * @param {string} name of the file, for messages
 * @param {string} text
 * @param {number} [most] lines at a time
 * @returns {Generator<Rows, void, void>}
 * @throws {HarError} a column is missing, or a cell is not a number; with line and column
 */
export function* readRows(name, text, most = CHUNK_LINES) {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  if (lines[lines.length - 1] === "") lines.pop();
  const head = lines[0] ?? "";
  if (!head.trim()) {
    const what = lines.length ? "begins with an empty line" : "is empty";
    throw new HarError(`${name} ${what}; expected a header with the columns ${COLUMNS.join(", ")}, then one row a sample.`);
  }
  const delimiter = DELIMITERS.reduce((best, d) => (count(head, d) > count(head, best) ? d : best));
  const header = cells(head, delimiter);
  if (header.every((cell) => NUMBER.test(cell))) {
    throw new HarError(`${name} begins with numbers, '${head.trim().slice(0, 40)}'; expected a header with ${COLUMNS.join(", ")}.`);
  }
  const form = { name, delimiter, header, places: places(name, header) };
  let rows = 0;
  for (let first = 1; first < lines.length; first += most) {
    const part = parse(form, lines, first, Math.min(first + most, lines.length));
    rows += part.time.length;
    if (part.time.length) yield part;
  }
  if (!rows) throw new HarError(`${name} has a header but no samples; expected at least one window of samples.`);
}

/**
 * Where the columns stand in a file's header.
 *
 * @param {string} name
 * @param {string[]} header
 */
function places(name, header) {
  return COLUMNS.map((column) => {
    const found = header.filter((cell) => cell === column).length;
    if (found === 1) return header.indexOf(column);
    if (found > 1) throw new HarError(`${name}: column ${column} appears ${found} times; expected once.`);
    const noGyro = column.startsWith("gyro") && !header.some((cell) => /gyr/i.test(cell));
    throw new HarError(
      `${name}: column ${column} is missing; ${noGyro ? "the gyroscope is missing; " : ""}found ${header.join(", ").slice(0, 200)}; ` +
        "rename the columns, or map them with har predict --columns.",
    );
  });
}

/**
 * @param {{name: string, delimiter: string, header: string[], places: number[]}} form
 * @param {string[]} lines of the whole file
 * @param {number} first line from 0
 * @param {number} stop
 * @returns {Rows}
 */
function parse(form, lines, first, stop) {
  const { name, header } = form;
  const line = new Float64Array(stop - first);
  const time = new Float64Array(stop - first);
  const values = new Float64Array((stop - first) * WIDTH);
  /** @type {Map<string, string>} decimal sign -> where it was found */
  const signs = new Map();
  let rows = 0;
  for (let i = first; i < stop; i++) {
    if (!lines[i].trim()) continue;
    const row = cells(lines[i], form.delimiter);
    if (row.length > header.length && row.slice(header.length).some((cell) => cell)) {
      throw new HarError(
        `${name}: line ${i + 1} has ${row.length} columns, expected ${header.length} as in the header; have its numbers a decimal ` +
          "comma? Write a point, or separate the columns by semicolons.",
      );
    }
    if (Math.max(...form.places) >= row.length) {
      throw new HarError(`${name}: line ${i + 1} has ${row.length} columns, expected ${header.length}; the file may be cut off.`);
    }
    form.places.forEach((place, column) => {
      const cell = row[place];
      for (const sign of ".,") if (cell.includes(sign) && !signs.has(sign)) signs.set(sign, `'${cell.slice(0, 40)}' in line ${i + 1}`);
      const number = cell.replace(",", ".");
      if (cell && !NUMBER.test(number) && !NOT_FINITE.test(number)) {
        throw new HarError(`${name}: line ${i + 1}, column ${header[place]}: '${cell.slice(0, 40)}' is not a number.`);
      }
      const value = cell && NUMBER.test(number) ? Number(number) : NaN;
      if (column === 0) time[rows] = value;
      else values[rows * WIDTH + column - 1] = value;
    });
    line[rows++] = i + 1;
  }
  if (signs.size > 1) {
    throw new HarError(`${name} has both ${[...signs.values()].join(" and ")}; expected one decimal sign, a point or a comma.`);
  }
  return { line: line.slice(0, rows), stretch: new Float64Array(rows), time: time.slice(0, rows), values: values.slice(0, rows * WIDTH) };
}

/**
 * Cells of a line, trimmed; a quoted cell may hold the delimiter, and a doubled quotation mark stands for one.
 *
 * @param {string} line
 * @param {string} delimiter
 */
function cells(line, delimiter) {
  if (!line.includes('"')) return line.split(delimiter).map((cell) => cell.trim());
  const found = [];
  let cell = "";
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    if (line[i] === '"' && quoted && line[i + 1] === '"') cell += line[i++];
    else if (line[i] === '"') quoted = !quoted;
    else if (line[i] === delimiter && !quoted) {
      found.push(cell.trim());
      cell = "";
    } else cell += line[i];
  }
  return [...found, cell.trim()];
}

/**
 * @param {string} text
 * @param {string} mark
 */
function count(text, mark) {
  return text.split(mark).length - 1;
}

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
