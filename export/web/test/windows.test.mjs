import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Signals } from "../src/signals.js";
import { Timeline, decide } from "../src/timeline.js";
import { WindowStream } from "../src/windows.js";
import { randomNumbers } from "./helpers.mjs";

const CONTRACT = { windowSize: 128, stride: 64, width: 6, sampleRateHz: 50 };

/** @param {number} count */
function samples(count) {
  return { time: Array.from({ length: count }, (_, i) => 5 + i / 50), values: Float32Array.from({ length: count * 6 }, (_, i) => i) };
}

/**
 * @param {number} count
 * @param {number[]} cuts
 */
function cutInPieces(count, cuts) {
  const stream = new WindowStream(CONTRACT);
  const { time, values } = samples(count);
  const edges = [0, ...cuts, count];
  return edges.slice(1).flatMap((stop, i) => stream.push(time.slice(edges[i], stop), values.slice(edges[i] * 6, stop * 6)));
}

test("windows are those cut from the whole stretch, however it arrived", () => {
  const whole = cutInPieces(700, []);
  assert.equal(whole.length, Math.floor((700 - 128) / 64) + 1);
  whole.forEach((window, k) => assert.deepEqual(window.samples, samples(700).values.slice(k * 64 * 6, (k * 64 + 128) * 6)));
  const random = randomNumbers(2);
  for (const density of [1, 0.5, 0.1, 0.01]) {
    const cuts = Array.from({ length: 699 }, (_, i) => i + 1).filter(() => random() < density);
    assert.deepEqual(cutInPieces(700, cuts), whole);
  }
});

test("borders lie half-way between the centres of windows, and the first window speaks from the start", () => {
  const found = cutInPieces(128 + 3 * 64, []);
  assert.deepEqual(found.map((window) => window.fromS), [5, 5 + (64 + 32) / 50, 5 + (128 + 32) / 50, 5 + (192 + 32) / 50]);
  assert.deepEqual(found.map((window) => window.first), [true, false, false, false]);
  assert.ok(Math.abs(found[3].toS - (5 + 320 / 50)) < 1e-12);
});

test("after a reset no window holds samples from before", () => {
  const stream = new WindowStream(CONTRACT);
  stream.push(samples(100).time, samples(100).values);
  stream.reset();
  const later = samples(128);
  const found = stream.push(later.time.map((time) => time + 60), later.values.map((value) => -value));
  assert.equal(found.length, 1);
  assert.ok(found[0].first && found[0].fromS === 65 && found[0].samples.every((value) => value <= 0));
});

test("a late sample is put into its place, unless none before it is there", () => {
  const { time, values } = samples(300);
  const row = (/** @type {number} */ i) => values.slice(i * 6, (i + 1) * 6);
  for (const [at, now] of [[1, 100], [40, 100], [126, 127], [127, 128], [150, 191], [190, 191], [250, 256]]) {
    const stream = new WindowStream(CONTRACT);
    const found = stream.push(time.filter((_, i) => i < now && i !== at), values.filter((_, i) => Math.floor(i / 6) < now && Math.floor(i / 6) !== at));
    found.push(...(stream.insert(time[at], row(at)) ?? assert.fail(`${at} at ${now}`)), ...stream.push(time.slice(now), values.slice(now * 6)));
    assert.deepEqual(found, cutInPieces(300, []), `${at} at ${now}`);
  }
  const stream = new WindowStream(CONTRACT);
  assert.equal(stream.insert(1, row(0)), null);
  stream.push(time.slice(1), values.slice(6));
  assert.equal(stream.insert(time[0], row(0)), null); // it would be the first of its stretch
  assert.equal(stream.insert(time[160] + 1e-3, row(0)), null); // the buffer begins with sample 172
});

test("another stride, odd or as long as the window", () => {
  for (const stride of [1, 63, 128]) {
    const stream = new WindowStream({ ...CONTRACT, stride });
    const { time, values } = samples(400);
    const found = stream.push(time, values);
    assert.equal(found.length, Math.floor((400 - 128) / stride) + 1);
    found.slice(1).forEach((window, k) => assert.equal(window.fromS, time[(k + 1) * stride + 64 - (stride - Math.floor(stride / 2))]));
  }
});

/**
 * @param {number} fromS
 * @param {number} toS
 * @param {boolean} first
 * @param {number[]} probabilities
 * @returns {[import("../src/windows.js").CutWindow, Float32Array]}
 */
function entry(fromS, toS, first, probabilities) {
  return [{ fromS, toS, first, samples: new Float32Array() }, Float32Array.from(probabilities)];
}

test("the timeline: runs, gaps, unknown, and the file of har predict", () => {
  const timeline = new Timeline(["WALKING", "SITTING"], 0.55);
  timeline.add(...entry(0, 2.56, true, [0.9, 0.1]));
  timeline.add(...entry(1.92, 3.84, false, [0.7, 0.3]));
  timeline.add(...entry(3.2, 5.12, false, [0.5, 0.5]));
  timeline.add(...entry(60, 62.56, true, [0.2, 0.8]));
  const spans = timeline.spans().map((span) => ({ ...span, confidence: Number(span.confidence.toFixed(3)) }));
  assert.deepEqual(spans, [
    { fromS: 0, toS: 3.2, label: "WALKING", confidence: 0.8, windows: 2 },
    { fromS: 3.2, toS: 5.12, label: "UNKNOWN", confidence: 0.5, windows: 1 },
    { fromS: 60, toS: 62.56, label: "SITTING", confidence: 0.8, windows: 1 },
  ]);
  assert.equal(
    timeline.csv(),
    "from_s,to_s,activity,confidence,p_WALKING,p_SITTING\n0.000,1.920,WALKING,0.900000,0.900000,0.100000\n" +
      "1.920,3.200,WALKING,0.700000,0.700000,0.300000\n3.200,5.120,UNKNOWN,0.500000,0.500000,0.500000\n" +
      "60.000,62.560,SITTING,0.800000,0.200000,0.800000\n",
  );
  assert.deepEqual(timeline.at(0.1), timeline.entry(0));
  assert.deepEqual(timeline.at(30), timeline.entry(2));
  assert.deepEqual(timeline.at(1e9), timeline.entry(-1));
});

