"""The folder a training works in until it is done, and who may go on with one that an interrupted training left."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from har.errors import HarError
from har.files import FULL, CannotWriteError, InUseError, cannot_write, remove_stale, staging, write_whole
from har.runs.run_folder import INFO, RunFolder
from har.tracking.runs import close_orphans, confirm_finished
from har.training.trainer import RESUME

WORK = "work.json"
Say = Callable[[str], None]  # gets one line of what a command prints


@dataclass(frozen=True)
class Work:
    """A folder that is renamed to its final name when everything is in it.

    Attributes:
        path: of the folder.
        key: of the run, see `har.tasks.run_key.run_key`.
        run_id: of the MLflow run that the interrupted training had; None where there was none.
    """

    path: Path
    key: str
    run_id: str | None

    def remember(self, run_id: str | None) -> None:
        """Note where the training is tracked, for a resumed one, and its process, for another one that is refused meanwhile."""
        write_whole(self.path / WORK, json.dumps({"key": self.key, "run_id": run_id, "pid": os.getpid()}) + "\n")

    def finish(self) -> None:
        """Take away what only an unfinished training needs."""
        for name in (WORK, RESUME):
            (self.path / name).unlink(missing_ok=True)


@contextmanager
def work_folder(target: Path, key: str, *, resume: bool, who: str, say: Say) -> Iterator[Work]:
    """A folder next to `target` to train in, which one process at a time has.

    The operating system's lock on it ends with its process, so that a killed training blocks none.
    An error removes it. Ctrl-C, SIGTERM and a killed process leave it where an epoch was over, for the next call with `resume` and the
    same key; without it, or with another key, what was left is removed.

    Args:
        target: where the run will lie.
        key: of the run.
        resume: go on with an interrupted training of this key, where there is one.
        who: the run, for messages.
        say: gets one line on what is gone on with, or was left.

    Raises:
        HarError: another process trains into `target`, or the disk is full.
    """

    def worth_keeping(path: Path) -> bool:
        return (path / RESUME).is_file() and _noted(path).get("key") == key

    if not resume:
        remove_stale(target.parent, target.name)
    with _alone(target, staging(target.parent, target.name, keep=worth_keeping)) as path:
        path.chmod(0o755)
        run_id = _noted(path).get("run_id")
        if run_id is not None:
            say(f"{who}: goes on where it was interrupted")
        try:
            work = Work(path, key, run_id)
            work.remember(run_id)
            yield work
        except (OSError, CannotWriteError) as error:
            if isinstance(error, OSError) and error.errno not in FULL:
                raise
            raise cannot_write(target, error, "the run") from None
        except (KeyboardInterrupt, SystemExit):
            if worth_keeping(path):
                say(f"{who}: interrupted; the same command with --resume goes on after its last whole epoch")
            raise


@contextmanager
def _alone(target: Path, folder: AbstractContextManager[Path]) -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            path = stack.enter_context(folder)
        except InUseError as error:
            process = _noted(error.path).get("pid")
            by = f"process {process}" if process is not None else "another process"
            raise HarError(
                "run-busy",
                f"{target} is being trained by {by}; wait until that ends, or train with another --seed or into another folder with --runs",
            ) from None
        yield path


def finished_before(target: Path, key: str, runs: Path, *, who: str, say: Say) -> RunFolder | None:
    """The run that lies at `target`, where it has this key and is whole; it then is FINISHED in MLflow, too.

    Args:
        target: where the run would be left.
        key: of the run.
        runs: folder of all runs.
        who: the run, for messages.
        say: gets a line on it.
    """
    run = RunFolder(target)
    if not (target / INFO).is_file() or not run.checkpoint.is_file():
        return None
    try:
        info = run.info()
    except HarError:
        return None
    if info.key != key:
        return None
    confirm_finished(runs, info.mlflow_run_id)
    say(f"{who}: finished before")
    return run


def close_dead_runs(runs: Path, say: Say) -> None:
    """End what processes that died left RUNNING in MLflow, and say so."""
    closed = close_orphans(runs)
    if closed:
        say(f"{closed} tracked runs of processes that died are closed as KILLED")


def _noted(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / WORK).read_text())
    except (OSError, ValueError):
        return {}
