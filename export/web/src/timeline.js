/**
 * Activities over time: one entry a window, runs of one activity, and the CSV file that `har predict --output` writes.
 */

import { HarError } from "./contract.js";
import { textCell } from "./csv.js";
import { longer } from "./numbers.js";

/**
 * @typedef {object} Entry
 * @property {number} fromS
 * @property {number} toS
 * @property {Float32Array} probabilities one a label
 * @property {number} below least of them that is an answer
 * @property {string} activity the decision: a label, or UNKNOWN
 */

/**
 * @typedef {object} Span A run of one activity; the end of a stretch ends it.
 * @property {number} fromS
 * @property {number} toS
 * @property {string} label
 * @property {number} confidence mean over its windows
 * @property {number} windows
 */

const TIMES = 3; // numbers of an entry beside its probabilities

/** The decision where no label is probable enough. */
export const UNKNOWN = "UNKNOWN";

/**
 * Index of the largest value, the first of equal ones.
 *
 * @param {ArrayLike<number>} values
 */
export function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/**
 * Which activity a window shows: the most probable label, the first of equal ones, where it is probable enough.
 *
 * @param {ArrayLike<number>} probabilities one a label
 * @param {readonly string[]} labels
 * @param {number} below least probability that is an answer
 * @returns {string} a label, or UNKNOWN
 * @throws {HarError} a probability is not finite
 */
export function decide(probabilities, labels, below) {
  const bad = Array.from(probabilities).findIndex((probability) => !Number.isFinite(probability));
  if (bad >= 0) throw new HarError(`The probability of ${labels[bad]} is ${probabilities[bad]}; expected a number. Export again: har export.`);
  const best = argmax(probabilities);
  return probabilities[best] >= below ? labels[best] : UNKNOWN;
}

export class Timeline {
  /**
   * @param {string[]} labels in the order of the probabilities
   * @param {number} unknownBelow least probability that is an answer; 0 where every answer counts
   */
  constructor(labels, unknownBelow) {
    this.labels = labels;
    this.unknownBelow = unknownBelow;
    /** Entries. */
    this.length = 0;
    // A day has some 70,000 entries; as numbers they take a tenth of the memory that objects take.
    this.times = new Float64Array(256 * TIMES); // start, end, and least probability that is an answer
    this.shares = new Float32Array(256 * labels.length);
    /** @type {Span[]} kept up to date, because the page draws ten times a second */
    this.runs = [];
  }

  /**
   * @param {number} place of an entry; from the end where it is negative
   * @returns {Entry}
   */
  entry(place) {
    const at = place < 0 ? this.length + place : place;
    const [fromS, toS, below] = this.times.subarray(TIMES * at, TIMES * (at + 1));
    const probabilities = this.shares.slice(this.labels.length * at, this.labels.length * (at + 1));
    return { fromS, toS, below, probabilities, activity: decide(probabilities, this.labels, below) };
  }

  *[Symbol.iterator]() {
    for (let place = 0; place < this.length; place++) yield this.entry(place);
  }

  /**
   * @param {import("./windows.js").CutWindow} window
   * @param {Float32Array} probabilities
   * @param {number} below least of them that is an answer
   */
  add(window, probabilities, below = this.unknownBelow) {
    const label = decide(probabilities, this.labels, below);
    const run = this.runs[this.runs.length - 1];
    // The windows overlap, what they speak for does not.
    if (run && !window.first) run.toS = this.times[TIMES * (this.length - 1) + 1] = window.fromS;
    if (TIMES * this.length === this.times.length) {
      this.times = longer(this.times, new Float64Array(2 * this.times.length));
      this.shares = longer(this.shares, new Float32Array(2 * this.shares.length));
    }
    this.times.set([window.fromS, window.toS, below], TIMES * this.length);
    this.shares.set(probabilities, this.labels.length * this.length);
    this.length++;
    const confidence = probabilities[argmax(probabilities)];
    if (run && !window.first && run.label === label) {
      run.confidence = (run.confidence * run.windows + confidence) / (run.windows + 1);
      run.windows++;
      run.toS = window.toS;
    } else {
      this.runs.push({ fromS: window.fromS, toS: window.toS, label, confidence, windows: 1 });
    }
  }

  /**
   * Runs of one activity; to be looked at, not to be changed.
   *
   * @returns {readonly Span[]}
   */
  spans() {
    return this.runs;
  }

  /** First and last moment; where the clock was set back, they need not be those of the first and the last entry. */
  range() {
    const fromS = this.runs.reduce((least, run) => Math.min(least, run.fromS), Infinity);
    const toS = this.runs.reduce((most, run) => Math.max(most, run.toS), -Infinity);
    return this.length ? { fromS, toS } : { fromS: 0, toS: 0 };
  }

  /**
   * Minutes of each activity that occurs, in the order of the labels; UNKNOWN is the last one and always there.
   *
   * @returns {[string, number][]}
   */
  minutes() {
    const seconds = (/** @type {string} */ name) =>
      this.runs.reduce((sum, { label, fromS, toS }) => sum + (label === name ? toS - fromS : 0), 0);
    const names = [...this.labels.filter((label) => label !== UNKNOWN), UNKNOWN];
    return names.map((name) => /** @type {[string, number]} */ ([name, seconds(name) / 60])).filter(([name, minutes]) => minutes || name === UNKNOWN);
  }

  /**
   * The entry that speaks for a time, the first one where stretches share it; the last one before it where none does.
   *
   * @param {number} timeS
   */
  at(timeS) {
    let found = 0;
    let endS = -Infinity;
    for (let place = 0; place < this.length; place++) {
      const [fromS, toS] = this.times.subarray(TIMES * place, TIMES * place + 2);
      if (fromS > timeS) continue;
      if (toS > timeS) return this.entry(place);
      if (toS > endS) [found, endS] = [place, toS];
    }
    return this.entry(found);
  }

  /** One row a window, as `har predict --output` writes: the decision, and the highest probability as its confidence. */
  csv() {
    const rows = [["from_s", "to_s", "activity", "confidence", ...this.labels.map((label) => textCell(`p_${label}`))].join(",")];
    for (const { fromS, toS, probabilities, activity } of this) {
      const shares = Array.from(probabilities, (p) => p.toFixed(6));
      rows.push([fromS.toFixed(3), toS.toFixed(3), textCell(activity), shares[argmax(probabilities)], ...shares].join(","));
    }
    return `${rows.join("\n")}\n`;
  }
}
