"""Where data are, and parsed windows on disk, keyed by content and settings, written whole or not at all, checked when read."""

import hashlib
import json
import mmap
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from har.data.windowset import WindowSet
from har.files import CannotWriteError, build_folder, cannot_write, remove_stale, write_whole
from har.redaction import shown


def data_root() -> Path:
    """Folder for downloads, generated recordings and the cache: HAR_CACHE_DIR, else ``data`` in the working directory."""
    return Path(os.environ.get("HAR_CACHE_DIR") or "data").expanduser()


def last_source(dataset: str) -> Path | None:
    """The copy of a data set that was prepared last; None where there was none, or nobody can tell any more."""
    try:
        return Path(json.loads(_pointer(dataset).read_text(encoding="utf-8"))["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember_source(dataset: str, source: Path) -> None:
    """Note which copy was prepared.

    Raises:
        HarError: the cache cannot be written.
    """
    source = source.resolve()
    if last_source(dataset) != source:
        try:
            write_whole(_pointer(dataset), json.dumps({"source": str(source)}))
        except CannotWriteError as error:
            raise cannot_write(_pointer(dataset), error, other="name another folder in HAR_CACHE_DIR") from None


def _pointer(dataset: str) -> Path:
    return data_root() / "cache" / f"{dataset}.json"


FORMAT = 3  # raise it when the parsing or the entry changes, so that older entries are not read
ARRAYS = ("x", "y", "subject", "recording", "start")


class Damage(Exception):
    """An entry of the cache is not what was written; the text says what is wrong with it."""


def cache_key(source_digest: str, settings: dict[str, Any]) -> str:
    """Name of a cache entry: a hash of the source's content, every setting and the format of the entry."""
    text = json.dumps({"source": source_digest, "settings": settings, "format": FORMAT}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def load_or_build(folder: Path, key: str, build: Callable[[], WindowSet]) -> WindowSet:
    """Read the entry `key` below `folder`, or build and write it.

    A damaged entry is built again, and a line on stderr says so. Two processes may build the same entry at once: the first
    one to finish wins. A writer that is killed leaves no entry, and the next process removes its temporary files.
    """
    entry = folder / key
    remove_stale(folder)
    try:
        if entry.exists():
            return load_entry(entry)
    except Damage as damage:
        print(f"har: {shown(f'the cache entry {entry} is damaged ({damage}); it is built again')}", file=sys.stderr)
    windows = build()
    try:
        build_folder(entry, lambda new: _store(windows, new, key), _is_whole)
    except OSError as error:
        raise cannot_write(folder, error, "the cache in", "name another folder in HAR_CACHE_DIR") from None
    try:
        return load_entry(entry)
    except Damage:  # another process is just replacing it
        return windows


def _is_whole(entry: Path) -> bool:
    try:
        load_entry(entry)
    except Damage:
        return False
    return True


def _store(windows: WindowSet, folder: Path, key: str) -> None:
    folder.mkdir()
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(windows, name))
    content = {
        "key": key,
        "channels": list(windows.channels),
        "dataset": windows.dataset,
        "synthetic": windows.synthetic,
        "digest": windows.digest,
        "labels": list(windows.labels),
        "sample_rate_hz": windows.sample_rate_hz,
        "files": {f"{name}.npy": fingerprint(folder / f"{name}.npy") for name in ARRAYS},
    }
    (folder / "meta.json").write_text(json.dumps({"content": content, "sha256": _digest(content)}, indent=1))


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def fingerprint(path: Path) -> str:
    """Size and CRC-32 of a file, which every load can afford: 47 MB take 16 ms where SHA-256 takes 30 to 50.

    A change within 32 bits in a row, and so every flipped bit, is always noticed, any other one but for one in 2^32. Made
    against accidents, not against forgery.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return f"{len(content)}:{zlib.crc32(content):08x}"


def load_entry(entry: Path) -> WindowSet:
    """The windows of an entry, `x` memory-mapped, after every byte was compared with what was written.

    Raises:
        Damage: a file is missing, of another size, changed, or of another entry.
    """
    try:
        meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        content = meta["content"]
        if _digest(content) != meta["sha256"] or content["key"] != entry.name:
            raise Damage("meta.json is not the one that was written")
        for name, expected in content["files"].items():
            found = fingerprint(entry / name)
            if found != expected:
                sizes = [int(text.partition(":")[0]) for text in (found, expected)]
                raise Damage(f"{name} has {sizes[0]:,} bytes, expected {sizes[1]:,}" if sizes[0] != sizes[1] else f"{name} was changed")
        arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="r" if name == "x" else None) for name in ARRAYS}
        fields = {name: value for name, value in content.items() if name not in ("key", "files")}
        fields["channels"], fields["labels"] = tuple(fields["channels"]), tuple(fields["labels"])
        return WindowSet(**arrays, **fields)
    except OSError as error:
        raise Damage(f"{Path(error.filename or entry).name} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, EOFError, AttributeError) as error:
        raise Damage(f"{type(error).__name__}: {error}".split("\n")[0]) from None
