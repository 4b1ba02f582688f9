/**
 * Files and folders that a user chose or dropped on the page.
 */

/** @typedef {import("./source.js").Chosen} Chosen */

/**
 * @param {FileList | null} files of an input; those of a folder begin with its name
 * @returns {Chosen[]}
 */
export function chosenFiles(files) {
  return [...(files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/**
 * @param {DataTransfer} dropped
 * @returns {Promise<Chosen[]>}
 */
export async function droppedFiles(dropped) {
  // An item is gone once the event is over, so all are asked before anything is waited for.
  const found = [...dropped.items].map((item) => {
    const [entry, file] = [item.webkitGetAsEntry(), item.getAsFile()];
    return entry ? filesBelow(entry) : file ? [{ path: file.name, file }] : [];
  });
  return (await Promise.all(found)).flat();
}

/**
 * @param {FileSystemEntry} entry
 * @returns {Promise<Chosen[]>}
 */
async function filesBelow(entry) {
  if (!entry.isDirectory) {
    const file = await new Promise((resolve, reject) => /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject));
    return [{ path: entry.fullPath.slice(1), file }];
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const found = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const below of some) found.push(...(await filesBelow(below)));
  }
}
