/**
 * The page without a network: a service worker keeps all its files. A newer version waits until the user wants it, so that
 * the files of two versions never run together.
 *
 * @param {{onReady: () => void, onUpdate: (apply: () => void) => void}} listener
 */
export async function workOffline({ onReady, onUpdate }) {
  if (!("serviceWorker" in navigator)) return;
  let registration;
  try {
    registration = await navigator.serviceWorker.register("service-worker.js", { type: "classic" });
  } catch {
    return; // for example in a private window; the page works all the same while there is a network
  }
  const offer = (/** @type {ServiceWorker} */ worker) =>
    onUpdate(() => {
      navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
      worker.postMessage("take over");
    });
  if (registration.waiting) offer(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => {
      if (worker.state === "installed" && navigator.serviceWorker.controller) offer(worker);
    });
  });
  await navigator.serviceWorker.ready;
  onReady();
}
