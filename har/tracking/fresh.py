"""A store in a file appears whole: one whose making was cut off, by a kill or a full disk, can never be opened again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

SQLITE = "sqlite:///"


@contextmanager
def whole_store(uri: str, lock: FileLock) -> Iterator[None]:
    """Hold a lock, and make the store where it is an sqlite file that is not there yet.

    MLflow fills a new file with table after table, and takes a half-filled one for one of an older version.

    Args:
        uri: of the store.
        lock: of whoever makes it; several processes at once would crash in each other's work.

    Raises:
        Exception: whatever MLflow raises where there can be no such store.
    """
    with lock:
        path = Path(uri.removeprefix(SQLITE))
        if uri.startswith(SQLITE) and not path.exists():
            _make(path)
        yield


def _make(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # A name of its own for each attempt: MLflow keeps what it has opened, by name.
    new = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        SqlAlchemyStore(f"{SQLITE}{new}", str(path.parent)).engine.dispose()
        os.replace(new, path)
    finally:
        for left in path.parent.glob(f".{path.name}.{'?' * len(uuid4().hex)}*"):  # with journals; also of processes that were killed
            left.unlink(missing_ok=True)
