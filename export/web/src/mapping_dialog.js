/**
 * The dialog of columns and units, for tables that are not known and for what a file does not say.
 */

import { kindOf } from "./contract.js";
import { likelyOf, optionsOf, questionOf } from "./mapping.js";
import { ACC_UNITS, GYRO_UNITS } from "./tables.js";
import { TIME_UNITS } from "./times.js";
import { element, make, setText } from "./view.js";

const ROWS_SHOWN = 5;

/** @typedef {import("./tables.js").ReadOptions} ReadOptions */

export class MappingDialog {
  dialog = element("mapping", HTMLDialogElement);
  form = element("mapping-form", HTMLFormElement);
  /** @type {(confirmed: boolean) => void} ends what is asked now */
  end = () => undefined;

  constructor() {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.end(true);
    });
    element("mapping-cancel", HTMLButtonElement).addEventListener("click", () => this.end(false));
    this.dialog.addEventListener("cancel", () => this.end(false));
  }

  /** Whatever is asked is not asked any more. */
  close() {
    this.end(false);
  }

  /**
   * Let the user choose.
   *
   * @param {import("./source.js").Source} source
   * @param {ReadOptions} before what holds now
   * @param {string} message why it is asked
   * @returns {Promise<Partial<ReadOptions> | null>} null where the user does not want to
   * @throws {import("./contract.js").HarError} the recording holds no table
   */
  async ask(source, before, message) {
    this.close();
    const question = await questionOf(source, before);
    setText("mapping-message", message);
    showRows(question.shown);
    const names = Object.fromEntries(question.heads.flatMap((head) => head.names).map((name) => [name, name]));
    element("mapping-fields", HTMLElement).replaceChildren(
      ...question.channels.map(({ ours, words, known, likely }) =>
        choose(ours, words, known && `as recognised: ${known}`, names, known ? "" : likely),
      ),
      choose("time_s", "Times", question.clock ? `as recognised: ${question.clock}` : "none: every row is one sample", names, ""),
      choose("time-unit", "Unit of the times", question.asksTimeUnit ? "" : "from the times themselves", TIME_UNITS, before.timeUnit ?? ""),
      rateField(before.rateHz?.toString() ?? question.rate),
      ...unitFields(question, before),
    );
    const changed = () => {
      element("map-rate", HTMLInputElement).required = !question.clock && !value("time_s");
      void suggestUnits(source, question);
    };
    for (const { ours } of [...question.channels, { ours: "time_s" }]) {
      element(`map-${ours}`, HTMLSelectElement).addEventListener("change", changed);
    }
    changed();
    this.dialog.showModal();
    const confirmed = await new Promise((resolve) => (this.end = resolve));
    this.end = () => undefined;
    this.dialog.close();
    if (!confirmed) return null;
    const units = { accUnit: value("acc-unit"), gyroUnit: value("gyro-unit"), timeUnit: value("time-unit") };
    return optionsOf(question, { columns: chosenColumns(question), time: value("time_s"), rate: value("rate"), ...units }, before);
  }
}

/** @param {import("./mapping.js").Question} question */
function chosenColumns({ channels }) {
  return Object.fromEntries(channels.map(({ ours }) => [ours, value(ours)]));
}

/** @param {string} sensor */
const unitName = (sensor) => (kindOf(sensor) === "gyroscope" ? "gyro-unit" : "acc-unit");

/**
 * One field for each kind of sensor that is needed.
 *
 * @param {import("./mapping.js").Question} question
 * @param {ReadOptions} before
 */
function unitFields({ units }, before) {
  const sensors = new Map(Object.keys(units).map((sensor) => [unitName(sensor), sensor]));
  return [...sensors].map(([name, sensor]) => {
    const isGyro = name === "gyro-unit";
    const words = isGyro ? "Unit of angular velocity" : "Unit of acceleration";
    const known = units[sensor] && `as in the file: ${units[sensor]}`;
    return choose(name, words, known, isGyro ? GYRO_UNITS : ACC_UNITS, (isGyro ? before.gyroUnit : before.accUnit) ?? "");
  });
}

/**
 * Preselect the units that nothing says, from names and values, with the reason; the user confirms them.
 *
 * @param {import("./source.js").Source} source
 * @param {import("./mapping.js").Question} question
 */
async function suggestUnits(source, question) {
  for (const sensor of Object.keys(question.units)) {
    const select = element(`map-${unitName(sensor)}`, HTMLSelectElement);
    const told = select.required && !select.value ? await likelyOf(source, question, sensor, chosenColumns(question)) : null;
    if (!told?.unit) continue;
    select.value = told.unit;
    element(`map-${unitName(sensor)}-label`, HTMLElement).append(` (${told.why}: ${told.unit}? please confirm)`);
  }
}

/**
 * What stands in a field.
 *
 * @param {string} name
 */
function value(name) {
  const field = document.getElementById(`map-${name}`);
  return field instanceof HTMLSelectElement || field instanceof HTMLInputElement ? field.value : "";
}

/**
 * A select with its label.
 *
 * @param {string} name
 * @param {string} words
 * @param {string} otherwise what holds without a choice; empty where there must be one
 * @param {Record<string, unknown>} options
 * @param {string} chosen
 */
function choose(name, words, otherwise, options, chosen) {
  const select = document.createElement("select");
  select.required = !otherwise;
  select.append(new Option(otherwise || "choose …", "", !chosen, !chosen));
  select.append(...Object.keys(options).map((option) => new Option(option, option, option === chosen, option === chosen)));
  return labelled(name, words, select);
}

/** @param {string} rate */
function rateField(rate) {
  const input = document.createElement("input");
  Object.assign(input, { type: "number", min: "1", max: "5000", step: "any", value: rate });
  return labelled("rate", "Rate in Hz, where there are no times", input);
}

/**
 * @param {string} name
 * @param {string} words
 * @param {HTMLSelectElement | HTMLInputElement} field
 */
function labelled(name, words, field) {
  const label = document.createElement("label");
  label.htmlFor = field.id = `map-${name}`;
  const text = make("span", "", words.charAt(0).toUpperCase() + words.slice(1));
  text.id = `${field.id}-label`;
  label.append(text, field);
  return label;
}

/** @param {import("./text_tables.js").Head} head */
function showRows({ names, sample }) {
  const row = (/** @type {string} */ tag, /** @type {string[]} */ cells) => {
    const made = document.createElement("tr");
    made.append(...cells.map((cell) => make(tag, "", cell)));
    return made;
  };
  const rows = sample.slice(0, ROWS_SHOWN).map((cells) => row("td", cells));
  element("mapping-rows", HTMLTableElement).replaceChildren(row("th", names), ...rows);
}
