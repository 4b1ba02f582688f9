"""Where runs are tracked."""

import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from har.contract import HarError
from har.redaction import redacted, shown
from har.tracking.fresh import is_missing, sqlite_uri, store_file, whole_store
from har.tracking.relocation import ARTIFACTS, relocate

STORE = "mlflow.db"
VARIABLE = "MLFLOW_TRACKING_URI"
DOWN_S = 300.0  # how long a store that did not answer is left alone
PATIENCE_S = 7.0  # what a store that is away or slow may cost a training in all
FAST_S = 0.05  # a call that takes no longer costs nobody anything
LOCKED = "database is locked"  # MLflow lets sqlite wait 20 s for another writer, 5 s while it connects; a busy disk may take longer
LOCKED_S = 60.0  # how long a writer is waited for in all
# MLflow would try a server that is down eight times, and wait two minutes for a silent one each time.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
_failed_at: dict[str, float] = {}
_lost_s: dict[str, float] = {}
T = TypeVar("T")


class TooSlowError(Exception):
    """A store over a network has used up a training's patience."""


def tracking_uri(runs: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else an sqlite file in the folder `runs`.

    Raises:
        HarError: MLflow cannot keep a store in that folder, because of its name.
    """
    return os.environ.get(VARIABLE) or sqlite_uri((runs / STORE).resolve())


def opened(runs: Path) -> str:
    """Address of a store that is about to be used, after `quiet`; one that was moved or copied keeps its artifacts where it is now.

    Raises:
        HarError: there can be no store, or it was copied without its artifacts.
    """
    quiet()
    uri = tracking_uri(runs)
    path = store_file(uri)
    if path is not None and path.is_file():
        try:
            home, others = relocate(path, runs)
        except (sqlite3.Error, OSError):
            return uri  # MLflow says what is wrong with it
        for other in others:
            how = "copied" if other.exists() else "moved"
            warn(f"the MLflow store of {other} was {how} to {home}; its artifacts are now kept in {home / ARTIFACTS}")
    return uri


@contextmanager
def process_wide(uri: str) -> Iterator[None]:
    """Let MLflow itself ask a store, where it asks that of the process whatever its client says; then as it was before."""
    from mlflow.tracking._tracking_service import utils as process

    variable = os.environ.get(VARIABLE)
    try:
        with process._use_tracking_uri(uri):
            yield
    finally:  # MLflow sets the variable, and then removes it
        if variable is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = variable


def check_store(runs: Path) -> None:
    """Find out without MLflow that there is no store yet; one that is reached over a network is not asked.

    Raises:
        HarError: the sqlite file is missing.
    """
    uri = tracking_uri(runs)
    if is_missing(uri):
        raise HarError(f"no MLflow store at {redacted(uri)}; train first: har train, or make demo")


def remote(uri: str) -> bool:
    """Whether a store is reached over a network, so that it may be away while the training need not care."""
    return uri.split("://")[0].split("+")[0] in ("http", "https", "postgresql", "mysql", "mssql")


def fails(uri: str) -> None:
    """Note that a store did not answer: for a while nobody of this process waits for it again."""
    _failed_at[uri] = time.monotonic()


def is_down(uri: str) -> bool:
    """Whether a store did not answer a while ago."""
    return time.monotonic() - _failed_at.get(uri, float("-inf")) < DOWN_S


def renew_patience(uri: str) -> None:
    """A training is over; what it lost is not held against its store in the next one."""
    _lost_s.pop(uri, None)


def patiently(uri: str, work: Callable[[], T], late: Callable[[T], object] | None = None) -> T:
    """Call a store. One that is reached over a network is given up where its calls together have cost `PATIENCE_S` since `renew_patience`.

    An sqlite file that another process is writing is asked again for `LOCKED_S`: nothing of a call that found it locked was written.

    What is given up goes on in a thread that nobody waits for, and may still take effect: `har track push` makes such a call again, which
    changes nothing.

    Args:
        uri: of the store.
        work: calls it.
        late: gets what `work` returned where that was too late.

    Raises:
        TooSlowError: it was given up.
        Exception: whatever `work` raises.
    """
    if not remote(uri):
        return _unlocked(work)
    left = PATIENCE_S - _lost_s.get(uri, 0.0)
    if left <= 0:
        raise TooSlowError(f"its answers cost {PATIENCE_S:.0f} s so far")
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    started = time.monotonic()
    threading.Thread(target=run, daemon=True).start()
    try:
        return future.result(timeout=left)
    except TimeoutError:
        if future.done():  # it is the work's own
            raise
        if late is not None:
            future.add_done_callback(lambda done: None if done.exception() else late(done.result()))
        raise TooSlowError(f"its answers cost {PATIENCE_S:.0f} s so far") from None
    finally:
        _lost_s[uri] = _lost_s.get(uri, 0.0) + max(0.0, time.monotonic() - started - FAST_S)


def warn(text: str) -> None:
    """One line to the user, who need not do anything now."""
    print(f"har: warning: {shown(text)}", file=sys.stderr, flush=True)


def _unlocked(work: Callable[[], T]) -> T:
    until = time.monotonic() + LOCKED_S
    while True:
        try:
            return work()
        except Exception as error:  # SQLAlchemy's, or MLflow's with its words
            if LOCKED not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.1)


def store_lock(runs: Path) -> AbstractContextManager[object]:
    """Several processes on a fresh sqlite file crash in its schema migration; the first one makes it alone."""
    if tracking_uri(runs).startswith(("http://", "https://")):  # a server minds its store; the lock is never held while it may be silent
        return nullcontext()
    runs.mkdir(parents=True, exist_ok=True)
    return whole_store(tracking_uri(runs), FileLock(runs / f".{STORE}.lock"))


def unreachable(uri: str, error: Exception) -> HarError:
    """What to say where a store cannot be opened."""
    reason = redacted(str(error).split("\n")[0])[:200]  # in this order: half a password is not recognised
    mend = "start the server, or unset MLFLOW_TRACKING_URI to use sqlite"
    if "://" not in uri:
        mend = "write MLFLOW_TRACKING_URI as http://HOST:PORT, postgresql+psycopg2://HOST/DATABASE or sqlite:///PATH, or unset it"
    if uri.startswith("sqlite:"):
        mend = "look at its disk, or name another store in MLFLOW_TRACKING_URI"
    return HarError(redacted(f"cannot open the MLflow store {uri} ({reason}); {mend}"))


def quiet() -> None:
    """Keep what MLflow and the migrations of its store say in passing out of the output."""
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # every error that it writes with its traceback is also raised
