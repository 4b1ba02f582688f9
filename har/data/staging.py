"""Folders that are written whole or not at all, also where the writer is killed."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX = ".partial-"
STALE_S = 24 * 3600.0  # where no lock tells the living from the dead, nobody writes for a day


@contextmanager
def staging(folder: Path, name: str) -> Iterator[Path]:
    """A temporary folder inside `folder` to write into, and to rename what is finished out of; removed at the end.

    Its owner holds a lock on it, which ends with the process, however that ends. So `remove_stale` takes away what killed writers
    left behind, and nothing that is still written.

    Args:
        folder: made where it is not there.
        name: of what is written, to be recognised by a person.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, lock = _locked_folder(folder, name)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked_folder(folder: Path, name: str) -> tuple[Path, int | None]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-", dir=folder))
        if fcntl is None:
            return path, None
        # Between its birth and its lock a folder looks left behind; where somebody removed it then, make another.
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if path.exists():
                    return path, lock
            except FileNotFoundError:
                pass
            os.close(lock)


def remove_stale(folder: Path) -> None:
    """Remove the temporary folders in `folder` whose writers are gone."""
    for path in folder.glob(f"{PREFIX}*"):
        if fcntl is None:
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE_S:
                    shutil.rmtree(path, ignore_errors=True)
            continue
        try:
            lock = os.open(path, os.O_RDONLY)
        except OSError:
            continue  # another process was faster
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass  # its writer lives
        finally:
            os.close(lock)


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all; a file with this content already is left alone.

    Raises:
        OSError: the file cannot be written.
    """
    with suppress(OSError, ValueError):
        if path.read_text(encoding="utf-8") == text:
            return
    remove_stale(path.parent)
    with staging(path.parent, path.name) as temporary:
        (temporary / path.name).write_text(text, encoding="utf-8")
        os.replace(temporary / path.name, path)
