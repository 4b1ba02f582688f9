import assert from "node:assert/strict";
import { test } from "node:test";

import { recordingCsv } from "../src/csv.js";
import { ReadReport, readPieces } from "../src/reading.js";
import { csv, randomNumbers, sourceOf, swaying, uniform } from "./helpers.mjs";

/**
 * @param {string} text
 * @param {number} [most] lines at a time
 */
async function read(text, most = 200_000) {
  const report = new ReadReport();
  const pieces = [];
  for await (const piece of readPieces(await sourceOf({ "a.csv": text }), report, { chunkRows: most })) pieces.push(piece);
  return { pieces, report: report.streams[0], line: report.text() };
}

/** @param {import("../src/reading.js").StreamReport} report of both sensors */
const said = (report) => report.text().replace("total acceleration and gyroscope, ", "");

/**
 * @param {string} text
 * @param {RegExp} message
 * @param {number} [most] lines at a time
 */
async function refused(text, message, most) {
  await assert.rejects(read(text, most), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n") && /^a\.csv/.test(error.message), error.message);
    return true;
  });
}

test("50 Hz is kept as it is", async () => {
  const time = uniform(50, 10);
  const { pieces, report, line } = await read(csv(time));
  assert.equal(report.resampled, false);
  assert.equal(line, "this project's columns, 10 s: total acceleration and gyroscope, 500 rows at 50 Hz");
  assert.deepEqual(pieces.flatMap((piece) => [...piece.time]), time);
  assert.deepEqual(pieces.flatMap((piece) => [...piece.samples]), [...Float32Array.from(time.flatMap(swaying))]);
});

test("another rate, and 50 Hz with jitter, are resampled", async () => {
  assert.equal(said((await read(csv(uniform(60, 10)))).report), "600 rows at 60 Hz, resampled to 50 Hz");
  const random = randomNumbers(3);
  assert.equal((await read(csv(uniform(50, 10).map((t) => t + 0.012 * random())))).report.resampled, true);
  assert.equal((await read(csv(uniform(51, 10).map((t) => t + 0.0005 * random())))).report.resampled, false); // within 2 %
});

test("a gap of more than 2.5 periods ends a stretch, a shorter step does not", async () => {
  const withHole = (/** @type {number} */ samples) => csv(uniform(50, 20).map((t, i) => (i < 500 ? t : t + samples / 50)));
  assert.equal((await read(withHole(1.4))).report.gaps, 0);
  const { pieces, report } = await read(withHole(1.6));
  assert.deepEqual([report.gaps, new Set(pieces.map((piece) => piece.stretch)).size], [1, 2]);
  assert.equal(pieces.filter((piece) => piece.stretch === 0).reduce((sum, piece) => sum + piece.time.length, 0), 500);
});

test("no resampled sample mixes both sides of a gap", async () => {
  const sides = (/** @type {number} */ t) => [t < 10 ? 1 : -1, 0.01 * Math.sin(t), 0.02 * Math.cos(t), Math.sin(t), Math.cos(t), Math.sin(2 * t)];
  const time = uniform(60, 20).filter((t) => t < 10 || t >= 10.2);
  const x = (await read(csv(time, sides))).pieces.flatMap((piece) => [...piece.samples].filter((_, i) => i % 6 === 0));
  assert.ok(x.length > 900 && x.every((value) => Math.abs(Math.abs(value) - 1) < 1e-6));
});

test("rows a little late are sorted and reported, repeated rows are dropped", async () => {
  const rows = csv(uniform(50, 10)).trimEnd().split("\n");
  const expected = (await read(rows.join("\n"))).pieces;
  rows.splice(98, 4, rows[101], rows[98], rows[99], rows[100]);
  rows.splice(200, 0, rows[200]);
  const { pieces, report } = await read(rows.join("\n"));
  assert.deepEqual(pieces, expected);
  assert.equal(said(report), "500 rows at 50 Hz; 3 rows sorted by time (up to 0.06 s late); 1 row repeated and dropped");
  const late = csv(uniform(50, 10)).trimEnd().split("\n");
  late.splice(106, 0, ...late.splice(100, 1)); // six rows later: the newest time is 0.12 s ahead
  assert.match(said((await read(late.join("\n"))).report), /1 row where the time goes back and a new stretch begins: by 0\.12 s in line 107/);
  late.splice(105, 0, ...late.splice(106, 1)); // 0.1 s is not more than 0.1 s
  assert.match(said((await read(late.join("\n"))).report), /^500 rows at 50 Hz; 1 row sorted by time \(up to 0\.1 s late\)$/);
});

