/**
 * What cannot be a phone's recording is named: wrong units, a sensor that was off.
 */

import { ChoiceNeeded, HarError, brief, columnsOf, kindOf } from "./contract.js";
import { medianLength, unitOfLength, vectorsOf } from "./formats.js";
import { BOTH, GYRO_LIMIT_RAD_S, inDegrees, turningOf } from "./limits.js";
import { ACC_UNITS } from "./tables.js";

const GRAVITY_RANGE_G = Object.freeze([0.8, 1.2]); // median |total_acc| of a subject's day; 9.8 means m/s^2, near 0 body acceleration

/**
 * @param {string} name
 * @param {Float64Array} values (row, 6), row by row
 * @throws {HarError} the acceleration is not that of gravity
 */
export function checkGravity(name, values) {
  const fault = gravityFault(values, BOTH);
  if (fault) throw new HarError(`${name}: ${fault.text}; gravity must be included and the unit must be g`);
}

/**
 * @param {import("./tables.js").Stream} stream
 * @param {Float64Array} values (row, channel), row by row
 * @param {readonly string[]} sensors of the channels
 * @throws {HarError} the values are in other units
 */
export function checkUnits({ name, layout }, values, sensors) {
  const found = [];
  let known = false;
  const fault = gravityFault(values, sensors);
  if (fault) {
    const unit = layout.sensors.find(({ sensor }) => kindOf(sensor) !== "gyroscope")?.unit ?? "g";
    const likely = unitOfLength(fault.length / ACC_UNITS[unit]);
    known = likely !== null && likely !== unit;
    found.push(`${fault.text}; ${known ? `it looks like ${likely}` : "gravity must be included and the unit must be chosen"}`);
  }
  const turning = turningOf(values, sensors);
  if (inDegrees(turning)) {
    const unit = layout.sensors.find(({ sensor }) => kindOf(sensor) === "gyroscope")?.unit;
    known ||= unit === "rad/s";
    const cause = unit === "rad/s" ? "it looks like deg/s" : `its unit is not ${unit}, divide it before`;
    const most = brief(turning.reduce((peak, value) => Math.max(peak, value), 0));
    found.push(`the gyroscope reaches ${most} rad/s, expected at most ${GYRO_LIMIT_RAD_S}; ${cause}`);
  }
  if (found.length) throw new ChoiceNeeded(`${name}: ${found.join("; ")}${known ? "; choose the units" : ""}`);
}

/**
 * What speaks against acceleration with gravity in g; null where nothing does.
 *
 * @param {Float64Array} values (row, channel), row by row
 * @param {readonly string[]} sensors of the channels
 */
function gravityFault(values, sensors) {
  const place = sensors.findIndex((sensor) => ["accelerometer", "gravity"].includes(kindOf(sensor)));
  if (place < 0 || !values.length) return null;
  const length = medianLength(vectorsOf(values, 3 * sensors.length, 3 * place));
  if (length >= GRAVITY_RANGE_G[0] && length <= GRAVITY_RANGE_G[1]) return null;
  return { length, text: `the median length of total acceleration is ${brief(length, 3)} g, expected about 1 g` };
}

/**
 * @param {string} name
 * @param {{rows: number, low: Float64Array, high: Float64Array, sensors: readonly string[]}} report
 * @throws {HarError} a channel has one value alone
 */
export function checkConstant(name, { rows, low, high, sensors }) {
  const columns = sensors.flatMap(columnsOf);
  const constant = columns.filter((_, c) => low[c] === high[c]);
  if (!constant.length) return;
  const value = brief(low[columns.indexOf(constant[0])], 6);
  const what = `${constant.join(", ")} is constant (${value}) over all ${rows} rows`;
  throw new HarError(`${name}: ${what}; the sensor was off or the column is wrong`);
}
