/**
 * Rows of a recording in this project's units, some at a time, one stream for each clock: a port of `har/recording/tables.py`.
 */

import { ChoiceNeeded, HarError, SAMPLE_RATE_HZ, STANDARD_GRAVITY, brief, kindOf, positionOf, quoted } from "./contract.js";
import { firstVectors, medianLength, readHeads, recognise, sampled, unitOfLength } from "./formats.js";
import { BOTH } from "./limits.js";
import { stemOf } from "./source.js";
import { readBlocks } from "./text_tables.js";
import { DateReader, TIME_UNITS, tellUnit } from "./times.js";

/** @type {Readonly<Record<string, number>>} */
export const ACC_UNITS = Object.freeze({ g: 1, mg: 1e-3, "m/s2": 1 / STANDARD_GRAVITY });
/** @type {Readonly<Record<string, number>>} */
export const GYRO_UNITS = Object.freeze({ "rad/s": 1, "deg/s": Math.PI / 180 });
const PARTS = Object.freeze(["linear_acceleration", "gravity"]); // add up to what an accelerometer measures
const ALTERNATING = 0.3; // share of rows in which one of two sensors has no value: they are rows of two sensors in turn
const TURNS_FAST = 12; // in a moving phone, angular velocities reach this in deg/s and hardly in rad/s
const SAID_RATE = /(\d+(?:\.\d+)?) ?Hz/gi;

/** @typedef {import("./source.js").Source} Source */
/** @typedef {import("./formats.js").Format} Format */
/** @typedef {import("./formats.js").Layout} Layout */
/** @typedef {import("./formats.js").SensorColumns} SensorColumns */
/** @typedef {import("./text_tables.js").Block} Block */

/**
 * @typedef {object} ReadOptions How to read a recording.
 * @property {import("./formats.js").Columns} columns this project's name of a column -> the file's
 * @property {string | null} accUnit unit of the file's acceleration; null: as the file or its app says
 * @property {string | null} gyroUnit unit of the file's angular velocity; null likewise
 * @property {string | null} timeUnit unit of the file's times; null: told from the rate that they give
 * @property {number | null} rateHz of a file without times
 * @property {readonly string[]} sensors that are read, in this order; others in the recording are ignored
 * @property {number} sampleRateHz of the samples that are given; a recording at another rate is resampled
 * @property {number | null} leastRateHz of a recording, as a slower one has lost what a model needs; null: see `measureRate`
 * @property {number} chunkRows rows read at a time; bounds the memory
 */

/** @type {Readonly<ReadOptions>} */
export const DEFAULTS = Object.freeze({
  columns: {}, accUnit: null, gyroUnit: null, timeUnit: null, rateHz: null,
  sensors: BOTH, sampleRateHz: SAMPLE_RATE_HZ, leastRateHz: null, chunkRows: 200_000,
});

/**
 * @typedef {object} Rows Some rows of a stream, NaN where a value is missing.
 * @property {Float64Array} line (row,) of the file, from 1 with its header
 * @property {Float64Array} stretch (row,) in which the time does not go back; 0 until the rows are put in order
 * @property {Float64Array} time (row,) in s
 * @property {Float64Array} values (row, channel) in g and rad/s, row by row, three channels a sensor
 */

/**
 * @typedef {object} Stream Sensors of one table that share a clock.
 * @property {Source} source
 * @property {string} name what a message calls it
 * @property {Layout} layout of the table, with the sensors that are read and their units
 * @property {string[]} sensors `accelerometer` where gravity and what is without it are added
 * @property {number | null} rateHz where there is no clock
 * @property {boolean} alternates whether rows without a value of these sensors are those of another sensor
 * @property {boolean | null} dayFirst whether dates begin with the day; null: told from them
 * @property {{atS: number, seconds: number}[]} pauses
 */

/**
 * The accelerometer, at the same position, that a sensor of `PARTS` is a part of; another sensor itself.
 *
 * @param {string} sensor
 */
export function whole(sensor) {
  return PARTS.includes(kindOf(sensor)) ? `${positionOf(sensor)}accelerometer` : sensor;
}

/**
 * What a recording was recognised as, and the streams that hold the sensors of `options`.
 *
 * @param {Source} source
 * @param {ReadOptions} options
 * @returns {Promise<{format: string, streams: Stream[]}>}
 * @throws {HarError} a sensor is missing, or a unit or the rate has to be chosen
 */
