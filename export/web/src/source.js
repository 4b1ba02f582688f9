/**
 * Where a recording lies: one file, or a folder or zip archive of files, as an app exports it: a port of
 * `har/recording/source.py`. Files are read some bytes at a time, and unpacked while they are read.
 */

import { HarError } from "./contract.js";
import { openEntry, readDirectory } from "./zip.js";

/** Names of units, sensors, clocks and apps, which the Python package owns: a file of the page next to its bundle. */
export const RULES = "formats.json";
const TABLES = Object.freeze([".csv", ".txt", ".tsv"]);
export const PARQUET = Object.freeze([".parquet", ".pq"]);
const SHEETS = Object.freeze([".xls", ".xlsx", ".ods"]);
const SNIFFED = 65_536; // bytes from which the encoding is told
const ZIP = "80 75 3 4"; // bytes with which a file begins
const GZIP = "31 139 ";
const MOST_FILES = 10_000; // of a folder or zip archive that is one recording

/** @typedef {Record<string, any>} Rules What `RULES` holds */
/** @typedef {{path: string, file: File}} Chosen A file that a user chose; its path begins with the folder that was chosen */

/** One recording as it was delivered. */
export class Source {
  /**
   * @param {string} name of the file, folder or zip archive
   * @param {Map<string, () => Promise<ReadableStream<Uint8Array>>>} files its tables, below a folder or in an archive; "" for a file
   * @param {Rules} rules
   */
  constructor(name, files, rules) {
    this.name = name;
    this.files = files;
    this.rules = rules;
  }

  /** Names of its tables. */
  get members() {
    return [...this.files.keys()];
  }

  /**
   * What a message calls a table.
   *
   * @param {string} member
   */
  nameOf(member) {
    return member ? `${this.name}/${member}` : this.name;
  }

  /**
   * The text of a table, in UTF-8 or UTF-16, or in Windows-1252 where it is neither, some at a time.
   *
   * @param {string} member
   * @returns {AsyncGenerator<string, void, void>}
   * @throws {HarError} it cannot be read or unpacked
   */
  async *text(member) {
    /** @type {TextDecoder | null} */
    let decoder = null;
    let start = new Uint8Array(0);
    for await (const chunk of this.#bytes(member)) {
      if (decoder) yield decoder.decode(chunk, { stream: true });
      else {
        start = concat(start, chunk);
        if (start.length < SNIFFED) continue;
        decoder = new TextDecoder(encodingOf(start));
        yield decoder.decode(start, { stream: true });
      }
    }
    yield decoder ? decoder.decode() : new TextDecoder(encodingOf(start)).decode(start);
  }

  /**
   * @param {string} member
   * @returns {AsyncGenerator<Uint8Array, void, void>}
   */
  async *#bytes(member) {
    /** @type {ReadableStreamDefaultReader<Uint8Array> | null} */
    let reader = null;
    try {
      const open = /** @type {() => Promise<ReadableStream<any>>} */ (this.files.get(member));
      const packed = (member || this.name).toLowerCase().endsWith(".gz");
      reader = packed ? (await open()).pipeThrough(new DecompressionStream("gzip")).getReader() : (await open()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new HarError(`cannot read ${this.nameOf(member)} (${reason}); export or copy it again`);
    } finally {
      await reader?.cancel().catch(() => undefined); // the reason was given already
    }
  }
}

/**
 * What chosen files stand for.
 *
 * @param {Chosen[]} chosen one file or zip archive, a folder's files, or several files of one export
 * @param {Rules} rules
 * @returns {Promise<Source>}
 * @throws {HarError} there is nothing that could be a recording
 */