test("a clock that is set back begins a new stretch in the order of the file", async () => {
  for (const [hz, backS] of [[50, 10.007], [50, 3600], [60, 10.007], [50, 0.14]]) {
    const time = uniform(hz, 40).map((t) => (t < 20 ? t : t - backS));
    const values = uniform(hz, 40);
    const rows = csv(time, () => swaying(/** @type {number} */ (values.shift())));
    const { pieces, report } = await read(rows);
    const stretches = [0, 1].map((k) => pieces.filter((piece) => piece.stretch === k).flatMap((piece) => [...piece.time]));
    assert.equal(new Set(pieces.map((piece) => piece.stretch)).size, 2);
    assert.deepEqual(stretches.map((times) => times[0]), [0, time[20 * hz]]);
    for (const times of stretches) {
      assert.ok(Math.abs(times.length - 1000) <= 1);
      assert.ok(times.every((t, i) => i === 0 || t > times[i - 1]));
    }
    const back = Number((time[20 * hz - 1] - time[20 * hz]).toPrecision(4));
    const resampled = hz === 50 ? "" : ", resampled to 50 Hz";
    assert.equal(
      said(report),
      `${40 * hz} rows at ${hz} Hz${resampled}; 1 row where the time goes back and a new stretch begins: by ${back} s in line ${2 + 20 * hz}`,
    );
  }
});

test("one stray time far ahead costs no other row", async () => {
  const { pieces, report } = await read(csv(uniform(50, 10).map((t, i) => (i === 300 ? 5000 : t))));
  const stretches = [0, 1, 2].map((k) => pieces.filter((piece) => piece.stretch === k).flatMap((piece) => [...piece.time]));
  assert.deepEqual(stretches.map((times) => times.length), [300, 1, 199]);
  assert.match(said(report), /1 row where the time goes back and a new stretch begins: by 4994 s in line 303; 1 gap that no window crosses/);
});

test("rows in no order are refused", async () => {
  await refused(csv(uniform(50, 10).reverse()), /5 or more of 500 rows are more than 0\.1 s late, the first in line 8; expected the rows in the order of their times: sort them/);
});

test("a sample outside the physical limits is as good as missing, and its line is named", async () => {
  for (const [hz, channel, value, shown] of /** @type {[number, number, number, string][]} */ ([
    [50, 0, 1e18, "total_acc_x_g is 1e+18"], [60, 0, 1000, "total_acc_x_g is 1000"], [50, 1, -16.01, "total_acc_y_g is -16.01"],
    [50, 5, -500, "gyro_z_rad_s is -500"],
  ])) {
    const time = uniform(hz, 20);
    const spiked = csv(time, (t) => swaying(t).map((v, c) => (c === channel && t === time[500] ? value : v)));
    const { pieces, report } = await read(spiked);
    assert.deepEqual(pieces, (await read(csv(time.filter((_, i) => i !== 500)))).pieces);
    assert.deepEqual([report.rows, report.gaps], [20 * hz - 1, 0]);
    assert.match(said(report), /; 1 row outside the physical limits \(16 g, 40 rad\/s\), left out as a gap: line 502 /);
    assert.ok(said(report).endsWith(`line 502 (${shown})`), said(report));
  }
  const atLimit = csv(uniform(50, 20), (t) => swaying(t).map((v, c) => (t === 10 ? [16, -16, 16, 40, -40, 40][c] : v)));
  assert.deepEqual([(await read(atLimit)).report.rows, (await read(atLimit)).report.outside.count], [1000, 0]);
  const four = await read(csv(uniform(50, 20), (t) => swaying(t).map((v, c) => (c === 2 && t > 4 && t < 4.07 ? 99 : c === 0 && t === 8 ? 17 : v))));
  assert.ok(
    said(four.report).endsWith(
      "4 rows outside the physical limits (16 g, 40 rad/s), left out as a gap: line 203 (total_acc_z_g is 99), line 204 (total_acc_z_g is 99), " +
        "line 205 (total_acc_z_g is 99) and 1 more; 1 gap that no window crosses",
    ),
    said(four.report),
  );
});

