"""Folders that are written whole or not at all, also where the writer is killed."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PREFIX = ".partial-"
STALE_S = 24 * 3600.0  # where no lock tells the living from the dead, nobody writes for a day


class InUseError(Exception):
    """Another process writes what is to be written: in the folder `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"another process writes {path}")
        self.path = path


@contextmanager
def staging(
    folder: Path, name: str, *, worth_keeping: Callable[[Path], bool] | None = None, resume: bool = False, alone: bool = False
) -> Iterator[Path]:
    """A temporary folder inside `folder` to write into, and to rename what is finished out of; removed at the end.

    Its owner holds a lock on it, which ends with the process, however that ends. So `remove_stale` takes away what killed writers
    left behind, and nothing that is still written.

    Args:
        folder: made where it is not there.
        name: of what is written, to be recognised by a person.
        worth_keeping: whether a folder holds something to go on from: then an interruption (Ctrl-C, SIGTERM) leaves it.
        resume: hand out a folder that somebody left behind and that is worth keeping, where there is one.
        alone: refuse where another process writes something of this name; without file locks (Windows) that is not known.

    Raises:
        OSError: the folder cannot be written.
        InUseError: another process writes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder) if alone else nullcontext():
        if alone and (other := _living(folder, name)) is not None:
            raise InUseError(other)
        found = _left_behind(folder, name, worth_keeping) if resume and worth_keeping is not None else None
        path, lock = found or _locked_folder(folder, name)
    kept = False
    try:
        yield path
    except (KeyboardInterrupt, SystemExit):
        kept = worth_keeping is not None and worth_keeping(path)
        raise
    finally:
        if not kept:
            shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Between looking for another writer and making a folder of one's own, no other process does the same in `folder`."""
    if fcntl is None:
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _living(folder: Path, name: str) -> Path | None:
    """A temporary folder of this name whose writer lives."""
    for path in sorted(folder.glob(f"{PREFIX}{name}-*")) if fcntl is not None else ():
        lock = _lock_of_the_dead(path)
        if lock is not None:
            os.close(lock)
        elif path.exists():
            return path
    return None


def _left_behind(folder: Path, name: str, worth_keeping: Callable[[Path], bool]) -> tuple[Path, int] | None:
    """A folder whose writer is gone, locked."""
    for path in sorted(folder.glob(f"{PREFIX}{name}-*"), key=_age):
        lock = _lock_of_the_dead(path)
        if lock is not None and worth_keeping(path):
            return path, lock
        if lock is not None:
            os.close(lock)
    return None


def _age(path: Path) -> float:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return float("inf")


def _lock_of_the_dead(path: Path) -> int | None:
    """The lock of a folder, or None where its writer lives, where it is gone, or where nobody can tell."""
    if fcntl is None:
        return None
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return None  # another process was faster
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists():
            return lock
    except OSError:
        pass  # its writer lives
    os.close(lock)
    return None


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


def remove_stale(folder: Path, name: str | None = None) -> None:
    """Remove the temporary folders in `folder`, all or those of one name, whose writers are gone."""
    for path in folder.glob(f"{PREFIX}*" if name is None else f"{PREFIX}{name}-*"):
        if fcntl is None:
            if STALE_S < _age(path) < float("inf"):
                shutil.rmtree(path, ignore_errors=True)
            continue
        lock = _lock_of_the_dead(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
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
