/**
 * From the phone's sensors to answers: permission, samples, windows, model, and a recording of it all.
 */

import { SAMPLE_RATE_HZ, brief, sentence } from "./contract.js";
import { LiveStream } from "./live.js";
import { MotionSource, askPermission } from "./motion.js";
import { Recorder } from "./recorder.js";
import { emptySession } from "./replay.js";

const PLOTTED_HOURS = 1; // of signals that can be looked at again, up to two; a day of them may fill a phone's memory

/**
 * @typedef {object} LiveSessionListener
 * @property {() => void} onAnswer
 * @property {() => void} onSamples
 * @property {(text: string) => void} onStatus
 * @property {(message: string | null) => void} onProblem null: it has passed
 */

export class LiveSession {
  /**
   * @param {import("./model.js").Model} model
   * @param {() => import("./motion.js").Reading} reading
   * @param {LiveSessionListener} listener
   */
  constructor(model, reading, listener) {
    this.model = model;
    this.reading = reading;
    this.listener = listener;
    const { windows, timeline, signals } = emptySession(model, PLOTTED_HOURS * 3600 * SAMPLE_RATE_HZ);
    this.answers = model.openStream();
    this.timeline = timeline;
    this.signals = signals;
    this.recorder = new Recorder();
    /** @type {MotionSource | null} */
    this.source = null;
    /** @type {import("./rate.js").Rate | null} */
    this.rate = null;
    this.gaps = 0;
    /** @type {Promise<void>} of all answers that were asked for */
    this.answered = Promise.resolve();
    this.stream = new LiveStream(windows, {
      onSamples: (time, samples) => {
        this.signals.push(time, samples);
        listener.onSamples();
      },
      onWindow: (window) => this.#ask(window),
      onRate: (rate) => {
        this.rate = rate;
        listener.onProblem(null);
        listener.onStatus(`Sensors at ${brief(rate.hz, 3)} Hz${rate.regular ? "" : `, resampled to ${SAMPLE_RATE_HZ} Hz`}.`);
      },
      onGap: (reason) => {
        this.gaps++;
        listener.onStatus(`Gap in the samples (${reason}); the next answer takes a moment.`);
      },
      onProblem: listener.onProblem,
    });
  }

  /**
   * Must be called in the handler of a tap: iOS asks for permission then, and at no other time.
   *
   * @param {Window & typeof globalThis} window
   * @throws {import("./contract.js").HarError} the sensors were refused, or there are none
   */
  async start(window) {
    await askPermission(window);
    this.listener.onStatus("Measuring the rate of the sensors …");
    this.source = new MotionSource(window, this.reading, {
      onSample: (timeS, sample) => {
        this.recorder.push(timeS, sample);
        this.stream.push(timeS, sample);
      },
      onProblem: (message) => {
        this.listener.onStatus("");
        this.listener.onProblem(message);
      },
    });
  }

  get running() {
    return this.source !== null;
  }

  /**
   * What comes from now on is another stretch: the page was hidden, for example.
   *
   * @param {string} reason
   */
  interrupt(reason) {
    if (this.running) this.stream.end(reason);
  }

  /** Samples are read otherwise from now on, and one file must not hold both kinds. */
  readAnew() {
    this.interrupt("a setting was changed");
    this.recorder = new Recorder();
    this.answers = this.model.openStream();
  }

  /** Stop listening; answers that were asked for still come. */
  stop() {
    this.source?.stop();
    this.source = null;
    this.stream.end("stopped");
    return this.answered;
  }

  /** @param {import("./windows.js").CutWindow} window */
  #ask(window) {
    // In the order of the windows: the model answers one call after the other.
    const { answers } = this;
    this.answered = this.answered
      .then(() => answers.answer([window.samples]))
      .then(([{ probabilities, below }]) => {
        this.timeline.add(window, probabilities, below);
        this.listener.onAnswer();
      })
      .catch((error) => this.listener.onProblem(sentence(error)));
  }
}

