"""An sqlite store whose folder was moved or copied: MLflow keeps absolute paths of artifacts, and would write to the original place."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from har.contract import HarError

ARTIFACTS = "mlartifacts"  # below the folder of all runs
WAIT_S = 60.0  # for another process that is writing the store
LOCK_TAG = "har.lock"  # see har.tracking.owners
# Every column of MLflow's tables that holds a place of artifacts, and our tag with the place of a lock.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
    ("tags", "value"),
)
FILLED = PLACES[1:3]  # whose folders exist where something was logged


def relocate(database: Path, runs: Path) -> tuple[Path, list[Path]]:
    """Let a store keep its artifacts in the folder where it lies now.

    A store outside the folder of runs that holds no artifacts itself keeps them in the folder of runs.

    Args:
        database: file of the store.
        runs: folder of all runs.

    Returns:
        The folder that holds the artifacts, and the folders from which it was moved or copied; those are empty where nothing was changed.

    Raises:
        HarError: the store was copied to `runs` without its artifacts.
        sqlite3.Error: the file is no store, or cannot be written.
    """
    database, runs = database.resolve(), runs.resolve()
    home = database.parent if database.parent == runs or (database.parent / ARTIFACTS).is_dir() else runs
    if not os.access(database, os.W_OK):
        return home, []  # it can only be read, so that nothing is written anywhere
    with closing(sqlite3.connect(database, timeout=WAIT_S, isolation_level=None)) as store:
        if not _others(store, home):
            return home, []
        store.execute("BEGIN IMMEDIATE")  # whoever comes second finds nothing to do
        others = _others(store, home)
        tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        places = [place for place in PLACES if place[0] in tables]
        for other in others:
            lost, count = _left_behind(store, [place for place in FILLED if place in places], other, home)
            if lost and database.parent != runs:
                return home, []  # a store that several folders of runs share
            if lost:
                raise HarError(
                    f"{home} holds a copy of the MLflow store of {other}, but not its artifacts ({lost} of {count} folders): copy "
                    f"{other / ARTIFACTS} to {home / ARTIFACTS}, or go on in the original with --runs {other}"
                )
            for table, column in places:
                for old, new in ((other.as_uri(), home.as_uri()), (str(other), str(home))):
                    _replace(store, table, column, old, new)
        store.execute("COMMIT")
    from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

    _artifact_repos_cache.clear()  # MLflow remembers in this process where the artifacts of a run were
    return home, others


def _others(store: sqlite3.Connection, home: Path) -> list[Path]:
    """The folders other than `home` in which experiments keep their artifacts."""
    places = [local_path(location) for (location,) in store.execute("SELECT DISTINCT artifact_location FROM experiments")]
    return sorted({path.parent for path in places if path is not None and path.name == ARTIFACTS} - {home})


def local_path(location: str | None) -> Path | None:
    """The local path of a place of artifacts; None where it is elsewhere."""
    parsed = urlparse(location or "")
    if parsed.scheme not in ("", "file") or not parsed.path.startswith("/"):
        return None
    return Path(url2pathname(parsed.path) if parsed.scheme else str(location))


def _left_behind(store: sqlite3.Connection, places: list[tuple[str, str]], other: Path, home: Path) -> tuple[int, int]:
    """How many folders of artifacts lie below `other` and not below `home`, and how many there are."""
    lost = count = 0
    for table, column in places:
        for (location,) in store.execute(f"SELECT {column} FROM {table}"):  # nosec B608 # names of this module
            path = local_path(location)
            if path is not None and path.is_relative_to(other) and path.exists():
                count += 1
                lost += not (home / path.relative_to(other)).exists()
    return lost, count


def _replace(store: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    """Replace the beginning of paths."""
    only = f" AND key = '{LOCK_TAG}'" if table == "tags" else ""
    statement = (
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # nosec B608 # names of this module
        f"WHERE ({column} = ? OR substr({column}, 1, ?) = ? || '/'){only}"
    )
    store.execute(statement, (new, len(old) + 1, old, len(old) + 1, old))
