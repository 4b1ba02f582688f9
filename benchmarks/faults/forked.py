"""`har` in processes of their own that have imported everything already, so that a trial costs what the command costs. Not for Windows."""

import importlib
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from har.cli import main

HEAVY = ("har.studies.sweep", "har.runs.comparison", "har.runs.export", "har.tracking.runs", "har.runtime.report", "mlflow.onnx")


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
