"""Parsed windows on disk, keyed by content and settings, written whole or not at all, read memory-mapped."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from har.contract import HarError
from har.data.windowset import WindowSet

FORMAT = 1  # raise it when the parsing changes, so that older entries are not read
ARRAYS = ("x", "y", "subject", "recording", "start")


def cache_key(source_digest: str, settings: dict[str, Any]) -> str:
    """Name of a cache entry: a hash of the source's content, every setting and the format of the entry."""
    text = json.dumps({"source": source_digest, "settings": settings, "format": FORMAT}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def load_or_build(folder: Path, key: str, build: Callable[[], WindowSet]) -> WindowSet:
    """Read the entry `key` below `folder`, or build and write it.

    A damaged entry is built again. Two processes may build the same entry at once: the first one to finish wins.
    """
    entry = folder / key
    found = _load(entry)
    if found is not None:
        return found
    windows = build()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder))
        try:
            _store(windows, temporary)
            if entry.exists():
                shutil.rmtree(entry, ignore_errors=True)
            try:
                os.rename(temporary, entry)
            except OSError:
                if _load(entry) is None:
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise HarError(
            f"cannot write the cache in {folder} ({error.strerror}); free some space or name another folder in HAR_CACHE_DIR"
        ) from None
    return _load(entry) or windows


def _store(windows: WindowSet, folder: Path) -> None:
    for name in ARRAYS:
        np.save(folder / f"{name}.npy", getattr(windows, name))
    meta = {
        "channels": list(windows.channels),
        "dataset": windows.dataset,
        "synthetic": windows.synthetic,
        "digest": windows.digest,
        "labels": list(windows.labels),
        "sample_rate_hz": windows.sample_rate_hz,
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1))


def _load(entry: Path) -> WindowSet | None:
    try:
        meta = json.loads((entry / "meta.json").read_text())
        arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="r" if name == "x" else None) for name in ARRAYS}
        meta["channels"], meta["labels"] = tuple(meta["channels"]), tuple(meta["labels"])
        return WindowSet(**arrays, **meta)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
