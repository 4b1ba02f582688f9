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

export const AXES = Object.freeze(["x", "y", "z"]);

/** Kinds of sensors: what the names of their channels begin with, and the ending of their columns, which is their unit. */
const KINDS = Object.freeze({
  accelerometer: ["total_acc", "g"], linear_acceleration: ["body_acc", "g"], gravity: ["gravity", "g"], gyroscope: ["gyro", "rad_s"],
});

/**
 * The kind of a sensor, whose name may begin with a position on the body: `wrist_gyroscope`.
 *
 * @param {string} sensor
 */
export function kindOf(sensor) {
  const found = /** @type {(keyof typeof KINDS)[]} */ (Object.keys(KINDS)).find((kind) => sensor === kind || sensor.endsWith(`_${kind}`));
  if (!found) throw new HarError(`unknown sensor ${quoted(sensor)}; valid: ${Object.keys(KINDS).join(", ")}, behind a position or alone`);
  return found;
}

/**
 * Columns of a sensor's channels in this project's files: `wrist_gyro_x_rad_s`.
 *
 * @param {string} sensor
 */
export function columnsOf(sensor) {
  const [name, unit] = KINDS[kindOf(sensor)];
  return AXES.map((axis) => `${positionOf(sensor)}${name}_${axis}_${unit}`);
}

/**
 * What the name of a sensor begins with: a position and a low line, or nothing.
 *
 * @param {string} sensor
 */
export function positionOf(sensor) {
  return sensor.slice(0, -kindOf(sensor).length);
}

/**
 * Channels of a sensor and their unit: `wrist_gyro_x` to `wrist_gyro_z`, rad/s.
 *
 * @param {string} sensor
 */
export function channelsOf(sensor) {
  const [name, unit] = KINDS[kindOf(sensor)];
  return { channels: AXES.map((axis) => `${positionOf(sensor)}${name}_${axis}`), unit: unit === "g" ? "g" : "rad/s" };
}

/** Values a sample of the phone's own sensors has. */
export const WIDTH = CHANNELS.length;

export const SAMPLE_RATE_HZ = 50; // Anguita et al. 2013
export const WINDOW_SIZE = 128; // samples, 2.56 s; Anguita et al. 2013
export const GAP_PERIODS = 2.5; // a longer step than this many sample periods is a gap
export const LATE_S = 0.1; // a sample that is later by more was not delayed: the clock was set back
export const ROUNDING_S = 1e-9; // of times, where they are compared with a limit
export const STANDARD_GRAVITY = 9.80665; // m/s^2 in one g

/** A mistake a user can correct. The message is one line: what was found, what was expected, what to do. */
export class HarError extends Error {}

/** What the dialog of columns and units can correct. */
export class ChoiceNeeded extends HarError {}

/**
 * What to say about any error: a `HarError` speaks for itself, anything else is a fault of this page.
 *
 * @param {unknown} error
 */
export function sentence(error) {
  if (error instanceof HarError) return error.message.replace(/(?<![.?!])$/, ".");
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
  if (!Number.isFinite(value)) return String(value).replace("Infinity", "inf").toLowerCase();
  if (value === 0) return "0";
  let [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const exact = value.toExponential(100).split("e")[0]; // an exact half is rounded to the even digit
  const cut = exact.slice(0, exact.indexOf(".") + digits);
  if (/[02468]$/.test(cut) && /^50*$/.test(exact.slice(cut.length))) [mantissa, exponent] = [cut, value.toExponential(100).split("e")[1]];
  if (Number(exponent) >= -4 && Number(exponent) < digits) return String(Number(`${mantissa}e${exponent}`));
  return `${Number(mantissa)}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

/**
 * A text in quotation marks, for messages: as Python's `repr` writes it.
 *
 * @param {string} text
 */
export function quoted(text) {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escapes = /** @type {Record<string, string>} */ ({ "\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\", [mark]: `\\${mark}` });
  const code = (/** @type {string} */ char) => (char.charCodeAt(0) < 256 ? `\\x${hex(char, 2)}` : `\\u${hex(char, 4)}`);
  return mark + text.replace(/[\p{C}'"\\]|(?! )\p{Z}/gu, (char) => escapes[char] ?? (/['"]/.test(char) ? char : code(char))) + mark;
}

/** @param {string} char @param {number} width */
const hex = (char, width) => char.charCodeAt(0).toString(16).padStart(width, "0");
