import assert from "node:assert/strict";
import { test } from "node:test";

import { LiveStream } from "../src/live.js";
import { ReadReport, readPieces } from "../src/reading.js";
import { WindowStream } from "../src/windows.js";
import { csv, randomNumbers, sourceOf, swaying, uniform } from "./helpers.mjs";

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
async function windowsOfFile(time) {
  const stream = new WindowStream(CONTRACT);
  const found = [];
  let stretch = -1;
  for await (const piece of readPieces(await sourceOf({ "a.csv": csv(time) }), new ReadReport())) {
    if (piece.stretch !== stretch) stream.reset();
    stretch = piece.stretch;
    found.push(...stream.push(piece.time, piece.samples));
  }
  return found;
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

test("live windows are those of the same samples in a file", async () => {
  same(listen(uniform(50, 30)).windows, await windowsOfFile(uniform(50, 30)), 0);
  same(listen(uniform(60, 30)).windows, await windowsOfFile(uniform(60, 30)), 1e-6);
  same(listen(uniform(100, 30)).windows, await windowsOfFile(uniform(100, 30)), 1e-6);
});

test("with a gap too, and none crosses it", async () => {
  const time = uniform(60, 40).filter((t) => t < 17 || t > 18.3);
  const { windows, gaps, rates } = listen(time);
  same(windows, await windowsOfFile(time), 1e-6);
  assert.equal(windows.filter((window) => window.first).length, 2);
  assert.ok(windows.every((window) => window.toS < 17.01 || window.fromS > 18.29));
  assert.deepEqual([gaps.length, rates.length], [2, 2]); // the second is the end
  assert.equal(gaps[0], "no sample for 1.3 s");
});

test("irregular times of 60 Hz: the rate is measured, and the samples are near those of the file", async () => {
  const random = randomNumbers(4);
  const time = uniform(60, 30).map((t) => t + 0.003 * random());
  const { windows, rates } = listen(time);
  assert.ok(Math.abs(rates[0] - 60) < 0.2);
  same(windows, await windowsOfFile(time), 0.02);
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

test("samples that come twice are left out", () => {
  const once = listen(uniform(50, 10));
  for (const hz of [50, 60]) {
    const { stream, found } = liveStream();
    const time = uniform(hz, 10);
    for (const [i, timeS] of time.entries()) {
      for (const again of [timeS, timeS, time[Math.max(0, i - 3)]]) stream.push(again, swaying(again));
    }
    stream.end("stopped");
    if (hz === 50) same(found.windows, once.windows, 0);
    assert.deepEqual([found.windows.length, stream.faultsText()], [once.windows.length, ""]);
  }
});

test("a clock that goes back begins a new stretch", async () => {
  for (const [hz, backS] of [[50, 0.14], [50, 3600], [60, 10]]) {
    const time = uniform(hz, 20).map((t) => (t < 10 ? t + 100 : t + 100 - backS));
    const { windows, gaps } = listen(time);
    same(windows, await windowsOfFile(time), 1e-6);
    const firsts = windows.filter((window) => window.first).map((window) => window.fromS);
    assert.deepEqual([windows.length, firsts], [12, [100, time[10 * hz]]]);
    assert.match(gaps[0], /^the sensor's clock went back by [\d.]+ s$/);
  }
});

test("a sample that is a little late is put into its place, or left out where it was resampled", async () => {
  for (const [hz, at] of [[50, 30], [50, 201], [60, 30], [60, 201]]) {
    const whole = uniform(hz, 10);
    const time = [...whole];
    time.splice(at + 2, 0, ...time.splice(at, 1)); // 40 or 33 ms late
    const { stream, found } = liveStream();
    for (const timeS of time) stream.push(timeS, swaying(timeS));
    stream.end("stopped");
    const left = hz === 60 && at > 120; // two seconds, in which the rate is measured
    const file = await windowsOfFile(left ? whole.filter((_, i) => i !== at) : whole);
    same(found.windows, file, left ? 0.02 : 1e-6); // the file's rate is measured on all of it
    assert.equal(stream.faultsText(), `Samples: 1 ${left ? "left out" : "sorted by time"} (up to ${hz === 50 ? "0.04" : "0.0333"} s late).`);
    assert.deepEqual(found.gaps, ["stopped"]);
  }
});

test("a late sample changes no window that was given, and the windows after it hold it", async () => {
  const whole = uniform(50, 10);
  const time = [...whole];
  time.splice(257, 0, ...time.splice(255, 1)); // the last of the third window comes after the next two
  const { stream, found } = liveStream();
  for (const timeS of time) stream.push(timeS, swaying(timeS));
  const file = await windowsOfFile(whole);
  const third = file[2].samples.slice();
  third.set(swaying(256 / 50), 127 * 6);
  file[2] = { ...file[2], samples: third, toS: 256 / 50 + 1 / 50 };
  same(found.windows, file, 0);
});

test("late samples, however many, are not another rate", async () => {
  const time = uniform(50, 20);
  for (let i = 150; i + 1 < time.length; i += 3) [time[i], time[i + 1]] = [time[i + 1], time[i]];
  const { windows, gaps } = listen(time);
  assert.deepEqual([windows.length, gaps], [(await windowsOfFile(uniform(50, 20))).length, ["stopped"]]);
});

test("a late sample from before the stretch is left out", async () => {
  const { stream, found } = liveStream();
  for (const timeS of [...uniform(50, 5), 5.36, 5.33, ...uniform(50, 5).map((t) => 5.38 + t)]) stream.push(timeS, swaying(timeS));
  stream.end("stopped");
  same(found.windows, await windowsOfFile([...uniform(50, 5), 5.36, ...uniform(50, 5).map((t) => 5.38 + t)]), 0);
  assert.equal(stream.faultsText(), "Samples: 1 left out (up to 0.03 s late).");
});

test("samples outside the physical limits are left out, as if they had not come", async () => {
  const time = uniform(50, 10);
  const { stream, found } = liveStream();
  for (const timeS of time) stream.push(timeS, swaying(timeS).map((v, c) => (timeS === 4 && c === 1 ? 1e18 : timeS === 7 && c === 5 ? -41 : v)));
  stream.end("stopped");
  same(found.windows, await windowsOfFile(time.filter((t) => t !== 4 && t !== 7)), 0);
  assert.equal(stream.faultsText(), "Samples: 2 outside the physical limits (16 g, 40 rad/s) left out.");
  assert.deepEqual([found.gaps, found.problems], [["stopped"], []]);
  assert.match(listen(time, (t) => swaying(t).map((v, c) => (c < 3 ? v : 200 * v))).problems[0], /gyroscope reaches [\d.]+ rad\/s, .* it looks like deg\/s/);
  assert.match(listen(time, (t) => swaying(t).map((v, c) => (c === 0 && t % 0.5 === 0 ? 99 : v))).problems[0], /\d of 128 samples are outside the physical limits/);
});

test("a frozen sensor ends the stretch after a second, and the next value begins another", async () => {
  for (const [first, sensor] of /** @type {[number, string][]} */ ([[0, "accelerometer"], [3, "gyroscope"]])) {
    const still = (/** @type {number} */ t) => swaying(t).map((v, c) => (c >= first && c < first + 3 && t >= 10 && t < 18 ? 0.5 : v));
    const { stream, found } = liveStream();
    for (const timeS of uniform(50, 30)) stream.push(timeS, still(timeS));
    stream.end("stopped");
    assert.deepEqual(found.gaps, [`the ${sensor} repeats one value`, "stopped"]);
    assert.match(found.problems.join(), new RegExp(`^The motion sensors: the ${sensor} repeats one value; [^,]*$`));
    const before = found.windows.filter((window) => window.fromS < 18);
    assert.ok(before.every((window) => window.toS <= 11.001));
    same(found.windows.slice(before.length), await windowsOfFile(uniform(50, 30).filter((t) => t >= 18)), 0);
    assert.equal(stream.faultsText(), "Samples: 350 of a sensor that repeats one value left out."); // it is known after one second
    assert.equal(stream.faults.frozen, 350);
  }
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

test("of a sensor that is off from the start this is said, unless its unit is wrong", () => {
  const off = listen(uniform(50, 5), (t) => [...swaying(t).slice(0, 3), 0, 0, 0]);
  assert.deepEqual([off.windows, off.gaps, off.problems.length], [[], [], 1]);
  assert.match(off.problems[0], /the gyroscope repeats one value; it is off or broken/);
  const noGravity = listen(uniform(50, 5), () => [0.01, 0, 0, 0.1, 0.2, 0.3]);
  assert.match(noGravity.problems[0], /median length of total acceleration is 0\.01 g, expected about 1 g/);
});

test("a sensor slower than 40 Hz is named", () => {
  const { problems, windows } = listen(uniform(38, 10));
  assert.match(problems[0], /the sampling rate is 38 Hz \(mean\), expected at least 40 Hz/);
  assert.equal(windows.length, 0);
});
