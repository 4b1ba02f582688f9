/**
 * From a recording to pieces of one rate in the units of the specification; order, units, limits, gaps and rate are checked or
 * named: a port of `har/recording/reading.py`; nothing is interpolated.
 */

import { checkConstant, checkUnits } from "./checks.js";
import { GAP_PERIODS, HarError, brief, columnsOf, kindOf, positionOf } from "./contract.js";
import { CLIPPED_LEAST, FULL_SCALES_G, LIMITS_TEXT, Repeats, checkOutside, isFrozen, limitsOf, outsideChannel, within } from "./limits.js";
import { rint } from "./numbers.js";
import { inOrder, join, pick, take, withLast } from "./order.js";
import { checkStillRegular, measureRate } from "./rate.js";
import { StreamResampler } from "./resampling.js";
import { DEFAULTS, findStreams, readRows, whole } from "./tables.js";
import { PAUSE_ROWS, pause } from "./text_tables.js";

const NAMED = 3; // faults of a kind that are named one by one
const LONGEST_S = 86_400; // times beyond a day are those of a calendar or of the device's start: they are given from the first sample on

/** @typedef {import("./tables.js").Rows} Rows */
/** @typedef {import("./tables.js").Stream} Stream */
/** @typedef {import("./tables.js").ReadOptions} ReadOptions */
/** @typedef {import("./source.js").Source} Source */
/** @typedef {{stretch: number, time: Float64Array, samples: Float32Array}} Piece samples: (time, channel), row by row */

/**
 * @typedef {object} Part Some samples of a stream at the rate that was asked for.
 * @property {number} stretch without a gap, from 0
 * @property {number} epoch how often the clock was set back before them
 * @property {Float64Array} time
 * @property {Float64Array} values (time, channel), row by row
 */

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

/** What was found in the samples of one clock, sorted and left out; complete once all pieces were taken. */
export class StreamReport {
  rows = 0; // that are used
  rateHz = NaN;
  resampled = false;
  sorted = 0; // rows that were at most LATE_S late
  mostLateS = 0;
  restarts = new Faults();
  duplicates = 0;
  missing = 0; // rows with missing values
  outside = new Faults();
  /** @type {Map<string, {sensor: string, line: number, seconds: number}>} runs of one value, by sensor and first line */
  frozen = new Map();
  bridged = 0; // gaps of a faster sensor that are none at the rate that was asked for
  gaps = 0;

  /**
   * @param {readonly string[]} sensors of the samples
   * @param {number} wantedHz
   */
  constructor(sensors, wantedHz) {
    this.sensors = sensors;
    this.wantedHz = wantedHz;
    this.width = 3 * sensors.length;
    this.low = new Float64Array(this.width).fill(Infinity);
    this.high = new Float64Array(this.width).fill(-Infinity);
    this.atLow = new Float64Array(this.width); // samples at exactly the lowest value
    this.atHigh = new Float64Array(this.width);
  }

  /** Time that the samples cover. */
  get seconds() {
    return this.rows ? this.rows / this.rateHz : 0;
  }

  /**
   * Take note of samples that are used.
   *
   * @param {Float64Array} values (time, channel), row by row
   */
  add(values) {
    this.rows += values.length / this.width;
    values.forEach((value, i) => {
      const c = i % this.width;
      if (value < this.low[c]) [this.low[c], this.atLow[c]] = [value, 0];
      if (value > this.high[c]) [this.high[c], this.atHigh[c]] = [value, 0];
      if (value === this.low[c]) this.atLow[c]++;
      if (value === this.high[c]) this.atHigh[c]++;
    });
  }

