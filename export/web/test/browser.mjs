/**
 * Drives the built page in a headless Chromium, for the tests of the Python package.
 *
 * Reads one JSON object from standard input, {chromium, folder, steps}, does the steps one after the other in one page, and
 * writes the list of their results as JSON. The server and the browser end with this process, whatever happens.
 */

import { once } from "node:events";
import { cp, readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";

import { chromium } from "playwright-core";

import { staticServer } from "../serve.mjs";

const PATIENCE_MS = 60_000;
const PHONE = { width: 390, height: 844 };

/**
 * @typedef {object} Step
 * @property {string} do one of the names in `ACTIONS`
 * @property {string} [path] of a file or folder, or of an element
 * @property {string} [host] instead of 127.0.0.1
 * @property {Record<string, string>} [chosen] field -> value
 * @property {string} [into] input that a recording is chosen with
 * @property {string[]} [paths] of files
 * @property {{time: number[], acc: (number | null)[][], rate: (number | null)[][]}} [events] s, m/s^2, deg/s
 * @property {number} [ms]
 * @property {number} [count]
 * @property {number} [at] moment in s
 * @property {"light" | "dark"} [scheme]
 * @property {number} [width] px
 * @property {string} [answer] to a request for permission
 * @property {{x: number, y: number, z: number}} [acc] m/s^2, of a virtual accelerometer
 * @property {{x: number, y: number, z: number}} [gyro] rad/s
 */

/**
 * @typedef {object} Stage
 * @property {import("playwright-core").BrowserContext} context
 * @property {import("playwright-core").Page} page
 * @property {import("node:http").Server} server
 * @property {number} port
 * @property {string} folder that is served
 * @property {string[]} elsewhere addresses that the page asked for at other places than its own
 */

/** @type {Record<string, (stage: Stage, step: Step) => Promise<unknown>>} */
const ACTIONS = {
  /** Open the page and wait until it has made up its mind. */
  async open({ page, port }, { host = "127.0.0.1" }) {
    await page.goto(`http://${host}:${port}/`);
    return settled(page);
  },

  /** No network, and no server either; then load the page again. */
  async offline({ context, page, server }) {
    await cached(page);
    await context.setOffline(true);
    server.closeAllConnections();
    server.close();
    await page.reload();
    return settled(page);
  },

  /** Wait until the page works without a network. */
  async ready({ page }) {
    await cached(page);
    return shown(page);
  },

  /** Wait until the sensors have given so many samples. */
  async recorded({ page }, { count = 1 }) {
    await page.waitForFunction((least) => Reflect.get(window, "har").app.live?.recorder.count >= least, count, { timeout: PATIENCE_MS });
    return null;
  },

  async reload({ page }) {
    await page.reload();
    return settled(page);
  },

  async replay({ page }, { path = "", paths = [path], into = "#file" }) {
    await page.setInputFiles(into, into === "#folder" ? paths[0] : paths);
    return replayed(page);
  },

  /** Drop files and folders on the page, as a file manager does. */
  async drop({ context, page }, { paths = [] }) {
    const session = await context.newCDPSession(page);
    await page.evaluate(() => {
      Object.assign(document.getElementById("status") ?? {}, { textContent: "Waiting …" });
      Object.assign(document.getElementById("problem") ?? {}, { hidden: true });
    });
    const data = { items: [], files: paths, dragOperationsMask: 1 };
    for (const type of /** @type {const} */ (["dragEnter", "dragOver", "drop"])) {
      await session.send("Input.dispatchDragEvent", { type, x: 100, y: 100, data });
    }
    return replayed(page);
  },

  /** Fill the dialog of columns and units; what it asked, and what the page shows when it was confirmed. */
  async map({ page }, { chosen = {} }) {
    await page.waitForSelector("#mapping[open]", { timeout: PATIENCE_MS });
    const asked = await page.evaluate(() => ({
      message: document.getElementById("mapping-message")?.textContent,
      fields: Object.fromEntries(
        [...document.querySelectorAll("#mapping-fields label")].map((label) => {
          const field = /** @type {HTMLSelectElement | HTMLInputElement} */ (label.querySelector("select, input"));
          return [field.id, { label: label.querySelector("span")?.textContent, value: field.value, required: field.required }];
        }),
      ),
      rows: document.querySelectorAll("#mapping-rows tr").length,
    }));
    for (const [id, value] of Object.entries(chosen)) {
      if (await page.locator(`select#${id}`).count()) await page.selectOption(`#${id}`, value);
      else await page.fill(`#${id}`, value);
    }
    await page.click("#mapping button[type=submit]");
    return { ...(await replayed(page)), asked };
  },

  async choose({ page }, { chosen = {} }) {
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    for (const [id, value] of Object.entries(chosen)) await page.selectOption(`#${id}`, value);
    return page.textContent("#axes");
  },

  async click({ page }, { path = "" }) {
    await page.click(path);
    return null;
  },

  async wait({ page }, { ms = 0 }) {
    await page.waitForTimeout(ms);
    return shown(page);
  },

  /** Events as a phone's browser sends them, at once; their time stamps say when they were measured. */
  async events({ page }, { events }) {
    await page.evaluate(({ time, acc, rate }) => {
      time.forEach((seconds, i) => {
        const [x, y, z] = acc[i];
        const [alpha, beta, gamma] = rate[i];
        const event = new DeviceMotionEvent("devicemotion", {
          accelerationIncludingGravity: { x, y, z },
          rotationRate: { alpha, beta, gamma },
          interval: 16,
        });
        Object.defineProperty(event, "timeStamp", { value: 1000 * seconds });
        window.dispatchEvent(event);
      });
    }, /** @type {NonNullable<Step["events"]>} */ (events));
    return null;
  },

  async hide({ page }) {
    await page.evaluate(() => {
      Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
      Object.defineProperty(document, "visibilityState", { value: "visible", configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    return null;
  },

  /** Press Stop and wait for the last answer. */
  async stop({ page }) {
    await page.click("#start");
    await page.waitForFunction(() => document.getElementById("status")?.textContent?.startsWith("Stopped"), null, { timeout: PATIENCE_MS });
    return shown(page);
  },

  /** Press a button that saves a file; the file's text. */
  async save({ page }, { path = "" }) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(path)]);
    return readFile(await download.path(), "utf8");
  },

  /** What a request for permission is answered with, as iOS and newer Chromium ask; for pages that are opened from now on. */
  async permission({ context }, { answer = "" }) {
    await context.addInitScript((said) => {
      Reflect.set(DeviceMotionEvent, "requestPermission", async () => said);
    }, answer);
    return null;
  },

  /** Chromium's own virtual sensors: what they say goes through all of the browser before the page hears it. */
  async sensors({ context, page }, { acc, gyro }) {
    const session = await context.newCDPSession(page);
    const still = { x: 0, y: 0, z: 0 };
    const readings = { accelerometer: acc ?? still, "linear-acceleration": still, gyroscope: gyro ?? still };
    for (const type of /** @type {(keyof typeof readings)[]} */ (Object.keys(readings))) {
      await session.send("Emulation.setSensorOverrideEnabled", { enabled: true, type, metadata: { available: true } });
    }
    await page.click("#start");
    for (const type of /** @type {(keyof typeof readings)[]} */ (Object.keys(readings))) {
      await session.send("Emulation.setSensorOverrideReadings", { type, reading: { xyz: readings[type] } });
    }
    return null;
  },

  async look({ page }, { path, at, scheme = "light", width = PHONE.width }) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.setViewportSize({ ...PHONE, width });
    if (at !== undefined) {
      await page.evaluate((moment) => {
        const slider = /** @type {HTMLInputElement} */ (document.getElementById("moment"));
        slider.value = String(moment);
        slider.dispatchEvent(new Event("input"));
      }, at);
    }
    await page.waitForTimeout(300);
    if (path) await page.screenshot({ path, fullPage: path.endsWith("full.png") });
    return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  },

  async elsewhere({ elsewhere }) {
    return elsewhere;
  },

  /** Another version of the page takes the place of the served one; load it and use it. */
  async publish({ page, folder }, { path = "" }) {
    await cp(path, folder, { recursive: true, force: true });
    await page.reload();
    await settled(page);
    await page.waitForSelector("#update:not([hidden])", { timeout: PATIENCE_MS });
    await Promise.all([page.waitForEvent("load"), page.click("#apply-update")]);
    return settled(page);
  },

  async caches({ page }) {
    return page.evaluate(async () => caches.keys());
  },
};

/**
 * Wait until a recording is read or refused.
 *
 * @param {import("playwright-core").Page} page
 */
async function replayed(page) {
  await page.waitForFunction(() => {
    const status = document.getElementById("status")?.textContent ?? "";
    return !document.getElementById("problem")?.hidden || (status && !status.endsWith("…"));
  }, null, { timeout: PATIENCE_MS });
  return shown(page);
}

/** @param {import("playwright-core").Page} page */
async function cached(page) {
  await page.waitForFunction(() => document.getElementById("model")?.textContent?.endsWith("works offline"), null, { timeout: PATIENCE_MS });
}

/** @param {import("playwright-core").Page} page */
async function settled(page) {
  await page.waitForFunction(() => Reflect.get(window, "har") && Reflect.get(window, "har").state !== "checking", null, { timeout: PATIENCE_MS });
  return shown(page);
}

/** @param {import("playwright-core").Page} page */
async function shown(page) {
  return page.evaluate(() => {
    const hook = Reflect.get(window, "har");
    const said = (/** @type {string} */ id) => document.getElementById(id)?.textContent ?? "";
    return {
      state: hook.state,
      problem: document.getElementById("problem")?.hidden ? null : said("problem"),
      main: !document.getElementById("main")?.hidden,
      activity: said("activity"),
      status: said("status"),
      model: said("model"),
      gravity: said("gravity"),
      result: hook.app?.result() ?? null,
    };
  });
}

/** @type {{chromium: string, folder: string, steps: Step[]}} */
const wanted = JSON.parse(await text(process.stdin));
const server = staticServer(wanted.folder).listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
// Without its sandbox, because tests often run as root in a container, where it does not start.
const browser = await chromium.launch({
  executablePath: wanted.chromium,
  args: ["--no-sandbox", "--host-resolver-rules=MAP insecure.test 127.0.0.1"],
});
try {
  const context = await browser.newContext({ viewport: PHONE, deviceScaleFactor: 2, hasTouch: true, isMobile: true });
  await context.grantPermissions(["accelerometer", "gyroscope"]); // Chromium 156 asks for them, as iOS does
  const page = await context.newPage();
  /** @type {string[]} */
  const elsewhere = [];
  context.on("request", (request) => {
    const { hostname } = new URL(request.url());
    if (!["127.0.0.1", "insecure.test", ""].includes(hostname)) elsewhere.push(request.url());
  });
  page.on("pageerror", (error) => console.error(`page: ${error.stack}`));
  page.on("console", (message) => message.type() === "error" && console.error(`console: ${message.text()}`));
  const results = [];
  for (const step of wanted.steps) results.push(await ACTIONS[step.do]({ context, page, server, port, folder: wanted.folder, elsewhere }, step));
  process.stdout.write(JSON.stringify(results));
} finally {
  await browser.close();
  server.closeAllConnections();
  server.close();
}
