/**
 * At which rate samples were taken, judged from their times: a port of `har/recording/rate.py`.
 */

import { GAP_PERIODS, HarError, SAMPLE_RATE_HZ, WINDOW_SIZE, brief } from "./contract.js";
import { diff, mean, median, quantile } from "./numbers.js";

export const RATE_TOLERANCE = 0.02; // a phone's 50 Hz is within 2 %: kept as it is; beyond it the gait frequencies move
export const MAX_JITTER = 0.25; // of a period, for the 99th percentile of the steps: more is resampled
export const MAX_DRIFT = 0.1; // of the rate, for any block of a window's length: more is resampled
const LEAST_RATE = 0.8; // of a model's rate: a slower recording has lost what it was trained on
export const ENOUGH_HZ = 40; // for any model that states no least rate
export const MAX_RATE_HZ = 5000; // faster than any phone: the time is in another unit
export const BURST_RATIO = 1.25; // mean over median step, pauses included; more is not a sensor that lost some samples
export const MAX_PAUSE = 1.75; // mean periods; a sensor that is late once is early the next time
const SHORT = 0.4; // of the mean step
const SHORT_SHARE = 1 / 3; // of all steps: half of them are short where samples arrive in pairs

/**
 * @typedef {object} Rate
 * @property {number} hz mean rate, gaps left out
 * @property {boolean} regular the wanted rate within 2 % throughout, so that the samples can be kept as they are
 */

/**
 * Judge times in s by the median step, by the mean step and by the mean of each stretch of a window. A step of
 * more than 2.5 median periods is a gap if such steps are rare, less than one in a window; if not, they belong to the rate.
 *
 * @param {string} name of the recording or sensor, for messages
 * @param {ArrayLike<number>} time (time,) increasing within a stretch
 * @param {number} [wantedHz]
 * @param {number | null} [leastHz] by default `LEAST_RATE` of the wanted rate, of which `ENOUGH_HZ` is enough
 * @returns {Rate}
 * @throws {HarError} the rate is too low or impossible, or the samples come in bursts
 */
export function measureRate(name, time, wantedHz = SAMPLE_RATE_HZ, leastHz = null) {
  const step = diff(time).filter((s) => s > 0); // the clock may have been set back between two stretches
  if (!step.length) {
    const count = `${time.length} sample${time.length > 1 ? "s that do not follow each other" : ""}`;
    throw new HarError(`${name} has ${count}; expected at least one window of samples at ${brief(wantedHz, 6)} Hz`);
  }
  const middle = median(step);
  const pause = quantile(step, 1 - 1 / WINDOW_SIZE); // as long as happens once in a window
  const average = mean(step.filter((s) => s <= 10 * pause)); // rare long gaps left out, pauses not
  const often = (step.filter((s) => s > GAP_PERIODS * middle).length / step.length) * WINDOW_SIZE > 1;
  const short = step.filter((s) => s < SHORT * average).length / step.length;
  if ((often && pause > MAX_PAUSE * average && average > BURST_RATIO * middle) || short > SHORT_SHARE) {
    throw new HarError(
      `${name}: the samples come in bursts, ${brief(1000 * quantile(step, 0.25), 3)} ms apart but ${brief(1 / average)} a second on average, ` +
        `with pauses of ${brief(1000 * pause, 3)} ms; expected the times at which they were measured, not at which they arrived: ` +
        "use the sensor's own time stamps",
    );
  }
  const irregular = often && pause <= GAP_PERIODS * average; // but without a hole
  const longest = GAP_PERIODS * (irregular ? average : middle);
  const kept = step.filter((s) => s <= longest);
  const hz = 1 / mean(kept);
  const advice = "choose the unit of the times";
  const least = leastHz ?? Math.min(ENOUGH_HZ, LEAST_RATE * wantedHz);
  if (hz < least) {
    const hint = hz < 1 ? `is the time in ms? ${advice}` : "record faster";
    throw new HarError(`${name}: the sampling rate is ${brief(hz)} Hz (mean), expected at least ${brief(least, 6)} Hz; ${hint}`);
  }
  if (hz > MAX_RATE_HZ) throw new HarError(`${name}: the sampling rate would be ${brief(hz)} Hz; is the time in s? ${advice}`);
  const jitter = quantile(kept.map((s) => Math.abs(s * hz - 1)), 0.99);
  const near = Math.abs(hz / wantedHz - 1) <= RATE_TOLERANCE;
  return { hz, regular: near && jitter <= MAX_JITTER && drift(kept, mean(kept)) <= MAX_DRIFT };
}

/**
 * The samples of a file that began regular are kept as they are; refuse a later part that is not regular any more.
 *
 * @param {string} name
 * @param {ArrayLike<number>} time (time,) times of the part, increasing within a stretch
 * @param {ArrayLike<number>} line of the file, for each of them
 * @param {number} wantedHz
 * @throws {HarError} with the lines of the part
 */
export function checkStillRegular(name, time, line, wantedHz) {
  if (time.length <= WINDOW_SIZE) return;
  const kept = diff(time).map((s) => s * wantedHz).filter((s) => s > 0 && s <= GAP_PERIODS); // in periods
  if (kept.length && Math.abs(mean(kept) - 1) <= 2 * RATE_TOLERANCE && drift(kept, 1) <= MAX_DRIFT) return;
  const found = kept.length ? wantedHz / mean(kept) : 0;
  throw new HarError(
    `${name}: the file begins at ${brief(wantedHz, 6)} Hz, but between lines ${line[0]} and ${line[line.length - 1]} its rate is another ` +
      `(${brief(found)} Hz on average); expected one rate; split the file where the rate changes`,
  );
}

/**
 * Largest share by which the mean step of a window's length of steps is off.
 *
 * @param {Float64Array} step
 * @param {number} period
 */
function drift(step, period) {
  let largest = 0;
  for (let first = 0; first + WINDOW_SIZE <= step.length; first += WINDOW_SIZE) {
    largest = Math.max(largest, Math.abs(mean(step.subarray(first, first + WINDOW_SIZE)) / period - 1));
  }
  return largest;
}
