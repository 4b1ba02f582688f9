/**
 * Builds the page: node build.mjs [--bundle FOLDER] [--output FOLDER]
 *
 * Copies the page, its modules, the WebAssembly runtime and a bundle into one folder that any static server can serve, and
 * writes the service worker's list of files. The same inputs give the same files, byte for byte.
 */

import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";

import { readBundle } from "./src/bundle.js";
import { HarError } from "./src/contract.js";
import { MANIFEST, SCHEMA } from "./src/manifest.js";
import { RULES } from "./src/source.js";

const HERE = path.dirname(fileURLToPath(import.meta.url));
// The build with fixed-width SIMD on the CPU, which every current browser has; those for GPUs are twice as large.
const RUNTIME = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];
const WORKER = "service-worker.js";
const SCHEMA_FILE = path.join(HERE, "..", "..", "har", "runtime", SCHEMA);
const RULES_FILE = path.join(HERE, "..", "..", "har", "recording", RULES);

/** The schema of manifests, which the Python package owns. */
export async function manifestSchema() {
  return JSON.parse(await readFile(SCHEMA_FILE, "utf8"));
}

/**
 * @param {string} bundle folder
 * @param {string} output folder; replaced as a whole
 * @returns {Promise<{version: string, files: number, bytes: number}>}
 * @throws {HarError} there is no bundle, or it is not whole
 */
export async function build(bundle, output) {
  const read = (/** @type {string} */ name) => readFile(path.join(bundle, name)).then((content) => new Uint8Array(content), () => null);
  const { manifest } = await readBundle(read, await manifestSchema()).catch((error) => {
    throw error instanceof HarError ? new HarError(`${bundle}: ${error.message}`) : error;
  });
  await refuseForeign(output);
  const temporary = `${output}.new-${process.pid}`;
  await rm(temporary, { recursive: true, force: true });
  try {
    await mkdir(path.join(temporary, "ort"), { recursive: true });
    await mkdir(path.join(temporary, "bundle"));
    await cp(path.join(HERE, "page"), temporary, { recursive: true });
    await cp(path.join(HERE, "src"), path.join(temporary, "src"), { recursive: true, filter: (from) => path.basename(from) !== WORKER });
    await cp(SCHEMA_FILE, path.join(temporary, SCHEMA));
    await cp(RULES_FILE, path.join(temporary, RULES));
    for (const name of RUNTIME) await cp(path.join(runtimeFolder(), name), path.join(temporary, "ort", name));
    for (const name of [MANIFEST, ...Object.keys(manifest.files)]) await cp(path.join(bundle, name), path.join(temporary, "bundle", name));
    const list = await precache(temporary);
    const worker = await readFile(path.join(HERE, "src", WORKER), "utf8");
    await writeFile(path.join(temporary, WORKER), `self.PRECACHE = ${JSON.stringify(list, null, 1)};\n\n${worker}`);
    await rm(output, { recursive: true, force: true });
    await rename(temporary, output);
    const sizes = await Promise.all((await filesBelow(output)).map(async (name) => (await readFile(path.join(output, name))).length));
    return { version: list.version, files: sizes.length, bytes: sizes.reduce((a, b) => a + b, 0) };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Where onnxruntime-web's files lie. */
function runtimeFolder() {
  try {
    return path.dirname(createRequire(import.meta.url).resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"));
  } catch {
    throw new HarError("onnxruntime-web is not installed; install it first: npm ci.");
  }
}

/**
 * A folder with other things must not be replaced.
 *
 * @param {string} output
 */
async function refuseForeign(output) {
  const names = await readdir(output).catch(() => /** @type {string[]} */ ([]));
  if (names.length && !names.includes(WORKER)) {
    throw new HarError(`${output} exists and is no page that was built; name another folder with --output.`);
  }
}

/**
 * What the service worker keeps: every file with its checksum, and a version that changes with any of them.
 *
 * @param {string} folder
 */
async function precache(folder) {
  /** @type {Record<string, string>} */
  const files = {};
  for (const name of await filesBelow(folder)) {
    const digest = createHash("sha256").update(await readFile(path.join(folder, name))).digest("base64");
    files[name === "index.html" ? "./" : name] = `sha256-${digest}`; // some servers redirect index.html to the folder
  }
  const worker = await readFile(path.join(HERE, "src", WORKER));
  const version = createHash("sha256").update(JSON.stringify(files)).update(worker).digest("hex").slice(0, 16);
  return { version, files };
}

/**
 * Paths of all files below a folder, sorted, with slashes.
 *
 * @param {string} folder
 */
async function filesBelow(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  return names.map((name) => name.split(path.sep).join("/")).sort();
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    const { values } = parseArgs({
      options: {
        bundle: { type: "string", default: path.join(HERE, "..", "pretrained", "default") },
        output: { type: "string", default: path.join(HERE, "dist") },
      },
    });
    const done = await build(path.resolve(values.bundle), path.resolve(values.output));
    console.log(`${path.resolve(values.output)}: ${done.files} files, ${(done.bytes / 1e6).toFixed(1)} MB, version ${done.version}`);
  } catch (error) {
    console.error(`web: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 2;
  }
}
