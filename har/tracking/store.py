"""Where runs are tracked."""

import logging
import os
from pathlib import Path

from filelock import FileLock

from har.contract import HarError

STORE = "mlflow.db"


def tracking_uri(runs: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else an sqlite file in the folder `runs`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(runs / STORE).resolve()}"


def store_lock(runs: Path) -> FileLock:
    """Several processes on a fresh sqlite file crash in its schema migration; the first one makes it alone."""
    runs.mkdir(parents=True, exist_ok=True)
    return FileLock(runs / f".{STORE}.lock")


def unreachable(uri: str, error: Exception) -> HarError:
    """What to say where a store cannot be opened."""
    reason = str(error).split("\n")[0][:200]
    return HarError(f"cannot open the MLflow store {uri} ({reason}); start the server, or unset MLFLOW_TRACKING_URI to use sqlite")


def quiet() -> None:
    """Keep what MLflow and the migrations of its store say in passing out of the output."""
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