export async function findStreams(source, options) {
  const found = await recognise(source, await readHeads(source), options.columns, options.accUnit);
  /** @type {Map<string, Layout>} */
  const layouts = new Map();
  for (const { layout, sensor } of options.sensors.flatMap((wanted) => ofSensor(source, found, wanted))) {
    const key = `${layout.clock?.column ?? ""} ${layout.head.member}`;
    const known = layouts.get(key) ?? { ...layout, sensors: [] };
    layouts.set(key, { ...known, sensors: [...known.sensors, sensor] });
  }
  await ask(source, found, [...layouts.values()], options);
  const streams = [...layouts.values()].flatMap((layout) => {
    const sensors = layout.sensors.map((sensor) => ({ ...sensor, unit: chosenUnit(sensor.sensor, options) ?? sensor.unit }));
    const parts = alternating(layout) ? sensors.map((sensor) => [sensor]) : [sensors];
    return parts.map((part) => ({
      source,
      name: source.nameOf(layout.head.member),
      layout: { ...layout, sensors: part },
      sensors: namesOf(part),
      rateHz: layout.clock ? null : options.rateHz ?? found.rateHz,
      alternates: parts.length > 1,
      dayFirst: found.dayFirst,
      pauses: found.pauses,
    }));
  });
  return { format: found.name, streams };
}

/** @param {SensorColumns[]} sensors */
function namesOf(sensors) {
  const names = sensors.map(({ sensor }) => sensor);
  const added = (/** @type {string} */ name) => PARTS.every((part) => names.includes(positionOf(name) + part));
  return [...new Set(names.map((name) => (added(name) ? whole(name) : name)))];
}

/**
 * Where the samples of a sensor are: its own columns, or gravity and what is without it. A sensor that is named without a
 * position is found at any, where that is the only one.
 *
 * @param {Source} source
 * @param {Format} found
 * @param {string} wanted
 * @returns {{layout: Layout, sensor: SensorColumns}[]}
 * @throws {HarError} it is missing
 */
export function ofSensor(source, found, wanted) {
  const order = (/** @type {Layout} */ { head }) => {
    const place = found.preferred.indexOf(stemOf(head.member));
    return place < 0 ? found.preferred.length : place;
  };
  const every = found.layouts.flatMap((layout) => layout.sensors.map((sensor) => ({ layout, sensor })));
  every.sort((a, b) => order(a.layout) - order(b.layout)); // stable
  const kind = kindOf(wanted);
  const positions = [...new Set(every.map(({ sensor }) => positionOf(sensor.sensor)))];
  const place = positions.length === 1 && wanted === kind ? positions[0] : positionOf(wanted);
  const first = (/** @type {string} */ name) => {
    const same = every.filter(({ sensor }) => sensor.sensor === place + name);
    const best = same.filter(({ layout }) => order(layout) === order(same[0].layout));
    checkSingle(source, found, wanted, best.map(({ layout }) => layout.head.member), place + name);
    return best.slice(0, 1).map(({ layout, sensor }) => ({ layout, sensor: { ...sensor, sensor: positionOf(wanted) + name } }));
  };
  const own = first(kind);
  if (own.length) return own;
  const parts = PARTS.flatMap(first);
  if (kind === "accelerometer" && parts.length === PARTS.length) {
    const unit = parts.map(({ sensor }) => sensor.unit).find((said) => said !== null) ?? null;
    return parts.map(({ layout, sensor }) => ({ layout, sensor: { ...sensor, unit: sensor.unit ?? unit } }));
  }
  if (kind === "accelerometer" && parts[0]?.sensor.sensor.endsWith("linear_acceleration")) {
    throw new HarError(
      `${source.name} (${found.name}) holds acceleration without gravity alone; what is needed is with it: export ` +
        `${found.needed || "total acceleration, or gravity as well"}`,
    );
  }
  const has = [...new Set(every.map(({ sensor }) => sensor.sensor.replaceAll("_", " ")))].join(", ");
  const cause = found.partial.map((text) => `; of ${text}`).join("");
  const message = `${source.name} (${found.name}) holds no ${wanted.replaceAll("_", " ")}, which is needed; it has: ${has}${cause}`;
  throw new ChoiceNeeded(`${message}; where other columns are it, choose them`);
}

