/**
 * Physical limits of body-worn sensors, and the samples that break them: the table of `har/recording/limits.py`, which
 * training, runtime and this page share. A sample outside the limits is handled as if it were missing.
 */

import { ChoiceNeeded, HarError, ROUNDING_S, brief, channelsOf, kindOf } from "./contract.js";

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

/** Names of the sensors of a window; each has three channels, in this order. */
export const BOTH = Object.freeze(["accelerometer", "gyroscope"]);

/**
 * Largest |value| of each channel, in g and rad/s.
 *
 * @param {readonly string[]} [sensors]
 */
export function limitsOf(sensors = BOTH) {
  return sensors.flatMap((sensor) => new Array(3).fill(kindOf(sensor) === "gyroscope" ? GYRO_LIMIT_RAD_S : ACC_LIMIT_G));
}

const LIMITS = Object.freeze(limitsOf());

/**
 * The channel of a sample that is farthest outside its limit, or -1 where all are inside. NaN is not outside.
 *
 * @param {ArrayLike<number>} values
 * @param {number} [at] place of the sample's first value
 * @param {readonly number[]} [limits] of the channels
 */
export function outsideChannel(values, at = 0, limits = LIMITS) {
  let found = -1;
  let most = 1;
  for (let c = 0; c < limits.length; c++) {
    const share = Math.abs(values[at + c]) / limits[c];
    if (share > most) [found, most] = [c, share];
  }
  return found;
}

/**
 * Refuse samples whose unit is another, or of which too many break a limit to be single faults.
 *
 * @param {string} name of the recording or sensor, for messages
 * @param {ArrayLike<number>} values (row, channel)
 * @param {number[]} broken rows outside the limits
 * @param {string} first where the first of them is
 * @param {string} advice what to do about angular velocity in deg/s
 * @param {readonly string[]} [sensors] of the channels
 * @throws {HarError}
 */
export function checkOutside(name, values, broken, first, advice, sensors = BOTH) {
  if (!broken.length) return;
  const rows = values.length / (3 * sensors.length);
  const turning = turningOf(values, sensors);
  const tooMany = broken.length > Math.max(FEW_OUTSIDE, MOST_OUTSIDE * rows);
  const byGyro = broken.filter((row) => turning[row] > GYRO_LIMIT_RAD_S).length;
  if (inDegrees(turning) || (tooMany && byGyro > broken.length / 2)) {
    const peak = turning.reduce((most, value) => Math.max(most, value), 0);
    throw new ChoiceNeeded(
      `${name}: the gyroscope reaches ${brief(peak)} rad/s, expected at most ${GYRO_LIMIT_RAD_S}; it looks like deg/s: ${advice}`,
    );
  }
  if (tooMany) {
    throw new HarError(
      `${name}: ${broken.length} of ${rows} samples are outside the physical limits (${LIMITS_TEXT}), the first in ${first}; ` +
        "the sensor or the file is broken, or the unit is another",
    );
  }
}

/**
 * Largest |angular velocity| of any axis of each row; 0 without a gyroscope.
 *
 * @param {ArrayLike<number>} values (row, channel)
 * @param {readonly string[]} sensors of the channels
 */
export function turningOf(values, sensors) {
  const width = 3 * sensors.length;
  const channels = sensors.flatMap((sensor, s) => (kindOf(sensor) === "gyroscope" ? [3 * s, 3 * s + 1, 3 * s + 2] : []));
  const largest = (/** @type {number} */ row) => Math.max(0, ...channels.map((c) => Math.abs(values[row * width + c])));
  return Float64Array.from({ length: values.length / width }, (_, row) => largest(row));
}

/**
 * Whether the largest |angular velocity| of each row crosses the limit as a movement does, not as a single fault.
 *
 * @param {Float64Array} turning (row,)
 */
export function inDegrees(turning) {
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
  /** @param {readonly string[]} [sensors] */
  constructor(sensors = BOTH) {
    this.lastS = NaN;
    this.last = new Float32Array(3 * sensors.length);
    this.sinceS = sensors.map(() => NaN);
  }

  /**
   * Take the next sample. A step back in time, or one of more than `PAUSE_S`, ends a run.
   *
   * @param {number} timeS
   * @param {ArrayLike<number>} values
   * @param {number} [at] place of the sample's first value
   * @returns {number[]} s since the first sample of the run that this one belongs to, of each sensor
   */
  push(timeS, values, at = 0) {
    const joined = timeS >= this.lastS && timeS - this.lastS <= PAUSE_S;
    this.sinceS.forEach((_, sensor) => {
      let same = joined;
      for (let c = 3 * sensor; c < 3 * sensor + 3; c++) same &&= Math.fround(values[at + c]) === this.last[c];
      if (!same) this.sinceS[sensor] = timeS;
    });
    for (let c = 0; c < this.last.length; c++) this.last[c] = values[at + c];
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
 * Values that were resampled, cut to the limits: a filter overshoots where a movement is abrupt, and what it was given was inside.
 *
 * @param {Float64Array} values (time, channel), row by row
 * @param {readonly string[]} [sensors] of the channels
 */
export function within(values, sensors = BOTH) {
  const limits = limitsOf(sensors);
  return values.map((value, i) => Math.min(limits[i % limits.length], Math.max(-limits[i % limits.length], value)));
}

/**
 * Samples at 50 Hz as a model takes them.
 *
 * @param {Float64Array} values (time, 6), row by row
 */
export function toSamples(values) {
  return Float32Array.from(within(values));
}

/**
 * What a window holds that no worn sensor measures, or null.
 *
 * @param {Float32Array} window (time, channel), row by row
 * @param {number} sampleRateHz
 * @param {readonly string[]} [sensors] of the channels
 */
export function faultOf(window, sampleRateHz, sensors = BOTH) {
  const repeats = new Repeats(sensors);
  const channels = sensors.flatMap((sensor) => channelsOf(sensor).channels);
  const limits = limitsOf(sensors);
  for (let i = 0; i < window.length / channels.length; i++) {
    const values = window.subarray(i * channels.length, (i + 1) * channels.length);
    const missing = values.findIndex((value) => !Number.isFinite(value));
    if (missing >= 0) return `is not finite at sample ${i}, channel ${channels[missing]}`;
    const c = outsideChannel(values, 0, limits);
    if (c >= 0) return `has ${channels[c]} = ${brief(values[c])} at sample ${i}, outside the physical limits (${LIMITS_TEXT})`;
    const sensor = repeats.push(i / sampleRateHz, values).findIndex(isFrozen);
    if (sensor >= 0) return `holds ${FROZEN_S} s or more in which the ${sensors[sensor]} repeats one value, up to sample ${i}`;
  }
  return null;
}