test("too many samples outside the limits are refused, and so is angular velocity in deg/s", async () => {
  await refused(
    csv(uniform(50, 20), (t) => swaying(t).map((v, c) => (c === 0 && t % 1 === 0 ? 300 : v))),
    /20 of 1000 samples are outside the physical limits \(16 g, 40 rad\/s\), the first in line 2; the sensor or the file is broken, or the unit is another/,
  );
  // Quiet but for one turn: few samples are beyond the limit, and they get there as a movement does.
  await refused(
    csv(uniform(50, 20), (t) => swaying(t).map((v, c) => (c === 3 && t >= 8 && t < 8.4 ? 45 * Math.sin(((t - 8) / 0.4) * Math.PI) : v))),
    /the gyroscope reaches 4\d(\.\d+)? rad\/s, expected at most 40; it looks like deg\/s/,
  );
});

test("a frozen sensor is a gap, and so is what it repeats from the first time on", async () => {
  for (const [first, sensor] of /** @type {[number, string][]} */ ([[0, "accelerometer"], [3, "gyroscope"]])) {
    const still = (/** @type {number} */ t) =>
      swaying(t).map((v, c) => (c >= first && c < first + 3 && ((t >= 10 && t < 18) || (t >= 25 && t < 26)) ? 0.5 : v));
    const { pieces, report } = await read(csv(uniform(50, 30), still));
    const times = [0, 1].map((k) => pieces.filter((piece) => piece.stretch === k).flatMap((piece) => [...piece.time]));
    assert.deepEqual(times, [uniform(50, 10), uniform(50, 30).filter((t) => t >= 18)]); // 50 equal samples last 0.98 s
    assert.equal(
      said(report),
      `1100 rows at 50 Hz; left out as a gap: the ${sensor} repeats one value for 7.98 s from line 502 on; 1 gap that no window crosses`,
    );
  }
  const twice = (await read(csv(uniform(50, 30), (t) => ((t >= 10 && t < 11.02) || t >= 20 ? swaying(0.37) : swaying(t))))).report;
  assert.equal(twice.rows, 949);
  assert.match(twice.text(), /the accelerometer repeats one value for 1 s from line 502 on, the accelerometer .* 9\.98 s from line 1002 on, the gyroscope .* and 1 more; 1 gap/);
  await refused(csv(uniform(50, 10), () => swaying(0.37)), /the accelerometer and the gyroscope repeat one value over all rows; the sensor was off/);
});

test("equal values on both sides of a set clock or a pause are no frozen sensor", async () => {
  const jump = (/** @type {number} */ byS) => csv(uniform(50, 20).map((t) => (t < 10 ? t : t + byS)), () => swaying((row++ % 500) / 50 + 0.003));
  let row = 0;
  for (const byS of [-8, 8]) {
    row = 0;
    const rows = jump(byS).trimEnd().split("\n");
    for (const i of [470, 480, 490, 500]) for (let k = 1; k <= 10; k++) rows[i + k] = [rows[i + k].split(",")[0], ...rows[480].split(",").slice(1)].join(",");
    const { report } = await read(rows.join("\n"));
    assert.deepEqual([report.rows, report.frozen.size], [1000, 0]);
  }
});

