"""What every experiment is given, and how it signs its tables."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from har.pipeline import table_file
from har.pipeline.provenance import git_commit, versions
from har.pipeline.train_common import Say

Experiment = Callable[["Bench"], list[Path]]


@dataclass(frozen=True)
class Bench:
    """Where an experiment reads and writes.

    Attributes:
        runs: folder of all runs; finished parts of a long experiment are kept below it, so that it goes on where it stopped.
        results: folder of the results.
        archive: a copy of the data set, where one is needed.
        seeds: of the trainings.
        quick: a small budget, to see that everything works; its files have ``_quick`` in their names and are no result.
        dataset: whose recordings; ``synthetic`` is named in the files.
        command: that was typed, named in the tables.
        say: gets one line a step.
    """

    runs: Path
    results: Path
    archive: str | None
    seeds: tuple[int, ...]
    quick: bool
    dataset: str
    command: str
    say: Say = print

    def stem(self, name: str, *, synthetic: bool = False) -> str:
        """File name of an artefact without its suffix."""
        return name + "_synthetic" * synthetic + "_quick" * self.quick

    def signature(self, **facts: Any) -> str:
        """The last lines of a Markdown table: command, date, commit, versions, and whatever else decided the numbers."""
        said = "".join(f" {name.capitalize()}: {value}." for name, value in facts.items())
        made = ", ".join(f"{package} {number}" for package, number in versions().items())
        quick = " A QUICK RUN on a small budget, no result." if self.quick else ""
        return f"Written by `{self.command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}.{said}{quick}\nVersions: {made}.\n"


def write_table(table: pd.DataFrame, folder: Path, stem: str) -> Path:
    """Write a CSV file.

    Raises:
        HarError: the folder cannot be written.
    """
    return table_file.write_table(table, folder / f"{stem}.csv", "%.6g")
