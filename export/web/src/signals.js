/**
 * The samples of a recording or of a live stream, for the plot; of two sensors at 50 Hz, 6 MB an hour.
 */

import { SAMPLE_RATE_HZ } from "./contract.js";
import { BOTH } from "./limits.js";

export class Signals {
  time = new Float64Array(1024);
  count = 0;
  /** First samples of the parts in which the time does not go back. */
  starts = [0];

  /**
   * @param {number} [most] so many of the last samples are kept, and up to twice as many
   * @param {readonly string[]} [sensors] of the samples
   * @param {number} [sampleRateHz]
   */
  constructor(most = Infinity, sensors = BOTH, sampleRateHz = SAMPLE_RATE_HZ) {
    this.most = most;
    this.sensors = sensors;
    this.sampleRateHz = sampleRateHz;
    this.width = 3 * sensors.length;
    this.samples = new Float32Array(1024 * this.width);
  }

  /**
   * @param {ArrayLike<number>} time (time,) s
   * @param {ArrayLike<number>} samples (time, channel), row by row
   */
  push(time, samples) {
    if (this.count + time.length > 2 * this.most) this.#drop(Math.max(0, this.count - this.most));
    const count = this.count + time.length;
    if (count > this.time.length) {
      const size = Math.max(count, Math.min(2 * count, 2 * this.most));
      const grown = { time: new Float64Array(size), samples: new Float32Array(size * this.width) };
      grown.time.set(this.time.subarray(0, this.count));
      grown.samples.set(this.samples.subarray(0, this.count * this.width));
      Object.assign(this, grown);
    }
    for (let i = 0; i < time.length; i++) {
      if (this.count + i && time[i] < (i ? time[i - 1] : this.endS)) this.starts.push(this.count + i);
    }
    this.time.set(time, this.count);
    this.samples.set(samples, this.count * this.width);
    this.count = count;
  }

  /** @param {number} first samples, the oldest */
  #drop(first) {
    this.time.copyWithin(0, first, this.count);
    this.samples.copyWithin(0, first * this.width, this.count * this.width);
    this.count -= first;
    const starts = this.starts.map((start) => Math.max(0, start - first));
    this.starts = starts.filter((start, i) => start !== starts[i + 1]);
  }

  /** Time of the last sample; 0 before the first. */
  get endS() {
    return this.count ? this.time[this.count - 1] : 0;
  }

  /**
   * Samples between two times. Where the time went back, two parts may share them: the first that holds the end.
   *
   * @param {number} fromS
   * @param {number} toS
   * @param {boolean} [newest] look only at the part that came last
   * @returns {[number, number]} the first sample and the one past the last
   */
  between(fromS, toS, newest = false) {
    const { starts } = this;
    const stops = [...starts.slice(1), this.count];
    let part = starts.length - 1;
    let reached = -Infinity;
    for (let k = 0; k < starts.length && !newest; k++) {
      const reaches = Math.min(toS, this.time[stops[k] - 1]);
      if (this.time[starts[k]] <= toS && reaches > reached) [part, reached] = [k, reaches];
    }
    return [this.#indexOf(fromS, starts[part], stops[part]), this.#indexOf(toS + 1e-9, starts[part], stops[part])];
  }

  /**
   * First sample of a part that is not before a time.
   *
   * @param {number} timeS
   * @param {number} low
   * @param {number} high
   */
  #indexOf(timeS, low, high) {
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.time[middle] < timeS) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Mean total acceleration of the last samples, which is gravity while the phone is at rest.
   *
   * @param {number} samples
   * @returns {number[]} x, y, z in g
   */
  gravity(samples) {
    const first = Math.max(0, this.count - samples);
    return [0, 1, 2].map((c) => {
      let sum = 0;
      for (let i = first; i < this.count; i++) sum += this.samples[i * this.width + c];
      return sum / (this.count - first);
    });
  }
}
