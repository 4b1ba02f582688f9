/**
 * The first module of the page: nothing is shown before the model is proved to be the exported one.
 */

import { App } from "./app.js";
import { sentence } from "./contract.js";
import { aboutText, bundleText, wearTexts } from "./description.js";
import { workOffline } from "./offline.js";
import { openModel } from "./startup.js";
import { element, setText, showParagraphs, showProblem } from "./view.js";

const base = new URL("../", import.meta.url);

/** For tests and for scripts in the browser's console: what became of the page, and what it shows. */
/** @type {{state: "checking" | "ready" | "refused", app: App | null}} */
const hook = { state: "checking", app: null };
Reflect.set(window, "har", hook);

try {
  const { model, rules, golden } = await openModel(base);
  const { manifest, unknownBelow } = model.bundle;
  const { window_size: size, stride, sample_rate_hz: hz } = manifest.spec;
  setText("pace", `There is an answer every ${stride / hz} s, for the last ${size / hz} s.`);
  setText("model", `${bundleText(manifest)}, checked`);
  showParagraphs("wear", wearTexts(manifest));
  setText("about", aboutText(manifest, golden, unknownBelow));
  element("synthetic", HTMLElement).hidden = !manifest.datasets.some(({ synthetic }) => synthetic);
  element("main", HTMLElement).hidden = false;
  hook.app = new App(model, rules); // canvases have a size only now
  hook.state = "ready";
} catch (error) {
  setText("model", "");
  showProblem(sentence(error));
  hook.state = "refused";
}

await workOffline({
  onReady: () => element("model", HTMLElement).append(hook.state === "ready" ? "; works offline" : ""),
  onUpdate: (apply) => {
    element("update", HTMLElement).hidden = false;
    element("apply-update", HTMLButtonElement).addEventListener("click", apply);
  },
});
