/**
 * The page: what the buttons do, and what is shown of the sensors or of a recording.
 */

import { ChoiceNeeded, sentence } from "./contract.js";
import { chosenFiles, droppedFiles } from "./files.js";
import { LiveSession } from "./live_session.js";
import { isOfPhone } from "./manifest.js";
import { MappingDialog } from "./mapping_dialog.js";
import { DEFAULT_SCREEN, DEFAULT_UP, SCREEN, UP, axesText, canTurn } from "./mounting.js";
import { clock, drawSignals, drawTimeline } from "./plot.js";
import { readingFor, replay } from "./replay.js";
import { SIGN, loadSettings, readingOf, saveSettings } from "./settings.js";
import { findSource } from "./source.js";
import { UNKNOWN } from "./timeline.js";
import { download, element, makeSelect, makeShares, setText, showAnswer, showMinutes, showProblem, showSpans } from "./view.js";
import { WakeLock } from "./wakelock.js";
import { readable } from "./words.js";

const LIVE_SHOWN_S = 120; // of the timeline, while the sensors run
const AT_REST = 50; // samples whose mean is shown as gravity
const THUMB_PX = 16; // of the slider
const DRAW_EVERY_MS = 80;
const DRAW_EVERY_MS_CALM = 500; // where motion on the screen is unwelcome

/** @typedef {import("./replay.js").Session} Session */

export class App {
  settings = loadSettings();
  wakeLock = new WakeLock();
  start = element("start", HTMLButtonElement);
  moment = element("moment", HTMLInputElement);
  saveRecording = element("save-recording", HTMLButtonElement);
  saveActivities = element("save-activities", HTMLButtonElement);
  /** @type {LiveSession | null} */
  live = null;
  /** @type {Session | null} what is shown */
  session = null;
  name = ""; // of what is shown, for saved files
  mapping = new MappingDialog();
  chooseColumns = element("choose-columns", HTMLButtonElement);
  /** @type {{source: import("./source.js").Source, chosen: Partial<import("./tables.js").ReadOptions>} | null} what was opened last */
  opened = null;
  drawnAt = 0;
  drawing = false;

  /**
   * @param {import("./model.js").Model} model
   * @param {import("./source.js").Rules} rules
   */
  constructor(model, rules) {
    this.model = model;
    this.rules = rules;
    const { manifest, unknownBelow } = model.bundle;
    const mayBeUnknown = unknownBelow || manifest.mounting?.unknown.below;
    this.canTurn = manifest.datasets.length > 0 && manifest.datasets.every(({ name }) => canTurn(name));
    this.lanes = mayBeUnknown && !manifest.spec.labels.includes(UNKNOWN) ? [...manifest.spec.labels, UNKNOWN] : manifest.spec.labels;
    makeShares(manifest.spec.labels);
    this.#makeSettings();
    if (!isOfPhone(manifest.spec)) {
      this.start.disabled = true;
      const { sensors, sample_rate_hz: hz } = manifest.spec;
      setText("status", `This model reads ${sensors.map(({ name }) => name.replaceAll("_", " ")).join(", ")} at ${hz} Hz: open a recording.`);
    }
    this.#listen();
    this.#draw();
  }

