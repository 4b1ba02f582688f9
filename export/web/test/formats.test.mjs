import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync, gzipSync } from "node:zlib";

import { ReadReport, readPieces } from "../src/reading.js";
import { isExport } from "../src/source.js";
import { RULES, csv, sourceOf, swaying, uniform } from "./helpers.mjs";

const G = 9.80665;
const HZ = 100;
const time = uniform(HZ, 6);

/** @typedef {(timeS: number, sample: number[]) => unknown[]} Row cells of one sample */

/**
 * @param {string} header
 * @param {Row} row
 * @param {string} [mark] between cells
 */
function table(header, row, mark = ",") {
  return `${header}\n${time.map((timeS) => row(timeS, swaying(timeS)).join(mark)).join("\n")}\n`;
}

/**
 * @param {Record<string, string | Uint8Array<ArrayBuffer>>} files
 * @param {Partial<import("../src/tables.js").ReadOptions>} [options]
 */
async function read(files, options) {
  const report = new ReadReport();
  const pieces = [];
  for await (const piece of readPieces(await sourceOf(files), report, options)) pieces.push(piece);
  return { line: report.text(), time: pieces.flatMap((piece) => [...piece.time]), samples: pieces.flatMap((piece) => [...piece.samples]) };
}

/** As `read`: what the same samples in this project's columns give. */
const plain = await read({ "a.csv": csv(time) });

/**
 * A zip archive; names that end in a slash are folders.
 *
 * @param {Record<string, string>} files
 * @param {{method?: number, damage?: boolean, flags?: number}} [how]
 */
