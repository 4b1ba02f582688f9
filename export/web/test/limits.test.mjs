import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

import * as limits from "../src/limits.js";
import { StreamResampler } from "../src/resampling.js";
import { uniform } from "./helpers.mjs";

/**
 * Constants of all modules of a folder that are numbers, or lists of numbers, by name.
 *
 * @param {string} folder
 * @param {RegExp} pattern name and numbers
 */
async function numbersOf(folder, pattern) {
  const place = new URL(`../../../${folder}/`, import.meta.url);
  const names = (await readdir(place)).filter((name) => /\.(py|js)$/.test(name));
  const texts = await Promise.all(names.map((name) => readFile(new URL(name, place), "utf8")));
  const found = texts.flatMap((text) => [...text.matchAll(pattern)]);
  return new Map(found.map(([, name, value]) => [name, (value.replaceAll("_", "").match(/[\d.e-]+/g) ?? []).map(Number)]));
}

test("limits and thresholds are those of the Python package", async () => {
  const theirs = await numbersOf("har/recording", /^([A-Z_]+) = ([\d_.e-]+|\([\d_., ]+\))(?=  #|$)/gm);
  const ours = await numbersOf("export/web/src", /^(?:export )?const ([A-Z_]+) = (?:Object\.freeze\()?([\d_.e-]+|\[[\d_., ]+\])[);]/gm);
  ours.set("BLOCK", ours.get("WINDOW_SIZE") ?? []);
  for (const name of ["UNLABELLED", "LEAST_HZ", "MOST_BINS", "POSTURE_S"]) theirs.delete(name); // of labels, training and plots
  assert.ok(theirs.size >= 32, `${theirs.size} numbers`);
  for (const [name, values] of theirs) assert.deepEqual(ours.get(name), values, name);
});

test("what a filter makes of values at a limit stays inside it", () => {
  const time = uniform(100, 4);
  const impact = (/** @type {number} */ t) => (t > 1 && t < 3 ? [16, -16, 16, 40, -40, 40] : [1, 0, 0, 0, 0, 0]);
  const resampled = new StreamResampler(100, 50, 6).push(time, time.flatMap(impact), { last: true });
  assert.ok(Math.max(...resampled.values) > 40.5);
  const samples = limits.toSamples(Float64Array.from(resampled.values));
  samples.forEach((value, i) => assert.ok(Math.abs(value) <= limits.limitsOf()[i % 6]));
  assert.ok(Math.max(...samples) === 40 && Math.min(...samples) === -40);
});

test("of several values outside, the farthest is named; a missing value is not outside", () => {
  assert.equal(limits.outsideChannel([16, -16, 16, 40, -40, 40]), -1);
  assert.equal(limits.outsideChannel([17, 0, 0, 0, 100, 0]), 4);
  assert.equal(limits.outsideChannel([NaN, 0, -33, 0, 0, 0]), 2);
  assert.equal(limits.outsideChannel([NaN, 0, 0, 0, 0, 0]), -1);
});
