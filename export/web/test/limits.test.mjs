import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import * as contract from "../src/contract.js";
import * as limits from "../src/limits.js";
import * as rate from "../src/rate.js";
import { StreamResampler } from "../src/resampling.js";
import { uniform } from "./helpers.mjs";

/**
 * Numbers of a Python module by name.
 *
 * @param {string} name of the file below har/recording
 */
async function numbersOf(name) {
  const source = await readFile(new URL(`../../../har/recording/${name}`, import.meta.url), "utf8");
  const found = [...source.matchAll(/^([A-Z_]+) = ([\d.e-]+|\([\d., ]+\))(?=\s|$)/gm)];
  return found.map(([, constant, value]) => /** @type {const} */ ([constant, (value.match(/[\d.e-]+/g) ?? []).map(Number)]));
}

test("the limits are those of the Python package", async () => {
  const rates = { ...contract, ...rate, BLOCK: contract.WINDOW_SIZE };
  for (const [file, module, least] of /** @type {[string, object, number][]} */ ([
    ["limits.py", limits, 9], ["rate.py", rates, 10], ["types.py", contract, 1],
  ])) {
    const numbers = (await numbersOf(file)).filter(([constant]) => constant !== "UNLABELLED");
    assert.ok(numbers.length >= least, `${file} has ${numbers.length} numbers`);
    for (const [constant, values] of numbers) assert.deepEqual([Reflect.get(module, constant)].flat(), values, constant);
  }
});

test("what a filter makes of values at a limit stays inside it", () => {
  const time = uniform(100, 4);
  const impact = (/** @type {number} */ t) => (t > 1 && t < 3 ? [16, -16, 16, 40, -40, 40] : [1, 0, 0, 0, 0, 0]);
  const resampled = new StreamResampler(100, 50, 6).push(time, time.flatMap(impact), { last: true });
  assert.ok(Math.max(...resampled.values) > 40.5);
  const samples = limits.toSamples(Float64Array.from(resampled.values));
  samples.forEach((value, i) => assert.ok(Math.abs(value) <= limits.limitOf(i % 6)));
  assert.ok(Math.max(...samples) === 40 && Math.min(...samples) === -40);
});

test("of several values outside, the farthest is named; a missing value is not outside", () => {
  assert.equal(limits.outsideChannel([16, -16, 16, 40, -40, 40]), -1);
  assert.equal(limits.outsideChannel([17, 0, 0, 0, 100, 0]), 4);
  assert.equal(limits.outsideChannel([NaN, 0, -33, 0, 0, 0]), 2);
  assert.equal(limits.outsideChannel([NaN, 0, 0, 0, 0, 0]), -1);
});
