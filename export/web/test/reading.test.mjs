import assert from "node:assert/strict";
import { test } from "node:test";

import { recordingCsv } from "../src/csv.js";
import { ReadReport, readPieces } from "../src/reading.js";
import { csv, randomNumbers, swaying, uniform } from "./helpers.mjs";

/** @param {string} text */
function read(text) {
  const report = new ReadReport();
  return { pieces: [...readPieces("a.csv", text, report)], report };
}

/**
 * @param {string} text
 * @param {RegExp} message
 */
function refused(text, message) {
  assert.throws(() => read(text), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n") && /^a\.csv/.test(error.message), error.message);
    return true;
  });
}

test("50 Hz is kept as it is", () => {
  const time = uniform(50, 10);
  const { pieces, report } = read(csv(time));
  assert.equal(report.resampled, false);
  assert.equal(report.text(), "500 rows at 50 Hz");
  assert.deepEqual(pieces.flatMap((piece) => [...piece.time]), time);
  assert.deepEqual(pieces.flatMap((piece) => [...piece.samples]), [...Float32Array.from(time.flatMap(swaying))]);
});

test("another rate, and 50 Hz with jitter, are resampled", () => {
  assert.equal(read(csv(uniform(60, 10))).report.text(), "600 rows at 60 Hz, resampled to 50 Hz");
  const random = randomNumbers(3);
  assert.equal(read(csv(uniform(50, 10).map((t) => t + 0.012 * random()))).report.resampled, true);
  assert.equal(read(csv(uniform(51, 10).map((t) => t + 0.0005 * random()))).report.resampled, false); // within 2 %
});

test("a gap of more than 2.5 periods ends a stretch, a shorter step does not", () => {
  const withHole = (/** @type {number} */ samples) => csv(uniform(50, 20).map((t, i) => (i < 500 ? t : t + samples / 50)));
  assert.equal(read(withHole(1.4)).report.gaps, 0);
  const { pieces, report } = read(withHole(1.6));
  assert.deepEqual([report.gaps, new Set(pieces.map((piece) => piece.stretch)).size], [1, 2]);
  assert.equal(pieces.filter((piece) => piece.stretch === 0).reduce((sum, piece) => sum + piece.time.length, 0), 500);
});

test("no resampled sample mixes both sides of a gap", () => {
  const sides = (/** @type {number} */ t) => [t < 10 ? 1 : -1, 0.01 * Math.sin(t), 0.02 * Math.cos(t), Math.sin(t), Math.cos(t), Math.sin(2 * t)];
  const time = uniform(60, 20).filter((t) => t < 10 || t >= 10.2);
  const x = read(csv(time, sides)).pieces.flatMap((piece) => [...piece.samples].filter((_, i) => i % 6 === 0));
  assert.ok(x.length > 900 && x.every((value) => Math.abs(Math.abs(value) - 1) < 1e-6));
});

test("rows out of order are sorted, repeated rows are dropped", () => {
  const rows = csv(uniform(50, 10)).trimEnd().split("\n");
  [rows[100], rows[130]] = [rows[130], rows[100]];
  rows.splice(200, 0, rows[200]);
  const { report } = read(rows.join("\n"));
  assert.deepEqual([report.outOfOrder, report.duplicates, report.rows], [2, 1, 500]);
});

test("semicolons, tabs, decimal commas, quotation marks, a byte-order mark and Windows lines are read", () => {
  const plain = csv(uniform(50, 10));
  const expected = read(plain).pieces;
  assert.deepEqual(read(plain.replaceAll(",", ";").replaceAll(".", ",")).pieces, expected);
  assert.deepEqual(read(plain.replaceAll(",", "\t")).pieces, expected);
  assert.deepEqual(read(`\uFEFF${plain.replaceAll("\n", "\r\n")}`).pieces, expected);
  assert.deepEqual(read(plain.split("\n").map((line, i) => (line && i ? `"${line.split(",").join('","')}"` : line)).join("\n")).pieces, expected);
});

