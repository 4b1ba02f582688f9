/**
 * What the tables of a recording hold: sensors, units and clocks, told from the names that apps give to files and columns: a port
 * of `har/recording/formats.py`; the names are in `har/recording/formats.json`.
 */

import { AXES, ChoiceNeeded, HarError, kindOf, quoted } from "./contract.js";
import { median } from "./numbers.js";
import { stemOf } from "./source.js";
import { cellsOf, firstLines, isNumber, numberOf, readBlocks, readHead } from "./text_tables.js";

const BY_FILE = "by file"; // what x, y and z alone are, the name of their file says
const LOOKED_AT = 20_000; // rows from which units are told
const MOST_EVENTS = 10_000; // of a recording that was paused and started again
const IOS_SIGN = -1; // Core Motion reports the negative of the acceleration that Android and the W3C report
/** A column whose name begins so has the times of the column of times whose name does. */
const OWN_CLOCKS = Object.freeze(["accelerometer", "gyro", "motion"]);
const GYRO_UNITS = Object.freeze(["rad/s", "deg/s"]); // as they may stand in a column's name
const CLOCK_UNITS = Object.freeze(["s", "ms", "us", "ns"]);
/** @type {Readonly<Record<string, number[]>>} of a subject's day, by unit */
export const GRAVITY_LENGTHS = Object.freeze({ g: [0.7, 1.4], "m/s2": [7, 14], mg: [700, 1400] });

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./source.js").Rules} Rules */
/** @typedef {import("./text_tables.js").Head} Head */
/** @typedef {[string, string][]} Patterns sensor and the pattern of its columns' names */
/** @typedef {Record<string, string>} Columns this project's name of a column -> the file's */

/**
 * @typedef {object} SensorColumns One sensor in a table.
 * @property {string} sensor its kind, behind a position on the body where the columns name one
 * @property {number[]} columns of its x, y and z
 * @property {string | null} unit as it is written; null where nothing says it
 * @property {number} sign -1 where the other sign is written
 */

/** @typedef {{column: number, unit: string | null}} Clock The column of the times; "text" are dates, null is told from the numbers */
/** @typedef {{head: Head, clock: Clock | null, sensors: SensorColumns[]}} Layout Sensors of one table that share a clock */

/**
 * @typedef {object} Format What a recording was recognised as.
 * @property {string} name of the app, as it is shown
 * @property {Layout[]} layouts of its tables
 * @property {number | null} rateHz that the file says of itself
 * @property {string[]} preferred names of files, best first, where several hold the same sensor
 * @property {string} needed what to export where gravity is missing
 * @property {boolean | null} dayFirst whether its dates begin with the day; null: told from the dates
 * @property {{atS: number, seconds: number}[]} pauses when its clock stood still, and for how long
 * @property {string[]} partial sensors of which an axis is missing, in words
 * @property {{sensor: string, text: string}[]} ambiguous sensors that several columns of a table may hold, and these in words
 */

/**
 * A name in lower-case words: `accelerometerAccelerationX(G)` is `accelerometer acceleration x`.
 *
 * @param {string} name
 */
export function plain(name) {
  const words = name.replace(/[([].*?[)\]]/g, " ").replace(/(?<=[a-z0-9])(?=[A-Z])/g, " ").trim().toLowerCase().split(/[\s_.:/-]+/);
  return words.join(" ").trim().replace(/(?<= [xyz]) (g|mg|m s2|mps2|rad s|rps|deg s|dps)$/, "");
}

/**
 * The unit that a column's name says in brackets or behind its last words, spelled as ours; null where it says none.
 *
 * @param {string} name
 * @param {Rules} rules
 */
export function unitOf(name, rules) {
  const bracketed = [...name.matchAll(/[([]([^)\]]*)[)\]]/g)].at(-1)?.[1];
  const tail = name.toLowerCase().split("_");
  const behind = tail.length > 1 ? [tail.slice(-2).join("_"), tail.at(-1)] : [];
  for (const text of bracketed === undefined ? behind : [bracketed.trim().toLowerCase()]) {
    const found = Object.entries(rules.units).find(([, names]) => names.includes(text));
    if (found) return found[0];
  }
  return null;
}

/**
 * How the tables of a recording are written.
 *
 * @param {Source} source
 * @returns {Promise<Head[]>}
 * @throws {HarError} it holds no table
 */
export async function readHeads(source) {
  const heads = [];
  for (const member of source.members) heads.push(await readHead(source, member));
  const found = heads.filter((head) => head !== null);
  if (!found.length) throw await noTable(source);
  return found;
}

