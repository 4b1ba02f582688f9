import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

import { aboutText, bundleText, wearTexts } from "../src/description.js";
import { SCREEN, UP, canTurn } from "../src/mounting.js";

/**
 * @param {object} changed
 * @returns {import("../src/manifest.js").Manifest}
 */
function manifest(changed = {}) {
  const made = { model: "cnn1d", run: "first", datasets: [{ name: "my-study" }], spec: { labels: ["A", "B"], axes: "x up" }, ...changed };
  return /** @type {import("../src/manifest.js").Manifest} */ (/** @type {unknown} */ (made));
}

test("the page names its bundle", () => {
  assert.equal(bundleText(manifest()), "first (bundle of cnn1d, trained on my-study)");
  assert.equal(bundleText(manifest({ datasets: [{ name: "a", title: "My study" }, { name: "b" }] })), "first (bundle of cnn1d, trained on My study and b)");
  assert.equal(
    aboutText(manifest(), { windows: 64, largest: 3e-7 }, 0.77),
    "Model: first (bundle of cnn1d, trained on my-study). Its files are those that were exported, and 64 golden windows differ by at most 3.0e-7. " +
      "Where no probability reaches 77 % the page says Unknown.",
  );
});

test("how the phone is worn comes from the data set's own description", () => {
  const described = manifest({ datasets: [{ name: "a", title: "My study", placement: "in the left trouser pocket", axes: "y up" }] });
  assert.deepEqual(wearTexts(described), [
    "How the device was worn in the training data, My study: in the left trouser pocket",
    "Axes: y up",
    "The model was not trained on a phone that is worn elsewhere or turned otherwise.",
  ]);
  const bare = wearTexts(manifest());
  assert.match(bare[0], /^Wear the phone as the device was worn in the training data, my-study; the bundle does not describe it further\.$/);
  assert.equal(bare[1], "Axes: x up");
  assert.equal(wearTexts(manifest({ spec: {} })).length, 2);
  assert.match(wearTexts(manifest({ mounting: {} })).at(-1) ?? "", /may be turned in any way/);
});

test("a phone may be worn another way round only where the axes on the body are known", () => {
  assert.deepEqual(["uci-har", "hapt", "synthetic", "my-study"].map(canTurn), [true, true, true, false]);
});

test("no text of the page names a data set or a place on the body: the bundle does", async () => {
  const html = await readFile(new URL("../page/index.html", import.meta.url), "utf8");
  const options = [...Object.values(UP), ...Object.values(SCREEN)].map(({ name }) => name).join(" ");
  assert.doesNotMatch(html + options, /UCI|HAPT|waist|hip|belly|belt|pocket/i);
});

test("texts go into the document as text, never as HTML", async () => {
  const folder = new URL("../src/", import.meta.url);
  const sources = (await readdir(folder)).filter((name) => name.endsWith(".js"));
  assert.ok(sources.length > 25);
  for (const name of sources) {
    const source = await readFile(new URL(name, folder), "utf8");
    assert.doesNotMatch(source, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|setHTML|createContextualFragment|srcdoc/, name);
  }
});
