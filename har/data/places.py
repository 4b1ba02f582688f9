"""Where data sets lie: the folder for downloads and the cache, and which copy was prepared last."""

import json
import os
from pathlib import Path

from har.data.staging import write_text
from har.files import cannot_write


def data_root() -> Path:
    """Folder for downloads, generated recordings and the cache: HAR_CACHE_DIR, else ``data`` in the working directory."""
    return Path(os.environ.get("HAR_CACHE_DIR") or "data").expanduser()


def last_source(dataset: str) -> Path | None:
    """The copy of a data set that was prepared last; None where there was none, or nobody can tell any more."""
    try:
        return Path(json.loads(_pointer(dataset).read_text(encoding="utf-8"))["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember_source(dataset: str, source: Path, key: str) -> None:
    """Note which copy was prepared, and below which key its windows are cached.

    Raises:
        HarError: the cache cannot be written.
    """
    pointer = _pointer(dataset)
    try:
        write_text(pointer, json.dumps({"source": str(source.resolve()), "key": key}))
    except OSError as error:
        raise cannot_write(pointer, error, other="name another folder in HAR_CACHE_DIR") from None


def _pointer(dataset: str) -> Path:
    return data_root() / "cache" / f"{dataset}.json"
