"""Which process a tracked run belongs to, and what to do about runs whose process is gone."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import mlflow
from filelock import FileLock, Timeout
from mlflow.entities import RunStatus, ViewType
from mlflow.exceptions import MlflowException

from har.tracking.calls import end_run
from har.tracking.fresh import is_missing
from har.tracking.relocation import LOCK_TAG
from har.tracking.store import TooSlowError, fails, is_down, opened, patiently, remote, store_lock, unreachable, warn

OWNERS = ".owners"  # below the folder of all runs: a locked file for each tracked run, as long as its process lives
HOST, LOCK = "har.host", LOCK_TAG  # tags: on which machine, and where that file is


@contextmanager
def owned(runs: Path) -> Iterator[dict[str, str]]:
    """Hold a lock that ends with this process, however that ends; yields the tags that tell others where it is."""
    folder = (runs / OWNERS).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{os.getpid()}-{uuid4().hex}"
    with FileLock(path):
        try:
            yield {HOST: socket.gethostname(), LOCK: str(path)}
        finally:
            path.unlink(missing_ok=True)


def close_orphans(runs: Path) -> int:
    """End the runs as KILLED that stand as RUNNING though their process is gone.

    Of a process on another machine, its lock says so where it lies on a file system that both share; else nobody here can tell.

    Args:
        runs: folder of the default store.

    Returns:
        How many.

    Raises:
        HarError: the store cannot be reached.
    """
    uri = opened(runs)
    if is_missing(uri):
        return 0
    if is_down(uri):
        return 0
    try:
        return patiently(uri, lambda: _close(uri, runs))
    except Exception as error:
        if not remote(uri):
            raise unreachable(uri, error) from None
        fails(uri)
        warn(f"{unreachable(uri, error)}; what waits is sent later: har track push")
        return 0


def _close(uri: str, runs: Path) -> int:
    closed = 0
    with store_lock(runs):
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiments = [one.experiment_id for one in client.search_experiments(ViewType.ALL)]
        for run in client.search_runs(experiments, "attributes.status = 'RUNNING'") if experiments else []:
            path, host = Path(run.data.tags.get(LOCK, "")), run.data.tags.get(HOST)
            elsewhere = bool(host) and _is_lock(path) and path.is_file()
            if (host == socket.gethostname() or elsewhere) and is_dead(path):
                end_run(client, run.info.run_id, RunStatus.to_string(RunStatus.KILLED))
                if _is_lock(path):
                    path.unlink(missing_ok=True)
                closed += 1
    return closed


def confirm_finished(runs: Path, run_id: str) -> None:
    """Say FINISHED of a run that is whole on disk, where its process died before it could."""
    uri = opened(runs)
    if is_missing(uri) or is_down(uri):
        return

    def confirm() -> None:
        client = mlflow.MlflowClient(tracking_uri=uri)
        finished = RunStatus.to_string(RunStatus.FINISHED)
        if client.get_run(run_id).info.status != finished:
            end_run(client, run_id, finished)

    # The run may be another store's, and the store need not be there.
    with suppress(MlflowException, TooSlowError):
        patiently(uri, confirm)


@contextmanager
def closing_orphans(runs: Path) -> Iterator[None]:
    """Where what is done inside is interrupted, end the runs of the processes that went down with it."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        close_orphans(runs)
        raise


def is_dead(lock: Path) -> bool:
    """Whether the process that held a lock of `owned` is gone."""
    if not (_is_lock(lock) and lock.is_file()):
        return True  # the process took it away, or its folder was deleted
    try:
        FileLock(lock).acquire(timeout=0).lock.release()
    except (Timeout, OSError):
        return False
    return True


def _is_lock(path: Path) -> bool:
    """Whether this is a place where `owned` puts a lock: whoever shares a store writes its tags, and to try a lock empties its file."""
    return path.parent.name == OWNERS and re.fullmatch(r"\d+-[0-9a-f]{32}", path.name) is not None
