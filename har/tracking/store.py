"""Where runs are tracked."""

import logging
import os
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock

from har.contract import HarError
from har.redaction import redacted
from har.tracking.fresh import whole_store

STORE = "mlflow.db"
DOWN_S = 300.0  # how long a store that did not answer is left alone
_failed_at: dict[str, float] = {}


def tracking_uri(runs: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else an sqlite file in the folder `runs`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(runs / STORE).resolve()}"


def remote(uri: str) -> bool:
    """Whether a store is reached over a network, so that it may be away while the training need not care."""
    return uri.split("://")[0].split("+")[0] in ("http", "https", "postgresql", "mysql", "mssql")


def fails(uri: str) -> None:
    """Note that a store did not answer: for a while nobody of this process waits for it again."""
    _failed_at[uri] = time.monotonic()


def is_down(uri: str) -> bool:
    """Whether a store did not answer a while ago."""
    return time.monotonic() - _failed_at.get(uri, float("-inf")) < DOWN_S


def warn(text: str) -> None:
    """One line to the user, who need not do anything now."""
    print(f"har: warning: {redacted(text)}", file=sys.stderr, flush=True)


def store_lock(runs: Path) -> AbstractContextManager[object]:
    """Several processes on a fresh sqlite file crash in its schema migration; the first one makes it alone."""
    runs.mkdir(parents=True, exist_ok=True)
    return whole_store(tracking_uri(runs), FileLock(runs / f".{STORE}.lock"))


def unreachable(uri: str, error: Exception) -> HarError:
    """What to say where a store cannot be opened."""
    reason = str(error).split("\n")[0][:200]
    mend = "start the server, or unset MLFLOW_TRACKING_URI to use sqlite"
    if uri.startswith("sqlite:"):
        mend = "look at its disk, or name another store in MLFLOW_TRACKING_URI"
    return HarError(redacted(f"cannot open the MLflow store {uri} ({reason}); {mend}"))


def quiet() -> None:
    """Keep what MLflow and the migrations of its store say in passing out of the output."""
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
