import assert from "node:assert/strict";
import { test } from "node:test";

import { MotionSource, askPermission, hasOppositeSign, sampleOf } from "../src/motion.js";
import { SCREEN, UP, apply, axesText, turn } from "../src/mounting.js";
import { loadSettings, readingOf, saveSettings } from "../src/settings.js";

const UCI = turn("right", "left");

/**
 * @param {(number | null)[]} acc
 * @param {(number | null)[]} rate
 */
function event([x, y, z], [alpha, beta, gamma]) {
  return /** @type {import("../src/motion.js").MotionEventLike} */ (
    /** @type {unknown} */ ({ accelerationIncludingGravity: { x, y, z }, rotationRate: { alpha, beta, gamma }, timeStamp: 1 })
  );
}

/**
 * @param {number[]} found
 * @param {number[]} expected
 */
function close(found, expected) {
  assert.equal(found.length, expected.length);
  found.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < 1e-12, `${found} is not ${expected}`));
}

test("m/s^2 become g, deg/s become rad/s, alpha, beta, gamma turn about x, y, z", () => {
  close(sampleOf(event([9.80665, -19.6133, 0], [180, -90, 45]), { sign: 1, axes: UCI }), [1, -2, 0, Math.PI, -Math.PI / 2, Math.PI / 4]);
});

test("the sign of acceleration can be the opposite; that of rotation cannot", () => {
  close(sampleOf(event([-9.80665, 0, 0], [180, 0, 0]), { sign: -1, axes: UCI }), [1, 0, 0, Math.PI, 0, 0]);
});

test("iPhones and iPads have the opposite sign, whatever they call themselves", () => {
  const agent = (/** @type {string} */ userAgent, maxTouchPoints = 5) => hasOppositeSign({ userAgent, maxTouchPoints });
  assert.ok(agent("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 CriOS/126.0 Mobile/15E148"));
  assert.ok(agent("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15")); // an iPad
  assert.ok(!agent("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15", 0));
  assert.ok(!agent("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36"));
});

test("what a device does not give is said in one sentence", () => {
  const reading = /** @type {const} */ ({ sign: 1, axes: UCI });
  assert.throws(() => sampleOf(event([null, null, null], [null, null, null]), reading), /gives no motion sensor/);
  assert.throws(() => sampleOf(event([1, 2, 3], [null, null, null]), reading), /no gyroscope/);
  assert.throws(() => sampleOf(event([null, null, null], [1, 2, 3]), reading), /no acceleration with gravity/);
  assert.throws(() => sampleOf({ accelerationIncludingGravity: null, rotationRate: null, timeStamp: 0 }, reading), /gives no motion sensor/);
});

test("permission: granted, refused, not asked in a tap, not needed, no sensors, no secure page", async () => {
  const page = (/** @type {unknown} */ type, isSecureContext = true) => askPermission({ isSecureContext, DeviceMotionEvent: type });
  await page({ requestPermission: async () => "granted" });
  await page({});
  await assert.rejects(page({ requestPermission: async () => "denied" }), /were refused/);
  await assert.rejects(page({ requestPermission: () => Promise.reject(new Error("NotAllowedError")) }), /were refused/);
  await assert.rejects(page(undefined), /gives no motion sensor/);
  await assert.rejects(page({}, false), /without https/);
});

test("silence of three seconds is named, with what was missing", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (const [events, message] of /** @type {const} */ ([
    [[], /gives no motion sensor/],
    [[event([1, 2, 3], [null, null, null])], /no gyroscope/],
    [[event([null, null, null], [null, null, null]), event([1, 2, 3], [1, 2, 3])], null],
  ])) {
    /** @type {string[]} */
    const problems = [];
    const target = new EventTarget();
    const source = new MotionSource(target, () => ({ sign: 1, axes: UCI }), { onSample() {}, onProblem: (said) => problems.push(said) });
    for (const { accelerationIncludingGravity, rotationRate } of events) {
      target.dispatchEvent(Object.assign(new Event("devicemotion"), { accelerationIncludingGravity, rotationRate }));
    }
    t.mock.timers.tick(3001);
    source.stop();
    assert.equal(problems.length, message ? 1 : 0);
    if (message) assert.match(problems[0], message);
  }
});

test("a stopped source hears nothing", () => {
  let heard = 0;
  const target = new EventTarget();
  const source = new MotionSource(target, () => ({ sign: 1, axes: UCI }), { onSample: () => heard++, onProblem() {} });
  const values = { accelerationIncludingGravity: { x: 1, y: 2, z: 3 }, rotationRate: { alpha: 0, beta: 0, gamma: 0 } };
  const motion = () => Object.assign(new Event("devicemotion"), values);
  target.dispatchEvent(motion());
  source.stop();
  target.dispatchEvent(motion());
  assert.equal(heard, 1);
});

test("the default mounting changes nothing", () => {
  assert.equal(axesText(UCI), "x,y,z");
});

test("every mounting is a turn: what is up goes to x, where the screen faces goes where it faces", () => {
  const names = new Set();
  for (const up of Object.keys(UP)) {
    for (const screen of Object.keys(SCREEN)) {
      const rows = turn(up, screen);
      const [a, b, c] = rows;
      const determinant = a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
      assert.equal(determinant, 1);
      close(apply(rows, UP[up].axis), [1, 0, 0]);
      close(apply(rows, [0, 0, 1]), SCREEN[screen].direction);
      names.add(axesText(rows));
    }
  }
  assert.equal(names.size, 16);
  assert.equal(axesText(turn("top", "left")), "y,-x,z");
  assert.equal(axesText(turn("top", "front")), "y,z,x");
});

test("settings stay, and what is stored wrongly is left out", (t) => {
  const stored = new Map();
  Reflect.set(globalThis, "localStorage", {
    getItem: (/** @type {string} */ key) => stored.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => stored.set(key, value),
  });
  t.after(() => Reflect.deleteProperty(globalThis, "localStorage"));
  const standard = { up: "right", screen: "left", sign: "auto" };
  assert.deepEqual(loadSettings(), standard);
  saveSettings({ up: "top", screen: "front", sign: "opposite" });
  assert.deepEqual(loadSettings(), { up: "top", screen: "front", sign: "opposite" });
  for (const text of ["{", "null", '{"up":"sideways","screen":7,"sign":"toString"}']) {
    stored.set([...stored.keys()][0], text);
    assert.deepEqual(loadSettings(), standard);
  }
  const phone = { userAgent: "iPhone", maxTouchPoints: 5 };
  assert.deepEqual(["auto", "plain", "opposite"].map((sign) => readingOf({ ...standard, sign }, phone).sign), [-1, 1, -1]);
});
