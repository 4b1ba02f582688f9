"""Where runs are tracked: the store that trainings write to, and the server that gets a copy of them."""

import logging
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlparse
from urllib.request import url2pathname
from uuid import uuid4

from filelock import FileLock
from sqlalchemy.engine import make_url

from har.errors import HarError
from har.redaction import redacted, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

VARIABLE = "MLFLOW_TRACKING_URI"
FOLDER = "HAR_TRACKING_DIR"  # a folder of this machine for its own store, where several machines share a folder of runs
SQLITE, STORE, ARTIFACTS = "sqlite:///", "mlflow.db", "mlartifacts"
LOCKED = "database is locked"  # MLflow lets sqlite wait 20 s for another writer, 5 s while it connects; a busy disk may take longer
LOCKED_S = 60.0  # how long a writer is waited for in all
WEB = ("http://", "https://")  # beginnings of the address of a server, which minds its store and has a user interface
# MLflow would try a server that is down eight times, and wait two minutes for a silent one each time.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
# Every column of MLflow's tables that holds a place of artifacts.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
FILLED = PLACES[1:3]  # whose folders exist where something was logged
T = TypeVar("T")


def remote(uri: str) -> bool:
    """Whether a store is reached over a network, so that it may be away while the training need not care."""
    return uri.split("://")[0].split("+")[0] in ("http", "https", "postgresql", "mysql", "mssql")


def named_server() -> str | None:
    """The store over a network that MLFLOW_TRACKING_URI names; None where it names none."""
    uri = os.environ.get(VARIABLE, "")
    return uri if remote(uri) else None


def home(runs: Path) -> Path:
    """The folder of the local store: the folder of runs, unless HAR_TRACKING_DIR names another."""
    return Path(os.environ.get(FOLDER) or runs)


def local_uri(runs: Path) -> str:
    """Address of the store that trainings write to: an sqlite file, unless MLFLOW_TRACKING_URI names another store of this machine.

    Raises:
        HarError: MLflow cannot keep a store in that folder, because of its name.
    """
    named = os.environ.get(VARIABLE)
    return named if named and not remote(named) else sqlite_uri((home(runs) / STORE).resolve())


def tracking_uri(runs: Path) -> str:
    """Address of the store that shows the runs and holds the registered models: MLFLOW_TRACKING_URI where it is set, else the local one.

    Raises:
        HarError: MLflow cannot keep a store in that folder, because of its name.
    """
    return named_server() or local_uri(runs)


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
            "store",
            f"MLflow cannot keep a store in the folder {path.parent}: its address would be read as {read}, because '?' and '%' with two "
            "hexadecimal digits have a meaning there; name a folder without them with --runs, or another store in MLFLOW_TRACKING_URI",
        )
    return uri


def store_file(uri: str) -> Path | None:
    """The file of an sqlite store; None for any other store."""
    return Path(make_url(uri).database or "") if uri.startswith(SQLITE) else None


def folder(uri: str, runs: Path) -> Path:
    """The folder of a store of this machine."""
    path = store_file(uri)
    return home(runs).resolve() if path is None else path.parent


def is_missing(uri: str) -> bool:
    """Whether the store is an sqlite file that was not made yet."""
    path = store_file(uri)
    return path is not None and not path.is_file()


def check_store(runs: Path) -> None:
    """Check without MLflow that there is a store; one that is reached over a network is not asked.

    Raises:
        HarError: the sqlite file is missing.
    """
    uri = tracking_uri(runs)
    if is_missing(uri):
        raise HarError("store-missing", f"no MLflow store at {redacted(uri)}; train first: har train, or make demo")


def opened(uri: str, runs: Path) -> str:
    """The address of a store that is about to be used, after `quiet`; one that was moved or copied keeps its artifacts where it is now.

    Raises:
        HarError: it was copied without its artifacts.
    """
    quiet()
    path = store_file(uri)
    if path is not None and path.is_file():
        with suppress(sqlite3.Error, OSError):  # MLflow says what is wrong with it
            _relocate(path.resolve(), home(runs).resolve())
    return uri


@contextmanager
def store_lock(uri: str, runs: Path) -> Iterator[None]:
    """Let one process at a time of this machine change a store; an sqlite file that is not there yet is made, whole or not at all.

    Several processes on a fresh file crash in each other's migration of its tables. One whose making was cut off, by a kill or a full
    disk, could never be opened again: MLflow takes a half-filled file for one of an older version.

    Raises:
        Exception: whatever MLflow raises where there can be no such store.
    """
    if uri.startswith(WEB):  # the lock is never held while a server may be silent
        yield
        return
    path, place = store_file(uri), folder(uri, runs)
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / f".{path.name if path else STORE}.lock"):
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