function zip(files, { method = 8, damage = false, flags = 0 } = {}) {
  const parts = [];
  const directory = [];
  let at = 0;
  for (const [name, text] of Object.entries(files)) {
    const content = Buffer.from(text);
    const packed = method === 8 ? deflateRawSync(content) : content;
    const fields = Buffer.alloc(26);
    [20, flags, method].forEach((value, i) => fields.writeUInt16LE(value, 2 * i));
    fields.writeUInt32LE((gzipSync(content).readUInt32LE(gzipSync(content).length - 8) ^ Number(damage)) >>> 0, 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(content.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(at, 10);
    directory.push(Buffer.from("PK\x01\x02\x14\x00"), fields, place, Buffer.from(name));
    const entry = Buffer.concat([Buffer.from("PK\x03\x04"), fields, Buffer.from(name), packed]);
    parts.push(entry);
    at += entry.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  [8, 10].forEach((place) => end.writeUInt16LE(Object.keys(files).length, place));
  end.writeUInt32LE(listed.length, 12);
  end.writeUInt32LE(at, 16);
  return new Uint8Array(Buffer.concat([...parts, listed, end]));
}

const slow = (/** @type {number} */ t) => 0.1 * Math.sin(0.5 * t); // share of y in gravity
const logger = (/** @type {number} */ sign, /** @type {number} */ unit) => ({
  "log/Accelerometer.csv": table("time,seconds_elapsed,z,y,x", (t, [x, y, z]) => [1.7e18 + 1e9 * t, t, sign * unit * (z - 0.07 - 0.1 * slow(t)), sign * unit * (y - slow(t)), sign * unit * (x - 0.98 + 0.1 * slow(t))]),
  "log/Gravity.csv": table("time,seconds_elapsed,z,y,x", (t) => [1.7e18 + 1e9 * t, t, sign * unit * (0.07 + 0.1 * slow(t)), sign * unit * slow(t), sign * unit * (0.98 - 0.1 * slow(t))]),
  "log/Gyroscope.csv": table("time,seconds_elapsed,z,y,x", (t, s) => [1.7e18 + 1e9 * t, t, s[5], s[4], s[3]]),
});
const phyphox = {
  "export/Accelerometer.csv": table("Time (s),Acceleration x (m/s^2),Acceleration y (m/s^2),Acceleration z (m/s^2)", (t, s) => [t, ...s.slice(0, 3).map((v) => G * v)]),
  "export/Gyroscope.csv": table("Time (s),Gyroscope x (rad/s),Gyroscope y (rad/s),Gyroscope z (rad/s)", (t, s) => [t, ...s.slice(3)]),
};
const named = "time_s,total_acc_x_g,total_acc_y_g,total_acc_z_g,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s";
const date = (/** @type {number} */ t) => new Date(1717243200000 + 1000 * t).toISOString();

/** @type {[string, Record<string, string | Uint8Array<ArrayBuffer>>][]} what it is recognised as, and its files */
const EXPORTS = [
  ["Sensor Logger on Android", logger(1, G)],
  ["Sensor Logger on iOS", logger(-1, 1)],
  ["Sensor Logger on iOS", { ...logger(1, G), "log/Metadata.csv": "version,platform,standardisation\n3,ios,true\n" }],
  ["phyphox", phyphox],
  ["phyphox", { "export.zip": zip({ "meta/": "", "Accelerometer.csv": phyphox["export/Accelerometer.csv"], "Gyroscope.csv": phyphox["export/Gyroscope.csv"] }) }],
  ["SensorLog", { "a.csv": table("loggingTime(txt),loggingSample(N),accelerometerTimestamp_sinceReboot(s),accelerometerAccelerationX(G),accelerometerAccelerationY(G),accelerometerAccelerationZ(G),gyroTimestamp_sinceReboot(s),gyroRotationX(rad/s),gyroRotationY(rad/s),gyroRotationZ(rad/s)", (t, s) => [date(t), 1, 500 + t, ...s.slice(0, 3).map((v) => -v), 500 + t, ...s.slice(3)]) }],
  ["AndroSensor", { "a.csv": `sep=;\n${table("ACCELEROMETER X (m/s²);ACCELEROMETER Y (m/s²);ACCELEROMETER Z (m/s²);GYROSCOPE X (rad/s);GYROSCOPE Y (rad/s);GYROSCOPE Z (rad/s);Time since start in ms ", (t, s) => [...s.map((v, c) => (c < 3 ? G * v : v)), 1000 * t], ";")}` }],
  ["Physics Toolbox", { "a.csv": table("time,gFx,gFy,gFz,wx,wy,wz", (t, s) => [t, ...s]) }],
  ["Axivity", { "a.csv": table("Time,Accel-X (g),Accel-Y (g),Accel-Z (g),Gyro-X (d/s),Gyro-Y (d/s),Gyro-Z (d/s)", (t, s) => [date(t).replace("T", " ").replace("Z", ""), ...s.map((v, c) => (c < 3 ? v : (v * 180) / Math.PI))]) }],
  ["this project's columns", { "a.csv.gz": new Uint8Array(gzipSync(csv(time))) }],
  ["this project's columns", { "a.csv": new Uint8Array(gzipSync(csv(time))) }],
  ["this project's columns", { "a.csv": new Uint8Array(Buffer.from(`\uFEFF${csv(time)}`, "utf16le")) }],
  ["this project's columns", { "a.txt": csv(time).replaceAll(",", " ") }],
  ["a table", { "a.csv": table("date;ax (g);ay (g);az (g);gx (rad/s);gy (rad/s);gz (rad/s);Größe".replace("date", "datetime"), (t, s) => [date(t).replace("T", " ").replace(/\.(\d+)Z/, ",$1 +00:00"), ...s.map((v) => String(v).replace(".", ",")), "1,5"], ";") }],
  ["a table", { "a.csv": new Uint8Array(Buffer.from(table("Zeit,time (days),ax (m/s²),ay (m/s²),az (m/s²),gx (°/s),gy (°/s),gz (°/s)", (t, s) => ["für", 45000 + t / 86400, ...s.map((v, c) => (c < 3 ? v * G : (v * 180) / Math.PI))]), "latin1")) }],
  ["a table", { "a.csv": table("timestamp,wrist_acc_x_mg,wrist_acc_y_mg,wrist_acc_z_mg,wrist_gyro_x (dps),wrist_gyro_y (dps),wrist_gyro_z (dps)", (t, s) => [1.7e15 + 1e6 * t, ...s.map((v, c) => (c < 3 ? 1000 * v : (v * 180) / Math.PI))]) }],
];

for (const [name, files] of EXPORTS) {
  test(`${name}: ${Object.keys(files).join(", ")}`, async () => {
    const { line, samples, time: found } = await read(files);
    assert.ok(line.startsWith(`${name}, `), line);
    assert.ok(found.length >= 297 && Math.abs(found[0] - plain.time[0]) < 500.1); // those of a clock since the start of the device are kept
    assert.ok(samples.length / 6 === found.length);
    const shift = plain.time.findIndex((timeS) => Math.abs(timeS - (found[0] % 500)) < 0.011); // streams that are joined begin on the grid
    const off = samples.map((value, i) => Math.abs(value - plain.samples[6 * shift + i])).slice(120, -240);
    assert.ok(Math.max(...off) < 2e-3, `off by ${Math.max(...off)}`);
  });
}

test("a clock that was paused goes on by as much", async () => {
  const meta = '"event","experiment time","system time"\n"START",0,1700000000\n"PAUSE",3,1700000003\n"START",3,1700000010\n"PAUSE",6,1700000013\n';
  const { line, time: found } = await read({ ...phyphox, "export/meta/time.csv": meta });
  assert.match(line, /1 gap that no window crosses; gyroscope, .*1 gap that no window crosses$/);
  assert.ok(Math.abs(found[found.length - 1] - 12.98) < 0.03);
});

test("3/4 is read as one date and not as two", async () => {
  const rows = table(named.replace("time_s", "time"), (t, s) => [`3/4/2024 ${date(t).slice(11, 23)}`, ...s]);
  const seconds = time.map((t, i) => (i < 300 ? t : t + 86400 - 3));
  const over = `${named}\n${seconds.map((t) => [`${3 + Math.floor(t / 86400)}/12/2024 ${new Date(1000 * (t % 86400)).toISOString().slice(11, 23)}`, ...swaying(t)].join(",")).join("\n")}`;
  assert.equal((await read({ "a.csv": rows })).time.length, 300);
  const { line, time: found } = await read({ "a.csv": over }); // the day after 3/12 is 4/12
  assert.match(line, /1 gap that no window crosses/);
  assert.ok(Math.abs(found[found.length - 1] - found[0] - 86403) < 3.1);
});

test("what has to be said is asked for, and what is said is taken", async () => {
  const text = `# rate 100 Hz\n${table("n,a_x,a_y,a_z,g_x,g_y,g_z", (t, s) => [Math.round(HZ * t), ...s.map((v, c) => (c < 3 ? v : 300 * v))])}`;
  await assert.rejects(read({ "a.csv": text }), {
    name: "Error",
    message:
      "a.csv does not name the unit of accelerometer (its median length is 0.989) and the unit of gyroscope (it reaches 90) and the times, so that " +
      "the rate is needed (a line says 100 Hz); check and choose what is missing",
  });
  const { line } = await read({ "a.csv": text }, { accUnit: "g", gyroUnit: "deg/s", rateHz: 100 });
  assert.equal(line, "a table, 6 s: total acceleration and gyroscope, 600 rows at 100 Hz, resampled to 50 Hz");
  const other = table("a,b,c,d,e,f,g", (t, s) => [t, ...s]);
  const columns = Object.fromEntries(named.split(",").map((ours, i) => [ours, "abcdefg"[i]]));
  assert.match((await read({ "a.csv": other }, { columns, accUnit: "g", gyroUnit: "rad/s" })).line, /^this project's columns, 6 s: /);
  await assert.rejects(read({ "a.csv": other }), /has the columns a, b, c, d, e, f, g: none is known as acceleration; choose the columns$/);
});

test("an accelerometer alone is read for a model that needs no more, and 20 Hz for one of 20 Hz", async () => {
  const text = csv(time, (t) => swaying(t).slice(0, 3)).replace(/,gyro.*\n/, "\n");
  const { line, samples } = await read({ "a.csv": text }, { sensors: ["accelerometer"], sampleRateHz: 20, leastRateHz: 16 });
  assert.equal(line, "this project's columns, 6 s: total acceleration, 600 rows at 100 Hz, resampled to 20 Hz");
  assert.equal(samples.length, 3 * 120);
  await assert.rejects(read({ "a.csv": text }), /\(this project's columns\) holds no gyroscope, which is needed; it has: accelerometer; where other columns are it, choose them$/);
});

test("clocks must have a time in common", async () => {
  const later = phyphox["export/Gyroscope.csv"].replaceAll(/^\d/gm, "9$&");
  const message = "export: total acceleration and gyroscope have no time in common; export the sensors with one clock";
  await assert.rejects(read({ ...phyphox, "export/Gyroscope.csv": later }), { name: "Error", message });
});

test("gravity must be there", async () => {
  const { "log/Accelerometer.csv": one, "log/Gyroscope.csv": other } = logger(1, G);
  const message = /Sensor Logger on Android\) holds acceleration without gravity alone; .*: export TotalAcceleration.csv \(Android\) or Gravity.csv \(iOS\)/;
  await assert.rejects(read({ "log/Accelerometer.csv": one, "log/Gyroscope.csv": other }), message);
});

test("what is no recording is named", async () => {
  const good = { "Accelerometer.csv": phyphox["export/Accelerometer.csv"] };
  const cases = /** @type {[Record<string, string | Uint8Array<ArrayBuffer>>, RegExp][]} */ ([
    [{ "a.parquet": "PAR1" }, /^a\.parquet is Parquet, which this page does not read; convert it to CSV$/],
    [{ "a.xlsx": zip({ "xl/sheet.xml": "x" }) }, /^a\.xlsx is an Excel workbook, expected text; export or save it as CSV$/],
    [{ "a.zip": zip({ "sheet.xlsx": "x" }) }, /^no recording in a\.zip \(Excel: export CSV instead\); expected files that end in \.csv, /],
    [{ "a.zip": zip(good, { damage: true }) }, /^cannot read a\.zip\/Accelerometer\.csv \(its checksum is another than the archive says\); export or copy it again$/],
    [{ "a.zip": zip(good, { flags: 1 }) }, /\(it is encrypted\)/],
    [{ "a.zip": zip(good, { method: 12 }) }, /\(it is packed by method 12, expected deflate\)/],
    [{ "a.zip": zip(good).slice(0, 400) }, /^a\.zip is not a whole zip file; export or copy it again$/],
    [{ "a.csv": zip(good).slice(0, 400) }, /^a\.csv is not a whole zip file; export or copy it again$/],
    [{ "a.zip": zip(good).slice(40) }, /^(a\.zip is not a whole zip file|cannot read a\.zip\/Accelerometer\.csv) \(/],
    [{ "a.csv.gz": new Uint8Array(gzipSync(csv(time)).subarray(0, 900)) }, /^cannot read a\.csv\.gz \(.*\); export or copy it again$/],
    [{ "a.csv": "\0".repeat(70_000) }, /^a\.csv: line 1 is longer than 65,536 characters; expected CSV with one row a line$/],
    [{ "a.csv": "A letter\nto somebody\n" }, /^a\.csv holds no table of numbers \(it begins with 'A letter'\); expected a header/],
    [{ "a.csv": csv(time), "b.csv": csv(time) }, /^2 files were chosen, expected one recording; choose one file, or the folder, the zip or the files of one app$/],
    [{ "one/Accelerometer.csv": csv(time), "two/Accelerometer.csv": csv(time) }, /^2 files were chosen/],
  ]);
  for (const [files, message] of cases) await assert.rejects(read(files), { name: "Error", message });
});

test("zip archives that are stored, and files of one export chosen at once, are recordings", async () => {
  const files = { "Accelerometer.csv": phyphox["export/Accelerometer.csv"], "Gyroscope.csv": phyphox["export/Gyroscope.csv"] };
  const expected = await read(phyphox);
  assert.deepEqual((await read({ "a.zip": zip(files, { method: 0 }) })).samples, expected.samples);
  assert.deepEqual((await read(files)).samples, expected.samples);
  assert.deepEqual([isExport(Object.keys(files), RULES), isExport(["subject1.csv"], RULES)], [true, false]);
});
