/**
 * The samples of a session as the sensors gave them, at their own rate and times, so that nothing is lost before
 * `har predict` reads them.
 */

import { WIDTH } from "./contract.js";
import { recordingCsv } from "./csv.js";
import { longer } from "./numbers.js";

const MAX_HOURS = 4; // some 50 MB at 60 Hz; more may fill a phone's memory
const MAX_SAMPLES = MAX_HOURS * 3600 * 60;

export class Recorder {
  constructor() {
    this.time = new Float64Array(4096);
    this.values = new Float32Array(4096 * WIDTH);
    this.count = 0;
  }

  /** Whether no further sample is kept. */
  get full() {
    return this.count >= MAX_SAMPLES;
  }

  /**
   * @param {number} timeS
   * @param {ArrayLike<number>} sample six values
   */
  push(timeS, sample) {
    // What a browser delivers twice is left out. Late samples and set clocks are kept: the reader of the file handles them.
    if (this.full || (this.count && timeS === this.time[this.count - 1])) return;
    if (this.count === this.time.length) {
      this.time = longer(this.time, new Float64Array(2 * this.time.length));
      this.values = longer(this.values, new Float32Array(2 * this.values.length));
    }
    this.time[this.count] = timeS;
    for (let c = 0; c < WIDTH; c++) this.values[this.count * WIDTH + c] = sample[c];
    this.count++;
  }

  /** The file; its time begins at 0. */
  csv() {
    const start = this.time[0];
    return recordingCsv(this.time.subarray(0, this.count).map((time) => time - start), this.values.subarray(0, this.count * WIDTH));
  }
}
