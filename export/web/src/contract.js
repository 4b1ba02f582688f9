/**
 * The words that this page and the Python package must share: channels, columns, units, and the error a user sees.
 */

/** Channels of a window in their order: total acceleration in g with gravity, angular velocity in rad/s. */
export const CHANNELS = Object.freeze(["total_acc_x", "total_acc_y", "total_acc_z", "gyro_x", "gyro_y", "gyro_z"]);

/** Their units, in the same order. */
export const UNITS = Object.freeze(["g", "g", "g", "rad/s", "rad/s", "rad/s"]);

/** Columns of a recording's CSV file, as `har predict` reads it. */
export const COLUMNS = Object.freeze([
  "time_s", "total_acc_x_g", "total_acc_y_g", "total_acc_z_g", "gyro_x_rad_s", "gyro_y_rad_s", "gyro_z_rad_s",
]);

/** Values a sample has. */
export const WIDTH = CHANNELS.length;

export const SAMPLE_RATE_HZ = 50; // Anguita et al. 2013
export const WINDOW_SIZE = 128; // samples, 2.56 s; Anguita et al. 2013
export const GAP_PERIODS = 2.5; // a longer step than this many sample periods is a gap
export const LATE_S = 0.1; // a sample that is later by more was not delayed: the clock was set back
export const ROUNDING_S = 1e-9; // of times, where they are compared with a limit
export const STANDARD_GRAVITY = 9.80665; // m/s^2 in one g

/** A mistake a user can mend. The message is one line: what was found, what was expected, what to do. */
export class HarError extends Error {}

/**
 * What to say about any error: a `HarError` speaks for itself, anything else is a fault of this page.
 *
 * @param {unknown} error
 */
export function sentence(error) {
  if (error instanceof HarError) return error.message;
  const reason = error instanceof Error ? error.message : String(error);
  return `This page failed (${reason.split("\n")[0]}); reload it, and report this if it comes again.`;
}

/**
 * A number with a few digits, for messages: as Python's `%.4g` writes it.
 *
 * @param {number} value
 * @param {number} [digits]
 */
export function brief(value, digits = 4) {
  if (!Number.isFinite(value) || value === 0) return String(value);
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  if (Number(exponent) >= -4 && Number(exponent) < digits) return String(Number(value.toPrecision(digits)));
  return `${Number(mantissa)}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}
