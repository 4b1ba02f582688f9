/**
 * From a phone's axes to those of UCI HAR's phone: which side of the phone is up, and where its screen faces.
 *
 * A phone's own axes, with its screen towards you in portrait: x to the right, y up, z out of the screen. In UCI HAR the
 * phone was worn so that x points up. Measured on HAPT's raw recordings of training subjects: standing still, gravity is
 * +1.0 g on x; lying on the back it is +0.9 g on y for most people, so y points to the front of the body; what is left for z
 * is the left-hand side, which the turns about z from standing to lying confirm (-1.9 rad). So the phone was worn in
 * landscape at the left-hand side of the waist, screen outward, its right long edge up. Some wore it nearer the belly,
 * screen to the front; the model was trained with turns about the vertical, so both fit.
 */

/** @typedef {[number, number, number]} Axis */

/** Data sets whose axes on the body are known to be these; in others the phone must be worn as their device was. */
const DATASETS = ["uci-har", "hapt", "synthetic"];

/**
 * Whether the phone may be worn another way round than in the training data: its samples can then be turned.
 *
 * @param {string} dataset of the manifest
 */
export function canTurn(dataset) {
  return DATASETS.includes(dataset);
}

/**
 * Sides of the phone that can be up, with the screen towards you in portrait, and the phone's axis that points there.
 *
 * @type {Record<string, {name: string, axis: Axis}>}
 */
export const UP = {
  right: { name: "right long edge (as in the training data)", axis: [1, 0, 0] },
  left: { name: "left long edge", axis: [-1, 0, 0] },
  top: { name: "top edge", axis: [0, 1, 0] },
  bottom: { name: "bottom edge", axis: [0, -1, 0] },
};

/**
 * Where the screen faces, and that direction in UCI HAR's frame: x up, y to the front of the body, z to its left.
 *
 * @type {Record<string, {name: string, direction: Axis}>}
 */
export const SCREEN = {
  left: { name: "to my left (as in the training data)", direction: [0, 0, 1] },
  front: { name: "to the front", direction: [0, 1, 0] },
  right: { name: "to my right", direction: [0, 0, -1] },
  back: { name: "to the back", direction: [0, -1, 0] },
};

export const DEFAULT_UP = "right";
export const DEFAULT_SCREEN = "left";

/**
 * Rows of the turn from the phone's axes to UCI HAR's: row i is axis i of UCI HAR's frame in the phone's own axes.
 *
 * @param {string} up key of `UP`
 * @param {string} screen key of `SCREEN`
 * @returns {[Axis, Axis, Axis]}
 */
export function turn(up, screen) {
  const phoneUp = UP[up].axis;
  /** @type {Axis} */
  const phoneOut = [0, 0, 1];
  const phoneThird = cross(phoneUp, phoneOut);
  /** @type {Axis} */
  const bodyUp = [1, 0, 0];
  const bodyOut = SCREEN[screen].direction;
  const bodyThird = cross(bodyUp, bodyOut);
  const row = (/** @type {number} */ i) =>
    /** @type {Axis} */ ([0, 1, 2].map((j) => bodyUp[i] * phoneUp[j] + bodyOut[i] * phoneOut[j] + bodyThird[i] * phoneThird[j]));
  return [row(0), row(1), row(2)];
}

/**
 * A turn as `har predict --axes` takes it, such as `y,-x,z`.
 *
 * @param {[Axis, Axis, Axis]} rows
 */
export function axesText(rows) {
  return rows.map((row) => row.map((value, i) => (value ? (value < 0 ? "-" : "") + "xyz"[i] : "")).join("")).join(",");
}

/**
 * A vector in the phone's axes -> in UCI HAR's.
 *
 * @param {[Axis, Axis, Axis]} rows
 * @param {Axis} vector
 * @returns {Axis}
 */
export function apply(rows, vector) {
  return /** @type {Axis} */ (rows.map((row) => row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2]));
}

/**
 * @param {Axis} a
 * @param {Axis} b
 * @returns {Axis}
 */
function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}