test("a file is judged alike where it is read in parts", async () => {
  const border = 1000; // rows of the first part
  const time = uniform(50, 42);
  const rows = csv(time).trimEnd().split("\n");
  const late = [...rows];
  late.splice(border + 3, 0, ...late.splice(border - 1, 1));
  const { pieces, report: sorted } = await read(late.join("\n"), border);
  assert.ok(pieces.length > 1);
  assert.deepEqual(pieces.flatMap((piece) => [...piece.time]), time);
  assert.deepEqual(pieces.flatMap((piece) => [...piece.samples]), [...Float32Array.from(time.flatMap(swaying))]);
  assert.match(said(sorted), /; 1 row sorted by time \(up to 0\.08 s late\)$/);
  for (const [first, stop, left] of [[border - 20, border + 40, 60], [border - 70, border + 40, 110], [border - 20, border + 20, 0]]) {
    const frozen = rows.map((row, i) => (i > first && i <= stop ? [row.split(",")[0], ...rows[first].split(",").slice(1, 4), ...row.split(",").slice(4)].join(",") : row));
    const { report } = await read(frozen.join("\n"), border);
    assert.deepEqual([report.rows, report.gaps], [time.length - (left && left + 1), left ? 1 : 0]);
    if (left) assert.match(said(report), new RegExp(`accelerometer repeats one value for ${left / 50} s from line ${first + 1} on`));
    assert.equal(said(report), said((await read(frozen.join("\n"))).report));
  }
  const restarted = time.map((t, i) => (i > border + 2 ? t - 10 : t));
  assert.equal(said((await read(csv(restarted), border)).report), said((await read(csv(restarted))).report));
});

test("values that a model cannot tell apart are equal", async () => {
  const random = randomNumbers(6);
  const { report } = (await read(csv(uniform(50, 20), (t) => (t >= 5 && t < 7 ? swaying(1).map((v) => v + 1e-9 * random()) : swaying(t)))));
  assert.equal(report.rows, 900);
});

test("acceleration that clips is reported", async () => {
  const strong = (/** @type {number} */ limit) => (/** @type {number} */ t) =>
    swaying(t).map((v, c) => (c === 0 ? Math.min(limit, 0.9 + 1.4 * Math.abs(Math.sin(3 * t)) ** 5) : v));
  const { report } = await read(csv(uniform(50, 20), strong(1.99)));
  const share = Number(((100 * report.atHigh[0]) / 1000).toPrecision(2));
  assert.ok(report.atHigh[0] >= 50);
  assert.equal(said(report), `1000 rows at 50 Hz; acceleration clips at 2 g (${share} % of samples)`);
  assert.equal(said((await read(csv(uniform(50, 20), strong(1.9)))).report), "1000 rows at 50 Hz");
});

test("semicolons, tabs, decimal commas, quotation marks, a byte-order mark and Windows lines are read", async () => {
  const plain = csv(uniform(50, 10));
  const expected = (await read(plain)).pieces;
  assert.deepEqual((await read(plain.replaceAll(",", ";").replaceAll(".", ","))).pieces, expected);
  assert.deepEqual((await read(plain.replaceAll(",", "\t"))).pieces, expected);
  assert.deepEqual((await read(`\uFEFF${plain.replaceAll("\n", "\r\n")}`)).pieces, expected);
  assert.deepEqual((await read(plain.split("\n").map((line, i) => (line && i ? `"${line.split(",").join('","')}"` : line)).join("\n"))).pieces, expected);
});

test("other columns are left alone, in any order", async () => {
  const [head, ...rows] = csv(uniform(50, 10)).trimEnd().split("\n");
  const turned = [head, ...rows].map((row, i) => `${i ? "WALKING" : "label"},${row.split(",").reverse().join(",")}`).join("\n");
  assert.deepEqual((await read(turned)).pieces, (await read([head, ...rows].join("\n"))).pieces);
});