test("without a threshold every answer counts", () => {
  const timeline = new Timeline(["A", "B"], 0);
  timeline.add(...entry(0, 1, true, [0.5, 0.5]));
  assert.equal(timeline.entry(0).activity, "A");
});

test("decisions are those of the table that all clients share", async () => {
  const table = new URL("../../../tests/runtime/decisions.json", import.meta.url);
  /** @type {{name: string, labels: string[], below: number, probabilities: (number | null)[], activity: string | null}[]} */
  const cases = JSON.parse(await readFile(table, "utf8"));
  assert.ok(cases.length > 20);
  for (const { name, labels, below, probabilities, activity } of cases) {
    const row = probabilities.map((probability) => probability ?? NaN);
    if (activity === null) assert.throws(() => decide(row, labels, below), /expected a number/, name);
    else assert.equal(decide(row, labels, below), activity, name);
  }
});

test("a window that is refused leaves the timeline as it was", () => {
  const timeline = new Timeline(["A", "B"], 0);
  timeline.add(...entry(0, 2.56, true, [0.9, 0.1]));
  assert.throws(() => timeline.add(...entry(1.92, 3.84, false, [NaN, 0.1])), /The probability of A is NaN/);
  assert.deepEqual([timeline.length, timeline.entry(0).toS, timeline.spans().length], [1, 2.56, 1]);
});

test("minutes per activity are sums of what the windows speak for, UNKNOWN included", () => {
  const timeline = new Timeline(["WALKING", "SITTING", "LAYING"], 0.55);
  assert.deepEqual(timeline.minutes(), [["UNKNOWN", 0]]);
  timeline.add(...entry(0, 2.56, true, [0.1, 0.9, 0]));
  timeline.add(...entry(60, 90, true, [0.9, 0.1, 0]));
  timeline.add(...entry(75, 105, false, [0.5, 0.5, 0]));
  timeline.add(...entry(10, 22, true, [0.8, 0.1, 0.1])); // the clock was set back
  assert.deepEqual(timeline.minutes(), [["WALKING", 27 / 60], ["SITTING", 2.56 / 60], ["UNKNOWN", 0.5]]);
});

test("where stretches share a time, the first one is shown", () => {
  const timeline = new Timeline(["A", "B"], 0);
  timeline.add(...entry(10, 20, true, [0.9, 0.1]));
  timeline.add(...entry(15, 30, false, [0.8, 0.2]));
  timeline.add(...entry(5, 12, true, [0.1, 0.9])); // the clock was set back
  timeline.add(...entry(11, 40, false, [0.2, 0.8]));
  assert.deepEqual(timeline.range(), { fromS: 5, toS: 40 });
  const shown = (/** @type {number} */ timeS) => timeline.at(timeS).fromS;
  assert.deepEqual([5, 10, 11, 14.9, 15, 29.9, 30, 39, 99, -1].map(shown), [5, 10, 10, 10, 15, 15, 11, 11, 11, 10]);

  const signals = new Signals();
  const push = (/** @type {number[]} */ time) => signals.push(time, new Float32Array(6 * time.length));
  push([10, 11, 12]);
  push([13, 14, 5, 6, 7]); // the clock is set back within a piece
  push([8, 9, 10, 11]);
  assert.deepEqual(signals.between(11, 13), [1, 4]);
  assert.deepEqual(signals.between(0, 11), [0, 2]);
  assert.deepEqual(signals.between(0, 11, true), [5, 12]);
  assert.deepEqual(signals.between(6, 8), [6, 9]);
  assert.deepEqual(signals.between(12, 99), [2, 5]);
  assert.deepEqual(new Signals().between(0, 1), [0, 0]);
});

test("a file with activities holds no formula and no broken cell", () => {
  const timeline = new Timeline(['=HYPERLINK("x","y")', "@SUM(1)", "+a", "-b", "ordinary"], 0);
  for (let best = 0; best < 5; best++) timeline.add(...entry(best, best + 1, true, [0, 1, 2, 3, 4].map((i) => (i === best ? 0.8 : 0.05))));
  const [head, ...rows] = timeline.csv().trimEnd().split("\n");
  assert.equal(head, 'from_s,to_s,activity,confidence,"p_=HYPERLINK(""x"",""y"")",p_@SUM(1),p_+a,p_-b,p_ordinary');
  const activities = rows.map((row) => row.slice("0.000,1.000,".length, row.indexOf(",0.800000,")));
  assert.deepEqual(activities, [`"'=HYPERLINK(""x"",""y"")"`, "'@SUM(1)", "'+a", "'-b", "ordinary"]);
});
