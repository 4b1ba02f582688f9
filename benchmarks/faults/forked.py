"""`har` in processes of their own that have imported everything already, so that a trial costs what the command costs. Not for Windows.

And what the scripts of this folder share: their options, a small network, weights and tracked runs, and the tables of their results.
"""

import argparse
import importlib
import multiprocessing
import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of tables.py

from tables import made, write_table

from har.cli import main
from har.runs.run_folder import CHECKPOINT

__all__ = ["made", "write_table"]
HEAVY = ("har.studies.sweep", "har.runs.comparison", "har.runs.export", "har.tracking", "har.runtime.report", "mlflow.onnx")


class Answer(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: list[str]


class Har:
    """One command, running.

    Args:
        words: of the command line, without ``har``.
        environment: beside that of this process.
    """

    def __init__(self, *words: object, environment: dict[str, str] | None = None) -> None:
        for name in HEAVY:
            importlib.import_module(name)
        self._folder = tempfile.TemporaryDirectory()
        self._places = [Path(self._folder.name, name) for name in ("out", "errors")]
        arguments = ([str(word) for word in words], environment or {}, self._places)
        self._process = multiprocessing.get_context("fork").Process(target=_run, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        return int(self._process.pid or 0)

    def runs(self) -> bool:
        return self._process.is_alive()

    def wait(self) -> Answer:
        """Let it end; the code is negative where a signal ended it."""
        self._process.join()
        output, errors = (place.read_text() for place in self._places)
        self._folder.cleanup()
        return Answer(int(self._process.exitcode or 0), output, errors.splitlines())


def har(*words: object, environment: dict[str, str] | None = None) -> Answer:
    """Run one command to its end."""
    return Har(*words, environment=environment).wait()


def _run(words: list[str], environment: dict[str, str], places: list[Path]) -> None:
    for number, place in enumerate(places, 1):
        os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.update(environment)
    sys.argv = ["har", *words]
    sys.exit(main(words))


def succeeds(*words: object) -> str:
    """Run one command that must succeed, and return what it printed."""
    return checked(har(*words))


def checked(answer: Answer) -> str:
    """What a command printed that must have succeeded."""
    if answer.code:
        raise SystemExit("\n".join([answer.output, *answer.errors]))
    return answer.output


def arguments(text: str | None, trials: int, of: str, seed: str) -> argparse.ArgumentParser:
    """The parser of a script, with how many trials of what, and what its seed decides; nothing is sent to a tracking server."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=trials, help=of)
    parser.add_argument("--seed", type=int, default=0, help=seed)
    return parser


def small(epochs: int, batch_size: int, model: dict[str, Any] | None = None, **training: object) -> dict[str, Any]:
    """The config of a small network on SYNTHETIC data."""
    return {
        "data": {"dataset": "synthetic", "validation_subjects": [5, 15, 25, 30]},
        "model": {"name": "cnn1d", "options": {"width": 8, "depth": 2, "dropout": 0.2}} | (model or {}),
        "training": {"epochs": epochs, "batch_size": batch_size, "learning_rate": 0.01, "threads": 1} | training,
    }


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    """The saved weights of a run folder."""
    return torch.load(run / CHECKPOINT, map_location="cpu", weights_only=True)["state_dict"]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two weights are the same bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(value, b[name]) for name, value in a.items())


def tracked(runs: Path, *columns: str) -> list[tuple]:
    """Columns of all tracked runs; not through MLflow, which would keep the file open for the next trial's processes."""
    if not (runs / "mlflow.db").exists():
        return []
    with closing(sqlite3.connect(runs / "mlflow.db")) as store:
        return store.execute(f"select {', '.join(columns)} from runs").fetchall()  # nosec B608 # names of columns, from this folder


def running(runs: Path) -> int:
    """How many tracked runs are still RUNNING."""
    return tracked(runs, "status").count(("RUNNING",))
