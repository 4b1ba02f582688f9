/**
 * What a user has set: how the phone is worn, and the sign of acceleration. It stays on this device.
 */

import { DEFAULT_SCREEN, DEFAULT_UP, SCREEN, UP, turn } from "./mounting.js";
import { hasOppositeSign } from "./motion.js";

const KEY = "wearable-har-settings";

/** @type {Record<string, string>} */
export const SIGN = {
  auto: "by the kind of device",
  plain: "as specified (Android)",
  opposite: "opposite (iPhone, iPad)",
};

/** @typedef {{up: string, screen: string, sign: string}} Settings */

/** @returns {Settings} */
export function loadSettings() {
  /** @type {Partial<Settings>} */
  let stored = {};
  try {
    stored = JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {};
  } catch {
    // Storage may be forbidden or hold something else; the defaults are good.
  }
  const known = (/** @type {object} */ options, /** @type {string | undefined} */ value, /** @type {string} */ otherwise) =>
    value !== undefined && Object.hasOwn(options, value) ? value : otherwise;
  return {
    up: known(UP, stored.up, DEFAULT_UP),
    screen: known(SCREEN, stored.screen, DEFAULT_SCREEN),
    sign: known(SIGN, stored.sign, "auto"),
  };
}

/** @param {Settings} settings */
export function saveSettings(settings) {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // Then they hold until the page is closed.
  }
}

/**
 * How the sensors are read under some settings.
 *
 * @param {Settings} settings
 * @param {{userAgent: string, maxTouchPoints: number}} navigator
 * @returns {import("./motion.js").Reading}
 */
export function readingOf(settings, navigator) {
  const opposite = settings.sign === "auto" ? hasOppositeSign(navigator) : settings.sign === "opposite";
  return { sign: opposite ? -1 : 1, axes: turn(settings.up, settings.screen) };
}
