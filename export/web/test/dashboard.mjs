/**
 * Opens MLflow's user interface as `har dashboard` starts it and tells what it shows, for the tests of the Python package and for
 * docs/dashboard.png.
 *
 *   node test/dashboard.mjs --chromium PATH --experiment NAME [--compare RUN ...] [--picture PNG] -- COMMAND ...
 *
 * COMMAND is `har dashboard` with its options but the port. Writes JSON: the table and the charts at the addresses that it prints for the
 * experiment NAME, and the comparison of the runs named RUN. What it starts ends with it.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import { chromium } from "playwright-core";

const PATIENCE_MS = 100_000;
const WIDE = { width: 2200, height: 1000 }; // the table keeps columns that are out of sight out of the page
const PICTURE = { width: 1440, height: 1066 };

/** A port of 127.0.0.1 that nobody uses. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  server.close();
  return port;
}

/**
 * The addresses that the command prints for an experiment, once the server answers.
 * @param {import("node:child_process").ChildProcessByStdio<null, import("node:stream").Readable, null>} dashboard
 * @param {number} port
 * @param {string} experiment
 */
async function addresses(dashboard, port, experiment) {
  /** @type {Record<string, string>} */
  const found = {};
  for await (const line of createInterface(dashboard.stdout)) {
    const [, name, what, address] = /^(\S+), (table|charts): +(http\S+)$/.exec(line) ?? [];
    if (name === experiment) found[what] = address;
    if (found.charts) break;
  }
  for (const end = Date.now() + PATIENCE_MS; ; await sleep(200)) {
    if (await fetch(`http://127.0.0.1:${port}/health`).then((answer) => answer.ok, () => false)) return found;
    if (dashboard.exitCode !== null || Date.now() > end) throw new Error("the dashboard does not answer");
  }
}

/**
 * Columns from left to right, and the text of each run's cells by column.
 * @param {import("playwright-core").Page} page
 */
async function table(page) {
  await page.waitForSelector('.ag-cell[col-id="metrics.`best/val_macro_f1`"]');
  return page.evaluate(() => {
    const left = (/** @type {Element} */ element) => element.getBoundingClientRect().left;
    const id = (/** @type {Element} */ element) => element.getAttribute("col-id") ?? "";
    /** @type {Record<string, Record<string, string>>} */
    const rows = {};
    for (const row of document.querySelectorAll(".ag-row")) {
      const cells = [...row.querySelectorAll(".ag-cell")].map((cell) => [id(cell), (cell.querySelector("a") ?? cell).textContent ?? ""]);
      const index = row.getAttribute("row-index") ?? "";
      rows[index] = { ...rows[index], ...Object.fromEntries(cells) };
    }
    return {
      columns: [...document.querySelectorAll(".ag-header-cell")].sort((a, b) => left(a) - left(b)).map(id),
      rows: Object.values(rows),
    };
  });
}

/**
 * Tick runs, press Compare, and read names and metrics of the page that opens.
 * @param {import("playwright-core").Page} page
 * @param {string[]} names
 */
async function comparison(page, names) {
  for (const name of names) {
    const row = page.locator(".ag-row", { has: page.getByRole("link", { name, exact: true }) });
    await row.locator("input[type=checkbox]").first().click();
  }
  await page.getByTestId("runs-compare-button").click();
  await page.waitForSelector('a[title="Plot chart"]');
  return page.evaluate(() => {
    const texts = (/** @type {Iterable<Element>} */ elements) => [...elements].map((element) => element.textContent ?? "");
    const named = [...document.querySelectorAll("tr")].find((row) => row.textContent?.startsWith("Run Name:"));
    // A grid of two parts side by side, metrics and values; what is in one line has one distance from the top.
    const metrics = [...document.querySelectorAll('a[title="Plot chart"]')].map((link) => {
      const line = /** @type {HTMLElement} */ (link.parentElement);
      const grid = /** @type {Element} */ (line.closest("[role=grid]")?.parentElement?.parentElement?.parentElement);
      const cells = /** @type {HTMLElement[]} */ ([...grid.querySelectorAll("[role=rowgroup] > *")]);
      return [link.textContent, texts(cells.filter((cell) => cell !== line && cell.style.top === line.style.top))];
    });
    return { names: named ? texts(named.children).slice(1) : [], metrics: Object.fromEntries(metrics) };
  });
}

/**
 * Titles of the charts of the first section, and how many points each shows.
 * @param {import("playwright-core").Page} page
 */
async function charts(page) {
  await page.waitForFunction(() => {
    const plots = [...document.querySelectorAll(".js-plotly-plot")].slice(0, 4);
    return plots.length === 4 && plots.every((plot) => plot.querySelector(".point"));
  });
  return page.evaluate(() => [...document.querySelectorAll(".js-plotly-plot")].slice(0, 4).map((plot) => {
    const card = plot.closest("[data-testid='experiment-view-compare-runs-card']");
    return { title: card?.querySelector("h4")?.textContent, points: plot.querySelectorAll(".point").length };
  }));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    chromium: { type: "string", default: "" },
    experiment: { type: "string", default: "" },
    compare: { type: "string", multiple: true, default: [] },
    picture: { type: "string" },
  },
});
const port = await freePort();
const dashboard = spawn(positionals[0], [...positionals.slice(1), "--port", String(port)], { stdio: ["ignore", "pipe", "inherit"] });
const ended = once(dashboard, "exit");
// Without its sandbox, because tests often run as root in a container, where it does not start.
const browser = await chromium.launch({ executablePath: values.chromium, args: ["--no-sandbox"] });
try {
  const { table: runs, charts: drawn } = await addresses(dashboard, port, values.experiment);
  const page = await browser.newPage({ viewport: WIDE, deviceScaleFactor: 1.5, reducedMotion: "reduce" });
  page.setDefaultTimeout(PATIENCE_MS);
  /** @type {string[]} */
  const elsewhere = [];
  page.on("request", (request) => /^https?:\/\/(?!127\.0\.0\.1[:/])/.test(request.url()) && elsewhere.push(request.url()));
  await page.goto(runs);
  await page.locator("[data-assistant-ui] button[aria-label=Close]").click(); // opens by itself once in every browser
  const shown = { table: await table(page), comparison: values.compare.length ? await comparison(page, values.compare) : null };
  if (values.picture) await page.setViewportSize(PICTURE);
  await page.goto(drawn);
  const plots = await charts(page);
  if (values.picture) {
    await page.locator("[role=alert] button, [class*=alert] button").last().click();
    await page.mouse.move(0, 0);
    await sleep(1000);
    await page.screenshot({ path: values.picture });
  }
  process.stdout.write(JSON.stringify({ ...shown, charts: plots, elsewhere }));
} finally {
  await browser.close();
  dashboard.kill();
  await ended;
}
