"""What the fault scripts share: `har` in processes of their own, small trainings, what they wrote, and their result files."""

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # of tables.py
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # of tests

import tables
from reliability_summary import FOLDER, found_in

from har.cli import main
from har.data.cache import Damage, load_entry
from har.runs.run_folder import CHECKPOINT, INFO, RunFolder
from har.studies.sweep import RESULT

HEAVY = ("har.studies.sweep", "har.runs.comparison", "har.runs.export", "har.tracking", "har.runtime.timeline", "mlflow.onnx")
CONFIG: dict[str, dict[str, Any]] = {
    "data": {"dataset": "synthetic", "validation_subjects": [5, 15, 25, 30]},
    "model": {"name": "cnn1d", "options": {"width": 8, "depth": 2, "dropout": 0.2}},
    "training": {"epochs": 3, "batch_size": 64, "learning_rate": 0.01, "threads": 1},
}
STUDY = {
    "question": "Does it survive?",
    "split": {"kind": "kfold", "folds": 3, "subjects": "training", "validation": 0},
    "folds": [0, 1],
    "change": {"training.keep": "last"},
}
CHANGES = ("train_seconds", "checkpoint_sha256", "commit")  # of one training done twice


class Answer(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: list[str]


class Har:
    """One command, running in a process that has imported everything already, so that a trial costs what the command costs.

    Not for Windows.

    Args:
        words: of the command line, without ``har``.
        environment: on top of that of this process.
        first: called in the process before the command.
    """

    def __init__(self, *words: object, environment: Mapping[str, str] | None = None, first: Callable[[], None] = lambda: None) -> None:
        for name in HEAVY:
            importlib.import_module(name)
        self._folder = tempfile.TemporaryDirectory()
        self._places = [Path(self._folder.name, name) for name in ("out", "errors")]
        arguments = ([str(word) for word in words], environment or {}, self._places, first)
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


def _run(words: list[str], environment: Mapping[str, str], places: list[Path], first: Callable[[], None]) -> None:
    for number, place in enumerate(places, 1):
        os.dup2(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.update(environment)
    sys.argv = ["har", *words]
    first()
    sys.exit(main(words))


def succeeded(command: Har) -> str:
    """Let a command end, and return what it printed; the script ends where it failed."""
    answer = command.wait()
    if answer.code:
        raise SystemExit("\n".join([answer.output, *answer.errors]))
    return answer.output


def arguments(doc: str | None, **numbers: tuple[int, str]) -> argparse.ArgumentParser:
    """The command line of a script: options with numbers, each with its default and what it is."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, (default, text) in numbers.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, help=f"{text} (default: %(default)s)")
    return parser


@contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder with a cache of its own below it, both removed at the end; no tracking server is named meanwhile."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryDirectory() as name:
        os.environ["HAR_CACHE_DIR"] = str(Path(name) / "data")
        yield Path(name)


def write_config(path: Path, **changes: Mapping[str, Any]) -> Path:
    """Write `CONFIG` with other values in some sections, on SYNTHETIC data."""
    sections = {name: CONFIG.get(name, {}) | dict(changes.get(name, {})) for name in CONFIG | changes}
    path.write_text(json.dumps(sections))  # JSON is YAML
    return path


def write_study(path: Path, config: Path, **changes: object) -> Path:
    """Write `STUDY` of one config."""
    path.write_text(json.dumps(STUDY | {"configs": [str(config)]} | changes))
    return path


def trained(runs: Path) -> dict[str, tuple[str, object]]:
    """Digest of the weights, and the scores, of every finished run and job of a sweep, by its folder."""
    found = {}
    for path in runs.rglob(INFO):
        folder = path.parent
        if not any(part.startswith(".") for part in folder.relative_to(runs).parts):
            state = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)["state_dict"]
            digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in state.values())).hexdigest()
            job = json.loads((folder / RESULT).read_text()) if (folder / RESULT).is_file() else {}
            info = RunFolder(folder).info()
            scores = [info.score, info.origin.epochs, info.origin.best_epoch, {k: v for k, v in job.items() if k not in CHANGES}]
            found[str(folder.relative_to(runs))] = digest, scores
    return found


def cached(root: Path) -> dict[str, str]:
    """Digests of the entries of the cache below a folder; what is damaged counts as such."""
    found = {}
    for entry in root.glob("cache/[!.]*"):
        try:
            found[entry.name] = load_entry(entry).digest
        except Damage:
            found[entry.name] = "damaged"
    return found


def tracked(runs: Path) -> list[tuple[str, int, int | None, str | None]]:
    """Status, start, end and ``run_key`` of all tracked runs; not by MLflow, which would keep the file open for the next trial."""
    if not (runs / "mlflow.db").exists():
        return []
    with closing(sqlite3.connect(runs / "mlflow.db")) as store:
        return store.execute(
            "select status, start_time, end_time, tags.value from runs "
            "left join tags on tags.run_uuid = runs.run_uuid and tags.key = 'run_key'"
        ).fetchall()


def running(runs: Path) -> int:
    """Number of tracked runs that are RUNNING."""
    return sum(status == "RUNNING" for status, *_ in tracked(runs))


def finish(name: str, rows: Sequence[Mapping[str, object]], *packages: str, **common: object) -> int:
    """Write a result file of ``results/reliability``; the exit code is 1 where `reliability_summary` finds a fault that was not survived.

    Args:
        name: of the file.
        rows: of the table; the columns of `tables.made` follow.
        packages: whose versions are noted.
        common: columns with one value.
    """
    tables.write_table(FOLDER / name, rows, common | tables.made(*packages))
    return int(not found_in(FOLDER / name).whole.all())