def unlocked(work: Callable[[], T]) -> T:
    """Call a store; an sqlite file that another process is writing is asked again for `LOCKED_S`: nothing was written then."""
    until = time.monotonic() + LOCKED_S
    while True:
        try:
            return work()
        except Exception as error:  # SQLAlchemy's, or MLflow's with its words
            if LOCKED not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.1)


def asked(uri: str, work: Callable[[], T]) -> T:
    """Call a store, waiting for other writers.

    Raises:
        HarError: whatever the store raises, in one line.
    """
    try:
        return unlocked(work)
    except Exception as error:  # MLflow's, of the network, of the database: each store has its own
        raise unreachable(uri, error) from None


def search_runs(client: "MlflowClient", chosen: str = "", **options: Any) -> "list[Run]":
    """The runs of all experiments of a store."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    return client.search_runs(experiments, chosen, **options) if experiments else []


def now_ms() -> int:
    """Milliseconds, as MLflow counts them."""
    return int(time.time() * 1000)


def warn(text: str) -> None:
    """Print one line to the user, who need not do anything now."""
    print(f"har: warning: {shown(text)}", file=sys.stderr, flush=True)


def reason(error: Exception) -> str:
    """The first line of an error, without secrets."""
    return redacted(str(error).split("\n")[0])[:200]  # in this order: half a password is not recognised


def unreachable(uri: str, error: Exception) -> HarError:
    """The error to raise where a store cannot be opened."""
    advice = "start the server, or unset MLFLOW_TRACKING_URI to use sqlite"
    if "://" not in uri:
        advice = "write MLFLOW_TRACKING_URI as http://HOST:PORT, postgresql+psycopg2://HOST/DATABASE or sqlite:///PATH, or unset it"
    if uri.startswith("sqlite:"):
        advice = "look at its disk, or name another store in MLFLOW_TRACKING_URI"
    return HarError("store", redacted(f"cannot open the MLflow store {uri} ({reason(error)}); {advice}"))


def quiet() -> None:
    """Keep what MLflow, its HTTP client and the migrations of its store log in passing out of the output."""
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a line for each attempt to reach a server
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # every error that it writes with its traceback is also raised


def _relocate(database: Path, runs: Path) -> None:
    """Let a store keep its artifacts in the folder where it lies now.

    A store outside the folder of runs that holds no artifacts itself keeps them in the folder of runs.

    Args:
        database: file of the store.
        runs: folder of the local store.

    Raises:
        HarError: the store was copied to `runs` without its artifacts.
        sqlite3.Error: the file is no store, or cannot be written.
    """
    home = database.parent if database.parent == runs or (database.parent / ARTIFACTS).is_dir() else runs
    if not os.access(database, os.W_OK):
        return  # it can only be read, so that nothing is written anywhere
    with closing(sqlite3.connect(database, timeout=LOCKED_S, isolation_level=None)) as store:
        if not _others(store, home):
            return
        store.execute("BEGIN IMMEDIATE")  # whoever comes second finds nothing to do
        others = _others(store, home)
        for other in others:
            folders = _folders_below(store, other)
            lost = [path for path in folders if not (home / path.relative_to(other)).exists()]
            if lost and database.parent != runs:
                return  # a store that several folders of runs share
            if lost:
                raise HarError(
                    "store",
                    f"{home} holds a copy of the MLflow store of {other}, but not its artifacts ({len(lost)} of {len(folders)} folders): "
                    f"copy {other / ARTIFACTS} to {home / ARTIFACTS}, or go on in the original with --runs {other}",
                )

        def moved(place: str | None) -> str | None:
            for other in others:
                for old, new in ((other.as_uri(), home.as_uri()), (str(other), str(home))):
                    if place is not None and (place == old or place.startswith(f"{old}/")):
                        return new + place[len(old) :]
            return place

        store.create_function("moved", 1, moved)
        for table, column in PLACES:
            store.execute(f"UPDATE {table} SET {column} = moved({column})")  # nosec B608 # names of this module
        store.execute("COMMIT")
    from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

    _artifact_repos_cache.clear()  # MLflow remembers in this process where the artifacts of a run were
    for other in others:
        how = "copied" if other.exists() else "moved"
        warn(f"the MLflow store of {other} was {how} to {home}; its artifacts are now kept in {home / ARTIFACTS}")


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


def _folders_below(store: sqlite3.Connection, other: Path) -> list[Path]:
    """The folders of artifacts that exist below `other`."""
    rows = [row for table, column in FILLED for row in store.execute(f"SELECT {column} FROM {table}")]  # nosec B608 # names of this module
    places = [local_path(location) for (location,) in rows]
    return [path for path in places if path is not None and path.is_relative_to(other) and path.exists()]
