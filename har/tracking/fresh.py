"""Stores in an sqlite file: their address, and how one is made, which is whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock
from sqlalchemy.engine import make_url

from har.contract import HarError

SQLITE = "sqlite:///"


def sqlite_uri(path: Path) -> str:
    """Address of a store in a file.

    Quoting the path is no way out: MLflow makes the parent folder of the address as it is written, quotes included.

    Args:
        path: absolute.

    Raises:
        HarError: SQLAlchemy reads another path out of the address: it ends at ``?``, and from version 2.1 on ``%20`` is a space.
    """
    uri = f"{SQLITE}{path}"
    read = make_url(uri).database
    if read != str(path):
        raise HarError(
            f"MLflow cannot keep a store in the folder {path.parent}: its address would be read as {read}, because '?' and '%' with two "
            "hexadecimal digits have a meaning there; name a folder without them with --runs, or another store in MLFLOW_TRACKING_URI"
        )
    return uri


def store_file(uri: str) -> Path | None:
    """The file of an sqlite store; None for any other store."""
    return Path(make_url(uri).database or "") if uri.startswith(SQLITE) else None


def is_missing(uri: str) -> bool:
    """Whether the store is an sqlite file that was not made yet."""
    path = store_file(uri)
    return path is not None and not path.is_file()


@contextmanager
def whole_store(uri: str, lock: FileLock) -> Iterator[None]:
    """Hold a lock, and make the store where it is an sqlite file that is not there yet.

    A store whose making was cut off, by a kill or a full disk, could never be opened again: MLflow fills a new file with table after
    table, and takes a half-filled one for one of an older version.

    Args:
        uri: of the store.
        lock: of whoever makes it; several processes at once would crash in each other's work.

    Raises:
        Exception: whatever MLflow raises where there can be no such store.
    """
    with lock:
        path = store_file(uri)
        if path is not None and not path.exists():
            _make(path)
        yield


def _make(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # A name of its own for each attempt: MLflow keeps what it has opened, by name.
    new = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        # The folder of artifacts as a URI, in which quotation marks are encoded: MLflow writes it into an SQL statement as it is.
        SqlAlchemyStore(f"{SQLITE}{new}", path.parent.resolve().as_uri()).engine.dispose()
        os.replace(new, path)
    finally:
        for left in path.parent.glob(f".{path.name}.{'?' * len(uuid4().hex)}*"):  # with journals; also of processes that were killed
            left.unlink(missing_ok=True)
