import assert from "node:assert/strict";
import { test } from "node:test";

import { Told, remounted } from "../src/told.js";

const RULES = { keep: 0.97, enough: 3, agreement: 0.8 };
// A phone whose x points to the front of the body, its y down and its z to the left: rows give its axes in the body's.
const FRONT = [0, -1, 0]; // up of the body, in the phone's axes
const SIDE = [1, 0, 0]; // front of the body, in the phone's axes

/** @param {number} worth */
const telling = (worth) => Float32Array.from([...FRONT, ...SIDE], (value) => worth * value);

test("what windows tell adds up to the turn that undoes the mounting", () => {
  const told = new Told(RULES);
  for (let i = 0; i < 3; i++) {
    told.add(telling(0.9));
    assert.equal(told.turn(), null);
  }
  told.add(telling(0.9));
  const turn = told.turn();
  assert.ok(turn);
  const window = Float32Array.from([...FRONT, ...SIDE]); // one sample: gravity's reaction, and a turn about the body's front
  assert.deepEqual([...remounted(window, turn)].map((value) => Math.round(value * 1e6) / 1e6 + 0), [1, 0, 0, 0, 1, 0]);
});

test("rest tells nothing and forgets nothing, and what contradicts itself tells nothing", () => {
  const told = new Told(RULES);
  for (let i = 0; i < 1000; i++) told.add(telling(1e-3));
  assert.equal(told.turn(), null);
  for (let i = 0; i < 10; i++) told.add(telling(0.9));
  const before = told.turn();
  for (let i = 0; i < 1000; i++) told.add(new Float32Array(6));
  assert.deepEqual(told.turn(), before);
  for (let i = 0; i < 10; i++) told.add(Float32Array.from([...FRONT, ...SIDE], (value, k) => (k < 3 ? value : -value)));
  assert.equal(told.turn(), null);
  const odd = new Told({ ...RULES, enough: 0, agreement: 0 });
  odd.add(Float32Array.from([1, 0, 0, 1, 0, 0])); // front cannot be up
  assert.equal(odd.turn(), null);
});
