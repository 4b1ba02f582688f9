/** What several tests need. */

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { readFile, readdir, stat } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { COLUMNS, STANDARD_GRAVITY, WIDTH } from "../src/contract.js";
import { turn } from "../src/mounting.js";
import { findSource } from "../src/source.js";

const HERE = path.dirname(fileURLToPath(import.meta.url));

/** The bundle that tests run: `HAR_BUNDLE`, or the one that is committed. */
export const BUNDLE = path.resolve(process.env.HAR_BUNDLE ?? path.join(HERE, "..", "..", "pretrained", "default"));

/** The schema of manifests. */
export const SCHEMA = JSON.parse(readFileSync(path.join(HERE, "..", "..", "..", "har", "runtime", "manifest.schema.json"), "utf8"));

/** Names of units, sensors, clocks and apps. */
export const RULES = JSON.parse(readFileSync(path.join(HERE, "..", "..", "..", "har", "recording", "formats.json"), "utf8"));

/**
 * A recording of these files, as if they were chosen: one file, or those of a folder, which their names begin with.
 *
 * @param {Record<string, string | Uint8Array<ArrayBuffer>>} files
 */
export function sourceOf(files) {
  const chosen = Object.entries(files).map(([name, content]) => ({ path: name, file: new File([content], path.basename(name)) }));
  return findSource(chosen, RULES);
}

/**
 * A recording on this machine: a file, a zip archive or a folder.
 *
 * @param {string} place
 */
export async function sourceAt(place) {
  const parent = path.dirname(place);
  const isFolder = (await stat(place)).isDirectory();
  const entries = isFolder ? await readdir(place, { recursive: true, withFileTypes: true }) : [];
  const names = isFolder ? entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name)) : [place];
  const contents = await Promise.all(names.map(async (name) => /** @type {const} */ ([path.relative(parent, name), new Uint8Array(await readFile(name))])));
  return sourceOf(Object.fromEntries(contents));
}

/** Why tests that need a bundle are skipped, or false. */
export const NO_BUNDLE = existsSync(path.join(BUNDLE, "manifest.json")) ? false : `no bundle at ${BUNDLE}; name one with HAR_BUNDLE`;

/**
 * Reads files of a folder; `changed` stand for files that were changed on the way, null for missing ones.
 *
 * @param {string} folder
 * @param {Record<string, Uint8Array | null>} [changed]
 */
export function reader(folder, changed = {}) {
  return async (/** @type {string} */ name) => {
    if (name in changed) return changed[name] && new Uint8Array(changed[name]);
    return new Uint8Array(await readFile(path.join(folder, name)));
  };
}

/** @param {Uint8Array | string} content */
export function sha256(content) {
  return createHash("sha256").update(content).digest("hex");
}

/**
 * Numbers from 0 to 1 that are the same in every run: mulberry32.
 *
 * @param {number} seed
 */
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * A person who stands and sways: six values at a time in s.
 *
 * @param {number} timeS
 */
export function swaying(timeS) {
  const slow = Math.sin(2 * Math.PI * 0.9 * timeS);
  const fast = Math.cos(2 * Math.PI * 2.3 * timeS);
  return [0.98 + 0.05 * slow, 0.1 * fast, 0.07 - 0.07 * slow, 0.3 * fast, 0.2 * slow, -0.1 * fast];
}

/**
 * A recording as CSV text.
 *
 * @param {number[]} time
 * @param {(timeS: number) => number[]} [sample]
 */
export function csv(time, sample = swaying) {
  return [COLUMNS.join(","), ...time.map((timeS) => [timeS, ...sample(timeS)].join(","))].join("\n") + "\n";
}

/**
 * Times of a uniform rate.
 *
 * @param {number} hz
 * @param {number} seconds
 */
export function uniform(hz, seconds) {
  return Array.from({ length: Math.round(hz * seconds) }, (_, i) => i / hz);
}

/** The window of a browser, as far as a `LiveSession` needs it: what the sensors measure is handed to whoever listens. */
export class Sensors {
  isSecureContext = true;
  DeviceMotionEvent = class {};
  /** @type {(event: unknown) => void} */
  listen = () => undefined;
  /** @type {() => import("../src/motion.js").Reading} the phone's axes are those of the model */
  static reading = () => ({ sign: 1, axes: turn("right", "left") });

  /**
   * @param {string} _
   * @param {(event: unknown) => void} listen
   */
  addEventListener(_, listen) {
    this.listen = listen;
  }

  removeEventListener() {
    this.listen = () => undefined;
  }

  /** As the type that a session takes. */
  get window() {
    return /** @type {Window & typeof globalThis} */ (/** @type {unknown} */ (this));
  }

  /**
   * One sample; a value that is not a number is one that the browser does not give.
   *
   * @param {number} timeS
   * @param {ArrayLike<number>} sample six values in g and rad/s
   */
  measure(timeS, sample) {
    const [x, y, z, alpha, beta, gamma] = Array.from({ length: WIDTH }, (_, i) => {
      const value = sample[i] * (i < 3 ? STANDARD_GRAVITY : 180 / Math.PI);
      return Number.isNaN(value) ? null : value;
    });
    this.listen({ timeStamp: timeS * 1000, accelerationIncludingGravity: { x, y, z }, rotationRate: { alpha, beta, gamma } });
  }
}
