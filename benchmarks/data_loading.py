"""How fast UCI HAR is loaded: cold, straight from the zip, beside numpy.loadtxt over the extracted files; and warm.

    python benchmarks/data_loading.py --archive "UCI HAR Dataset.zip" [--runs 7]

Each run times all ways one after the other on this machine, and the ratios are taken within a run, so that other work on
the machine touches both sides; CPU time is given beside it. Files are in the page cache. Writes
``results/benchmarks/data_loading.csv``: ratios first.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tables import made, write_table

from har.data import uci_har
from har.data.archives import INNER_NAME, open_source
from har.data.prepare import prepare

RESULT = Path("results/benchmarks/data_loading.csv")
TARGETS = {"cold zip / loadtxt": "<= 2", "cold nested zip / loadtxt": "<= 2", "warm prepare": "< 0.1"}


def seconds(job: Callable[[], object]) -> tuple[float, float]:
    """Time of one call on the clock and on the CPU; all that is timed runs in one thread."""
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - wall, time.process_time() - cpu


def loadtxt_all(folder: Path) -> list[np.ndarray]:
    """The tables that our reader reads, by the fastest standard reader for text tables."""
    return [np.loadtxt(path) for part in uci_har.OFFICIAL for path in sorted((folder / part).rglob("*.txt")) if "X_" not in path.name]


def read_source(path: Path) -> object:
    """Parsed, checked and chained windows, without the cache."""
    with open_source(path) as (read_file, _):
        return uci_har.read(read_file)


def cold_prepare(archive: Path) -> None:
    """What the first command pays: parse, and write the cache."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HAR_CACHE_DIR"] = folder
        prepare(uci_har.NAME, archive=archive)


def warm_prepare(archive: Path, cache: str) -> None:
    """What every later command pays: the archive's checksum, and arrays mapped into memory."""
    os.environ["HAR_CACHE_DIR"] = cache
    prepare(uci_har.NAME, archive=archive)


def measure(archive: Path, runs: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of every way on the clock and on the CPU, a list of `runs` each."""
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory() as cache:
        with zipfile.ZipFile(archive) as content:
            content.extractall(work)
        folder = next(Path(work).rglob("activity_labels.txt")).parent
        nested = Path(work) / "official.zip"  # as downloaded: a zip in a zip
        with zipfile.ZipFile(nested, "w") as outer:
            outer.write(archive, INNER_NAME)
        ways: dict[str, Callable[[], object]] = {
            "loadtxt": lambda: loadtxt_all(folder),
            "cold zip": lambda: read_source(archive),
            "cold nested zip": lambda: read_source(nested),
            "cold prepare": lambda: cold_prepare(archive),
            "warm prepare": lambda: warm_prepare(archive, cache),
        }
        for job in ways.values():
            job()  # page cache, imports
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for number in range(runs):
            for name, job in ways.items():
                times[name].append(seconds(job))
            print(
                f"run {number + 1} of {runs}: " + ", ".join(f"{name} {values[-1][0]:.3f} s" for name, values in times.items()), flush=True
            )
    return times


def rows(times: dict[str, list[tuple[float, float]]]) -> list[dict[str, object]]:
    """Ratios to loadtxt within each run, then seconds."""
    measures: dict[str, tuple[list[float], str]] = {}
    for clock, what in enumerate(("", ", CPU time")):
        for name in (name for name in times if name.startswith("cold")):
            pairs = zip(times[name], times["loadtxt"], strict=True)
            measures[f"{name} / loadtxt{what}"] = ([ours[clock] / theirs[clock] for ours, theirs in pairs], "ratio")
    measures |= {name: ([wall for wall, _ in values], "s") for name, values in times.items()}
    return [
        {
            "measure": name,
            "median": f"{statistics.median(values):.3f}",
            "smallest": f"{min(values):.3f}",
            "largest": f"{max(values):.3f}",
            "unit": unit,
            "target": TARGETS.get(name, ""),
            "runs": len(values),
        }
        for name, (values, unit) in measures.items()
    ]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, required=True, help="the UCI HAR zip")
    parser.add_argument("--runs", type=int, default=7, help="paired runs (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    table = rows(measure(options.archive, options.runs))
    for row in table:
        print(f"{row['measure']:36} {row['median']} {row['unit']} ({row['smallest']} to {row['largest']}) {row['target']}")
    write_table(options.output, table, made("numpy"))


if __name__ == "__main__":
    sys.exit(main())