/**
 * Refuse to choose between several columns or files that may be a sensor.
 *
 * @param {Source} source
 * @param {Format} found
 * @param {string} wanted
 * @param {string[]} members that hold it
 * @param {string} name of the sensor, as it was found
 */
function checkSingle(source, found, wanted, members, name) {
  if (!members.length) return;
  const words = wanted.replaceAll("_", " ");
  const text = found.ambiguous.find(({ sensor }) => sensor === name)?.text;
  if (text !== undefined) throw new ChoiceNeeded(`${source.name} has several columns for the ${words}: ${text}; choose the columns`);
  if (members.length === 1) return;
  const listed = members.slice(0, 4).join(", ") + (members.length > 4 ? ", ..." : "");
  const advice = "expected one: unpack it, and name a file or folder";
  throw new HarError(`${source.name} holds several recordings, the ${words} is in ${listed}; ${advice}`);
}

/**
 * @param {string} sensor
 * @param {ReadOptions} options
 */
function chosenUnit(sensor, options) {
  return kindOf(sensor) === "gyroscope" ? options.gyroUnit : options.accUnit;
}

/**
 * Refuse what would have to be guessed, all of it at once.
 *
 * @param {Source} source
 * @param {Format} found
 * @param {Layout[]} layouts
 * @param {ReadOptions} options
 */
async function ask(source, found, layouts, options) {
  /** @type {string[]} */
  const missing = [];
  let needsRate = false;
  for (const layout of layouts) {
    for (const sensor of layout.sensors) {
      if (sensor.unit !== null || chosenUnit(sensor.sensor, options) !== null) continue;
      missing.push(`the unit of ${sensor.sensor.replaceAll("_", " ")} (${(await likelyUnit(source, layout, sensor)).why})`);
    }
    if (layout.clock) {
      const isAsked = options.timeUnit === null && !isKnownUnit(layout.clock.unit);
      if (isAsked) missing.push(`a known unit of the times, but ${quoted(layout.clock.unit ?? "")}`);
    } else if ((options.rateHz ?? found.rateHz) === null && !needsRate) {
      needsRate = true;
      const said = saidRate(layout);
      missing.push(`the times, so that the rate is needed${said ? ` (a line says ${said.text})` : "; or choose their column"}`);
    }
  }
  if (missing.length) throw new ChoiceNeeded(`${source.name} does not name ${missing.join(" and ")}; check and choose what is missing`);
}

/**
 * Whether nothing has to be asked about the unit of a clock.
 *
 * @param {string | null} unit
 */
export function isKnownUnit(unit) {
  return unit === null || unit === "text" || Object.hasOwn(TIME_UNITS, unit);
}

/**
 * The rate that the lines before the header name, all of them the same.
 *
 * @param {Layout} layout
 */
export function saidRate({ head }) {
  const said = [...head.preamble.join("\n").matchAll(SAID_RATE)];
  return new Set(said.map((match) => match[1])).size === 1 ? { text: said[0][0], hz: Number(said[0][1]) } : null;
}

/**
 * The unit that the values of a sensor suggest, and why, for the question.
 *
 * @param {Source} source
 * @param {Layout} layout
 * @param {SensorColumns} sensor
 * @returns {Promise<{unit: string | null, why: string}>}
 */
export async function likelyUnit(source, { head }, { sensor, columns }) {
  const vectors = await firstVectors(source, head, columns);
  if (kindOf(sensor) === "gyroscope") {
    const turning = vectors.flatMap((vector) => [...vector]).reduce((most, value) => (Math.abs(value) > most ? Math.abs(value) : most), 0);
    return { unit: turning > TURNS_FAST ? "deg/s" : "rad/s", why: `it reaches ${brief(turning, 3)}` };
  }
  const length = medianLength(vectors);
  return { unit: unitOfLength(length), why: `its median length is ${brief(length, 3)}` };
}

/**
 * Whether the rows are those of the sensors in turn, each without a value of the others.
 *
 * @param {Layout} layout
 */
function alternating({ head, sensors }) {
  const known = sensors.map(({ columns }) => sampled(head, columns).map((row) => row.some(Number.isFinite)));
  const [first] = known;
  if (known.some((rows) => rows.length !== first.length)) return false;
  return first.filter((_, i) => known.some((rows) => rows[i] !== first[i])).length > ALTERNATING * first.length;
}

/**
 * All rows of a stream, some at a time.
 *
 * @param {Stream} stream
 * @param {ReadOptions} options
 * @returns {AsyncGenerator<Rows, void, void>}
 * @throws {HarError} with the line: a cell is no number, a time cannot be read, or there is no row
 */
