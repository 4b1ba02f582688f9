/**
 * Windows out of samples as they arrive from sensors: their rate is measured, gaps end a stretch, other rates than 50 Hz
 * are resampled. The rules are those by which a recording is read (`reading.js`), as far as the future is not known.
 */

import { checkGravity } from "./checks.js";
import { GAP_PERIODS, HarError, LATE_S, ROUNDING_S, SAMPLE_RATE_HZ, WIDTH, WINDOW_SIZE, brief, sentence } from "./contract.js";
import { BOTH, LIMITS_TEXT, Repeats, checkOutside, isFrozen, outsideChannel, toSamples } from "./limits.js";
import { MAX_DRIFT, ENOUGH_HZ, RATE_TOLERANCE, measureRate } from "./rate.js";
import { StreamResampler } from "./resampling.js";

const MEASURE_S = 2; // of a stretch, for its rate; a window is longer, so nothing is lost by waiting
const PATIENCE_S = 5; // without two such seconds; then the user is told
const NAME = "The motion sensors";

/** @typedef {import("./windows.js").CutWindow} CutWindow */

/**
 * @typedef {object} LiveListener
 * @property {(time: Float64Array, samples: Float32Array) => void} onSamples (time,) s and (time, 6) at 50 Hz
 * @property {(window: CutWindow) => void} onWindow
 * @property {(rate: import("./rate.js").Rate) => void} onRate a stretch has begun whose rate is this
 * @property {(reason: string) => void} onGap a stretch has ended, and why
 * @property {(message: string) => void} onProblem samples came that cannot be used
 */

export class LiveStream {
  /** @type {number[]} times of the stretch's first samples, until its rate is known */
  time = [];
  /** @type {number[]} their values, row by row */
  values = [];
  /** @type {import("./rate.js").Rate | null} of the stretch, once it is known */
  rate = null;
  /** @type {StreamResampler | null} null where the samples are kept as they are */
  resampler = null;
  lastS = -Infinity;
  /** @type {number[]} times of the last samples, as far back as a late one can be put into its place */
  recent = [];
  repeats = new Repeats();
  /** @type {number[]} values of the last samples, those outside the limits among them */
  block = [];
  /** @type {string | null} the sensor that is frozen now */
  frozen = null;
  /** Samples that were not taken as they came, since the start. */
  faults = { sorted: 0, late: 0, mostLateS: 0, outside: 0, frozen: 0 };
  steps = 0; // since the rate was last looked at
  blockS = 0; // their length
  waitingS = NaN; // since when no rate is known
  waited = 0; // samples since then

  /**
   * @param {import("./windows.js").WindowStream} windows
   * @param {LiveListener} listener
   */
  constructor(windows, listener) {
    this.windows = windows;
    this.listener = listener;
    this.#begin();
  }

