/**
 * Resampling to a uniform rate with an anti-alias filter, in pieces of any length: a port of `har/signals/resampling.py`,
 * step by step, so that both give the same samples.
 */

import { besselI0, interpolateRows, rint } from "./numbers.js";

export const HALF_WIDTH_S = 0.32; // of the filter's kernel, at least: 16 samples at 50 Hz on each side
const HALF_WIDTH_CYCLES = 5.76; // of the cut-off, at least, so that the filter of a low rate is as steep
export const CUTOFF_SHARE = 0.45; // of the lower of both rates: 22.5 Hz for 50 Hz
export const KAISER_BETA = 8.0; // stop band about -80 dB

/** @typedef {ArrayLike<number>} Numbers */
/** @typedef {{time: Float64Array, values: Float64Array}} Samples (time,) seconds and (time, width) values, row by row */

/**
 * Weight of a sample `distanceS` away, before all weights of a grid point are made to sum to one.
 *
 * @param {number} distanceS
 * @param {number} cutoffHz
 * @param {number} halfWidthS
 */
function kernel(distanceS, cutoffHz, halfWidthS) {
  if (Math.abs(distanceS) > halfWidthS) return 0;
  const share = distanceS / halfWidthS;
  // Less one, so that the window is zero at its edge: whether a sample there is inside must not depend on rounding.
  const window = besselI0(KAISER_BETA * Math.sqrt(Math.max(0, 1 - share * share))) - 1;
  const angle = Math.PI * 2 * cutoffHz * distanceS;
  return (angle === 0 ? 1 : Math.sin(angle) / angle) * window;
}

/** @param {number} cutoffHz */
function halfWidthS(cutoffHz) {
  return Math.max(HALF_WIDTH_S, HALF_WIDTH_CYCLES / cutoffHz);
}

/**
 * Values at the times of a grid: windowed-sinc interpolation, which is a low-pass filter as well. The weights of a grid
 * point sum to one, so that a constant stays constant, at the edges too.
 *
 * @param {Numbers} time (time,) uniform, increasing
 * @param {Numbers} values (time, width), row by row
 * @param {number} width
 * @param {Numbers} grid (grid,) within the range of `time`
 * @param {number} cutoffHz at most half the lower of both rates
 * @returns {Float64Array} (grid, width)
 */
export function sincResample(time, values, width, grid, cutoffHz) {
  if (time.length < 2) throw new RangeError(`resampling needs two samples, found ${time.length}`);
  const period = (time[time.length - 1] - time[0]) / (time.length - 1);
  const half = halfWidthS(cutoffHz);
  const reach = Math.ceil(half / period);
  const result = new Float64Array(grid.length * width);
  for (let g = 0; g < grid.length; g++) {
    const centre = rint((grid[g] - time[0]) / period);
    const first = Math.max(0, centre - reach);
    const last = Math.min(time.length - 1, centre + reach);
    let sum = 0;
    for (let i = first; i <= last; i++) {
      const weight = kernel(grid[g] - (time[0] + i * period), cutoffHz, half);
      sum += weight;
      for (let c = 0; c < width; c++) result[g * width + c] += weight * values[i * width + c];
    }
    for (let c = 0; c < width; c++) result[g * width + c] /= sum;
  }
  return result;
}

/**
 * Uniform samples from one continuous stretch that arrives in pieces with irregular times. They are first brought to a
 * uniform grid at the source's own rate (linear), then to the target's rate (`sincResample`). The result does not depend
 * on how the stretch was cut, to rounding.
 */