  /** A phrase about acceleration that clips below the limit; empty where it does not. */
  clipping() {
    const first = 3 * this.sensors.findIndex((sensor) => kindOf(sensor) === "accelerometer");
    const channels = first < 0 ? [] : [first, first + 1, first + 2];
    const peaks = channels.flatMap((c) => [{ peak: this.low[c], count: this.atLow[c] }, { peak: this.high[c], count: this.atHigh[c] }]);
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
    const resampled = this.resampled ? `, resampled to ${brief(this.wantedHz, 6)} Hz` : "";
    const parts = [`${this.sensors.map(wordsOf).join(" and ")}, ${this.rows} rows at ${brief(this.rateHz)} Hz${resampled}`];
    for (const [count, what] of /** @type {[number, string][]} */ ([
      [this.sorted, `sorted by time (up to ${brief(this.mostLateS, 3)} s late)`],
      [this.restarts.count, `where the time goes back and a new stretch begins: ${this.restarts.text()}`],
      [this.duplicates, "repeated and dropped"],
      [this.missing, "with missing values, left out"],
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
    if (this.bridged) parts.push(`${this.bridged} short ${this.bridged === 1 ? "gap" : "gaps"} interpolated`);
    if (this.gaps) parts.push(`${this.gaps} ${this.gaps === 1 ? "gap" : "gaps"} that no window crosses`);
    if (this.clipping()) parts.push(this.clipping());
    return parts.join("; ");
  }
}

/** What a recording is, and what was found in it; complete once all pieces were taken. */
export class ReadReport {
  format = "";
  /** @type {StreamReport[]} of each clock */
  streams = [];

  /** One line. */
  text() {
    const seconds = Math.max(0, ...this.streams.map((stream) => stream.seconds));
    return `${this.format}, ${rint(seconds)} s: ${this.streams.map((stream) => stream.text()).join("; ")}`;
  }
}

/**
 * What a sensor is called in a sentence.
 *
 * @param {string} sensor
 */
export function wordsOf(sensor) {
  const kind = kindOf(sensor);
  const acceleration = { accelerometer: "total acceleration", linear_acceleration: "acceleration without gravity" };
  return positionOf(sensor).replaceAll("_", " ") + ({ gravity: "gravity", gyroscope: "gyroscope", ...acceleration })[kind];
}

/**
 * Read a recording piece by piece. A file that has the wanted rate within 2 % and is regular keeps its samples as they are;
 * another is resampled with an anti-alias filter. Where the time goes back, and behind a gap, a new stretch begins.
 *
 * @param {Source} source
 * @param {ReadReport} report gets what was found
 * @param {Partial<ReadOptions>} [chosen]
 * @returns {AsyncGenerator<Piece, void, void>}
 * @throws {HarError} what does not fit, with line and column
 */
export async function* readPieces(source, report, chosen = {}) {
  const options = { ...DEFAULTS, ...chosen };
  const { format, streams } = await findStreams(source, options);
  report.format = format;
  report.streams = streams.map((stream) => new StreamReport(stream.sensors, options.sampleRateHz));
  const aligned = streams.length > 1;
  const read = streams.map((stream, i) => streamParts(stream, report.streams[i], options, aligned));
  let startS = NaN;
  for await (const { stretch, time, values } of aligned ? joined(source, streams, read, options) : read[0]) {
    if (Number.isNaN(startS)) startS = time[0] > LONGEST_S ? time[0] : 0;
    const shiftS = time[0] > LONGEST_S ? startS : 0; // a damaged first time does not move the others
    yield { stretch, time: time.map((timeS) => timeS - shiftS), samples: Float32Array.from(values) };
  }
}

/**
 * The samples at the times that all streams have, on a grid of whole periods; the parts of an acceleration are added.
 *
 * @param {Source} source
 * @param {Stream[]} streams
 * @param {AsyncGenerator<Part, void, void>[]} read
 * @param {ReadOptions} options
 * @returns {AsyncGenerator<Part, void, void>}
 * @throws {HarError} the clock of one stream is set back where that of another one goes on, or they have no time in common
 */
async function* joined(source, streams, read, options) {
  let [stretch, previous] = [-1, ""];
  const begin = [];
  for (const parts of read) begin.push((await parts.next()).value);
  const current = begin.flatMap((part) => part ?? []);
  if (current.length < streams.length) return; // no stretch of a stream is as long as a sample
  for (;;) {
    const epoch = Math.max(...current.map((part) => part.epoch));
    const first = current.map(({ time }) => rint(time[0] * options.sampleRateHz)); // NaN where all samples are used
    const low = Math.max(...current.flatMap((part, i) => (part.time.length && part.epoch === epoch ? first[i] : [])), -Infinity);
    const behind = current.map((part, i) => (part.epoch < epoch || !part.time.length ? part.time.length : low - first[i]));
    const place = behind.findIndex((samples, i) => samples >= current[i].time.length);
    for (const [i, part] of current.entries()) if (place < 0 || i < place) current[i] = cut(part, streams[i], Math.max(0, behind[i]));
    if (place >= 0) {
      const { value } = await read[place].next();
      if (!value) {
        const left = current.map((part) => part.epoch);
        for (const [other, parts] of read.entries()) {
          // What follows in the others is not used, unless a clock was set back.
          for await (const part of parts) left[other] = Math.max(left[other], part.epoch);
        }
        const ahead = streams[left.indexOf(Math.max(...left))].name;
        if (left.some((found) => found !== left[0])) {
          const where = `in ${ahead} and not in the other sensors`;
          throw new HarError(`${source.name}: the clock is set back ${where}; export the sensors with one clock`);
        }
        if (stretch >= 0) return;
        const what = streams.flatMap((stream) => stream.sensors.map(wordsOf)).join(" and ");
        throw new HarError(`${source.name}: ${what} have no time in common; export the sensors with one clock`);
      }
      current[place] = value;
      continue;
    }
    const count = Math.min(...current.map((part) => part.time.length));
    const stretches = current.map((part) => part.stretch).join(" ");
    if (`${stretches} ${low}` !== previous) stretch++;
    previous = `${stretches} ${low + count}`;
    yield { stretch, epoch, time: current[0].time.slice(0, count), values: added(streams, current, count, options.sensors) };
    current.forEach((part, i) => (current[i] = cut(part, streams[i], count)));
  }
}

/**
 * @param {Part} part
 * @param {Stream} stream
 * @param {number} first
 * @returns {Part}
 */
function cut(part, stream, first) {
  return { ...part, time: part.time.subarray(first), values: part.values.subarray(3 * stream.sensors.length * first) };
}

/**
 * The first samples of all streams side by side, in the order of the sensors that were asked for.
 *
 * @param {Stream[]} streams
 * @param {Part[]} current
 * @param {number} count
 * @param {readonly string[]} sensors
 */
function added(streams, current, count, sensors) {
  const width = 3 * sensors.length;
  const values = new Float64Array(count * width);
  for (const [i, stream] of streams.entries()) {
    const own = 3 * stream.sensors.length;
    for (const [place, sensor] of stream.sensors.entries()) {
      const first = 3 * sensors.indexOf(sensors.includes(sensor) ? sensor : whole(sensor));
      for (let row = 0; row < count; row++) {
        for (let c = 0; c < 3; c++) values[row * width + first + c] += current[i].values[row * own + 3 * place + c];
      }
    }
  }
  return values;
}

/**
 * @param {Stream} stream
 * @param {StreamReport} report
 * @param {ReadOptions} options
 * @param {boolean} aligned whether the samples must meet those of other streams
 * @returns {AsyncGenerator<Part, void, void>}
 */
async function* streamParts(stream, report, options, aligned) {
  const { name } = stream;
  const { width } = report;
  const { sampleRateHz } = options;
  let stretch = -1;
  let epoch = 0;
  let previousS = -Infinity;
  let previousStretch = 0; // in the order of the file
  /** @type {StreamResampler | null} */
  let resampler = null;
  /** @returns {Part} */
  const part = (/** @type {import("./resampling.js").Samples} */ { time, values }) => ({
    stretch, epoch, time, values: resampler ? within(values, report.sensors) : values,
  });
  const rest = () => (resampler ? part(resampler.push([], [], { last: true })) : null);
  for await (const rows of withinLimits(stream, inOrder(name, readRows(stream, options), report), report)) {
    if (report.rows === 0) {
      const rate = measureRate(name, rows.time, sampleRateHz, options.leastRateHz);
      report.rateHz = rate.hz;
      report.resampled = aligned || !rate.regular;
    } else if (!report.resampled) {
      checkStillRegular(name, rows.time, rows.line, sampleRateHz);
    }
    report.add(rows.values);
    const longest = GAP_PERIODS / Math.min(report.rateHz, sampleRateHz);
    let first = 0;
    for (let i = 0; i <= rows.time.length; i++) {
      const inside = i < rows.time.length;
      const restart = inside && rows.stretch[i] !== (i === 0 ? previousStretch : rows.stretch[i - 1]);
      const step = inside ? rows.time[i] - (i === 0 ? previousS : rows.time[i - 1]) : 0;
      const gap = step > longest;
      if (step > GAP_PERIODS / report.rateHz && !gap && !restart) report.bridged++;
      if (inside && !restart && !gap) continue;
      for (; first < i; first += PAUSE_ROWS) {
        const stop = Math.min(i, first + PAUSE_ROWS);
        const own = { time: rows.time.slice(first, stop), values: rows.values.slice(first * width, stop * width) };
        const found = part(resampler ? resampler.push(own.time, own.values) : own);
        if (found.time.length) yield found;
        await pause();
      }
      if (!inside) break;
      const last = rest();
      if (last?.time.length) yield last;
      if (gap && !restart && stretch >= 0) report.gaps++;
      stretch++;
      epoch = rows.stretch[i];
      resampler = report.resampled ? new StreamResampler(report.rateHz, sampleRateHz, width, aligned) : null;
      first = i;
    }
    previousS = rows.time[rows.time.length - 1];
    previousStretch = rows.stretch[rows.stretch.length - 1];
  }
  if (!report.rows) {
    const sensors = [...new Set([...report.frozen.values()].map(({ sensor }) => `the ${sensor}`))].sort();
    if (!sensors.length) throw new HarError(`${name} has no row without missing values; record again`);
    const what = `${sensors.join(" and ")} repeat${sensors.length === 1 ? "s" : ""} one value over all rows`;
    throw new HarError(`${name}: ${what}; the sensor was off or the column is wrong`);
  }
  const last = rest();
  if (last?.time.length) yield last;
  checkConstant(name, report);
}

/**
 * Rows without those that have missing values or break a physical limit: their times are left as gaps.
 *
 * @param {Stream} stream
 * @param {AsyncIterable<Rows>} parts in order
 * @param {StreamReport} report gets what is left out
 * @returns {AsyncGenerator<Rows, void, void>}
 * @throws {HarError} the values are in another unit
 */
async function* withinLimits(stream, parts, report) {
  const { sensors } = report;
  const repeats = new Repeats(sensors);
  /** @type {{seconds: number[], line: number[]}[]} since when the sensors of each row repeat their values, and from which line on */
  let runs = [];
  /** @type {Rows | null} whose run may become a frozen one with the next rows */
  let held = null;
  let line = sensors.map(() => 0);
  let unitsKnown = false;
  for await (const { part, last } of withLast(parts)) {
    const known = withoutMissing(part, report);
    if (known.time.length > 1 && !unitsKnown) {
      checkUnits(stream, known.values, sensors);
      unitsKnown = true;
    }
    const inside = withoutOutside(stream.name, known, report);
    inside.time.forEach((timeS, i) => {
      const seconds = repeats.push(timeS, inside.values, i * report.width);
      line = line.map((first, s) => (seconds[s] === 0 ? inside.line[i] : first));
      runs.push({ seconds, line });
    });
    /** @type {Rows} */
    const rows = held ? join(held, inside) : inside;
    const frozen = runs.map(() => false);
    let ready = runs.length;
    sensors.forEach((sensor, s) => {
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
 * @param {Rows} rows
 * @param {StreamReport} report gets how many rows are left out
 */
function withoutMissing(rows, report) {
  /** @type {Set<number>} */
  const bad = new Set();
  rows.values.forEach((value, i) => Number.isFinite(value) || bad.add(Math.floor(i / report.width)));
  report.missing += bad.size;
  return bad.size ? pick(rows, [...rows.time.keys()].filter((i) => !bad.has(i))) : rows;
}

/**
 * @param {string} name
 * @param {Rows} rows
 * @param {StreamReport} report gets the rows that are left out
 * @returns {Rows}
 */
function withoutOutside(name, rows, report) {
  const { sensors, width } = report;
  const limits = limitsOf(sensors);
  const channels = Array.from(rows.time, (_, i) => outsideChannel(rows.values, i * width, limits));
  const broken = [...channels.keys()].filter((i) => channels[i] >= 0);
  checkOutside(name, rows.values, broken, `line ${rows.line[broken[0]]}`, "choose deg/s as the unit of angular velocity", sensors);
  const columns = sensors.flatMap(columnsOf);
  for (const i of broken) {
    report.outside.add(`line ${rows.line[i]} (${columns[channels[i]]} is ${brief(rows.values[i * width + channels[i]])})`);
  }
  return broken.length ? pick(rows, [...channels.keys()].filter((i) => channels[i] < 0)) : rows;
}
