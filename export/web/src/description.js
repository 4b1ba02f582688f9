/**
 * What the page says about its bundle: only what the manifest says.
 */

import { percent } from "./words.js";

/** @typedef {import("./manifest.js").Manifest} Manifest */

/**
 * The bundle by name.
 *
 * @param {Manifest} manifest
 */
export function bundleText(manifest) {
  return `${manifest.run} (bundle of ${manifest.model}, trained on ${titleOf(manifest)})`;
}

/**
 * Where and how the phone should be worn, in paragraphs.
 *
 * @param {Manifest} manifest
 * @returns {string[]}
 */
export function wearTexts(manifest) {
  const { datasets, spec, mounting } = manifest;
  const title = titleOf(manifest);
  const placement = textOf(datasets.map((data) => data.placement));
  const axes = textOf(datasets.map((data) => data.axes)) || spec.axes;
  const paragraphs = [
    placement
      ? `How the device was worn in the training data, ${title}: ${placement}`
      : `Wear the phone as the device was worn in the training data, ${title}; the bundle does not describe it further.`,
  ];
  if (axes) paragraphs.push(`Axes: ${axes}`);
  paragraphs.push(
    mounting
      ? "The phone may be turned in any way: the bundle recognises its orientation while you walk."
      : "The model was not trained on a phone that is worn elsewhere or turned otherwise.",
  );
  return paragraphs;
}

/**
 * The bundle and how it was checked.
 *
 * @param {Manifest} manifest
 * @param {{windows: number, largest: number}} golden
 * @param {number} unknownBelow
 */
export function aboutText(manifest, golden, unknownBelow) {
  const unknown = unknownBelow ? ` Where no probability reaches ${percent(unknownBelow)} the page says Unknown.` : "";
  return (
    `Model: ${bundleText(manifest)}. Its files are those that were exported, and ${golden.windows} golden windows differ by at most ` +
    `${golden.largest.toExponential(1)}.${unknown}`
  );
}

/** @param {Manifest} manifest */
function titleOf(manifest) {
  return textOf(manifest.datasets.map(({ title, name }) => title ?? name), " and ") || "data that it does not name";
}

/**
 * The different texts of data sets.
 *
 * @param {(string | undefined)[]} texts
 * @param {string} [between]
 */
function textOf(texts, between = " or ") {
  return [...new Set(texts.filter(Boolean))].join(between);
}
