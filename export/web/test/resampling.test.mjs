import assert from "node:assert/strict";
import { test } from "node:test";

import { besselI0, interpolateRows, median, quantile, rint } from "../src/numbers.js";
import { StreamResampler } from "../src/resampling.js";
import { randomNumbers, uniform } from "./helpers.mjs";

/**
 * @param {number} sourceHz
 * @param {number[]} time
 * @param {(timeS: number) => number} signal
 * @param {number[]} [cuts] where the stretch is cut into pieces
 */
function resample(sourceHz, time, signal, cuts = []) {
  const resampler = new StreamResampler(sourceHz, 50, 1);
  const edges = [0, ...cuts, time.length];
  const found = edges.slice(1).map((stop, i) => {
    const piece = time.slice(edges[i], stop);
    return resampler.push(piece, piece.map(signal));
  });
  found.push(resampler.push([], [], { last: true }));
  return { time: found.flatMap((part) => [...part.time]), values: found.flatMap((part) => [...part.values]) };
}

test("a constant stays constant, at the edges too", () => {
  const { values } = resample(60, uniform(60, 10), () => 0.7);
  assert.ok(Math.max(...values.map((value) => Math.abs(value - 0.7))) < 1e-14);
});

test("the result is 50 Hz from the first sample on, to the end", () => {
  const { time } = resample(60, uniform(60, 10).map((t) => t + 3), Math.sin);
  assert.equal(time[0], 3);
  assert.ok(time.every((t, i) => Math.abs(t - 3 - i / 50) < 1e-12));
  assert.ok(time[time.length - 1] > 3 + 10 - 1 / 60 - 1 / 50);
});

test("what people do passes: a sine of 5 Hz keeps size and phase", () => {
  const sine = (/** @type {number} */ t) => Math.sin(2 * Math.PI * 5 * t);
  const { time, values } = resample(100, uniform(100, 8), sine);
  const off = time.map((t, i) => (t > 0.5 && t < 7.5 ? Math.abs(values[i] - sine(t)) : 0));
  assert.ok(Math.max(...off) < 2e-3, `off by ${Math.max(...off)}`);
});

test("what 50 Hz cannot hold is taken away: a sine of 40 Hz does not fold back", () => {
  const { time, values } = resample(200, uniform(200, 8), (t) => Math.sin(2 * Math.PI * 40 * t));
  const left = time.map((t, i) => (t > 0.5 && t < 7.5 ? Math.abs(values[i]) : 0));
  assert.ok(Math.max(...left) < 1e-3, `left: ${Math.max(...left)}`);
});

test("the result does not depend on how the stretch was cut", () => {
  const random = randomNumbers(1);
  const time = uniform(60, 12).map((t) => t + 0.004 * random());
  const signal = (/** @type {number} */ t) => Math.sin(9 * t) + Math.cos(31 * t);
  const whole = resample(60, time, signal);
  for (let trial = 0; trial < 5; trial++) {
    const cuts = time.map((_, i) => i).filter((i) => i > 0 && random() < [0.9, 0.3, 0.05, 0.01, 0.003][trial]);
    const cut = resample(60, time, signal, cuts);
    assert.deepEqual(cut.time, whole.time);
    const off = cut.values.map((value, i) => Math.abs(value - whole.values[i]));
    assert.ok(Math.max(...off) < 1e-12);
  }
});

test("a stretch of one sample gives none", () => {
  assert.deepEqual(resample(60, [1], () => 1), { time: [], values: [] });
});

test("numbers follow numpy", () => {
  assert.deepEqual([-1.5, -0.5, 0.5, 1.5, 2.5, 2.4, 2.6].map((value) => rint(value) + 0), [-2, 0, 0, 2, 2, 2, 3]);
  assert.equal(median([3, 1, 2, 10]), 2.5);
  assert.ok(Math.abs(quantile([1, 2, 3, 4, 5], 0.99) - 4.96) < 1e-12);
  assert.ok(Math.abs(besselI0(8) / 427.56411572180479 - 1) < 1e-14);
  assert.equal(besselI0(0), 1);
  assert.deepEqual([...interpolateRows([-1, 0, 0.5, 1, 9], [0, 1], [2, 20, 4, 40], 2)], [2, 20, 2, 20, 3, 30, 4, 40, 4, 40]);
});
