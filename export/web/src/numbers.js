/**
 * A few functions of numpy, with numpy's rules, so that this page decides and computes as the Python runtime does.
 */

/** @typedef {ArrayLike<number>} Numbers */

/**
 * Differences of neighbours: (n,) -> (n - 1,).
 *
 * @param {Numbers} values
 */
export function diff(values) {
  const result = new Float64Array(Math.max(0, values.length - 1));
  for (let i = 0; i < result.length; i++) result[i] = values[i + 1] - values[i];
  return result;
}

/**
 * The same values at the start of a longer array.
 *
 * @template {Float64Array | Float32Array} T
 * @param {T} from
 * @param {T} to
 */
export function longer(from, to) {
  to.set(from);
  return to;
}

/** @param {Numbers} values */
export function mean(values) {
  return sum(values, 0, values.length) / values.length;
}

/**
 * In pairs of blocks, as numpy adds, to the last bit: what is rounded for a message must not depend on the order.
 *
 * @param {Numbers} values
 * @param {number} first
 * @param {number} count
 * @returns {number}
 */
function sum(values, first, count) {
  if (count > 128) {
    const half = Math.floor(count / 16) * 8;
    return sum(values, first, half) + sum(values, first + half, count - half);
  }
  const whole = count - (count % 8);
  const parts = new Float64Array(8);
  for (let i = 0; i < whole; i++) parts[i % 8] += values[first + i];
  let total = parts[0] + parts[1] + (parts[2] + parts[3]) + (parts[4] + parts[5] + (parts[6] + parts[7]));
  for (let i = whole; i < count; i++) total += values[first + i];
  return total;
}

/**
 * `numpy.quantile`, method "linear".
 *
 * @param {Numbers} values
 * @param {number} share from 0 to 1
 */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  const weight = at - low;
  const step = sorted[high] - sorted[low];
  return weight < 0.5 ? sorted[low] + step * weight : sorted[high] - step * (1 - weight);
}

/** @param {Numbers} values */
export function median(values) {
  return quantile(values, 0.5);
}

/**
 * Nearest whole number, halves to the even one: `numpy.rint`.
 *
 * @param {number} value
 */
export function rint(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * Linear interpolation at increasing `at`, constant beyond the ends: `numpy.interp`, for one channel of rows.
 *
 * @param {Numbers} at
 * @param {Numbers} time increasing
 * @param {Numbers} values (time, width), row by row
 * @param {number} width
 * @returns {Float64Array} (at, width), row by row
 */
export function interpolateRows(at, time, values, width) {
  const result = new Float64Array(at.length * width);
  const last = time.length - 1;
  let left = 0;
  for (let i = 0; i < at.length; i++) {
    while (left < last && time[left + 1] <= at[i]) left++;
    const inside = at[i] > time[0] && left < last;
    for (let c = 0; c < width; c++) {
      const from = values[left * width + c];
      const slope = inside ? (values[(left + 1) * width + c] - from) / (time[left + 1] - time[left]) : 0;
      result[i * width + c] = slope * (at[i] - time[left]) + from;
    }
    // Beyond an end the slope is 0, so that at[i] - time[left] does not matter.
  }
  return result;
}

/**
 * Modified Bessel function of the first kind, order 0. All terms of the series are positive, so nothing cancels; up to
 * 8, the largest argument here, it needs some thirty.
 *
 * @param {number} x
 */
export function besselI0(x) {
  const quarter = (x * x) / 4;
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= quarter / (k * k);
    sum += term;
  }
  return sum;
}
