"""Parts of an experiment in the process of the test."""

from collections.abc import Callable, Iterator

import pytest

from har.errors import HarError
from har.runs.engine import Outcome
from research import common


def at_once(jobs: list, work: Callable, *, workers: int) -> Iterator[Outcome]:
    """The engine without its processes, each of which takes seconds to start."""
    for job in jobs:
        try:
            yield Outcome(job, work(job), None, 1)
        except HarError as error:
            yield Outcome(job, None, str(error), 1)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "run_jobs", at_once)
