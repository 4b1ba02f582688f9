import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, mkdir, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";

import { build } from "../build.mjs";
import { staticServer } from "../serve.mjs";
import { BUNDLE, NO_BUNDLE } from "./helpers.mjs";

/** @param {import("node:test").TestContext} t */
async function folder(t) {
  const made = await mkdtemp(path.join(tmpdir(), "har-web-"));
  t.after(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** @param {string} below */
async function digests(below) {
  const names = (await readdir(below, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const found = await Promise.all(
    names.map(async (entry) => {
      const name = path.join(entry.parentPath, entry.name);
      return /** @type {[string, string]} */ ([path.relative(below, name), createHash("sha256").update(await readFile(name)).digest("base64")]);
    }),
  );
  return new Map(found);
}

test("two builds are equal, byte for byte, and every file but the worker itself is in its list", { skip: NO_BUNDLE }, async (t) => {
  const made = await folder(t);
  const [a, b] = [path.join(made, "a"), path.join(made, "b")];
  const first = await build(BUNDLE, a);
  assert.deepEqual(await build(BUNDLE, b), first);
  await build(BUNDLE, a); // replaced as a whole
  const files = await digests(a);
  assert.deepEqual(await digests(b), files);
  const worker = await readFile(path.join(a, "service-worker.js"), "utf8");
  const list = JSON.parse(worker.slice(worker.indexOf("{"), worker.indexOf(";\n")));
  assert.equal(list.version, first.version);
  files.delete("service-worker.js");
  const expected = Object.fromEntries([...files].map(([name, digest]) => [name === "index.html" ? "./" : name, `sha256-${digest}`]));
  assert.deepEqual(list.files, expected);
  assert.ok(!Object.keys(list.files).some((name) => /jsep|asyncify|jspi|webgpu/.test(name)));
});

test("a bundle that is missing or was changed builds nothing", async (t) => {
  const made = await folder(t);
  const message = /none: There is no bundle: manifest\.json is missing; make one: har export/;
  await assert.rejects(build(path.join(made, "none"), path.join(made, "dist")), message);
  assert.deepEqual(await readdir(made), []);
});

test("a folder with other things is not replaced", { skip: NO_BUNDLE }, async (t) => {
  const made = await folder(t);
  await writeFile(path.join(made, "photo.jpg"), "x");
  await assert.rejects(build(BUNDLE, made), /exists and is no page that was built/);
  assert.deepEqual(await readdir(made), ["photo.jpg"]);
});

test("the server gives files of its folder alone, with their types", async (t) => {
  const made = await folder(t);
  await mkdir(path.join(made, "dist", "ort"), { recursive: true });
  await writeFile(path.join(made, "secret.txt"), "secret");
  for (const name of ["index.html", "ort/a.wasm", "ort/a.mjs"]) await writeFile(path.join(made, "dist", name), name);
  await symlink(path.join(made, "secret.txt"), path.join(made, "dist", "link.txt"));
  const server = staticServer(path.join(made, "dist")).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  /** @returns {Promise<{status: number | undefined, type: string | undefined, text: string}>} */
  const get = (/** @type {string} */ address, method = "GET") =>
    new Promise((resolve, reject) => {
      // Not fetch, which would take the dots out of an address.
      const sent = request({ host: "127.0.0.1", port, path: address, method }, (response) => {
        let text = "";
        response.on("data", (part) => (text += part));
        response.on("end", () => resolve({ status: response.statusCode, type: response.headers["content-type"], text }));
      });
      sent.on("error", reject);
      sent.end();
    });
  assert.deepEqual(await get("/"), { status: 200, type: "text/html; charset=utf-8", text: "index.html" });
  assert.deepEqual(await get("/?a=b"), await get("/index.html"));
  assert.equal((await get("/ort/a.wasm")).type, "application/wasm");
  assert.equal((await get("/ort/a.mjs")).type, "text/javascript; charset=utf-8");
  assert.equal((await get("/ort/a.mjs", "HEAD")).text, "");
  const outside = ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/link.txt", "//etc/passwd"];
  for (const address of [...outside, "/ort", "/none", "/%00", "/%zz"]) {
    assert.equal((await get(address)).status, 404, address);
  }
  assert.equal((await get("/", "POST")).status, 405);
});
