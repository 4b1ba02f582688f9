/**
 * Times as apps write them: numbers in any unit, dates with and without a zone, wall clock times, and Excel's days: a port of
 * `har/recording/times.py`.
 */

import { diff, mean, median, rint } from "./numbers.js";

/** @type {Readonly<Record<string, number>>} s in a unit */
export const TIME_UNITS = Object.freeze({ s: 1, ms: 1e-3, us: 1e-6, ns: 1e-9, days: 86400 });
const SLOWEST_HZ = 4; // of any sensor that is worn; to the fastest lies less than the factor between two units
const FASTEST_HZ = 2000;
const EXCEL_DAYS = Object.freeze([20_000, 80_000]); // days since 1900 from 1954 to 2119
const DAY_S = 86400;

const DATE = new RegExp(
  "^(?:(?:(?<year>\\d{4})[-/.](?<month>\\d{1,2})[-/.](?<day>\\d{1,2})|(?<a>\\d{1,2})[-/.](?<b>\\d{1,2})[-/.](?<y>\\d{4}))[T ,;]+)?" +
    "(?<hour>\\d{1,2})(?<between>[:-])(?<minute>\\d{2})\\k<between>(?<second>\\d{2})(?:[.,:_](?<fraction>\\d{1,9}))?" +
    "\\s*(?<half>[AaPp]\\.?[Mm]\\.?)?\\s*(?<zone>Z|UTC|GMT|[+-]\\d{2}:?\\d{2})?(?:\\s*\\[[\\w/+-]+\\])?$",
);

/** Seconds of dates and times that are written in one way. */
export class DateReader {
  /** @type {Map<string, number>} */
  #days = new Map();
  /** @type {{monthFirst: number, dayFirst: number} | null} the first date in both orders */
  #undecided = null;
  /** @type {string | null} of the first text: whether it has a date, AM or PM, and a zone */
  #form = null;
  /** @type {number | null} time of the day without a date; the next one is the nearest to it, so that midnight is no step */
  #lastS = null;

  /**
   * @param {boolean | null} dayFirst whether 3/4/2020 is the third of April; null: told from the first day above 12, or from the
   *   second date, which is the day after the first or as near to it as one order allows
   */
  constructor(dayFirst) {
    this.dayFirst = dayFirst;
  }

  /**
   * s since 1970, in UTC where a zone is named; NaN where a text is no time, or is written in another way than the first.
   *
   * @param {string} text
   */
  second(text) {
    const found = DATE.exec(text.trim().replace(/^"+|"+$/g, ""))?.groups;
    if (!found) return NaN;
    const dated = (found.year ?? found.y) !== undefined;
    const form = [dated, found.half, found.zone].map(Boolean).join(" ");
    if (form !== (this.#form ??= form)) return NaN;
    let hour = Number(found.hour);
    const [minute, second] = [Number(found.minute), Number(found.second)];
    if (found.half) hour = (hour % 12) + (/^p/i.test(found.half) ? 12 : 0);
    if (hour > 23 || minute > 59 || second > 60) return NaN;
    const date = [found.year, found.month, found.day, found.a, found.b, found.y, found.zone];
    const key = date.join(" ");
    const day = this.#days.get(key) ?? this.#day(found);
    this.#days.set(key, day);
    const timeS = day + 3600 * hour + 60 * minute + second + (found.fraction ? Number(`0.${found.fraction}`) : 0);
    if (dated) return timeS;
    this.#lastS = timeS + (this.#lastS === null ? 0 : rint((this.#lastS - timeS) / DAY_S)) * DAY_S;
    return this.#lastS;
  }

  /** @param {Record<string, string | undefined>} date */
  #day({ year, month, day, a, b, y, zone }) {
    if (y === undefined) return year === undefined ? 0 : timestamp(year, month, day, zone);
    const [monthFirst, dayFirst] = [timestamp(y, a, b, zone), timestamp(y, b, a, zone)];
    const one = this.#undecided;
    if (this.dayFirst === null && !(Number.isFinite(monthFirst) && Number.isFinite(dayFirst))) this.dayFirst = !Number.isFinite(monthFirst);
    if (this.dayFirst === null && one && monthFirst !== dayFirst) {
      this.dayFirst = Math.abs(dayFirst - one.dayFirst) < Math.abs(monthFirst - one.monthFirst);
    }
    const { monthFirst: taken, dayFirst: meant } = (this.#undecided ??= { monthFirst, dayFirst });
    if (!this.dayFirst) return monthFirst;
    return dayFirst + (Number.isFinite(taken) ? taken - meant : 0); // from where the first date was taken to be
  }
}

/**
 * Seconds from 1970 to the begin of a day; NaN where there is no such day or zone.
 *
 * @param {string | undefined} year
 * @param {string | undefined} month
 * @param {string | undefined} day
 * @param {string | undefined} zone
 */
function timestamp(year, month, day, zone) {
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (Number(year) < 1 || date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day)) return NaN;
  if (!zone || !/^[+-]/.test(zone)) return date.getTime() / 1000;
  const minutes = 60 * Number(zone.slice(1, 3)) + Number(zone.slice(-2));
  if (minutes >= 24 * 60) return NaN;
  return date.getTime() / 1000 + (zone[0] === "-" ? 60 : -60) * minutes;
}

/**
 * The unit of times that are some milliseconds apart; null where no unit gives a rate of a worn sensor, or they count rows.
 *
 * @param {Float64Array} numbers
 */
export function tellUnit(numbers) {
  const finite = numbers.filter(Number.isFinite);
  const step = diff(finite).filter((s) => s > 0);
  if (!step.length || step.every((s) => Math.abs(s - 1) < 1e-9)) return null;
  const period = median(step) > 0.2 * mean(step) ? median(step) : mean(step);
  const worn = (/** @type {number} */ seconds) => 1 / FASTEST_HZ <= seconds && seconds <= 1 / SLOWEST_HZ;
  const middle = median(finite);
  if (EXCEL_DAYS[0] <= middle && middle <= EXCEL_DAYS[1] && worn(period * DAY_S)) return "days";
  const fitting = ["s", "ms", "us", "ns"].filter((unit) => worn(period * TIME_UNITS[unit]));
  return fitting.length === 1 ? fitting[0] : null;
}
