"""How fast UCI HAR is loaded: cold, straight from the zip, beside numpy.loadtxt over the extracted files; and warm, by many processes.

    python benchmarks/data_loading.py [--archive "UCI HAR Dataset.zip"] [--runs 7]

The archive is named, or in the folder that HAR_DATA_DIR names, or the one prepared last.
Each round times all ways one after the other on this machine, and the ratios are taken within a round, so that other work on
the machine touches both sides; CPU time is given beside it. Files are in the page cache. Then processes prepare the same data at the
same time and read every window; how much memory the windows take in all of them together is the sum of their shares of it (``Pss`` of the
mapped file, Linux). Writes ``results/benchmarks/data_loading.csv``: ratios first.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from paired import Measured, Row, Times, ratio, rounds, row, seconds, show
from tables import write_table

from har.data import uci_har
from har.data.archives import UCI_HAR, open_source
from har.data.prepare import load_dataset, source_of

RESULT = Path("results/benchmarks/data_loading.csv")
TARGETS = {"cold zip": "<= 2", "cold nested zip": "<= 2"}
WORKERS = 4
WORKER = """
import sys
from har.data.prepare import load_dataset
windows = load_dataset("uci-har", channels="uci9", archive=sys.argv[1])
windows.x.sum()  # reads all of them
print("ready", flush=True)
sys.stdin.readline()
"""


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
        load_dataset(uci_har.NAME, channels="uci9", archive=archive)


def warm_prepare(archive: Path, cache: str) -> None:
    """What every later command pays: the archive's checksum, and arrays mapped into memory."""
    os.environ["HAR_CACHE_DIR"] = cache
    load_dataset(uci_har.NAME, channels="uci9", archive=archive)


def shared_mb(archive: Path, cache: str, workers: int) -> float:
    """Memory that the windows take in so many processes together, all of which hold and have read them."""
    with ExitStack() as stack:
        children = [stack.enter_context(_worker(archive, cache)) for _ in range(workers)]
        if any(child.stdout.readline() != "ready\n" for child in children):
            raise RuntimeError("a worker could not prepare the data; what it said stands above")
        held = sum(mapped_mb(child.pid) for child in children)
        for child in children:
            child.communicate("go\n")
    return held


def _worker(archive: Path, cache: str) -> subprocess.Popen:
    command = [sys.executable, "-c", WORKER, str(archive)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, env=os.environ | {"HAR_CACHE_DIR": cache})  # nosec B603 # no shell


def mapped_mb(pid: int) -> float:
    """Share of the mapped windows that counts for one process: each page divided by the number of those who hold it."""
    total, counts = 0, False
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as lines:
        for line in lines:
            name, _, rest = line.partition(" ")
            if not name.endswith(":"):  # a new mapping: addresses, and the file's name at the end
                counts = line.rstrip().endswith("/x.npy")
            elif counts and name == "Pss:":
                total += int(rest.split()[0])
    return total / 1024


def measure(archive: Path, runs: int) -> tuple[Times, dict[int, list[float]]]:
    """Seconds of every way, a list of `runs` each, and memory by the number of processes."""
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory() as cache:
        with zipfile.ZipFile(archive) as content:
            content.extractall(work)
        folder = next(Path(work).rglob("activity_labels.txt")).parent
        nested = Path(work) / "official.zip"  # as downloaded: a zip in a zip
        with zipfile.ZipFile(nested, "w") as outer:
            outer.write(archive, UCI_HAR.zip_name)
        ways: dict[str, Callable[[], object]] = {
            "loadtxt": lambda: loadtxt_all(folder),
            "cold zip": lambda: read_source(archive),
            "cold nested zip": lambda: read_source(nested),
            "cold prepare": lambda: cold_prepare(archive),
            "warm prepare": lambda: warm_prepare(archive, cache),
        }
        times = rounds(ways, runs)
        memory = {count: [shared_mb(archive.resolve(), cache, count) for _ in range(max(1, runs // 3))] for count in (1, WORKERS)}
    return times, memory


def rows(times: Times, memory: dict[int, list[float]]) -> list[Row]:
    """Ratios to loadtxt within each round and to one process, then seconds and megabytes."""
    table = [ratio(times, name, "loadtxt", target=TARGETS.get(name, "")) for name in times if name.startswith("cold")]
    copies = [many / one for many, one in zip(memory[WORKERS], memory[1], strict=True)]
    table.append(row(f"memory of the windows, {WORKERS} processes / 1", copies, "ratio", "<= 1.1"))
    table += [seconds(times, name, "< 0.1" if name == "warm prepare" else "") for name in times]
    return table + [row(f"memory of the windows, processes: {count}", values, "MB") for count, values in memory.items()]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, help="the UCI HAR zip (default: as har data prepare finds it)")
    parser.add_argument("--runs", type=int, default=7, help="paired rounds (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    archive = source_of(UCI_HAR, options.archive)
    if not archive.is_file():
        sys.exit(f"data_loading: {archive} is a folder, expected the zip; name it: --archive")
    measured = Measured("numpy")
    table = rows(*measure(archive, options.runs))
    show(table)
    write_table(options.output, table, measured.stamp())


if __name__ == "__main__":
    sys.exit(main())