/**
 * What a recording is, told from the names of its files and columns.
 *
 * @param {Source} source
 * @param {Head[]} heads of its tables
 * @param {Columns} columns
 * @param {string | null} accUnit that was chosen for the acceleration
 * @returns {Promise<Format>}
 * @throws {HarError} it holds no sensor that is known by its names
 */
export async function recognise(source, heads, columns, accUnit) {
  const renamed = new Map(Object.entries(columns).map(([ours, theirs]) => [theirs, ours]));
  checkRenamed(source, heads, renamed);
  /** @type {string[]} */
  const partial = [];
  /** @type {Format["ambiguous"]} */
  const ambiguous = [];
  for (const rule of source.rules.formats) {
    const isIgnored = (/** @type {Head} */ head) => rule.ignored?.includes(stemOf(head.member || source.name));
    const own = heads.filter((head) => !isIgnored(head) && fits(rule, head, renamed));
    const layouts = own.flatMap((head) => layoutsOf(source, rule, head, renamed, partial, ambiguous));
    if (!layouts.length) continue;
    const dated = (/** @type {Head} */ head) => new RegExp(rule.day_first).test(head.preamble.join("\n"));
    const found = {
      name: rule.name,
      layouts,
      rateHz: saidRate(rule, own),
      preferred: Object.keys(rule.files ?? {}),
      needed: rule.needed ?? "",
      dayFirst: rule.day_first ? own.some(dated) : null,
      pauses: rule.pauses ? await pausesOf(source, rule.pauses) : [],
      partial: [...new Set(partial)],
      ambiguous,
    };
    return rule.metadata ? ofSensorLogger(source, found, rule.metadata, accUnit) : found;
  }
  const head = longest(heads);
  const listed = head.names.slice(0, 12).join(", ") + (head.names.length > 12 ? ", ..." : "");
  const has = head.header.length
    ? `the columns ${listed}`
    : `no header that fits its rows (line ${head.first} is ${head.sample[0].slice(0, 12).join(", ")})`;
  const cause = partial.length ? `of a sensor ${partial[0]}` : "none is known as acceleration";
  throw new ChoiceNeeded(`${source.nameOf(head.member)} has ${has}: ${cause}; choose the columns`);
}

/**
 * The table of which most rows are known, the first of equal ones.
 *
 * @param {Head[]} heads
 */
export function longest(heads) {
  return heads.reduce((best, head) => (head.sample.length > best.sample.length ? head : best));
}

/** @param {Source} source */
async function noTable(source) {
  const wanted = "expected a header with the names of the columns, then one row a sample";
  const [first, ...rest] = [...(await firstLines(source, source.members[0])), ""];
  const single = source.members.length === 1;
  const name = single ? source.nameOf(source.members[0]) : source.name;
  if (single && !first.trim() && !rest.some((line) => line.trim())) return new HarError(`${name} is empty; ${wanted}`);
  if (single && !rest.some((line) => line.trim())) {
    return new HarError(`${name} has a header but no samples; expected at least one window of samples`);
  }
  return new HarError(`${name} holds no table of numbers (it begins with ${quoted(first.slice(0, 40))}); ${wanted}`);
}

/**
 * @param {Source} source
 * @param {Head[]} heads
 * @param {Map<string, string>} renamed
 */
function checkRenamed(source, heads, renamed) {
  for (const [theirs, ours] of renamed) {
    const count = Math.max(...heads.map((head) => head.names.filter((name) => name === theirs).length));
    if (count === 1) continue;
    const what = count ? `appears ${count} times; expected once` : `is missing; valid: ${heads.flatMap((head) => head.names).join(", ")}`;
    throw new ChoiceNeeded(`${source.name}: column ${theirs}, named for ${ours}, ${what}`);
  }
}

/**
 * Plain names of a table's columns, as the format names them where there is no header.
 *
 * @param {Rules} rule
 * @param {Head} head
 * @param {Map<string, string>} renamed
 * @returns {string[]}
 */
function plainNames(rule, head, renamed) {
  if (!head.header.length && rule.unnamed && !renamed.size) return rule.unnamed.slice(0, head.names.length);
  return head.names.map((name) => plain(renamed.get(name) ?? name));
}

/**
 * @param {Rules} rule
 * @param {Head} head
 * @param {Map<string, string>} renamed
 */
