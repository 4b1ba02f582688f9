/**
 * Physical limits of body-worn sensors, and the samples that break them: the table of `har/recording/limits.py`, which
 * training, runtime and this page share. A sample outside the limits is handled as if it were missing.
 */

import { CHANNELS, HarError, ROUNDING_S, WIDTH, brief } from "./contract.js";

export const ACC_LIMIT_G = 16; // |value| of any axis; the widest full scale of accelerometers in phones and watches
export const GYRO_LIMIT_RAD_S = 40; // |value| of any axis; the usual full scale of 2000 deg/s is 34.9 rad/s
export const FROZEN_S = 1; // a sensor that repeats all of its axes bit for bit for so long is frozen: noise moves the last digit
export const FULL_SCALES_G = Object.freeze([2, 4, 8]); // of accelerometers that clip below the limit
export const CLIPPED_LEAST = 5; // samples at exactly the largest value of a channel
export const MOST_OUTSIDE = 0.01; // share of rows outside the limits; more is another unit or a broken file
export const FEW_OUTSIDE = 3; // rows that are never too many
export const DEG_S_MOST = 4000; // the widest full scale of gyroscopes in deg/s
export const DEG_S_NEXT = 10; // rad/s; a movement in deg/s passes through values above it on its way beyond the limit
export const PAUSE_S = 0.25; // a longer step between two samples ends a run of equal values

export const LIMITS_TEXT = `${ACC_LIMIT_G} g, ${GYRO_LIMIT_RAD_S} rad/s`;

/** Names of the sensors; each has three channels, in this order. */
export const SENSORS = Object.freeze(["accelerometer", "gyroscope"]);

/** @param {number} channel */
export function limitOf(channel) {
  return channel < 3 ? ACC_LIMIT_G : GYRO_LIMIT_RAD_S;
}

/**
 * The channel of a sample that is farthest outside its limit, or -1 where all are inside. NaN is not outside.
 *
 * @param {ArrayLike<number>} values
 * @param {number} [at] place of the sample's first value
 */
export function outsideChannel(values, at = 0) {
  let found = -1;
  let most = 1;
  for (let c = 0; c < WIDTH; c++) {
    const share = Math.abs(values[at + c]) / limitOf(c);
    if (share > most) [found, most] = [c, share];
  }
  return found;
}

/**
 * Refuse samples whose unit is another, or of which too many break a limit to be single faults.
 *
 * @param {string} name of the recording or sensor, for messages
 * @param {ArrayLike<number>} values (row, 6)
 * @param {number[]} broken rows outside the limits
 * @param {string} first where the first of them is
 * @param {string} advice what to do about angular velocity in deg/s
 * @throws {HarError}
 */
export function checkOutside(name, values, broken, first, advice) {
  if (!broken.length) return;
  const rows = values.length / WIDTH;
  const turning = Float64Array.from({ length: rows }, (_, i) =>
    Math.max(...[3, 4, 5].map((c) => Math.abs(values[i * WIDTH + c]))),
  );
  const tooMany = broken.length > Math.max(FEW_OUTSIDE, MOST_OUTSIDE * rows);
  const byGyro = broken.filter((row) => turning[row] > GYRO_LIMIT_RAD_S).length;
  if (inDegrees(turning) || (tooMany && byGyro > broken.length / 2)) {
    const peak = turning.reduce((most, value) => Math.max(most, value), 0);
    throw new HarError(
      `${name}: the gyroscope reaches ${brief(peak)} rad/s, expected at most ${GYRO_LIMIT_RAD_S}; it looks like deg/s: ${advice}`,
    );
  }
  if (tooMany) {
    throw new HarError(
      `${name}: ${broken.length} of ${rows} samples are outside the physical limits (${LIMITS_TEXT}), the first in ${first}; ` +
        "the sensor or the file is broken, or the unit is another.",
    );
  }
}

/**
 * Whether the largest |angular velocity| of each row crosses the limit as a movement does, not as a single fault.
 *
 * @param {Float64Array} turning (row,)
 */
function inDegrees(turning) {
  const beyond = (/** @type {number} */ i) => turning[i] > GYRO_LIMIT_RAD_S && turning[i] <= DEG_S_MOST;
  const near = (/** @type {number} */ i) => turning[i] > DEG_S_NEXT && turning[i] <= GYRO_LIMIT_RAD_S;
  let runs = 0;
  let crossings = 0;
  for (let i = 0; i < turning.length; i++) {
    if (!beyond(i)) continue;
    const first = i;
    while (beyond(i + 1)) i++;
    runs++;
    if (near(first - 1) || near(i + 1)) crossings++;
  }
  return runs > 0 && crossings >= runs / 2;
}

/** For how long each sensor has repeated its value bit for bit, in the single precision that a model is given. */
export class Repeats {
  constructor() {
    this.lastS = NaN;
    this.last = new Float32Array(WIDTH);
    this.sinceS = [NaN, NaN];
  }

  /**
   * Take the next sample. A step back in time, or one of more than `PAUSE_S`, ends a run.
   *
   * @param {number} timeS
   * @param {ArrayLike<number>} values
   * @param {number} [at] place of the sample's first value
   * @returns {number[]} s since the first sample of the run that this one belongs to: accelerometer, gyroscope
   */
  push(timeS, values, at = 0) {
    const joined = timeS >= this.lastS && timeS - this.lastS <= PAUSE_S;
    SENSORS.forEach((_, sensor) => {
      let same = joined;
      for (let c = 3 * sensor; c < 3 * sensor + 3; c++) same &&= Math.fround(values[at + c]) === this.last[c];
      if (!same) this.sinceS[sensor] = timeS;
    });
    for (let c = 0; c < WIDTH; c++) this.last[c] = values[at + c];
    this.lastS = timeS;
    return this.sinceS.map((sinceS) => timeS - sinceS);
  }
}

/**
 * Whether a sensor that has repeated its value for some time is frozen.
 *
 * @param {number} seconds
 */
export function isFrozen(seconds) {
  return seconds >= FROZEN_S - ROUNDING_S;
}

/**
 * Samples at 50 Hz as a model takes them. A filter overshoots where a movement is abrupt, and what it was given was inside the
 * limits; so what comes out is cut to them.
 *
 * @param {Float64Array} values (time, 6), row by row
 */
export function toSamples(values) {
  return Float32Array.from(values, (value, i) => {
    const limit = limitOf(i % WIDTH);
    return Math.min(limit, Math.max(-limit, value));
  });
}

/**
 * What a window holds that no worn sensor measures, or null.
 *
 * @param {Float32Array} window (time, 6), row by row
 * @param {number} sampleRateHz
 */
export function faultOf(window, sampleRateHz) {
  const repeats = new Repeats();
  for (let i = 0; i < window.length / WIDTH; i++) {
    const values = window.subarray(i * WIDTH, (i + 1) * WIDTH);
    const missing = values.findIndex((value) => !Number.isFinite(value));
    if (missing >= 0) return `is not finite at sample ${i}, channel ${CHANNELS[missing]}`;
    const c = outsideChannel(values);
    if (c >= 0) return `has ${CHANNELS[c]} = ${brief(values[c])} at sample ${i}, outside the physical limits (${LIMITS_TEXT})`;
    const sensor = repeats.push(i / sampleRateHz, values).findIndex(isFrozen);
    if (sensor >= 0) return `holds ${FROZEN_S} s or more in which the ${SENSORS[sensor]} repeats one value, up to sample ${i}`;
  }
  return null;
}
