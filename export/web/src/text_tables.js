/**
 * Tables of numbers: what separates the cells, where the header is, and the rows, some at a time; faults are named with their
 * line: a port of `har/recording/text_tables.py`.
 */

import { HarError, quoted } from "./contract.js";
import { PARQUET } from "./source.js";

const DELIMITERS = Object.freeze([",", ";", "\t", "|", null]); // null: any blanks
const COMMENT = /^\s*(#|%|\/\/)/;
const MISSING = new Set(["", "na", "nan", "n/a", "#n/a", "null", "none", "nil", "-", "--", "?"]);
const LONGEST_LINE = 65_536; // characters; the widest exports have some hundred columns
export const PAUSE_ROWS = 10_000; // after which the page may do something else
const HEAD_LINES = 60; // among which the header is looked for
const MINUS = "\u2212"; // of typography; some apps write it in place of a hyphen
const NO_CHARACTER = "\ufffd"; // in place of a zero byte: a number that holds one is damaged
const PRAGMA = /^sep=(.)\s*$/i; // what Excel reads the delimiter from
const NO_NUMBER = /[^\d.eE+-]/; // else `Number` takes other bases, blanks and words
const NOT_FINITE = /^([+-]?)(nan|inf|infinity)$/i;

/** @typedef {import("./source.js").Source} Source */

/**
 * @typedef {object} Head How a table is written.
 * @property {string} member of the source
 * @property {string[]} preamble lines before the header
 * @property {string[]} header names of the columns; empty where the table begins with numbers
 * @property {string[]} names of the columns; their numbers, from 1, where there is no header
 * @property {string | null} delimiter between cells; null: any blanks
 * @property {number} first line of the first row, from 1
 * @property {string[][]} sample cells of the first rows
 */

/**
 * @typedef {object} Block Some rows of a table.
 * @property {Float64Array} line (row,)
 * @property {Float64Array} numbers (row, numeric column), row by row, NaN where a value is missing
 * @property {string[]} texts (row,) of the text column
 */

/**
 * The cells of one line, without blanks around them and without quotation marks; a quoted cell may hold the delimiter, and a
 * doubled quotation mark stands for one.
 *
 * @param {string} line
 * @param {string | null} delimiter
 */
export function cellsOf(line, delimiter) {
  if (delimiter === null) return line.trim().split(/\s+/);
  if (!line.includes('"')) return line.split(delimiter).map((cell) => cell.trim());
  const found = [];
  let cell = "";
  let quoted = false;
  let begun = false;
  for (let i = 0; i < line.length; i++) {
    if (quoted && line[i] === '"' && line[i + 1] === '"') cell += line[i++];
    else if (line[i] === '"' && (quoted || !begun)) [quoted, begun] = [!quoted, true];
    else if (line[i] === delimiter && !quoted) {
      found.push(cell.trim());
      [cell, begun] = ["", false];
    } else if (begun || line[i] !== " ") {
      cell += line[i];
      begun = true;
    }
  }
  return [...found, cell.trim()];
}

/**
 * Whether a cell is a number or stands for a missing one; a decimal comma is one.
 *
 * @param {string} cell
 */
export function isNumber(cell) {
  return MISSING.has(cell.toLowerCase()) || numberOf(cell) !== null;
}

/**
 * The number in a cell; null where there is none.
 *
 * @param {string | undefined} cell
 */
export function numberOf(cell = "") {
  if (cell && !NO_NUMBER.test(cell)) return orNull(Number(cell));
  const text = cell.replaceAll(",", ".").replaceAll(MINUS, "-");
  if (text && !NO_NUMBER.test(text)) return orNull(Number(text));
  const found = NOT_FINITE.exec(text);
  if (!found) return null;
  return /nan/i.test(found[2]) ? NaN : found[1] === "-" ? -Infinity : Infinity;
}

/** @param {number} value */
const orNull = (value) => (Number.isNaN(value) ? null : value);

/** Let the page do what else it has to do. */
export const pause = () => new Promise((resolve) => setTimeout(resolve));

/**
 * Lines of a table without their ends, some at a time.
 *
 * @param {Source} source
 * @param {string} member
 * @returns {AsyncGenerator<string[], void, void>}
 * @throws {HarError} a line is too long: a file without line breaks is not read whole
 */
export async function* linesOf(source, member) {
  let rest = "";
  let number = 1;
  for await (const part of source.text(member)) {
    const text = rest + (part.includes("\0") ? part.replaceAll("\0", NO_CHARACTER) : part);
    const end = text.endsWith("\r") ? text.length - 1 : text.length; // a line feed may follow
    const lines = text.slice(0, end).split(/\r\n|\n|\r/);
    rest = lines.pop() + text.slice(end);
    const long = [...lines, rest].findIndex((line) => line.length >= LONGEST_LINE - 1);
    if (long >= 0) {
      throw new HarError(
        `${source.nameOf(member)}: line ${number + long} is longer than ${LONGEST_LINE.toLocaleString("en")} characters; ` +
          "expected CSV with one row a line",
      );
    }
    number += lines.length;
    if (lines.length) yield lines;
  }
  if (rest) yield [rest.replace(/\r$/, "")];
}

/**
 * The first lines of a table.
 *
 * @param {Source} source
 * @param {string} member
 * @param {number} [most]
 */
export async function firstLines(source, member, most = HEAD_LINES) {
  /** @type {string[]} */
  let found = [];
  for await (const lines of linesOf(source, member)) {
    found = found.concat(lines);
    if (found.length >= most) break;
  }
  return found.slice(0, most);
}

/**
 * How a table is written; null where no table of numbers begins in the first lines. The header is the last line before the
 * first two rows of equally many cells, most of them numbers.
 *
 * @param {Source} source
 * @param {string} member
 * @returns {Promise<Head | null>}
 * @throws {HarError} it cannot be read
 */
export async function readHead(source, member) {
  const name = source.nameOf(member);
  if (PARQUET.some((suffix) => name.toLowerCase().endsWith(suffix))) {
    throw new HarError(`${name} is Parquet, which this page does not read; convert it to CSV`);
  }
  const lines = await firstLines(source, member);
  const pragma = lines.slice(0, 3).map((line) => PRAGMA.exec(line)?.[1]).find((mark) => mark !== undefined);
  /** @type {Head | null} */
  let best = null;
  for (const delimiter of pragma ? [pragma] : DELIMITERS) {
    const head = headWith(source, member, lines, delimiter);
    if (head && (!best || numbersIn(head) > numbersIn(best))) best = head;
  }
  return best;
}

/** @param {Head} head */
const numbersIn = (head) => head.sample[0].filter(isNumber).length;

/**
 * @param {Source} source
 * @param {string} member
 * @param {string[]} lines
 * @param {string | null} delimiter
 * @returns {Head | null}
 */
function headWith({ rules }, member, lines, delimiter) {
  const rows = lines.flatMap((line, i) => (holdsCells(line) ? [{ number: i + 1, cells: cellsOf(line, delimiter) }] : []));
  for (const [place, { number, cells }] of rows.entries()) {
    if (cells.length < 2 || !rows.slice(place, place + 2).every((row) => isRow(row.cells, cells.length))) continue;
    const before = rows[place - 1];
    const filled = cells.findLastIndex((cell) => cell) + 1 || cells.length;
    const hasHeader = before && before.cells.length >= filled - 1 && !isRow(before.cells, before.cells.length);
    const above = rows[place - 2];
    const unitsBelow = hasHeader && above?.cells.length === before.cells.length && before.cells.every((cell) => isUnit(cell, rules));
    const units = unitsBelow ? before.cells.map((cell) => cell && ` (${bare(cell)})`) : []; // in a row below the names
    const top = unitsBelow ? above : before;
    const header = hasHeader ? top.cells.map((name, i) => name + (units[i] ?? "")) : [];
    const names = hasHeader ? header : cells.map((_, i) => String(i + 1));
    // A damaged row among the first ones is no preamble.
    const first = hasHeader ? number : rows.find((row) => row.cells.length > 1 && isRow(row.cells, row.cells.length))?.number ?? number;
    const preamble = lines.slice(0, (hasHeader ? top.number : first) - 1);
    return { member, preamble, header, names, delimiter, first, sample: rows.slice(place).map((row) => row.cells) };
  }
  return null;
}

/** @param {string} cell */
const bare = (cell) => cell.replace(/^[()[\]]+|[()[\]]+$/g, "");

/** @param {string} cell @param {import("./source.js").Rules} rules */
function isUnit(cell, rules) {
  return !cell || Object.values(rules.units).some((names) => names.includes(bare(cell).toLowerCase()));
}

/** @param {string} line */
function holdsCells(line) {
  return line.trim() !== "" && !COMMENT.test(line) && !PRAGMA.test(line);
}

/**
 * Whether cells are those of a row of samples: at least half are numbers, and more than one is no missing value.
 *
 * @param {string[]} cells
 * @param {number} count
 */
function isRow(cells, count) {
  const known = cells.filter((cell) => numberOf(cell) !== null).length;
  return Math.abs(cells.length - count) <= 1 && 2 * cells.filter(isNumber).length >= cells.length && known > 1;
}

/**
 * The rows of a table.
 *
 * @param {Source} source
 * @param {Head} head
 * @param {number[]} numeric columns that hold numbers
 * @param {number | null} textual the column that holds text, such as dates
 * @param {number} rows at a time; bounds the memory
 * @returns {AsyncGenerator<Block, void, void>}
 * @throws {HarError} with line and column: a cell is no number, a row has too few or too many cells, or the file cannot be read
 */
export async function* readBlocks(source, head, numeric, textual, rows) {
  const name = source.nameOf(head.member);
  let skip = head.first - 1;
  let number = head.first; // of the first line that is held
  /** @type {string[]} */
  let held = [];
  for await (const lines of linesOf(source, head.member)) {
    for (const line of skip ? lines.slice(skip) : lines) held.push(line);
    skip = Math.max(0, skip - lines.length);
    while (held.length >= rows) {
      const found = await block(name, head, held.slice(0, rows), number, numeric, textual);
      if (found.line.length) yield found;
      held = held.slice(rows);
      number += rows;
    }
  }
  const found = await block(name, head, held, number, numeric, textual);
  if (found.line.length) yield found;
}

/**
 * Cells of a whole row: some tables leave out empty cells at its end.
 *
 * @param {Head} head
 */
function leastCells({ sample }) {
  const often = sample.map(({ length }) => length).filter((count) => sample.filter(({ length }) => length === count).length > 1);
  return Math.min(sample[0].length, ...often);
}

/**
 * @param {string} name
 * @param {Head} head
 * @param {string[]} lines
 * @param {number} number of the first line
 * @param {number[]} numeric
 * @param {number | null} textual
 * @returns {Promise<Block>}
 */
async function block(name, head, lines, number, numeric, textual) {
  const line = new Float64Array(lines.length);
  const numbers = new Float64Array(lines.length * numeric.length);
  /** @type {string[]} */
  const texts = [];
  /** @type {Map<string, string>} decimal sign -> where it was found */
  const signs = new Map();
  const width = head.names.length;
  const needed = Math.max(...numeric, textual ?? 0, leastCells(head) - 1);
  let rows = 0;
  for (const [i, text] of lines.entries()) {
    if (i % PAUSE_ROWS === PAUSE_ROWS - 1) await pause();
    if (!holdsCells(text)) continue;
    const cells = cellsOf(text, head.delimiter);
    if (cells.length <= needed) {
      throw new HarError(`${name}: line ${number + i} has ${cells.length} columns, expected ${width}; the file may be cut off`);
    }
    if (cells.length > width && cells.slice(width).some((cell) => cell)) {
      throw new HarError(
        `${name}: line ${number + i} has ${cells.length} columns, expected ${width} as in the header; have its numbers a decimal comma? ` +
          "write a point, or separate the columns by semicolons",
      );
    }
    for (const [place, column] of numeric.entries()) {
      const cell = cells[column];
      const value = numberOf(cell);
      if (value === null && !MISSING.has(cell.toLowerCase())) {
        const label = head.header[column] ?? column + 1;
        throw new HarError(`${name}: line ${number + i}, column ${label}: ${quoted(cell.slice(0, 40))} is not a number`);
      }
      numbers[rows * numeric.length + place] = value ?? NaN;
      for (const sign of ".,") {
        if (cell.includes(sign) && !signs.has(sign)) signs.set(sign, `${quoted(cell.slice(0, 40))} in line ${number + i}`);
      }
    }
    if (textual !== null) texts.push(cells[textual]);
    line[rows++] = number + i;
  }
  if (signs.size > 1) {
    const both = [...signs.values()].join(" and ");
    throw new HarError(`${name} has both ${both}; expected one decimal sign, a point or a comma, and none for thousands`);
  }
  return { line: line.slice(0, rows), numbers: numbers.slice(0, rows * numeric.length), texts };
}
