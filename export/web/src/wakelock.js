/**
 * Keeps the screen on while sensors are read, where the browser can; a dark screen ends the stream of events.
 */
export class WakeLock {
  wanted = false;
  /** @type {WakeLockSentinel | null} */
  lock = null;

  async hold() {
    this.wanted = true;
    if (this.lock || !("wakeLock" in navigator) || document.visibilityState !== "visible") return;
    try {
      this.lock = await navigator.wakeLock.request("screen");
      this.lock.addEventListener("release", () => (this.lock = null));
      if (!this.wanted) await this.release();
    } catch {
      // Refused, for example because the battery is low: the screen may go dark then.
    }
  }

  async release() {
    this.wanted = false;
    await this.lock?.release();
  }

  /** The browser lets go of the lock when the page is hidden; take it again when it comes back. */
  async restore() {
    if (this.wanted) await this.hold();
  }
}
