/**
 * Two drawings: the signals of some seconds, and the activities over time. What they show also stands in the page as text.
 */

import { GAP_PERIODS, kindOf } from "./contract.js";
import { readable } from "./words.js";

export const PLOTTED_S = 10; // of signals
const MARGIN = 34; // px, for the numbers on the left

/**
 * A canvas made ready: its size in CSS pixels, sharp on any screen, empty.
 *
 * @param {HTMLCanvasElement} canvas
 */
function prepare(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = globalThis.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  const style = getComputedStyle(canvas);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return { context, width, height, colour };
}

/**
 * A panel a sensor, total acceleration above angular velocity, up to a moment.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {import("./signals.js").Signals | null} signals
 * @param {number} endS the moment at the right edge
 * @param {boolean} newest whether it is that of the last sample, though the time may have gone back to it
 */
export function drawSignals(canvas, signals, endS, newest) {
  const { context, width, height, colour } = prepare(canvas);
  if (!signals) return;
  const [first, stop] = signals.between(endS - PLOTTED_S, endS, newest);
  const { sensors, width: channels } = signals;
  const part = height / sensors.length;
  sensors.forEach((sensor, panel) => {
    const channel = 3 * panel;
    const least = kindOf(sensor) === "gyroscope" ? 2 : 1.5; // rad/s or g that the axis spans at least
    let peak = 0;
    for (let i = first; i < stop; i++) {
      for (let c = channel; c < channel + 3; c++) peak = Math.max(peak, Math.abs(signals.samples[i * channels + c]));
    }
    const limit = peak > least ? Math.ceil(peak) : least;
    const top = panel * part + 10;
    const scale = (part - 20) / (2 * limit);
    const y = (/** @type {number} */ value) => top + (limit - value) * scale;
    const x = (/** @type {number} */ time) => MARGIN + ((time - endS + PLOTTED_S) / PLOTTED_S) * (width - MARGIN - 4);
    context.strokeStyle = colour("--line");
    context.fillStyle = colour("--quiet");
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const value of [-limit, 0, limit]) {
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(MARGIN, y(value));
      context.lineTo(width - 4, y(value));
      context.stroke();
      context.fillText(String(value).replace("-", "\u2212"), MARGIN - 5, y(value));
    }
    for (let c = 0; c < 3; c++) {
      context.strokeStyle = colour(`--axis-${"xyz"[c]}`);
      context.lineWidth = 1.5;
      context.beginPath();
      for (let i = first; i < stop; i++) {
        const gap = i > first && signals.time[i] - signals.time[i - 1] > GAP_PERIODS / signals.sampleRateHz;
        const point = /** @type {[number, number]} */ ([x(signals.time[i]), y(signals.samples[i * channels + channel + c])]);
        if (i === first || gap) context.moveTo(...point);
        else context.lineTo(...point);
      }
      context.stroke();
    }
  });
}

/**
 * One lane a label, time to the right, and a line at a moment.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {object} shown
 * @param {readonly import("./timeline.js").Span[]} shown.spans
 * @param {string[]} shown.lanes labels from top to bottom
 * @param {number} shown.fromS
 * @param {number} shown.toS
 * @param {number} shown.atS the moment
 * @returns {number} where the lanes begin, in px
 */
export function drawTimeline(canvas, { spans, lanes, fromS, toS, atS }) {
  const { context, width, height, colour } = prepare(canvas);
  const foot = 18;
  const lane = (height - foot) / lanes.length;
  const left = Math.ceil(Math.max(...lanes.map((label) => context.measureText(readable(label)).width))) + 8;
  const x = (/** @type {number} */ time) => left + ((time - fromS) / Math.max(1e-9, toS - fromS)) * (width - left - 4);
  context.textBaseline = "middle";
  lanes.forEach((label, i) => {
    context.fillStyle = colour("--line");
    context.fillRect(left, (i + 0.5) * lane - 0.5, width - left - 4, 1);
    context.fillStyle = colour("--text");
    context.textAlign = "right";
    context.fillText(readable(label), left - 8, (i + 0.5) * lane);
  });
  for (const span of spans) {
    if (span.toS <= fromS || span.fromS >= toS) continue;
    const start = x(Math.max(span.fromS, fromS));
    const end = x(Math.min(span.toS, toS));
    context.fillStyle = colour(`--activity-${lanes.indexOf(span.label)}`) || colour("--quiet");
    context.fillRect(start, (lanes.indexOf(span.label) + 0.15) * lane, Math.max(1.5, end - start), 0.7 * lane);
  }
  if (toS > fromS) {
    context.fillStyle = colour("--text");
    context.fillRect(Math.min(x(atS), width - 5) - 0.75, 0, 1.5, height - foot);
    context.fillStyle = colour("--quiet");
    context.textAlign = "left";
    context.fillText(clock(fromS), left, height - foot / 2);
    context.textAlign = "right";
    context.fillText(clock(toS), width - 4, height - foot / 2);
  }
  return left;
}

/**
 * Seconds as minutes and seconds: 83.2 -> 1:23.
 *
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds + 1e-6));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
