/**
 * The phone's motion sensors, in the units and axes of the signal contract.
 */

import { HarError, STANDARD_GRAVITY } from "./contract.js";
import { apply } from "./mounting.js";

const RADIAN = Math.PI / 180; // in one degree
const SILENCE_S = 3; // so long without an event: there is no sensor, or the browser holds it back

export const NO_SENSOR =
  "This browser gives no motion sensor: the device has none, or motion sensors are blocked for this site; allow them in the browser's " +
  "settings, or open the page on a phone.";
export const NO_GYROSCOPE =
  "This device gives acceleration but no angular velocity: it has no gyroscope, and the model needs one; use another phone.";
export const NO_GRAVITY = "This device gives no acceleration with gravity, and the model needs it; use another phone.";
export const REFUSED =
  "Motion sensors were refused; reload the page, press Start and choose Allow (if it does not ask again: on iOS close this tab first, in " +
  "Chrome allow motion sensors in the settings of this site).";
export const INSECURE =
  "This page was opened without https, where browsers hold back motion sensors and checksums; open it over https, or on this machine as " +
  "http://localhost or http://127.0.0.1.";

/**
 * How a sensor's numbers are read.
 *
 * @typedef {object} Reading
 * @property {1 | -1} sign of acceleration: -1 where the browser gives it the other way round
 * @property {[import("./mounting.js").Axis, import("./mounting.js").Axis, import("./mounting.js").Axis]} axes see `mounting.turn`
 */

/** What this page uses of a `DeviceMotionEvent`. */
/** @typedef {Pick<DeviceMotionEvent, "accelerationIncludingGravity" | "rotationRate" | "timeStamp">} MotionEventLike */

/**
 * Whether acceleration comes with the other sign than the specification says. Browsers on iPhone and iPad are all built on
 * the system's WebKit, which passes on Core Motion's sign: -9.8 on the axis that points up.
 *
 * @param {{userAgent: string, maxTouchPoints: number}} navigator an iPad may say that it is a Macintosh, which has no touch screen
 */
export function hasOppositeSign({ userAgent, maxTouchPoints }) {
  return /iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && maxTouchPoints > 1);
}

/**
 * One event as a sample: total acceleration in g, angular velocity in rad/s, in UCI HAR's axes.
 *
 * `rotationRate.alpha`, `beta` and `gamma` turn about x, y and z: so does the specification say of this event, and so do
 * browsers. The angles of `deviceorientation` have another order, where alpha turns about z.
 *
 * @param {MotionEventLike} event
 * @param {Reading} reading
 * @returns {number[]} six values
 * @throws {HarError} what the device does not give
 */
export function sampleOf({ accelerationIncludingGravity: acc, rotationRate: rate }, { sign, axes }) {
  const hasAcc = acc?.x != null && acc.y != null && acc.z != null;
  const hasRate = rate?.alpha != null && rate.beta != null && rate.gamma != null;
  if (!hasAcc && !hasRate) throw new HarError(NO_SENSOR);
  if (!hasAcc) throw new HarError(NO_GRAVITY);
  if (!hasRate) throw new HarError(NO_GYROSCOPE);
  const toG = sign / STANDARD_GRAVITY;
  return [
    ...apply(axes, [Number(acc.x) * toG, Number(acc.y) * toG, Number(acc.z) * toG]),
    ...apply(axes, [Number(rate.alpha) * RADIAN, Number(rate.beta) * RADIAN, Number(rate.gamma) * RADIAN]),
  ];
}

/**
 * Ask for the sensors where the browser wants to be asked. Must be called in the handler of a tap, or iOS refuses.
 *
 * @param {{isSecureContext: boolean, DeviceMotionEvent?: unknown}} window
 * @throws {HarError} they were refused, or there are none
 */
export async function askPermission(window) {
  if (!window.isSecureContext) throw new HarError(INSECURE);
  const type = /** @type {{requestPermission?: () => Promise<string>} | undefined} */ (window.DeviceMotionEvent);
  if (!type) throw new HarError(NO_SENSOR);
  if (typeof type.requestPermission !== "function") return; // a browser that does not ask
  let answer;
  try {
    answer = await type.requestPermission();
  } catch {
    answer = "denied"; // iOS throws where it was not asked in a tap
  }
  if (answer !== "granted") throw new HarError(REFUSED);
}

/** Listens to the sensors until it is stopped. */
export class MotionSource {
  /**
   * @param {EventTarget} target the window
   * @param {() => Reading} reading asked at every event, so that a setting works at once
   * @param {{onSample: (timeS: number, sample: number[]) => void, onProblem: (message: string) => void}} listener
   */
  constructor(target, reading, { onSample, onProblem }) {
    this.target = target;
    this.heard = false;
    /** @param {Event} event */
    this.listen = (event) => {
      const motion = /** @type {DeviceMotionEvent} */ (event);
      let sample;
      try {
        sample = sampleOf(motion, reading());
      } catch (error) {
        // One event without values stands at the start of some browsers and says nothing of those that follow.
        this.problem = error instanceof HarError ? error.message : NO_SENSOR;
        return;
      }
      this.heard = true;
      onSample(motion.timeStamp / 1000, sample);
    };
    this.target.addEventListener("devicemotion", this.listen);
    this.problem = NO_SENSOR;
    this.timer = setTimeout(() => {
      if (!this.heard) onProblem(this.problem);
    }, SILENCE_S * 1000);
  }

  stop() {
    clearTimeout(this.timer);
    this.target.removeEventListener("devicemotion", this.listen);
  }
}
