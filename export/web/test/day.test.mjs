import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

import * as ort from "onnxruntime-web/wasm";

import { readBundle } from "../src/bundle.js";
import { GAP_PERIODS, LATE_S, SAMPLE_RATE_HZ, WIDTH, WINDOW_SIZE } from "../src/contract.js";
import { LiveSession } from "../src/live_session.js";
import { Model, configure } from "../src/model.js";
import { measureRate } from "../src/rate.js";
import { StreamResampler } from "../src/resampling.js";
import { Signals } from "../src/signals.js";
import { Timeline } from "../src/timeline.js";
import { BUNDLE, NO_BUNDLE, SCHEMA, Sensors, randomNumbers, reader, swaying } from "./helpers.mjs";

/** @typedef {{timeS: number, sample: number[]}} Measured */
/** @typedef {{before: "" | "restart" | "hidden", samples: Measured[]}} Delivery before: what happens before it */

const MINUTES = 20;
const HELD = 2000; // numbers, at most: two seconds of samples while the rate is measured, or what the resampler needs
const JUMP_S = /** @type {const} */ ({ "short gap": 0.3, "long gap": 5400, "clock forward": 600, "clock back": -900 });
const FAULTS = ["lost", "short gap", "long gap", "jitter", "twice", "late", "no value", "delivery twice", "clock forward", "clock back", "hidden", "restart"];

/**
 * Twenty minutes of a phone, each with another fault, in deliveries of one to a hundred samples.
 *
 * @param {number} hz
 * @returns {Delivery[]}
 */
function dayOf(hz) {
  const random = randomNumbers(hz);
  const minute = 60 * hz;
  /** @type {Measured[]} */
  const samples = [];
  /** @type {Map<number, "restart" | "hidden">} */
  const events = new Map();
  const [late, twice] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
  let clockS = 50;
  for (let i = 0; i < MINUTES * minute; i++) {
    const fault = FAULTS[Math.floor(i / minute) % FAULTS.length];
    const since = i % minute;
    const at = minute / 2 + 17 * Math.floor(i / minute); // of the fault in its minute; so that stretches have all lengths
    const now = since === at;
    if (now && fault in JUMP_S) clockS += Reflect.get(JUMP_S, fault);
    if (now && (fault === "hidden" || fault === "restart")) events.set(samples.length, fault);
    if (now && fault === "restart") clockS += 8;
    if (now && fault === "late") late.push(samples.length);
    if (now && fault === "delivery twice") twice.push(samples.length);
    clockS += 1 / hz;
    if (now && fault === "lost") continue;
    const off = fault === "jitter" && since > at ? 0.003 : 0.0003;
    const slow = swaying(i / hz).map((value) => value + 0.02 * (random() - 0.5));
    if (fault === "no value" && since >= at && since < at + 3) slow[4] = NaN;
    samples.push({ timeS: clockS + off * (2 * random() - 1), sample: slow });
    if (now && fault === "twice") samples.push(samples[samples.length - 1]);
  }
  for (const at of late) samples.splice(at + 2, 0, ...samples.splice(at, 1));
  /** @type {Delivery[]} */
  const deliveries = [];
  for (let first = 0; first < samples.length; ) {
    const size = 1 + Math.floor(100 * random() ** 2);
    const next = [...events.keys()].find((at) => at > first && at < first + size) ?? Math.min(samples.length, first + size);
    const delivery = { before: events.get(first) ?? /** @type {const} */ (""), samples: samples.slice(first, next) };
    deliveries.push(delivery);
    if (twice.some((at) => at >= first && at < next)) deliveries.push({ ...delivery, before: "" });
    first = next;
  }
  return deliveries;
}

/**
 * Stretches of each run of the app, cut with hindsight.
 *
 * @param {Delivery[]} deliveries
 * @param {boolean} resampled then a late sample comes too late, unless the rate is still being measured
 */
function stretchesOf(deliveries, resampled) {
  /** @type {Measured[][][]} */
  const runs = [[[]]];
  for (const { before, samples } of deliveries) {
    if (before === "restart") runs.push([[]]);
    if (before === "hidden") runs[runs.length - 1].push([]);
    for (const measured of samples) {
      if (measured.sample.some(Number.isNaN)) continue;
      const stretches = runs[runs.length - 1];
      const stretch = stretches[stretches.length - 1];
      const step = stretch.length ? measured.timeS - stretch[stretch.length - 1].timeS : 1 / SAMPLE_RATE_HZ;
      if (step < -LATE_S || step > GAP_PERIODS / SAMPLE_RATE_HZ) stretches.push([measured]);
      else if (step > 0) stretch.push(measured);
      else if (!stretch.some(({ timeS }) => timeS === measured.timeS)) {
        const place = stretch.findIndex(({ timeS }) => timeS > measured.timeS);
        const measuring = stretch[stretch.length - 1].timeS - stretch[0].timeS < 2;
        if (place > 0 && (measuring || !resampled)) stretch.splice(place, 0, measured);
      }
    }
  }
  return runs;
}

/**
 * All windows of a stretch at 50 Hz, and the ends of them.
 *
 * @param {Measured[]} stretch
 */
function windowsOf(stretch) {
  let [time, values] = [Float64Array.from(stretch, ({ timeS }) => timeS), Float64Array.from(stretch.flatMap(({ sample }) => sample))];
  const enough = time.findIndex((timeS) => timeS - time[0] >= 2);
  if (enough < 0) return [];
  const rate = measureRate("a stretch", time.subarray(0, enough + 1));
  if (!rate.regular) {
    const resampled = new StreamResampler(rate.hz, SAMPLE_RATE_HZ, WIDTH).push(time, values, { last: true });
    [time, values] = [Float64Array.from(resampled.time), Float64Array.from(resampled.values)];
  }
  const found = [];
  for (let first = 0; first + WINDOW_SIZE <= time.length; first += WINDOW_SIZE / 2) {
    const samples = Float32Array.from(values.subarray(first * WIDTH, (first + WINDOW_SIZE) * WIDTH));
    found.push({ samples, toS: time[first + WINDOW_SIZE - 1] + 1 / SAMPLE_RATE_HZ });
  }
  return found;
}