function fits(rule, head, renamed) {
  if (rule.row && (head.header.length || !new RegExp(rule.row).test(head.sample[0][0]))) return false;
  const names = plainNames(rule, head, renamed);
  const columns = (rule.columns ?? []).every((/** @type {string} */ pattern) => names.some((name) => new RegExp(pattern).test(name)));
  const header = new RegExp(rule.header ?? "").test(head.header.join(" ").toLowerCase());
  return columns && header && new RegExp(rule.preamble ?? "").test(head.preamble.join("\n"));
}

/**
 * @param {Rules} rule
 * @param {Head[]} heads
 */
function saidRate(rule, heads) {
  const found = rule.rate ? heads.map((head) => new RegExp(rule.rate).exec(head.preamble.join("\n"))?.[1]) : [];
  const said = found.find((text) => text !== undefined);
  return said === undefined ? null : Number(said);
}

/**
 * When and for how long a recording was paused: phyphox's `meta/time.csv` has the times of its clock and of the phone's.
 *
 * @param {Source} source
 * @param {string} stem
 */
async function pausesOf(source, stem) {
  const member = memberNamed(source, stem);
  if (member === undefined) return [];
  const rows = (await firstLines(source, member, MOST_EVENTS)).map((line) => cellsOf(line, delimiterOf(line)));
  if (rows[0]?.[0].toLowerCase() !== "event") return [];
  const whole = rows.filter((row) => row.length > 2);
  const events = whole.map(([name, at, clock]) => ({ name: name.toUpperCase(), at: numberOf(at), clock: numberOf(clock) }));
  return events.flatMap(({ name, at, clock: paused }, i) => {
    const { name: following = "", clock: started = null } = events[i + 1] ?? {};
    const known = name === "PAUSE" && following === "START" && at !== null && paused !== null && started !== null;
    return known ? [{ atS: at, seconds: Math.max(0, started - paused) }] : [];
  });
}

/** @param {Source} source @param {string} stem */
const memberNamed = (source, stem) => source.members.find((name) => name.slice(name.lastIndexOf("/") + 1).toLowerCase() === `${stem}.csv`);

/** @param {string} line */
function delimiterOf(line) {
  const count = (/** @type {string} */ mark) => line.split(mark).length;
  return [",", ";", "\t"].reduce((best, mark) => (count(mark) > count(best) ? mark : best));
}

/**
 * The sensor and the axis that a plain name of a column means, with the position on the body that it names; null: it is no sensor's.
 *
 * @param {string} name
 * @param {Patterns} patterns
 * @param {Rules} rules
 * @returns {{sensor: string, axis: string} | null}
 */
export function sensorOf(name, patterns, rules) {
  for (const [sensor, pattern] of patterns) {
    const axis = new RegExp(pattern).exec(name)?.slice(1).findLast((group) => AXES.includes(group));
    if (axis) return { sensor, axis };
  }
  const position = new RegExp(`(?:^|(?<= ))(${rules.positions})(?= |$)`).exec(name);
  if (!position) return null;
  const rest = name.slice(0, position.index) + name.slice(position.index + position[0].length);
  const found = sensorOf(rest.trim().split(/\s+/).join(" "), patterns, rules);
  if (!found || found.sensor === BY_FILE) return null;
  return { sensor: `${position[1].replaceAll(" ", "_")}_${found.sensor}`, axis: found.axis };
}

/**
 * The sensors of a table, those with a clock of their own apart; what has some axes alone is added to `partial`, and what several
 * columns may be to `ambiguous`.
 *
 * @param {Source} source
 * @param {Rules} rule
 * @param {Head} head
 * @param {Map<string, string>} renamed
 * @param {string[]} partial
 * @param {Format["ambiguous"]} ambiguous
 * @returns {Layout[]}
 */
