"""The result files of the benchmarks: one CSV each, whose rows say how, when and with what they were made."""

import csv
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from har.reporting import git_commit, versions


def made(*packages: str) -> dict[str, str]:
    """The command that was typed, without the folders of this machine, the day, the commit, and the versions of Python and `packages`."""
    words = [Path(word).name if os.path.isabs(word) else word for word in sys.argv]
    known = versions()
    return {
        "command": shlex.join(["python", *words]),
        "date_utc": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": git_commit(),
        "versions": ", ".join(f"{name} {known.get(name) or version(name)}" for name in ("python", *packages)),
    }


def write_table(path: Path, rows: Sequence[Mapping[str, object]], stamp: Mapping[str, object]) -> None:
    """Write rows, whose columns may differ, with the columns of `made` behind them."""
    columns = list(dict.fromkeys(name for row in rows for name in row)) + list(stamp)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, **stamp} for row in rows)
    print(f"wrote {path}")