export class StreamResampler {
  /**
   * @param {number} sourceHz mean rate of the stretch, gaps left out
   * @param {number} targetHz rate of the result
   * @param {number} width values a sample has
   * @param {boolean} [aligned] whether the result's times are whole periods from 0 on, so that those of several sensors meet, in
   *   place of from the first sample on
   */
  constructor(sourceHz, targetHz, width, aligned = false) {
    this.sourcePeriod = 1 / sourceHz;
    this.targetPeriod = 1 / targetHz;
    this.cutoffHz = CUTOFF_SHARE * Math.min(sourceHz, targetHz);
    this.reach = Math.ceil(halfWidthS(this.cutoffHz) * sourceHz) + 1;
    this.width = width;
    /** @type {number | null} */
    this.startS = null;
    this.aligned = aligned;
    this.offsetS = 0; // of the first time of the result, behind the first sample
    /** @type {Samples} irregular samples that the next piece is interpolated from */
    this.pending = { time: new Float64Array(0), values: new Float64Array(0) };
    /** Values on the source's grid that later results still need. */
    this.uniform = new Float64Array(0);
    this.uniformFirst = 0; // index of its first row on the source's grid
    this.uniformNext = 0; // first index that is not made yet
    this.targetNext = 0;
  }

  /**
   * Take increasing times and their values; give the samples that are ready. With `last`, everything that is left comes out.
   *
   * @param {Numbers} time (time,)
   * @param {Numbers} values (time, width), row by row
   * @param {{last?: boolean}} [options]
   * @returns {Samples}
   */
  push(time, values, { last = false } = {}) {
    if (this.startS === null) {
      if (!time.length) return { time: new Float64Array(0), values: new Float64Array(0) };
      this.startS = time[0];
      if (this.aligned) this.offsetS = Math.ceil(this.startS / this.targetPeriod - 1e-6) * this.targetPeriod - this.startS;
    }
    const pendingS = join(this.pending.time, time);
    const pending = join(this.pending.values, values);
    const endS = pendingS[pendingS.length - 1] - this.startS;
    const stop = Math.floor(endS / this.sourcePeriod + 1e-6) + 1;
    if (stop > this.uniformNext) {
      const grid = new Float64Array(stop - this.uniformNext);
      for (let i = 0; i < grid.length; i++) grid[i] = this.startS + (this.uniformNext + i) * this.sourcePeriod;
      this.uniform = join(this.uniform, interpolateRows(grid, pendingS, pending, this.width));
      this.uniformNext = stop;
    }
    const keep = Math.max(0, pendingS.length - 2);
    this.pending = { time: pendingS.slice(keep), values: pending.slice(keep * this.width) };
    return this.#emit(this.startS, last);
  }

  /**
   * @param {number} startS
   * @param {boolean} last
   * @returns {Samples}
   */
  #emit(startS, last) {
    const ready = last ? this.uniformNext - 1 : this.uniformNext - 1 - this.reach;
    const stop = ready >= 0 ? Math.floor((ready * this.sourcePeriod - this.offsetS) / this.targetPeriod + 1e-6) + 1 : 0;
    const rows = this.uniform.length / this.width;
    if (stop <= this.targetNext || rows < 2) return { time: new Float64Array(0), values: new Float64Array(0) };
    const grid = new Float64Array(stop - this.targetNext);
    for (let i = 0; i < grid.length; i++) grid[i] = this.offsetS + (this.targetNext + i) * this.targetPeriod;
    const uniformS = new Float64Array(rows);
    for (let i = 0; i < rows; i++) uniformS[i] = (this.uniformFirst + i) * this.sourcePeriod;
    const values = sincResample(uniformS, this.uniform, this.width, grid, this.cutoffHz);
    this.targetNext = stop;
    const needed = Math.floor((this.offsetS + stop * this.targetPeriod) / this.sourcePeriod) - this.reach - 1;
    const drop = Math.max(0, needed - this.uniformFirst);
    if (drop) {
      this.uniform = this.uniform.slice(drop * this.width);
      this.uniformFirst += drop;
    }
    return { time: grid.map((time) => startS + time), values };
  }
}

/**
 * @param {Float64Array} a
 * @param {Numbers} b
 */
function join(a, b) {
  const result = new Float64Array(a.length + b.length);
  result.set(a);
  result.set(b, a.length);
  return result;
}