  #begin() {
    this.time = [];
    this.values = [];
    this.rate = null;
    this.resampler = null;
    this.lastS = -Infinity;
    this.recent = [];
    this.repeats = new Repeats();
    this.frozen = null;
    this.steps = this.blockS = 0;
    this.windows.reset();
  }

  /**
   * Take the next sample. One that is outside the physical limits is left out, as if it had not come.
   *
   * @param {number} timeS when it was measured
   * @param {ArrayLike<number>} sample six values
   */
  push(timeS, sample) {
    this.#checkUnits(sample);
    if (outsideChannel(sample) >= 0) {
      this.faults.outside++;
      return;
    }
    const lateS = this.lastS - timeS;
    if (lateS > LATE_S + ROUNDING_S) this.end(`the sensor's clock went back by ${brief(lateS)} s`);
    else if (lateS >= 0) return this.#late(timeS, sample, lateS);
    const step = timeS - this.lastS;
    const hz = this.rate ? Math.min(this.rate.hz, SAMPLE_RATE_HZ) : ENOUGH_HZ;
    if (Number.isFinite(step) && step > GAP_PERIODS / hz) this.end(`no sample for ${brief(step, 2)} s`);
    this.lastS = timeS;
    this.recent = [...this.recent.filter((recentS) => timeS - recentS <= LATE_S + ROUNDING_S), timeS];
    const sensor = BOTH[this.repeats.push(timeS, sample).findIndex(isFrozen)];
    if (sensor) return this.#freeze(sensor, timeS);
    this.frozen = null;
    if (!this.rate) {
      this.#grumble(timeS);
      this.time.push(timeS);
      for (let c = 0; c < WIDTH; c++) this.values.push(sample[c]);
      if (timeS - this.time[0] >= MEASURE_S) this.#measure();
    } else if (this.#keepsItsRate(step)) {
      this.#feed([timeS], Float64Array.from(sample));
    } else {
      this.end(`the rate changed from ${brief(this.rate.hz, 3)} to ${brief(WINDOW_SIZE / this.blockS, 3)} Hz`);
      this.push(timeS, sample);
    }
  }

  /**
   * Say it where samples are outside the limits because their unit is another, or too often.
   *
   * @param {ArrayLike<number>} sample
   */
  #checkUnits(sample) {
    for (let c = 0; c < WIDTH; c++) this.block.push(sample[c]);
    if (this.block.length < WINDOW_SIZE * WIDTH) return;
    const values = Float64Array.from(this.block);
    this.block = [];
    const broken = Array.from({ length: WINDOW_SIZE }, (_, i) => i).filter((i) => outsideChannel(values, i * WIDTH) >= 0);
    this.#holds(() => checkOutside(NAME, values, broken, `sample ${broken[0]} of ${WINDOW_SIZE}`, "use another browser"));
  }

  /**
   * Put a sample that is a little late into its place, or leave it out: the samples around it may have been resampled, or be
   * gone. One that came before is left out.
   *
   * @param {number} timeS
   * @param {ArrayLike<number>} sample
   * @param {number} lateS
   */
  #late(timeS, sample, lateS) {
    if (this.recent.includes(timeS)) return; // delivered twice
    this.faults.mostLateS = Math.max(this.faults.mostLateS, lateS);
    this.recent.push(timeS);
    let sorted = false;
    if (!this.rate) {
      const place = this.time.findIndex((measuredS) => measuredS > timeS);
      sorted = place > 0;
      if (sorted) {
        this.time.splice(place, 0, timeS);
        this.values.splice(place * WIDTH, 0, ...Array.from({ length: WIDTH }, (_, c) => sample[c]));
      }
    } else if (!this.resampler) {
      const windows = this.windows.insert(timeS, toSamples(Float64Array.from(sample)));
      sorted = windows !== null;
      if (sorted) this.#keepsItsRate(0); // it was counted as missing
      for (const window of windows ?? []) this.listener.onWindow(window); // the plot does without it
    }
    this.faults[sorted ? "sorted" : "late"]++;
  }

  /**
   * Leave out the samples of a sensor that repeats its value, and end the stretch.
   *
   * @param {string} sensor
   * @param {number} timeS
   */
  #freeze(sensor, timeS) {
    this.faults.frozen++;
    if (this.frozen) return;
    const measured = Float64Array.from(this.values); // while the rate is not known
    if (measured.length && !this.#holds(() => checkGravity(NAME, measured))) return;
    const { repeats } = this;
    this.end(`the ${sensor} repeats one value`);
    this.repeats = repeats; // until another value comes
    this.lastS = timeS;
    this.recent = [timeS];
    this.frozen = sensor;
    this.listener.onProblem(`${NAME}: the ${sensor} repeats one value; it is off or broken. There is no answer until its value changes.`);
  }

  /** What was not taken as it came, in a sentence; empty where there is nothing. */
  faultsText() {
    const { sorted, late, mostLateS, outside, frozen } = this.faults;
    const parts = [];
    const most = `up to ${brief(mostLateS, 3)} s late`;
    if (sorted) parts.push(`${sorted} sorted by time (${most})`);
    if (late) parts.push(`${late} left out (${most})`);
    if (outside) parts.push(`${outside} outside the physical limits (${LIMITS_TEXT}) left out`);
    if (frozen) parts.push(`${frozen} of a sensor that repeats one value left out`);
    return parts.length ? `Samples: ${parts.join(", ")}.` : "";
  }

  /**
   * End the stretch: what the resampler still holds comes out, and no window crosses.
   *
   * @param {string} reason
   */
  end(reason) {
    const known = this.rate !== null;
    if (this.resampler) this.#emit(this.resampler.push([], [], { last: true }));
    this.#begin();
    if (known) this.listener.onGap(reason);
  }

  /**
   * Say it where no two seconds come without a gap.
   *
   * @param {number} timeS
   */
  #grumble(timeS) {
    if (!(timeS >= this.waitingS)) {
      this.waitingS = timeS;
      this.waited = 0;
    }
    const passedS = timeS - this.waitingS;
    if (passedS > PATIENCE_S) {
      const hz = brief(this.waited / passedS, 2);
      this.listener.onProblem(`${NAME} give ${hz} samples a second with gaps; expected at least ${ENOUGH_HZ}, and ${MEASURE_S} s without a gap.`);
      this.waitingS = timeS;
      this.waited = 0;
    }
    this.waited++;
  }

  /** The first two seconds are here: what rate is it, and can these be a phone's sensors? */
  #measure() {
    const time = Float64Array.from(this.time);
    const values = Float64Array.from(this.values);
    this.#holds(() => {
      const rate = measureRate(NAME, time);
      checkGravity(NAME, values);
      // A step that is a gap at this rate may have passed while the rate was not known.
      const longest = GAP_PERIODS / Math.min(rate.hz, SAMPLE_RATE_HZ);
      let first = 0;
      for (let i = 1; i < time.length; i++) if (time[i] - time[i - 1] > longest) first = i;
      if (first) {
        this.time = this.time.slice(first);
        this.values = this.values.slice(first * WIDTH);
        return;
      }
      this.rate = rate;
      this.waitingS = NaN;
      this.resampler = rate.regular ? null : new StreamResampler(rate.hz, SAMPLE_RATE_HZ, WIDTH);
      this.time = [];
      this.values = [];
      this.listener.onRate(rate);
      this.#feed(time, values);
    });
  }

  /**
   * Whether the samples can be used; where they cannot, begin anew and say why.
   *
   * @param {() => void} check throws a `HarError` then
   */
  #holds(check) {
    try {
      check();
      return true;
    } catch (error) {
      if (!(error instanceof HarError)) throw error;
      this.#begin();
      this.waitingS = NaN;
      this.listener.onProblem(sentence(error));
      return false;
    }
  }

  /**
   * Whether the mean step of each window's length of steps is still that of the measured rate.
   *
   * @param {number} step
   */
  #keepsItsRate(step) {
    const rate = /** @type {import("./rate.js").Rate} */ (this.rate);
    if (this.steps === WINDOW_SIZE) this.steps = this.blockS = 0;
    this.steps++;
    this.blockS += step;
    if (this.steps < WINDOW_SIZE) return true;
    const off = Math.abs((this.blockS / WINDOW_SIZE) * (rate.regular ? SAMPLE_RATE_HZ : rate.hz) - 1);
    return off <= (rate.regular ? 2 * RATE_TOLERANCE : MAX_DRIFT);
  }

  /**
   * @param {ArrayLike<number>} time
   * @param {Float64Array} values
   */
  #feed(time, values) {
    if (this.resampler) this.#emit(this.resampler.push(time, values));
    else this.#emit({ time: Float64Array.from(time), values });
  }

  /** @param {import("./resampling.js").Samples} found at 50 Hz */
  #emit({ time, values }) {
    if (!time.length) return;
    const samples = toSamples(values);
    this.listener.onSamples(time, samples);
    for (const window of this.windows.push(time, samples)) this.listener.onWindow(window);
  }
}