test("other columns are left alone, in any order", () => {
  const [head, ...rows] = csv(uniform(50, 10)).trimEnd().split("\n");
  const turned = [head, ...rows].map((row, i) => `${i ? "WALKING" : "label"},${row.split(",").reverse().join(",")}`).join("\n");
  assert.deepEqual(read(turned).pieces, read([head, ...rows].join("\n")).pieces);
});

test("what cannot be a recording is named, with its place", () => {
  const time = uniform(50, 10);
  const good = csv(time);
  refused("", /is empty/);
  refused("\n1,2", /begins with an empty line/);
  refused(good.split("\n", 1)[0], /has a header but no samples/);
  refused(good.split("\n").slice(1).join("\n"), /begins with numbers/);
  refused(good.replace("gyro_z_rad_s", "gz"), /column gyro_z_rad_s is missing; found time_s/);
  refused(good.split("\n").map((line) => line.split(",").slice(0, 4).join(",")).join("\n"), /the gyroscope is missing/);
  refused(good.replace("gyro_z_rad_s", "gyro_y_rad_s"), /gyro_y_rad_s appears 2 times/);
  const lines = good.split("\n");
  const replaced = (/** @type {number} */ line, /** @type {string} */ text) => lines.map((old, i) => (i === line - 1 ? text : old)).join("\n");
  refused(replaced(7, "0.1,1,0,0,NaN,0,0"), /column gyro_x_rad_s is not finite from line 7 on, 1 row long/);
  refused(replaced(7, "0.1,1,,0,0,0,0"), /column total_acc_y_g is not finite from line 7 on/);
  refused(replaced(7, "inf,1,0,0,0,0,0"), /the time in line 7 is not a finite number/);
  refused(replaced(7, "0.1,1,0,0,abc,0,0"), /line 7, column gyro_x_rad_s: 'abc' is not a number/);
  refused(replaced(7, "0.1,1,0"), /line 7 has 3 columns, expected 7; the file may be cut off/);
  refused(replaced(7, "0,1,1,0,0,0,0,0"), /line 7 has 8 columns/);
  refused(good.replaceAll(",", ";").replace("0.1;", "0,1;"), /has both '.*' in line \d+ and '.*' in line \d+; expected one decimal sign/);
  refused(csv(time, (t) => swaying(t).map((v, i) => (i < 3 ? 9.81 * v : v))), /median length of total acceleration is 9\.\d+ g.*looks like m\/s\^2/);
  refused(csv(time, (t) => swaying(t).map((v, i) => (i < 3 ? v * 0.01 : v))), /gravity must be included/);
  refused(csv(time, (t) => swaying(t).map((v, i) => (i < 3 ? v : 200 * v))), /it looks like deg\/s/);
  refused(csv(time, (t) => [...swaying(t).slice(0, 5), 0.5]), /gyro_z_rad_s is constant \(0\.5\) over all 500 rows/);
  refused(csv(uniform(25, 10)), /the sampling rate is 25 Hz \(mean\), expected at least 40 Hz; record faster/);
  refused(csv(time.map((t) => 1000 * t)), /is the time in ms\?/);
  refused(csv(time.map((t) => t / 1000)), /the sampling rate would be 50000 Hz, expected at most 5000 Hz/);
  refused(csv(time.map((t, i) => t + (i % 2 ? -0.018 : 0))), /the samples come in bursts/);
  refused(csv([...uniform(50, 20), ...uniform(60, 5).map((t) => 20 + t)]), /begins at 50 Hz, but between lines \d+ and \d+ its rate is another/);
  let row = 0;
  refused(csv(time.map((_, i) => Math.floor(i / 3) * 0.06), () => swaying(row++)), /have the time of the row before/);
});

test("what is written is read again", () => {
  const time = uniform(60, 5);
  const text = recordingCsv(time, time.flatMap(swaying));
  const { report } = read(text);
  assert.equal(report.rows, 300);
  assert.equal(text.split("\n")[1], "0.000000,0.980000,0.100000,0.070000,0.300000,0.000000,-0.100000");
});
