/**
 * Serves a built page on this machine alone: node serve.mjs [--port N] [--folder FOLDER]
 *
 * For a desk and for tests. A phone needs https, which this server does not speak.
 */

import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const HOST = "127.0.0.1";
/** @type {Record<string, string>} */
const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".md": "text/markdown; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".onnx": "application/octet-stream",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm", // browsers compile it while it arrives only under this type
  ".webmanifest": "application/manifest+json",
};

/**
 * @param {string} folder
 * @returns {import("node:http").Server}
 */
export function staticServer(folder) {
  return createServer(async (request, response) => {
    const answer = (/** @type {number} */ status, /** @type {string} */ text) => {
      response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${text}\n`);
    };
    if (request.method !== "GET" && request.method !== "HEAD") return answer(405, "only GET and HEAD");
    const file = await locate(folder, request.url ?? "/");
    if (!file) return answer(404, "not found");
    response.writeHead(200, {
      "content-type": TYPES[path.extname(file.path)] ?? "application/octet-stream",
      "content-length": file.size,
      "cache-control": "no-cache",
      "x-content-type-options": "nosniff",
    });
    if (request.method === "HEAD") return response.end();
    createReadStream(file.path).on("error", () => response.destroy()).pipe(response);
  });
}

/**
 * The file that an address names, if it lies in the folder: neither dots nor links lead out of it.
 *
 * @param {string} folder
 * @param {string} address
 */
async function locate(folder, address) {
  try {
    const root = await realpath(folder);
    const name = decodeURIComponent(address.split(/[?#]/, 1)[0]);
    if (name.includes("\0")) return null;
    const wanted = await realpath(path.join(root, name.endsWith("/") ? `${name}index.html` : name));
    if (!wanted.startsWith(root + path.sep)) return null;
    const found = await stat(wanted);
    return found.isFile() ? { path: wanted, size: found.size } : null;
  } catch {
    return null; // there is no such file, or the address cannot be decoded
  }
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { port: { type: "string", default: "8080" }, folder: { type: "string", default: path.join(HERE, "dist") } },
  });
  const folder = path.resolve(values.folder);
  if (!(await stat(path.join(folder, "index.html")).catch(() => null))) {
    console.error(`web: ${folder} holds no page; build it first: node build.mjs`);
    process.exit(2);
  }
  const port = Number(values.port);
  if (!(Number.isInteger(port) && port >= 0 && port < 65536)) {
    console.error(`web: --port is '${values.port}', expected a number from 0 (any free one) to 65535`);
    process.exit(2);
  }
  const server = staticServer(folder);
  server.on("error", (error) => {
    const busy = /** @type {NodeJS.ErrnoException} */ (error).code === "EADDRINUSE";
    console.error(busy ? `web: port ${values.port} is in use; name another with --port` : `web: ${error.message}`);
    process.exit(2);
  });
  server.listen(port, HOST, () => {
    const address = /** @type {import("node:net").AddressInfo} */ (server.address());
    console.log(`http://${HOST}:${address.port}/`);
  });
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(0));
}