/**
 * @param {Model} model
 * @param {Delivery[]} deliveries
 */
async function live(model, deliveries) {
  /** @type {{toS: number, probabilities: Float32Array}[][]} a list a run */
  const answers = [];
  let held = 0;
  const start = async () => {
    const sensors = new Sensors();
    answers.push([]);
    const own = answers[answers.length - 1];
    const session = new LiveSession(model, Sensors.reading, {
      onAnswer: () => own.push(session.timeline.entry(-1)),
      onSamples() {},
      onStatus() {},
      onProblem: (message) => assert.equal(message, null),
    });
    await session.start(sensors.window);
    return { sensors, session };
  };
  let app = await start();
  for (const { before, samples } of deliveries) {
    if (before === "restart") {
      await app.session.stop();
      app = await start();
    }
    if (before === "hidden") app.session.interrupt("the page was hidden");
    for (const { timeS, sample } of samples) app.sensors.measure(timeS, sample);
    await app.session.answered;
    const { time, values, resampler } = app.session.stream;
    const pending = resampler ? resampler.pending.time.length + resampler.pending.values.length + resampler.uniform.length : 0;
    held = Math.max(held, time.length + values.length + pending);
  }
  await app.session.stop();
  return { answers, held };
}

const ROBUST = path.join(path.dirname(BUNDLE), "robust");
const NO_ROBUST = existsSync(path.join(ROBUST, "manifest.json")) ? false : `no bundle of any mounting at ${ROBUST}`;
for (const [name, folder, hz, skip] of /** @type {const} */ ([
  ["as the samples are", BUNDLE, 50, NO_BUNDLE],
  ["resampled, any mounting", ROBUST, 60, NO_ROBUST],
])) {
  test(`minutes with every fault are answered as their stretches in a batch: ${name}`, { skip }, async () => {
    configure(ort);
    const model = await Model.open(ort, await readBundle(reader(folder), SCHEMA));
    const deliveries = dayOf(hz);
    const { answers, held } = await live(model, deliveries);
    const runs = stretchesOf(deliveries, hz !== SAMPLE_RATE_HZ);
    assert.equal(answers.length, runs.length);
    assert.ok(answers.flat().length > 800);
    for (const [i, stretches] of runs.entries()) {
      const windows = stretches.flatMap(windowsOf);
      assert.equal(answers[i].length, windows.length);
      const expected = await model.openStream().answer(windows.map(({ samples }) => samples));
      answers[i].forEach(({ toS, probabilities }, k) => {
        assert.ok(Math.abs(toS - windows[k].toS) < 1e-6, `answer ${k} ends at ${toS}, expected ${windows[k].toS}`);
        const off = Math.max(...probabilities.map((value, c) => Math.abs(value - expected[k].probabilities[c])));
        assert.ok(off < 1e-5, `answer ${k} is off by ${off}`);
      });
    }
    assert.ok(held <= HELD, `${held} numbers are held`);
  });
}

test("a session keeps an hour of samples for the plot, a file all of them", () => {
  const row = (/** @type {number} */ i) => /** @type {const} */ ([[i / 50], Array(WIDTH).fill(i)]);
  const [last, all] = [new Signals(100), new Signals()];
  for (let i = 0; i < 5000; i++) for (const signals of [last, all]) signals.push(...row(i));
  assert.equal(all.count, 5000);
  assert.ok(last.count >= 100 && last.count <= 200 && last.time.length <= 1024);
  const oldest = 5000 - last.count;
  assert.deepEqual([...last.time.subarray(0, last.count)], Array.from({ length: last.count }, (_, i) => (oldest + i) / 50));
  assert.equal(last.samples[last.count * WIDTH - 1], 4999);
  assert.deepEqual(last.between((oldest + 7) / 50, (oldest + 20) / 50), [7, 21]);
});

test("the work of an answer does not grow with the session, and runs are those of all entries", () => {
  let looked = 0;
  class Counted extends Timeline {
    /**
     * @override
     * @param {number} place
     */
    entry(place) {
      looked++;
      return super.entry(place);
    }
  }
  const timeline = new Counted(["A", "B"], 0.6);
  const random = randomNumbers(5);
  for (let i = 0; i < 2000; i++) {
    const share = random();
    const at = 1.28 * i + (i >= 900 ? 60 : 0) - (i >= 1500 ? 700 : 0); // a gap, and a clock that goes back
    const window = { fromS: at, toS: at + 2.56, first: [0, 900, 1500].includes(i), samples: new Float32Array() };
    timeline.add(window, Float32Array.of(share, 1 - share));
    timeline.spans();
  }
  assert.equal(looked, 0);
  const runs = timeline.spans();
  assert.equal(runs.reduce((sum, run) => sum + run.windows, 0), 2000);
  assert.ok(runs.every((run) => run.toS > run.fromS));
  const entries = [...timeline];
  let at = 0;
  for (const run of runs) {
    const own = entries.slice(at, at + run.windows);
    assert.ok(own.every((entry) => entry.activity === run.label));
    assert.deepEqual([own[0].fromS, own[own.length - 1].toS], [run.fromS, run.toS]);
    at += run.windows;
  }
});
