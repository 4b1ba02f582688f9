/**
 * What the dialog of columns and units asks about a recording: what its names say is offered, what its values suggest is
 * preselected and must be confirmed, the rest is chosen.
 */

import { AXES, HarError, columnsOf, kindOf, positionOf } from "./contract.js";
import { clocksOf, longest, plain, readHeads, recognise, sensorOf, unitOf } from "./formats.js";
import { wordsOf } from "./reading.js";
import { isKnownUnit, likelyUnit, ofSensor, saidRate } from "./tables.js";

/** @typedef {import("./tables.js").ReadOptions} ReadOptions */

/**
 * @typedef {object} Channel A column that is needed.
 * @property {string} ours its name in this project's files
 * @property {string} sensor
 * @property {string} words
 * @property {string} known the file's column that is taken without a choice; empty where there is none
 * @property {string} likely the column to preselect; empty where none is known
 */

/**
 * @typedef {object} Question
 * @property {import("./text_tables.js").Head[]} heads of all tables
 * @property {import("./text_tables.js").Head} shown of the longest one
 * @property {Channel[]} channels
 * @property {string} clock the column of times that is taken without a choice
 * @property {boolean} asksTimeUnit whether it names a unit that is not known
 * @property {Record<string, string>} units of the sensors that are needed, as the file or its app says; empty where it says none
 * @property {string} rate in Hz that a line of the file says
 */

/**
 * @typedef {object} Choice What the user chose; empty texts: as the file says.
 * @property {Record<string, string>} columns this project's name -> the file's
 * @property {string} time column
 * @property {string} accUnit
 * @property {string} gyroUnit
 * @property {string} timeUnit
 * @property {string} rate in Hz
 */

/**
 * @param {import("./source.js").Source} source
 * @param {ReadOptions} options with what was chosen before
 * @returns {Promise<Question>}
 * @throws {HarError} it holds no table
 */
export async function questionOf(source, options) {
  const heads = await readHeads(source);
  const found = await orNull(recognise(source, heads, options.columns, options.accUnit));
  const located = new Map(options.sensors.map((sensor) => [sensor, (found && attempt(() => ofSensor(source, found, sensor))) ?? []]));
  const head = longest(heads);
  const layouts = [...located.values()].flat().map(({ layout }) => layout);
  const clock = (layouts[0] ?? { head, clock: clocksOf(source, head.names.map(plain), head, new Map())[0] ?? null });
  const channels = options.sensors.flatMap((sensor) => {
    const own = located.get(sensor) ?? [];
    return columnsOf(sensor).map((ours, i) => {
      const [likely = "", ...others] = heads.flatMap(({ names }) => names).filter((name) => means(name, sensor, AXES[i], source.rules));
      return {
        ours,
        sensor,
        words: `${wordsOf(sensor)} ${AXES[i]}`,
        known: own.map(({ layout, sensor: { columns } }) => layout.head.names[columns[i]]).join(" + "),
        likely: others.length ? "" : likely,
      };
    });
  });
  return {
    heads,
    shown: head,
    channels,
    clock: clock.clock ? clock.head.names[clock.clock.column] : "",
    asksTimeUnit: !isKnownUnit(clock.clock?.unit ?? null),
    units: Object.fromEntries([...located].map(([sensor, own]) => [sensor, own[0]?.sensor.unit ?? ""])),
    rate: heads.map((one) => saidRate({ head: one, clock: null, sensors: [] })?.hz).find((hz) => hz !== undefined)?.toString() ?? "",
  };
}

/**
 * The unit of a sensor that the names or the values of its columns suggest, and why; null where they suggest none.
 *
 * @param {import("./source.js").Source} source
 * @param {Question} question
 * @param {string} sensor
 * @param {Record<string, string>} chosen this project's name -> the file's
 */
export async function likelyOf(source, { heads, channels }, sensor, chosen) {
  const names = channels.filter((channel) => channel.sensor === sensor).map(({ ours, known }) => chosen[ours] || known);
  const head = heads.find((one) => names.every((name) => one.names.includes(name)));
  if (!head) return null;
  const columns = { sensor, columns: names.map((name) => head.names.indexOf(name)), unit: null, sign: 1 };
  const said = unitOf(names[0], source.rules);
  return said ? { unit: said, why: "from its name" } : orNull(likelyUnit(source, { head, clock: null, sensors: [columns] }, columns));
}

/**
 * Whether a column's name means an axis of a kind of sensor.
 *
 * @param {string} name
 * @param {string} sensor
 * @param {string} axis
 * @param {import("./source.js").Rules} rules
 */
function means(name, sensor, axis, rules) {
  const found = sensorOf(plain(name), rules.sensors, rules);
  return found !== null && found.axis === axis && found.sensor.slice(positionOf(sensor).length) === kindOf(sensor);
}

/**
 * The options that a choice stands for, as `har predict` has them.
 *
 * @param {Question} question
 * @param {Choice} choice
 * @param {ReadOptions} before
 * @returns {Partial<ReadOptions>}
 */
export function optionsOf({ channels, heads }, choice, before) {
  const names = new Set(heads.flatMap((head) => head.names)); // gravity and what is without it are two columns
  const changed = new Set(channels.filter(({ ours }) => choice.columns[ours]).map(({ sensor }) => sensor));
  const mapped = channels.filter(({ sensor }) => changed.has(sensor)).map(({ ours, known }) => [ours, choice.columns[ours] || known]);
  if (choice.time) mapped.push(["time_s", choice.time]);
  return {
    columns: { ...before.columns, ...Object.fromEntries(mapped.filter(([, theirs]) => names.has(theirs))) },
    accUnit: choice.accUnit || null,
    gyroUnit: choice.gyroUnit || null,
    timeUnit: choice.timeUnit || null,
    rateHz: choice.rate ? Number(choice.rate) : null,
  };
}

/**
 * @template T
 * @param {Promise<T>} wanted
 * @returns {Promise<T | null>} null where the recording does not fit: that is what is asked about
 */
async function orNull(wanted) {
  return wanted.catch((error) => {
    if (error instanceof HarError) return null;
    throw error;
  });
}

/**
 * @template T
 * @param {() => T} wanted
 * @returns {T | null} as `orNull`
 */
function attempt(wanted) {
  try {
    return wanted();
  } catch (error) {
    if (error instanceof HarError) return null;
    throw error;
  }
}
