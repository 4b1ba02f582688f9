/**
 * How the phone is mounted, from what the windows of a stream have told of it so far: the rules of `har/runtime/mounted.py`,
 * which `export/README.md` specifies ("Any mounting").
 */

/** @typedef {[number[], number[], number[]]} Turn rows of a rotation, from the phone's axes to those of the training data */

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/** @param {number[]} a @param {number} factor */
const scaled = (a, factor) => a.map((value) => value * factor);

export class Told {
  /** @param {{keep: number, enough: number, agreement: number}} rules of the manifest */
  constructor({ keep, enough, agreement }) {
    this.keep = keep;
    this.enough = enough;
    this.agreement = agreement;
    this.x = [0, 0, 0];
    this.y = [0, 0, 0];
    this.worth = 0;
  }

  /**
   * Take what the next window tells.
   *
   * @param {ArrayLike<number>} told six numbers: the directions of x and of y in the phone's axes, as long as they are worth
   */
  add(told) {
    const [x, y] = [Array.from({ length: 3 }, (_, i) => told[i]), Array.from({ length: 3 }, (_, i) => told[3 + i])];
    const worth = Math.sqrt(dot(y, y));
    const share = this.keep ** Math.min(1, worth);
    this.x = this.x.map((value, i) => share * value + x[i]);
    this.y = this.y.map((value, i) => share * value + y[i]);
    this.worth = share * this.worth + worth;
  }

  /** @returns {Turn | null} null while too little, or nothing consistent, was told */
  turn() {
    const length = Math.sqrt(dot(this.x, this.x));
    if (this.worth < this.enough || length <= 0 || Math.sqrt(dot(this.y, this.y)) < this.agreement * this.worth) return null;
    const x = scaled(this.x, 1 / length);
    const along = dot(this.y, x);
    const across = this.y.map((value, i) => value - along * x[i]);
    const rest = Math.sqrt(dot(across, across));
    if (rest < 1e-6 * this.worth) return null;
    const y = scaled(across, 1 / rest);
    return [x, y, [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]]];
  }
}

/**
 * A window as a phone in its place would have delivered it.
 *
 * @param {Float32Array} window (time, 6) row by row
 * @param {Turn} turn
 */
export function remounted(window, turn) {
  const found = new Float32Array(window.length);
  for (let first = 0; first < window.length; first += 3) {
    const vector = window.subarray(first, first + 3); // of one sensor
    for (let row = 0; row < 3; row++) found[first + row] = dot(turn[row], vector);
  }
  return found;
}
