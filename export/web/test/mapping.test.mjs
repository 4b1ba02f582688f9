import assert from "node:assert/strict";
import { test } from "node:test";

import { COLUMNS } from "../src/contract.js";
import { likelyOf, optionsOf, questionOf } from "../src/mapping.js";
import { ReadReport, readPieces } from "../src/reading.js";
import { DEFAULTS } from "../src/tables.js";
import { sourceOf, swaying, uniform } from "./helpers.mjs";

const NOTHING = { columns: {}, time: "", accUnit: "", gyroUnit: "", timeUnit: "", rate: "" };

/** @param {string} header */
function source(header) {
  const rows = uniform(50, 8).map((t) => [t, ...swaying(t).map((v, c) => (c < 3 ? 1000 * v : 100 * v))].join(","));
  return sourceOf({ "a.csv": [header, ...rows].join("\n") });
}

/** @param {import("../src/source.js").Source} recording @param {Partial<import("../src/tables.js").ReadOptions>} options */
async function lineOf(recording, options) {
  const report = new ReadReport();
  for await (const piece of readPieces(recording, report, options)) assert.ok(piece.time.length);
  return report.text();
}

test("what is recognised is offered, and what is missing is suggested from the values", async () => {
  const recording = await source("# 50 Hz\nn,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z");
  const question = await questionOf(recording, DEFAULTS);
  assert.deepEqual(question.channels.map(({ known }) => known), ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]);
  assert.deepEqual([question.clock, question.rate, question.units], ["", "50", { accelerometer: "", gyroscope: "" }]);
  assert.equal((await likelyOf(recording, question, "accelerometer", {}))?.unit, "mg");
  assert.deepEqual(await likelyOf(recording, question, "gyroscope", {}), { unit: "deg/s", why: "it reaches 30" });
  const options = optionsOf(question, { ...NOTHING, accUnit: "mg", gyroUnit: "deg/s", rate: "50" }, DEFAULTS);
  assert.deepEqual(options, { columns: {}, accUnit: "mg", gyroUnit: "deg/s", timeUnit: null, rateHz: 50 });
  assert.equal(await lineOf(recording, options), "a table, 8 s: total acceleration and gyroscope, 400 rows at 50 Hz");
});

test("columns that are chosen go before those that are known, all three of a sensor", async () => {
  const recording = await source("time,ax (mg),ay (mg),b,gx (deg/s),gy (deg/s),gz (deg/s)");
  const question = await questionOf(recording, DEFAULTS);
  assert.deepEqual(question.channels.map(({ known }) => known), ["", "", "", "gx (deg/s)", "gy (deg/s)", "gz (deg/s)"]);
  assert.deepEqual(question.channels.slice(0, 3).map(({ likely }) => likely), ["ax (mg)", "ay (mg)", ""]);
  assert.equal(question.clock, "time");
  const columns = { [COLUMNS[1]]: "ax (mg)", [COLUMNS[2]]: "ay (mg)", [COLUMNS[3]]: "b" };
  assert.deepEqual(await likelyOf(recording, question, "accelerometer", columns), { unit: "mg", why: "from its name" });
  const options = optionsOf(question, { ...NOTHING, columns, accUnit: "mg" }, DEFAULTS);
  assert.deepEqual(options.columns, columns);
  assert.equal(await lineOf(recording, options), "a table, 8 s: total acceleration and gyroscope, 400 rows at 50 Hz");
  const again = await questionOf(recording, { ...DEFAULTS, ...options });
  assert.deepEqual(again.channels.slice(0, 3).map(({ known }) => known), ["ax (mg)", "ay (mg)", "b"]);
  const turned = optionsOf(again, { ...NOTHING, columns: { [COLUMNS[1]]: "b" }, accUnit: "mg" }, { ...DEFAULTS, ...options });
  assert.deepEqual(Object.values(turned.columns ?? {}), ["b", "ay (mg)", "b"]);
});

test("of several columns that may be a sensor none is suggested, and an unknown unit of the times must be chosen", async () => {
  const gyro = "gyro_x (deg/s),gyro_y (deg/s),gyro_z (deg/s)";
  const acc = ["acc", "accelerometer"].flatMap((name) => ["x", "y", "z"].map((axis) => `${name}_${axis} (mg)`));
  const question = await questionOf(await sourceOf({ "a.csv": `Time (min),${acc},${gyro}\n${"0,1,2,3,1,2,3,4,5,6\n".repeat(9)}` }), DEFAULTS);
  assert.deepEqual(question.channels.slice(0, 3).map(({ known, likely }) => [known, likely]), [["", ""], ["", ""], ["", ""]]);
  assert.deepEqual([question.clock, question.asksTimeUnit], ["Time (min)", true]);
});
