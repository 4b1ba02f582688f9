/**
 * A label as people read it: WALKING_UPSTAIRS -> Walking upstairs.
 *
 * @param {string} label
 */
export function readable(label) {
  const words = label.toLowerCase().replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * A share as per cent.
 *
 * @param {number} share from 0 to 1
 */
export function percent(share) {
  return `${Math.round(100 * share)} %`;
}
