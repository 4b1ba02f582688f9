/**
 * Windows out of samples that arrive in any pieces, and the stretch of time that each speaks for: the rules of
 * `har/runtime/recognizer.py`.
 */

/**
 * @typedef {object} CutWindow
 * @property {Float32Array} samples (window, channel), oldest first, row by row
 * @property {number} fromS start of what the window speaks for
 * @property {number} toS its end, unless another window of the same stretch follows and begins before
 * @property {boolean} first of its stretch
 */

/** A ring buffer of one window; a window comes out when it is full, and then after every `stride` samples. */
export class WindowStream {
  /**
   * @param {{windowSize: number, stride: number, width: number, sampleRateHz: number}} contract
   */
  constructor({ windowSize, stride, width, sampleRateHz }) {
    this.windowSize = windowSize;
    this.stride = stride;
    this.width = width;
    this.periodS = 1 / sampleRateHz;
    // The border between two windows lies half-way between their centres.
    this.border = Math.floor(windowSize / 2) - (stride - Math.floor(stride / 2));
    this.samples = new Float32Array(windowSize * width);
    this.time = new Float64Array(windowSize);
    this.count = 0;
  }

  /** Forget everything: what comes next is another stretch, and no window holds samples of both. */
  reset() {
    this.count = 0;
  }

  /**
   * @param {ArrayLike<number>} time (time,) s
   * @param {Float32Array} samples (time, width), row by row
   * @returns {CutWindow[]}
   */
  push(time, samples) {
    const found = [];
    for (let i = 0; i < time.length; i++) {
      this.#put(this.count, time[i], samples.slice(i * this.width, (i + 1) * this.width));
      found.push(...this.#advance());
    }
    return found;
  }

  /**
   * Put a late sample into its place.
   *
   * @param {number} timeS
   * @param {Float32Array} sample (width,)
   * @returns {CutWindow[] | null} null where the sample that comes before it in time is not in the buffer any more
   */
  insert(timeS, sample) {
    const kept = Math.min(this.count, this.windowSize);
    let place = this.count; // of the sample in its stretch
    while (place > this.count - kept && this.time[(place - 1) % this.windowSize] > timeS) place--;
    if (place === this.count - kept) return null;
    for (let later = this.count; later > place; later--) {
      const from = (later - 1) % this.windowSize;
      this.#put(later, this.time[from], this.samples.slice(from * this.width, (from + 1) * this.width));
    }
    this.#put(place, timeS, sample);
    return this.#advance();
  }

  /**
   * @param {number} place of the sample in its stretch
   * @param {number} timeS
   * @param {ArrayLike<number>} sample (width,)
   */
  #put(place, timeS, sample) {
    this.time[place % this.windowSize] = timeS;
    this.samples.set(sample, (place % this.windowSize) * this.width);
  }

  /** One more sample is in the buffer. */
  #advance() {
    this.count++;
    const past = this.count - this.windowSize;
    return past >= 0 && past % this.stride === 0 ? [this.#cut(past)] : [];
  }

  /**
   * @param {number} start first sample of the window in its stretch
   * @returns {CutWindow}
   */
  #cut(start) {
    const oldest = start % this.windowSize;
    const samples = new Float32Array(this.samples.length);
    samples.set(this.samples.subarray(oldest * this.width));
    samples.set(this.samples.subarray(0, oldest * this.width), (this.windowSize - oldest) * this.width);
    const timeOf = (/** @type {number} */ sample) => this.time[(oldest + sample) % this.windowSize];
    return {
      samples,
      fromS: timeOf(start === 0 ? 0 : this.border), // the first window speaks from the very start of its stretch
      toS: timeOf(this.windowSize - 1) + this.periodS,
      first: start === 0,
    };
  }
}