test("what cannot be a recording is named, with its place", async () => {
  const time = uniform(50, 10);
  const good = csv(time);
  await refused("", /is empty/);
  await refused("\n1,2", /has no header that fits its rows \(line 2 is 1, 2\): none is known as acceleration; choose the columns/);
  await refused(good.split("\n", 1)[0], /has a header but no samples/);
  await refused(good.split("\n").slice(1).join("\n"), /has no header that fits its rows \(line 1 is 0, 0\.98/);
  await refused(good.replace("gyro_z_rad_s", "gz"), /holds no gyroscope, which is needed; it has: accelerometer; of gyroscope, z is missing; where other columns are it, choose them/);
  await refused(good.split("\n").map((line) => line.split(",").slice(0, 4).join(",")).join("\n"), /\(this project's columns\) holds no gyroscope, which is needed; it has: accelerometer; where other columns are it, choose them$/);
  await refused(good.replace("gyro_z_rad_s", "gyro_y_rad_s"), /column gyro_y_rad_s appears twice; expected once/);
  const lines = good.split("\n");
  const replaced = (/** @type {number} */ line, /** @type {string} */ text) => lines.map((old, i) => (i === line - 1 ? text : old)).join("\n");
  await refused(replaced(7, "inf,1,0,0,0,0,0"), /the time in line 7 is not a finite number/);
  await refused(replaced(7, "0.1,1,0,0,abc,0,0"), /line 7, column gyro_x_rad_s: 'abc' is not a number/);
  await refused(replaced(7, "0.1,1,0"), /line 7 has 3 columns, expected 7; the file may be cut off/);
  await refused(replaced(7, "0,1,1,0,0,0,0,0"), /line 7 has 8 columns/);
  await refused(good.replaceAll(",", ";").replace("0.1;", "0,1;"), /has both '.*' in line \d+ and '.*' in line \d+; expected one decimal sign/);
  await refused(csv(time, (t) => swaying(t).map((v, i) => (i < 3 ? 9.81 * v : v))), /median length of total acceleration is 9\.\d+ g.*looks like m\/s2; choose the units/);
  await refused(csv(time, (t) => swaying(t).map((v, i) => (i < 3 ? v * 0.01 : v))), /gravity must be included/);
  await refused(csv(time, (t) => swaying(t).map((v, i) => (i < 3 ? v : 200 * v))), /it looks like deg\/s/);
  await refused(csv(time, (t) => [...swaying(t).slice(0, 5), 0.5]), /gyro_z_rad_s is constant \(0\.5\) over all 500 rows/);
  await refused(csv(uniform(25, 10)), /the sampling rate is 25 Hz \(mean\), expected at least 40 Hz; record faster/);
  await refused(csv(time.map((t) => 1000 * t)), /is the time in ms\?/);
  await refused(csv(time.map((t) => t / 1000)), /the sampling rate would be 5e\+04 Hz; is the time in s\?/);
  await refused(csv(time.map((t, i) => t + (i % 2 ? -0.018 : 0))), /the samples come in bursts/);
  // The rate is measured on the first lines that are judged.
  await refused(csv([...uniform(50, 20), ...uniform(60, 5).map((t) => 20 + t)]), /begins at 50 Hz, but between lines \d+ and \d+ its rate is another/, 900);
  let row = 0;
  await refused(csv(time.map((_, i) => Math.floor(i / 3) * 0.06), () => swaying(row++)), /have the time of the row before/);
});

test("rows with missing values are left out", async () => {
  const lines = csv(uniform(50, 10)).split("\n");
  for (const cell of ["NaN", "", "-", "null", "N/A"]) {
    lines[6] = `0.1,1,0,0,${cell},0,0`;
    const { report } = await read(lines.join("\n"));
    assert.equal(said(report), "499 rows at 49.9 Hz; 1 row with missing values, left out");
  }
});

test("what is written is read again", async () => {
  const time = uniform(60, 5);
  const text = recordingCsv(time, time.flatMap(swaying));
  const { report } = await read(text);
  assert.equal(report.rows, 300);
  assert.equal(text.split("\n")[1], "0.000000,0.980000,0.100000,0.070000,0.300000,0.000000,-0.100000");
});