export async function findSource(chosen, rules) {
  const folders = new Set(chosen.map(({ path }) => (path.includes("/") ? path.split("/", 1)[0] : "")));
  const folder = folders.size === 1 ? [...folders][0] : "";
  if (!folder && chosen.length === 1) return ofFile(chosen[0].file, rules);
  if (!folder && (folders.size > 1 || !isExport(chosen.map(({ path }) => path), rules))) {
    const advice = "choose one file, or the folder, the zip or the files of one app";
    throw new HarError(`${chosen.length} files were chosen, expected one recording; ${advice}`);
  }
  const name = folder || "the files";
  const byParts = (/** @type {string} */ path) => path.replaceAll("/", "\0"); // the order of Python's paths
  const below = folder ? folder.length + 1 : 0;
  const files = chosen.map(({ path, file }) => /** @type {const} */ ([path.slice(below), async () => file.stream()]));
  return ofFiles(name, files.sort(([a], [b]) => (byParts(a) < byParts(b) ? -1 : 1)), rules);
}

/**
 * @param {File} file
 * @param {Rules} rules
 */
async function ofFile(file, rules) {
  if (isSheet(file.name)) throw new HarError(`${file.name} is an Excel workbook, expected text; export or save it as CSV`);
  const name = file.name.toLowerCase();
  let directory, start;
  try {
    directory = await readDirectory(file);
    start = new Uint8Array(await file.slice(0, 4).arrayBuffer()).join(" ");
  } catch (error) {
    throw new HarError(`${file.name} is not a whole zip file (${error instanceof Error ? error.message : error}); export it again`);
  }
  if (!directory && (name.endsWith(".zip") || start === ZIP)) {
    throw new HarError(`${file.name} is not a whole zip file; export or copy it again`);
  }
  const isGzip = !name.endsWith(".gz") && start.startsWith(GZIP);
  const open = async () => (isGzip ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream());
  if (!directory) return new Source(file.name, new Map([["", open]]), rules);
  return ofFiles(file.name, [...directory].map(([name, entry]) => [name, () => openEntry(entry)]), rules);
}

/**
 * @param {string} name
 * @param {(readonly [string, () => Promise<ReadableStream<Uint8Array>>])[]} found
 * @param {Rules} rules
 */
function ofFiles(name, found, rules) {
  if (found.length > MOST_FILES) {
    throw new HarError(`${name} holds ${found.length.toLocaleString("en")} files, expected those of one recording; name one of them`);
  }
  const tables = found.filter(([member]) => isTable(member));
  if (!tables.length) {
    const sheets = found.some(([member]) => isSheet(member)) ? " (Excel: export CSV instead)" : "";
    throw new HarError(`no recording in ${name}${sheets}; expected files that end in ${[...TABLES, ...PARQUET].join(", ")}`);
  }
  return new Source(name, new Map(tables), rules);
}

/**
 * Whether files are one recording, as an app exports it: a file for each sensor, with the names that an app gives them.
 *
 * @param {string[]} paths
 * @param {Rules} rules
 */
export function isExport(paths, rules) {
  const stems = new Set(paths.filter(isTable).map(stemOf));
  return rules.formats.some((/** @type {Rules} */ { files = {} }) => Object.keys(files).some((stem) => stems.has(stem)));
}

/** @param {string} path */
function isSheet(path) {
  return SHEETS.some((suffix) => path.toLowerCase().endsWith(suffix));
}

/**
 * The name of a file in lower case, up to its first dot.
 *
 * @param {string} path
 */
export function stemOf(path) {
  return path.slice(path.lastIndexOf("/") + 1).toLowerCase().split(".")[0];
}

/**
 * Whether a file of this name may hold samples; hidden files and what macOS adds to archives do not.
 *
 * @param {string} path
 */
function isTable(path) {
  const hidden = path.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");
  const name = path.toLowerCase().replace(/\.gz$/, "");
  return !hidden && [...TABLES, ...PARQUET].some((suffix) => name.endsWith(suffix));
}

/** @param {Uint8Array} content from the start of a file */
function encodingOf(content) {
  const start = content.subarray(0, SNIFFED);
  if (start[0] === 0xff && start[1] === 0xfe) return "utf-16le";
  if (start[0] === 0xfe && start[1] === 0xff) return "utf-16be";
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(start.subarray(0, start.lastIndexOf(10) + 1 || undefined));
  } catch {
    return "windows-1252";
  }
  return "utf-8";
}

/** @param {Uint8Array} a @param {Uint8Array} b */
function concat(a, b) {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
