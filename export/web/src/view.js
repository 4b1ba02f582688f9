/**
 * The page's elements and what they show. It holds no state of its own but what was drawn last.
 */

import { clock } from "./plot.js";
import { UNKNOWN, argmax } from "./timeline.js";
import { percent, readable } from "./words.js";

/**
 * An element of the page.
 *
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new TypeError(`the page has no ${type.name} '${id}'`);
  return found;
}

/**
 * A text that changes only where it is another, so that screen readers are not told the same again and again.
 *
 * @param {string} id
 * @param {string} text
 */
export function setText(id, text) {
  const found = element(id, HTMLElement);
  if (found.textContent !== text) found.textContent = text;
}

/** @param {string | null} message one sentence, or null where all is well */
export function showProblem(message) {
  element("problem", HTMLElement).hidden = message === null;
  setText("problem", message ?? "");
}

/**
 * One row a label, with a bar in its colour.
 *
 * @param {string[]} labels
 */
export function makeShares(labels) {
  element("shares", HTMLUListElement).replaceChildren(
    ...labels.map((label, i) => {
      const row = document.createElement("li");
      const bar = make("div", "bar");
      const fill = document.createElement("div");
      fill.style.background = `var(--activity-${i}, var(--quiet))`;
      bar.append(fill);
      row.append(make("span", "", readable(label)), bar, make("span", "number"));
      return row;
    }),
  );
}

/**
 * The decision for one window, or that there is none yet.
 *
 * @param {string | null} activity
 * @param {Float32Array} [probabilities]
 */
export function showAnswer(activity, probabilities) {
  const best = probabilities ? argmax(probabilities) : 0;
  const share = probabilities ? probabilities[best] : 0;
  setText("activity", activity === null ? "Nothing yet" : readable(activity));
  setText("confidence-text", probabilities ? percent(share) : "");
  const bar = element("confidence-bar", HTMLElement);
  bar.style.width = `${100 * share}%`;
  bar.style.background = activity === UNKNOWN ? "var(--quiet)" : `var(--activity-${best}, var(--quiet))`;
  element("shares", HTMLUListElement).querySelectorAll("li").forEach((row, i) => {
    const fill = /** @type {HTMLElement} */ (row.querySelector(".bar > div"));
    fill.style.width = `${100 * (probabilities?.[i] ?? 0)}%`;
    /** @type {HTMLElement} */ (row.querySelector(".number")).textContent = probabilities ? percent(probabilities[i]) : "";
  });
}

const MOST_ROWS = 500; // of the table; the file holds all

/** @param {readonly import("./timeline.js").Span[]} spans */
export function showSpans(spans) {
  element("spans", HTMLTableSectionElement).replaceChildren(
    ...spans.slice(-MOST_ROWS).map((span) => {
      const row = document.createElement("tr");
      for (const text of [clock(span.fromS), clock(span.toS), readable(span.label), percent(span.confidence)]) row.append(make("td", "", text));
      return row;
    }),
  );
}

/**
 * @param {string} id
 * @param {string[]} texts one a paragraph
 */
export function showParagraphs(id, texts) {
  element(id, HTMLElement).replaceChildren(...texts.map((text) => make("p", "", text)));
}

/** @param {[string, number][]} minutes activity and its minutes; none hides the list */
export function showMinutes(minutes) {
  element("minutes-part", HTMLElement).hidden = !minutes.length;
  element("minutes", HTMLUListElement).replaceChildren(
    ...minutes.map(([activity, found]) => make("li", "", `${readable(activity)}: ${found.toFixed(2)}`)),
  );
}

/**
 * @param {string} id of a select
 * @param {Record<string, string>} options value -> text
 * @param {string} chosen
 * @param {(value: string) => void} onChange
 */
export function makeSelect(id, options, chosen, onChange) {
  const select = element(id, HTMLSelectElement);
  select.replaceChildren(...Object.entries(options).map(([value, text]) => new Option(text, value, value === chosen, value === chosen)));
  select.addEventListener("change", () => onChange(select.value));
}

/**
 * Hand a text to the user as a file.
 *
 * @param {string} name
 * @param {string} text
 */
export function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // some browsers read it after the click
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} [text]
 */
export function make(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
