/**
 * Activities over time: one entry a window, runs of one activity, and the CSV file that `har predict --output` writes.
 */

import { longer } from "./numbers.js";

/**
 * @typedef {object} Entry
 * @property {number} fromS
 * @property {number} toS
 * @property {Float32Array} probabilities one a label
 * @property {number} below least of them that is an answer
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

/** What is said where no label is probable enough. */
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
    return { fromS, toS, below, probabilities: this.shares.slice(this.labels.length * at, this.labels.length * (at + 1)) };
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
    const run = this.runs[this.runs.length - 1];
    // The windows overlap, what they speak for does not.
    if (run && !window.first) run.toS = this.times[TIMES * (this.length - 1) + 1] = window.fromS;
    if (TIMES * this.length === this.times.length) {
      this.times = longer(this.times, new Float64Array(2 * this.times.length));
      this.shares = longer(this.shares, new Float32Array(2 * this.shares.length));
    }
    const entry = { fromS: window.fromS, toS: window.toS, below, probabilities };
    this.times.set([entry.fromS, entry.toS, below], TIMES * this.length);
    this.shares.set(probabilities, this.labels.length * this.length);
    this.length++;
    const label = this.said(entry);
    const confidence = probabilities[argmax(probabilities)];
    if (run && !window.first && run.label === label) {
      run.confidence = (run.confidence * run.windows + confidence) / (run.windows + 1);
      run.windows++;
      run.toS = entry.toS;
    } else {
      this.runs.push({ fromS: entry.fromS, toS: entry.toS, label, confidence, windows: 1 });
    }
  }

  /**
   * What is said about a window: its most probable label, or that nothing is known.
   *
   * @param {Entry} entry
   */
  said(entry) {
    const best = argmax(entry.probabilities);
    return entry.probabilities[best] < entry.below ? UNKNOWN : this.labels[best];
  }

  /**
   * Runs of what is said; to be looked at, not to be changed.
   *
   * @returns {readonly Span[]}
   */
  spans() {
    return this.runs;
  }

  /**
   * The entry that speaks for a time; the last one before it where none does.
   *
   * @param {number} timeS
   */
  at(timeS) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[TIMES * middle] <= timeS) low = middle + 1;
      else high = middle;
    }
    return this.entry(Math.max(0, low - 1));
  }

  /** One row a window, as `har predict --output` writes: the most probable label stands there however probable it is. */
  csv() {
    const rows = [["from_s", "to_s", "activity", "confidence", ...this.labels.map((label) => `p_${label}`)].join(",")];
    for (const { fromS, toS, probabilities } of this) {
      const best = argmax(probabilities);
      const shares = Array.from(probabilities, (p) => p.toFixed(6));
      rows.push([fromS.toFixed(3), toS.toFixed(3), this.labels[best], shares[best], ...shares].join(","));
    }
    return `${rows.join("\n")}\n`;
  }
}
