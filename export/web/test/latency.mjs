/**
 * What a window costs in headless Chromium: node test/latency.mjs --chromium PATH --runs N --calls M MODEL.onnx ...
 *
 * Every model gets a fresh session in each run. Writes one JSON object, by the path of the model: medians over the runs of the time to
 * load, of the first window, and of the median and the 99th percentile of the calls. One thread, as the page runs it.
 */

import { once } from "node:events";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

import { chromium } from "playwright-core";

import { staticServer } from "../serve.mjs";

const RUNTIME = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
const PAGE = '<!doctype html><title>latency</title><script type="module">import * as ort from "./ort.wasm.min.mjs"; window.ort = ort;</script>';

const { values, positionals } = parseArgs({
  options: { chromium: { type: "string" }, runs: { type: "string", default: "5" }, calls: { type: "string", default: "200" } },
  allowPositionals: true,
});
const folder = await mkdtemp(path.join(tmpdir(), "latency-"));
const server = staticServer(folder);
/** @type {import("playwright-core").Browser | undefined} */
let browser;
try {
  const packaged = path.dirname(createRequire(import.meta.url).resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"));
  for (const name of RUNTIME) await cp(path.join(packaged, name), path.join(folder, name));
  await writeFile(path.join(folder, "index.html"), PAGE);
  for (const [number, model] of positionals.entries()) await cp(model, path.join(folder, `${number}.onnx`));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  browser = await chromium.launch({ executablePath: values.chromium, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
  const page = await browser.newPage();
  // With these headers the page's clock has steps of 5 us, without them of 100.
  await page.route("**/*", async (route) => {
    const response = await route.fetch();
    const isolated = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
    await route.fulfill({ response, headers: { ...response.headers(), ...isolated } });
  });
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.waitForFunction(() => "ort" in window && crossOriginIsolated);
  /** @type {Record<string, unknown>} */
  const found = {};
  for (const [number, model] of positionals.entries()) {
    found[model] = await page.evaluate(measure, { address: `./${number}.onnx`, runs: Number(values.runs), calls: Number(values.calls) });
  }
  console.log(JSON.stringify(found));
} finally {
  await browser?.close();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
}

/**
 * Runs in the page.
 *
 * @param {{address: string, runs: number, calls: number}} job
 */
async function measure({ address, runs, calls }) {
  /** @type {typeof import("onnxruntime-web/wasm")} */
  const ort = Reflect.get(window, "ort");
  ort.env.wasm.numThreads = 1;
  const content = new Uint8Array(await (await fetch(address)).arrayBuffer());
  const data = Float32Array.from({ length: 128 * 6 }, (_, i) => Math.sin(i));
  const middle = (/** @type {number[]} */ list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
  /** @type {Record<"load" | "first" | "median" | "p99", number[]>} */
  const times = { load: [], first: [], median: [], p99: [] };
  for (let run = 0; run < runs; run++) {
    const started = performance.now();
    const session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"], logSeverityLevel: 3 });
    times.load.push(performance.now() - started);
    const ask = async () => {
      const from = performance.now();
      await session.run({ windows: new ort.Tensor("float32", data, [1, 128, 6]) });
      return performance.now() - from;
    };
    times.first.push(await ask());
    const single = [];
    for (let call = 0; call < calls; call++) single.push(await ask());
    times.median.push(middle(single));
    times.p99.push(single[Math.floor(0.99 * calls)]); // sorted by now
    await session.release();
  }
  return {
    load_ms: middle(times.load),
    first_ms: middle(times.first),
    median_us: 1000 * middle(times.median),
    p99_us: 1000 * middle(times.p99),
  };
}