function layoutsOf(source, rule, head, renamed, partial, ambiguous) {
  const { name: recording, rules } = source;
  const names = plainNames(rule, head, renamed);
  const stem = stemOf(head.member || recording);
  const place = rule.places?.[stem] ? `${rule.places[stem]}_` : ""; // of another device than the other files
  const patterns = [...(rule.sensors ?? []), ...rules.sensors];
  /** @type {Map<string, Map<string, Map<string, number>>>} of a sensor's columns, by what their names share */
  const groups = new Map();
  for (const [column, name] of names.entries()) {
    let { sensor, axis } = sensorOf(name, patterns, rules) ?? { sensor: "", axis: "" };
    if (sensor === BY_FILE) sensor = rule.files?.[stem] ?? "";
    if (!sensor) continue;
    sensor = place + sensor;
    if (head.names.filter((other) => other === head.names[column]).length > 1) {
      throw new HarError(`${head.member || recording}: column ${head.names[column]} appears twice; expected once`);
    }
    const shared = name.replace(new RegExp(`(^|\\b| )${axis}( |\\b|$)|${axis}$`, "g"), "");
    const own = groups.get(sensor) ?? new Map();
    groups.set(sensor, own);
    const axes = own.get(shared) ?? new Map();
    own.set(shared, axes);
    if (axes.has(axis)) ambiguous.push({ sensor, text: `${head.names[axes.get(axis)]} and ${head.names[column]}` });
    else axes.set(axis, column);
  }
  const clocks = clocksOf(source, names, head, renamed);
  /** @type {Map<number, Layout>} */
  const found = new Map();
  for (const [sensor, own] of groups) {
    const isOurs = (/** @type {Map<string, number>} */ axes) => [...axes.values()].some((column) => renamed.has(head.names[column]));
    const rank = (/** @type {Map<string, number>} */ axes) => axes.size + (isOurs(axes) ? AXES.length + 1 : 0);
    const axes = [...own.values()].reduce((best, other) => (rank(other) > rank(best) ? other : best));
    const several = [...own.values()].filter(({ size }) => size === AXES.length);
    if (several.length > 1 && !isOurs(axes) && !rule.first) {
      ambiguous.push({ sensor, text: several.map((one) => head.names[one.get("x") ?? 0]).join(" and ") });
    }
    const columns = AXES.flatMap((axis) => axes.get(axis) ?? []);
    if (columns.length < AXES.length) {
      const lacking = AXES.filter((axis) => !axes.has(axis));
      partial.push(`${sensor.replaceAll("_", " ")}, ${lacking.join(" and ")} ${lacking.length === 1 ? "is" : "are"} missing`);
      continue;
    }
    const kind = kindOf(sensor);
    const unit = unitOfAll(source, kind === "gyroscope" ? GYRO_UNITS : Object.keys(GRAVITY_LENGTHS), head, columns);
    const clock = clocks.find(({ word }) => word && names[columns[0]].startsWith(word)) ?? clocks.find(({ word }) => !word) ?? null;
    const key = clock ? clock.column : -1;
    const layout = found.get(key) ?? { head, clock: clock && { column: clock.column, unit: clock.unit }, sensors: [] };
    const sign = kind === "gyroscope" ? 1 : rule.sign ?? 1;
    layout.sensors.push({ sensor, columns, unit: unit ?? rule.units?.[kind] ?? null, sign });
    found.set(key, layout);
  }
  return [...found.values()];
}

/**
 * The columns of times, best first, each with the word of the sensors whose it is, or "" where it is that of all.
 *
 * @param {Source} source
 * @param {string[]} names
 * @param {Head} head
 * @param {Map<string, string>} renamed
 * @returns {(Clock & {word: string})[]}
 * @throws {HarError} two have one name
 */
export function clocksOf({ name: recording, rules }, names, head, renamed) {
  const found = [];
  for (const pattern of rules.clocks) {
    for (const [column, name] of names.entries()) {
      const match = new RegExp(pattern).exec(name);
      if (!match) continue;
      const word = OWN_CLOCKS.includes(match[1]) ? match[1] : "";
      const isText = head.sample.some((row) => row[column] && !isNumber(row[column]));
      const tail = renamed.has(head.names[column]) ? "" : name.slice(name.lastIndexOf(" ") + 1);
      const said = unitAmong(CLOCK_UNITS, head, column, rules) ?? (CLOCK_UNITS.includes(tail) ? tail : null);
      found.push({ word, column, unit: isText ? "text" : said ?? inBrackets(head, column, rules) });
    }
  }
  const best = found.find(({ word }) => !word)?.column;
  const twin = best === undefined ? -1 : names.findIndex((name, column) => column !== best && name === names[best]);
  if (best !== undefined && twin >= 0 && !renamed.has(head.names[best])) {
    const both = [best, twin].map((column) => `${head.names[column]} (column ${column + 1})`).join(" and ");
    throw new HarError(`${head.member || recording} has two columns of times, ${both}; split it, a file for each clock`);
  }
  return found;
}

/**
 * What stands in brackets behind a column's name, where it is no unit that is known.
 *
 * @param {Head} head
 * @param {number} column
 * @param {Rules} rules
 */
function inBrackets({ header }, column, rules) {
  const found = header.length ? [...header[column].matchAll(/[([]([^)\]]+)[)\]]/g)].at(-1) : undefined;
  return found && unitOf(header[column], rules) !== "text" ? found[1].trim() : null;
}

/**
 * The unit that the columns of a sensor name, all of them the same.
 *
 * @param {Source} source
 * @param {readonly string[]} valid
 * @param {Head} head
 * @param {number[]} columns
 * @throws {HarError} they name different ones
 */
