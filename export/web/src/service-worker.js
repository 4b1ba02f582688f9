/**
 * Keeps every file of the page, so that it works without a network. The build writes `self.PRECACHE` above this line of the
 * file: the version, which is a hash over all files, and each file with its checksum.
 */

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
/** @type {{version: string, files: Record<string, string>}} */
const { version, files } = Reflect.get(self, "PRECACHE");
const PREFIX = "wearable-har-";
const CACHE = PREFIX + version;

worker.addEventListener("install", (event) => {
  // All or nothing, and with checksums: a file that arrived damaged must not stay for good.
  const requests = Object.entries(files).map(([path, integrity]) => new Request(path, { integrity, cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)));
});

worker.addEventListener("activate", (event) => {
  event.waitUntil(removeOldCaches().then(() => worker.clients.claim()));
});

worker.addEventListener("message", (event) => {
  if (event.data === "take over") worker.skipWaiting();
});

worker.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const scope = new URL(worker.registration.scope);
  if (event.request.method !== "GET" || url.origin !== scope.origin || !url.pathname.startsWith(scope.pathname)) return;
  const inside = url.pathname.slice(scope.pathname.length);
  const path = inside === "" || inside === "index.html" ? "./" : inside; // some servers redirect index.html to the folder
  if (!Object.hasOwn(files, path)) return;
  event.respondWith(fromCache(path, event.request));
});

/**
 * @param {string} path
 * @param {Request} request
 */
async function fromCache(path, request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(path)) ?? fetch(request); // a browser may have emptied the cache
}

async function removeOldCaches() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
}