  #listen() {
    this.start.addEventListener("click", () => (this.live?.running ? this.stopSensors() : this.startSensors()));
    for (const id of ["file", "folder"]) {
      const input = element(id, HTMLInputElement);
      input.addEventListener("change", async () => {
        const chosen = chosenFiles(input.files);
        input.value = ""; // so that the same file can be chosen again
        if (chosen.length) await this.openFiles(chosen);
      });
    }
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", async (event) => {
      event.preventDefault();
      const chosen = event.dataTransfer ? await droppedFiles(event.dataTransfer) : [];
      if (chosen.length) await this.openFiles(chosen);
    });
    this.chooseColumns.addEventListener("click", () => this.#ask("Choose what is to be read in another way."));
    this.moment.addEventListener("input", () => this.#showMoment());
    this.saveRecording.addEventListener("click", () => {
      if (this.live?.recorder.count) download("recording.csv", this.live.recorder.csv());
    });
    this.saveActivities.addEventListener("click", () => {
      if (this.session) download(`${this.name}-activities.csv`, this.session.timeline.csv());
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") this.live?.interrupt("the page was hidden");
      else void this.wakeLock.restore();
    });
    addEventListener("resize", () => this.#draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    element("settings", HTMLDetailsElement).addEventListener("toggle", () => this.#draw());
  }

  /** Read the sensors; called by a tap. */
  async startSensors() {
    showProblem(null);
    this.opened = null;
    this.chooseColumns.hidden = true;
    const live = new LiveSession(this.model, () => this.#reading(), {
      onAnswer: () => this.#answered(live),
      onSamples: () => this.#drawSoon(),
      onStatus: (text) => setText("status", text),
      onProblem: showProblem,
    });
    try {
      await live.start(window);
    } catch (error) {
      showProblem(sentence(error));
      return;
    }
    this.live = live;
    this.#show(live, "live");
    setText("start", "Stop");
    this.saveRecording.disabled = true;
    await this.wakeLock.hold();
  }

  async stopSensors() {
    const { live } = this;
    if (!live?.running) return;
    setText("start", "Start");
    await live.stop();
    await this.wakeLock.release();
    const full = live.recorder.full ? " The recording is full; what came last is not in it." : "";
    setText("status", `Stopped; ${live.timeline.length} answers.${full} ${live.stream.faultsText()}`.trimEnd());
    this.saveRecording.disabled = !live.recorder.count;
    this.#browse(live, live.signals.endS);
  }

  /** @param {import("./source.js").Chosen[]} chosen the files of one recording */
  async openFiles(chosen) {
    await this.#clear(`Reading ${chosen[0].path.split("/", 1)[0]} …`);
    try {
      this.opened = { source: await findSource(chosen, this.rules), chosen: {} };
    } catch (error) {
      return this.#refuse(error);
    }
    await this.#read();
  }

  /** Nothing is shown any more but what is done. @param {string} status */
  async #clear(status) {
    await this.stopSensors();
    this.mapping.close();
    this.live = null;
    this.opened = null;
    this.chooseColumns.hidden = true;
    this.saveRecording.disabled = true;
    showProblem(null);
    this.#show(null, "");
    setText("status", status);
  }

  /** @param {unknown} error */
  #refuse(error) {
    setText("status", "");
    showProblem(sentence(error));
  }

  async #read() {
    const { opened } = this;
    if (!opened) return;
    const { source, chosen } = opened;
    try {
      const done = await replay(this.model, source, chosen, (windows) => setText("status", `${source.name}: ${windows} windows …`));
      if (this.opened !== opened) return; // another recording was opened meanwhile
      setText("status", `${source.name}: ${done.report.text()}.`);
      this.#show(done, source.name.replace(/\.[^.]*$/, ""));
      this.#browse(done, done.timeline.range().fromS);
    } catch (error) {
      if (this.opened !== opened) return;
      this.#refuse(error);
      if (error instanceof ChoiceNeeded) void this.#ask(sentence(error));
    }
    this.chooseColumns.hidden = false;
  }

  /** Let the user choose columns and units, and read again. @param {string} message why */
  async #ask(message) {
    const { opened } = this;
    if (!opened) return;
    try {
      const options = await this.mapping.ask(opened.source, readingFor(this.model.bundle.manifest, opened.chosen), message);
      if (!options) return;
      await this.#clear(`Reading ${opened.source.name} …`);
      this.opened = { source: opened.source, chosen: options };
    } catch (error) {
      return this.#refuse(error);
    }
    await this.#read();
  }

  /** What is shown, for tests and for scripts in the browser's console. */
  result() {
    const timeline = this.session?.timeline;
    return {
      name: this.name,
      labels: this.model.bundle.manifest.spec.labels,
      rate: this.live?.rate ?? null,
      gaps: this.live?.gaps ?? null,
      minutes: Object.fromEntries(timeline?.minutes() ?? []),
      windows: [...(timeline ?? [])].map((entry) => ({
        from_s: entry.fromS,
        to_s: entry.toS,
        said: entry.activity,
        probabilities: Array.from(entry.probabilities),
      })),
    };
  }

  /**
   * @param {Session | null} session
   * @param {string} name
   */
  #show(session, name) {
    this.session = session;
    this.name = name;
    this.saveActivities.disabled = !session?.timeline.length;
    element("moment-row", HTMLElement).hidden = true;
    showAnswer(null);
    showSpans(session?.timeline.spans() ?? []);
    showMinutes([]);
    this.#draw();
  }

  /** @param {LiveSession} live */
  #answered(live) {
    if (this.session !== live) return;
    const entry = live.timeline.entry(-1);
    this.saveActivities.disabled = false;
    showAnswer(entry.activity, entry.probabilities);
    showSpans(live.timeline.spans());
    this.#drawSoon();
  }

  /**
   * Show how long each activity lasted, and let the user choose a moment of what was recorded.
   *
   * @param {Session} session
   * @param {number} atS
   */
  #browse({ timeline }, atS) {
    if (!timeline.length) return;
    showMinutes(timeline.minutes());
    const { fromS, toS } = timeline.range();
    this.moment.min = String(fromS);
    this.moment.max = String(toS);
    this.moment.value = String(atS);
    element("moment-row", HTMLElement).hidden = false;
    this.#showMoment();
  }

  #showMoment() {
    if (!this.session) return;
    const { timeline } = this.session;
    const entry = timeline.at(Number(this.moment.value));
    this.moment.setAttribute("aria-valuetext", `${clock(Number(this.moment.value))}, ${readable(entry.activity)}`);
    showAnswer(entry.activity, entry.probabilities);
    this.#draw();
  }

  #drawSoon() {
    const pause = matchMedia("(prefers-reduced-motion: reduce)").matches ? DRAW_EVERY_MS_CALM : DRAW_EVERY_MS;
    if (this.drawing || performance.now() - this.drawnAt < pause) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.#draw();
    });
  }

  #draw() {
    this.drawnAt = performance.now();
    const { session, live } = this;
    const running = live !== null && live.running && session === live;
    const timeline = session?.timeline;
    const { fromS: startS, toS: lastS } = timeline?.range() ?? { fromS: 0, toS: 0 };
    const endS = running && timeline?.length ? timeline.entry(-1).toS : lastS; // the clock may have been set back
    const atS = running ? live.signals.endS : Number(this.moment.value);
    const left = drawTimeline(element("timeline", HTMLCanvasElement), {
      spans: timeline?.spans() ?? [],
      lanes: this.lanes,
      fromS: running ? Math.max(startS, endS - LIVE_SHOWN_S) : startS,
      toS: endS,
      atS: Math.min(atS, endS),
    });
    this.moment.style.marginLeft = `${left - THUMB_PX / 2}px`; // so that its thumb stands below the line
    this.moment.style.width = `calc(100% - ${left - THUMB_PX / 2}px)`;
    drawSignals(element("signals", HTMLCanvasElement), session?.signals ?? null, atS, running);
    if (running && live.signals.count >= AT_REST) this.#showGravity(live.signals.gravity(AT_REST));
  }

  /** @param {number[]} gravity */
  #showGravity(gravity) {
    const [x, y, z] = gravity.map((value) => (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(2));
    const upsideDown = gravity[0] < -0.7 ? " It is upside down, or the sign of acceleration must be changed." : "";
    const hint = this.canTurn ? ` Standing still, x should be near +1.${upsideDown}` : "";
    setText("gravity", `Gravity: x ${x} g, y ${y} g, z ${z} g.${hint}`);
  }

  /** How the sensors are read. */
  #reading() {
    const worn = this.canTurn ? {} : { up: DEFAULT_UP, screen: DEFAULT_SCREEN };
    return readingOf({ ...this.settings, ...worn }, navigator);
  }

  #makeSettings() {
    const showAxes = () => setText("axes", axesText(this.#reading().axes));
    element("worn", HTMLElement).hidden = element("worn-otherwise", HTMLElement).hidden = !this.canTurn;
    const change = (/** @type {Partial<import("./settings.js").Settings>} */ changed) => {
      this.settings = { ...this.settings, ...changed };
      saveSettings(this.settings);
      this.live?.readAnew();
      showAxes();
    };
    const names = (/** @type {Record<string, {name: string}>} */ options) =>
      Object.fromEntries(Object.entries(options).map(([key, { name }]) => [key, name]));
    makeSelect("up", names(UP), this.settings.up, (up) => change({ up }));
    makeSelect("screen", names(SCREEN), this.settings.screen, (screen) => change({ screen }));
    makeSelect("sign", SIGN, this.settings.sign, (sign) => change({ sign }));
    showAxes();
  }
}