function unitOfAll({ name: recording, rules }, valid, head, columns) {
  const said = [...new Set(columns.flatMap((column) => unitAmong(valid, head, column, rules) ?? []))];
  if (said.length > 1) {
    const names = columns.map((column) => head.names[column]).join(", ");
    throw new HarError(`${head.member || recording}: the columns ${names} have different units; expected one unit`);
  }
  return said[0] ?? null;
}

/**
 * @param {readonly string[]} valid
 * @param {Head} head
 * @param {number} column
 * @param {Rules} rules
 */
function unitAmong(valid, head, column, rules) {
  const said = head.header.length ? unitOf(head.header[column], rules) : null;
  return said !== null && valid.includes(said) ? said : null;
}

/**
 * Sensor Logger on iOS writes g with Apple's sign, unless its setting for standard units is on: then, and on Android, m/s^2.
 * `Metadata.csv` says both. Where it is missing, the unit does, which is told from the length of gravity.
 *
 * @param {Source} source
 * @param {Format} found
 * @param {string} stem of the file that names the platform
 * @param {string | null} accUnit
 * @returns {Promise<Format>}
 */
async function ofSensorLogger(source, found, stem, accUnit) {
  const said = await metadata(source, stem);
  const platform = said.get("platform")?.toLowerCase() ?? "";
  const standard = said.get("standardisation")?.toLowerCase() === "true";
  const every = found.layouts.flatMap((layout) => layout.sensors.map((sensor) => ({ head: layout.head, sensor })));
  const withGravity = every.filter(({ sensor }) => ["accelerometer", "gravity"].includes(kindOf(sensor.sensor)));
  let told = accUnit ?? { android: "m/s2", ios: standard ? "m/s2" : "g" }[platform] ?? null;
  for (const { head, sensor } of withGravity) told ??= unitOfLength(medianLength(await firstVectors(source, head, sensor.columns)));
  const isIos = platform === "ios" || (!platform && told === "g");
  for (const { sensor } of every) {
    if (kindOf(sensor.sensor) === "gyroscope") continue;
    sensor.unit ??= told;
    sensor.sign = isIos && !standard ? IOS_SIGN : 1;
  }
  return { ...found, name: `${found.name} on ${isIos ? "iOS" : "Android"}` };
}

/**
 * The values of a sensor in the first `LOOKED_AT` rows.
 *
 * @param {Source} source
 * @param {Head} head
 * @param {number[]} columns of its x, y and z
 */
export async function firstVectors(source, head, columns) {
  for await (const { numbers } of readBlocks(source, head, columns, null, LOOKED_AT)) return vectorsOf(numbers, 3, 0);
  return [];
}

/**
 * The values of one sensor, row by row.
 *
 * @param {Float64Array} values (row, channel)
 * @param {number} width channels
 * @param {number} first channel
 */
export function vectorsOf(values, width, first) {
  return Array.from({ length: values.length / width }, (_, row) => values.subarray(row * width + first, row * width + first + 3));
}

/**
 * Median length of vectors; NaN where none is whole.
 *
 * @param {ArrayLike<number>[]} vectors of x, y and z
 */
export function medianLength(vectors) {
  const isWhole = (/** @type {ArrayLike<number>} */ vector) => Array.from(vector).every(Number.isFinite);
  return median(vectors.filter(isWhole).map(({ 0: x, 1: y, 2: z }) => Math.sqrt(x * x + y * y + z * z)));
}

/**
 * The unit in which gravity has a length; null where none fits.
 *
 * @param {number} length
 */
export function unitOfLength(length) {
  return Object.keys(GRAVITY_LENGTHS).find((unit) => GRAVITY_LENGTHS[unit][0] < length && length < GRAVITY_LENGTHS[unit][1]) ?? null;
}

/**
 * The first values of a sensor, NaN where missing.
 *
 * @param {Head} head
 * @param {number[]} columns
 */
export function sampled(head, columns) {
  const rows = head.sample.filter((row) => row.length > Math.max(...columns));
  return rows.map((row) => columns.map((column) => numberOf(row[column]) ?? NaN));
}

/**
 * Names and values of the one row of `Metadata.csv`.
 *
 * @param {Source} source
 * @param {string} stem
 */
async function metadata(source, stem) {
  const member = memberNamed(source, stem);
  const [names = [], values = []] = member === undefined ? [] : (await firstLines(source, member, 2)).map((line) => cellsOf(line, ","));
  return new Map(names.map((name, i) => [plain(name), values[i]]));
}
