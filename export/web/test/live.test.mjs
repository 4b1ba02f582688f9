import assert from "node:assert/strict";
import { test } from "node:test";

import { LiveStream } from "../src/live.js";
import { ReadReport, readPieces } from "../src/reading.js";
import { WindowStream } from "../src/windows.js";
import { csv, randomNumbers, swaying, uniform } from "./helpers.mjs";

const CONTRACT = { windowSize: 128, stride: 64, width: 6, sampleRateHz: 50 };

function liveStream() {
  /** @type {{windows: import("../src/windows.js").CutWindow[], time: number[], rates: number[], gaps: string[], problems: string[]}} */
  const found = { windows: [], time: [], rates: [], gaps: [], problems: [] };
  const stream = new LiveStream(new WindowStream(CONTRACT), {
    onSamples: (time) => found.time.push(...time),
    onWindow: (window) => found.windows.push(window),
    onRate: (rate) => found.rates.push(rate.hz),
    onGap: (reason) => found.gaps.push(reason),
    onProblem: (message) => found.problems.push(message),
  });
  return { stream, found };
}

/**
 * @param {number[]} time
 * @param {(timeS: number) => number[]} [sample]
 */
function listen(time, sample = swaying) {
  const { stream, found } = liveStream();
  for (const timeS of time) stream.push(timeS, sample(timeS));
  stream.end("stopped");
  return found;
}

/** @param {number[]} time */
function windowsOfFile(time) {
  const stream = new WindowStream(CONTRACT);
  let stretch = -1;
  return [...readPieces("a.csv", csv(time), new ReadReport())].flatMap((piece) => {
    if (piece.stretch !== stretch) stream.reset();
    stretch = piece.stretch;
    return stream.push(piece.time, piece.samples);
  });
}

/**
 * @param {import("../src/windows.js").CutWindow[]} a
 * @param {import("../src/windows.js").CutWindow[]} b
 * @param {number} tolerance
 */
function same(a, b, tolerance) {
  assert.equal(a.length, b.length);
  a.forEach((window, k) => {
    assert.ok(Math.abs(window.fromS - b[k].fromS) < 1e-6 && Math.abs(window.toS - b[k].toS) < 1e-6 && window.first === b[k].first);
    const off = window.samples.map((value, i) => Math.abs(value - b[k].samples[i]));
    assert.ok(Math.max(...off) <= tolerance, `window ${k} off by ${Math.max(...off)}`);
  });
}

test("live windows are those of the same samples in a file", () => {
  same(listen(uniform(50, 30)).windows, windowsOfFile(uniform(50, 30)), 0);
  same(listen(uniform(60, 30)).windows, windowsOfFile(uniform(60, 30)), 1e-6);
  same(listen(uniform(100, 30)).windows, windowsOfFile(uniform(100, 30)), 1e-6);
});

test("with a gap too, and none crosses it", () => {
  const time = uniform(60, 40).filter((t) => t < 17 || t > 18.3);
  const { windows, gaps, rates } = listen(time);
  same(windows, windowsOfFile(time), 1e-6);
  assert.equal(windows.filter((window) => window.first).length, 2);
  assert.ok(windows.every((window) => window.toS < 17.01 || window.fromS > 18.29));
  assert.deepEqual([gaps.length, rates.length], [2, 2]); // the second is the end
  assert.equal(gaps[0], "no sample for 1.3 s");
});

test("irregular times of 60 Hz: the rate is measured, and the samples are near those of the file", () => {
  const random = randomNumbers(4);
  const time = uniform(60, 30).map((t) => t + 0.003 * random());
  const { windows, rates } = listen(time);
  assert.ok(Math.abs(rates[0] - 60) < 0.2);
  same(windows, windowsOfFile(time), 0.02);
});

test("a gap while the rate is measured begins anew", () => {
  const { windows, time } = listen(uniform(60, 20).filter((t) => t < 1 || t > 1.2));
  assert.ok(time[0] > 1.2 && windows.every((window) => window.fromS > 1.2));
});

test("a step that is a gap at 60 Hz but not at 40 Hz is one, even in the first two seconds", () => {
  const { time } = listen(uniform(60, 20).map((t) => (t < 1 ? t : t + 0.04)));
  assert.ok(time[0] >= 1.04);
});

test("an interruption from outside, such as a hidden page, resets the buffer", () => {
  const { stream, found } = liveStream();
  for (const timeS of uniform(50, 10)) {
    if (timeS === 5) stream.end("the page was hidden");
    stream.push(timeS, swaying(timeS));
  }
  assert.deepEqual(found.gaps, ["the page was hidden"]);
  assert.deepEqual(found.windows.filter((window) => window.first).map((window) => window.fromS), [0, 5]);
});

test("a rate that changes ends the stretch", () => {
  const time = [...uniform(60, 10), ...uniform(100, 10).map((t) => 10 + t)];
  const { gaps, rates } = listen(time);
  assert.match(gaps[0], /^the rate changed from 60 to [\d.]+ Hz$/);
  assert.deepEqual(rates.map(Math.round), [60, 100]);
});

test("samples that come twice are left out, a clock that goes back begins anew", () => {
  const once = listen(uniform(50, 10));
  const { stream, found } = liveStream();
  for (const timeS of uniform(50, 10)) for (let i = 0; i < 2; i++) stream.push(timeS, swaying(timeS));
  stream.end("stopped");
  same(found.windows, once.windows, 0);
  assert.equal(listen([...uniform(50, 10).map((t) => t + 100), ...uniform(50, 10)]).gaps[0], "the sensor's clock went back");
});

test("what cannot be used is said, and nothing is answered", () => {
  const slow = listen(uniform(20, 10));
  assert.match(slow.problems[0], /the sampling rate is 20 Hz \(mean\), expected at least 40 Hz/);
  assert.equal(slow.windows.length, 0);
  const slower = listen(uniform(10, 10));
  assert.match(slower.problems[0], /The motion sensors give 10 samples a second with gaps; expected at least 40, and 2 s without a gap/);
  assert.equal(slower.windows.length, 0);
  const bursts = listen(uniform(60, 10).map((t, i) => t - (i % 2 ? 0.015 : 0)));
  assert.match(bursts.problems[0], /The motion sensors: the samples come in bursts/);
  const noGravity = listen(uniform(60, 10), (t) => swaying(t).map((v, i) => (i < 3 ? 0.01 * v : v)));
  assert.match(noGravity.problems[0], /median length of total acceleration is 0\.00\d+ g, expected about 1 g/);
  assert.deepEqual([bursts.windows.length, noGravity.windows.length], [0, 0]);
});

test("a sensor slower than 40 Hz is named", () => {
  const { problems, windows } = listen(uniform(38, 10));
  assert.match(problems[0], /the sampling rate is 38 Hz \(mean\), expected at least 40 Hz/);
  assert.equal(windows.length, 0);
});