export async function* readRows(stream, options) {
  const { head, clock, sensors } = stream.layout;
  const isText = clock?.unit === "text";
  const numeric = [...sensors.flatMap(({ columns }) => columns), ...(clock && !isText ? [clock.column] : [])];
  const times = new Times(stream, options);
  let count = 0;
  for await (const found of readBlocks(stream.source, head, numeric, clock && isText ? clock.column : null, options.chunkRows)) {
    const part = stream.alternates ? withAnyValue(found, numeric.length) : found;
    if (!part.line.length) continue;
    const values = toContract(stream, part.numbers, numeric.length);
    yield { line: part.line, stretch: new Float64Array(part.line.length), time: times.read(part, numeric.length, count), values };
    count += part.line.length;
  }
  if (!count) throw new HarError(`${stream.name} has a header but no samples; expected at least one window of samples`);
}

/**
 * The rows in which the one sensor of a stream has a value.
 *
 * @param {Block} block
 * @param {number} width columns of its numbers
 * @returns {Block}
 */
function withAnyValue({ line, numbers, texts }, width) {
  const kept = [...line.keys()].filter((row) => [0, 1, 2].some((c) => Number.isFinite(numbers[row * width + c])));
  return {
    line: Float64Array.from(kept, (row) => line[row]),
    numbers: Float64Array.from({ length: kept.length * width }, (_, i) => numbers[kept[Math.floor(i / width)] * width + (i % width)]),
    texts: texts.length ? kept.map((row) => texts[row]) : [],
  };
}

/** Times of a stream's rows in s; their unit and the order of day and month are told from the first rows. */
class Times {
  /**
   * @param {Stream} stream
   * @param {ReadOptions} options
   */
  constructor(stream, options) {
    this.stream = stream;
    this.unit = options.timeUnit ?? stream.layout.clock?.unit ?? null;
    this.dates = new DateReader(stream.dayFirst);
  }

  /**
   * @param {Block} block
   * @param {number} width columns of its numbers; the last one holds the times
   * @param {number} before rows that came before
   */
  read({ line, numbers, texts }, width, before) {
    const { name, layout, rateHz, pauses } = this.stream;
    if (!layout.clock) return line.map((_, i) => (before + i) / /** @type {number} */ (rateHz));
    if (layout.clock.unit === "text") {
      const time = Float64Array.from(texts, (text) => this.dates.second(text));
      const row = time.findIndex((timeS) => !Number.isFinite(timeS));
      if (row < 0) return time;
      const found = `line ${line[row]}: ${quoted(texts[row].slice(0, 40))}`;
      throw new HarError(`${name}: ${found} is no time; expected one like 2024-05-31T12:00:00.02`);
    }
    const time = line.map((_, i) => numbers[(i + 1) * width - 1]);
    this.unit ??= tellUnit(time);
    if (this.unit === null) {
      const begin = Array.from(time.subarray(0, 3), (number) => brief(number, 12)).join(", ");
      throw new ChoiceNeeded(`${name}: the times begin with ${begin}, which is a sensor's rate in no unit; choose the unit of the times`);
    }
    const unitS = TIME_UNITS[this.unit];
    return time.map((number) => {
      const timeS = number * unitS;
      return pauses.reduce((sum, { atS, seconds }) => (timeS >= atS ? sum + seconds : sum), 0) + timeS;
    });
  }
}

/**
 * The file's numbers in g and rad/s; the parts of an acceleration are added.
 *
 * @param {Stream} stream
 * @param {Float64Array} numbers (row, column), row by row, three columns a sensor first
 * @param {number} width columns
 */
function toContract({ layout, sensors }, numbers, width) {
  const rows = numbers.length / width;
  const channels = 3 * sensors.length;
  const values = new Float64Array(rows * channels);
  for (const [place, { sensor, unit, sign }] of layout.sensors.entries()) {
    const factor = sign * (kindOf(sensor) === "gyroscope" ? GYRO_UNITS : ACC_UNITS)[/** @type {string} */ (unit)];
    const first = 3 * sensors.indexOf(sensors.includes(whole(sensor)) ? whole(sensor) : sensor);
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < 3; c++) values[row * channels + first + c] += numbers[row * width + 3 * place + c] * factor;
    }
  }
  return values;
}
