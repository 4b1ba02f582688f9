/**
 * What must hold before the page shows anything: a secure page, a whole bundle, and a model that computes here what it
 * computed where it was made.
 */

import { readBundle } from "./bundle.js";
import { HarError } from "./contract.js";
import { SCHEMA } from "./manifest.js";
import { Model, configure } from "./model.js";
import { INSECURE } from "./motion.js";
import { RULES } from "./source.js";

/**
 * @param {URL} base folder of the page
 * @returns {Promise<{model: Model, rules: import("./source.js").Rules, golden: {windows: number, largest: number}}>}
 * @throws {HarError} what does not hold
 */
export async function openModel(base) {
  if (!window.isSecureContext) throw new HarError(INSECURE);
  const shared = async (/** @type {string} */ name) => {
    const content = await fetchFile(new URL(name, base));
    if (content === null) throw new HarError(`${name} is not there; build the page again.`);
    return JSON.parse(new TextDecoder().decode(content));
  };
  const [schema, rules] = [await shared(SCHEMA), await shared(RULES)];
  const bundle = await readBundle((name) => fetchFile(new URL(`bundle/${name}`, base)), schema);
  const folder = new URL("ort/", base).href;
  /** @type {import("./model.js").Runtime} */
  let ort;
  try {
    ort = await import(`${folder}ort.wasm.min.mjs`);
  } catch {
    throw new HarError("The runtime onnxruntime-web could not be loaded; connect to the network and reload, or build the page again.");
  }
  configure(ort, folder);
  const model = await Model.open(ort, bundle);
  return { model, rules, golden: await model.checkGolden() };
}

/** @param {URL} address */
async function fetchFile(address) {
  let response;
  try {
    response = await fetch(address, { cache: "no-cache" });
    if (!response.ok) return null;
    return new Uint8Array(await response.arrayBuffer());
  } catch {
    throw new HarError(`${address.pathname} could not be loaded; connect to the network and reload.`);
  }
}
