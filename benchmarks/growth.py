"""What 10 and 100 times the data cost: time for each sample, and memory.

    python benchmarks/growth.py [--runs 3] [--minutes 30]

SYNTHETIC data of 30 minutes, 300 and 3,000, each step in a process of its own and once before on a little, which pays for imports:
``preparing``, from recordings of 30 minutes each in memory to labelled windows, as before they go into the cache; ``prepared again``, the
same windows read from the cache, memory-mapped, all of them; ``predicting``, from a Parquet file to a file of predictions, as ``har predict
FOLDER``; ``training batches``, one epoch of shuffled batches, without a network. Time is of the CPU, since other work on the machine takes
the clock away; linear is a ratio of 1 for each sample. Memory is the most that the process held above what it held before (``VmHWM``,
Linux), less the windows themselves where they are what a step is there to hold; of windows read from the cache only what is not the file's
own pages (``RssAnon``), which all processes share. Flat is: less than a tenth of the data. Writes ``results/benchmarks/growth.csv``:
ratios first.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from paired import Measured, Row, memory_mb, python_json, row, show
from tables import write_table
from windowing import RULE, recording_of

from har.contract import SAMPLE_RATE_HZ, STRIDE, WINDOW_SIZE
from har.data.cache import load_entry, load_or_build
from har.data.windowset import WindowSet, windows_of
from har.recording import Recording

RESULT = Path("results/benchmarks/growth.csv")
TIMES = (1, 10, 100)
LINEAR, FLAT = "<= 1.25", "<= 0.1"  # time for each sample; share of the data that stays in memory
SAMPLE_BYTES = 8 + 6 * 4  # a time and six values, as they are in memory
WARM_SAMPLES = 3000
LONGEST = round(30 * 60 * SAMPLE_RATE_HZ)  # samples of a recording that windows are cut from
KEY = "growth"


def prepared(samples: int) -> WindowSet:
    """Labelled windows of a recording of that many samples."""
    return windows_of(recordings_of(samples), window_size=WINDOW_SIZE, stride=STRIDE, dataset="synthetic", synthetic=True, rule=RULE)


def recordings_of(samples: int) -> list[Recording]:
    """As many samples in recordings of half an hour, as data sets grow: by people."""
    return [replace(recording_of(min(LONGEST, samples - first)), name=str(first)) for first in range(0, samples, LONGEST)]


def preparing(samples: int, folder: Path) -> dict[str, float]:
    recordings = recordings_of(samples)
    prepared(WARM_SAMPLES)
    before, started = memory_mb("VmRSS"), time.process_time()
    found = windows_of(recordings, window_size=WINDOW_SIZE, stride=STRIDE, dataset="synthetic", synthetic=True, rule=RULE)
    return {"cpu_s": time.process_time() - started, "memory_mb": memory_mb() - before, "data_mb": found.x.nbytes / 2**20}


def prepared_again(samples: int, folder: Path) -> dict[str, float]:
    data_mb = python_json(__file__, "--one", "written", "--samples", samples, "--folder", folder)["data_mb"]
    before, started = memory_mb("RssAnon"), time.process_time()
    windows = load_entry(folder / KEY)
    for first in range(0, len(windows), 512):
        windows.x[first : first + 512].sum()
    return {"cpu_s": time.process_time() - started, "memory_mb": memory_mb("RssAnon") - before, "data_mb": data_mb}


def written(samples: int, folder: Path) -> dict[str, float]:
    return {"data_mb": load_or_build(folder, KEY, lambda: prepared(samples)).x.nbytes / 2**20}


def predicting(samples: int, folder: Path) -> dict[str, float]:
    from har.recording import ReadOptions
    from har.runs.batch import Job, Maker, predict_file
    from har.runtime.bundle import pretrained, sha256
    from har.runtime.manifest import MANIFEST

    maker = Maker(pretrained(), sha256(pretrained() / MANIFEST), ReadOptions())
    for count, name in ((WARM_SAMPLES, "little.parquet"), (samples, "all.parquet")):
        python_json(__file__, "--one", "parquet", "--samples", count, "--folder", folder / name)
    predict_file(Job(folder / "little.parquet", folder / "little.out"), maker=maker)
    before, started = memory_mb("VmRSS"), time.process_time()
    predict_file(Job(folder / "all.parquet", folder / "all.out"), maker=maker)
    return {"cpu_s": time.process_time() - started, "memory_mb": memory_mb() - before, "data_mb": samples * SAMPLE_BYTES / 2**20}


def parquet(samples: int, path: Path) -> dict[str, float]:
    """Write a recording in a process of its own, so that it is in nobody's memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from har.recording import COLUMNS

    recording = recording_of(samples)
    columns = dict(zip(COLUMNS, recording.samples.T, strict=True))
    pq.write_table(pa.table({"time_s": recording.time_s, **columns}), path, row_group_size=1 << 17)
    return {}


def training_batches(samples: int, folder: Path) -> dict[str, float]:
    from har.data.datamodule import WindowDataModule

    windows = prepared(samples)
    for _ in WindowDataModule(prepared(WARM_SAMPLES), None, batch_size=64, seed=0).train_dataloader():
        pass
    before, started = memory_mb("VmRSS"), time.process_time()
    batches = WindowDataModule(windows, None, batch_size=64, seed=0)
    for x, _ in batches.train_dataloader():
        x.sum()
    return {"cpu_s": time.process_time() - started, "memory_mb": memory_mb("VmRSS") - before, "data_mb": windows.x.nbytes / 2**20}


STEPS: dict[str, Callable[[int, Path], dict[str, float]]] = {
    "preparing": preparing,
    "prepared again": prepared_again,
    "predicting": predicting,
    "training batches": training_batches,
}
INNER: dict[str, Callable[[int, Path], dict[str, float]]] = {"written": written, "parquet": parquet}
HOLDS_WINDOWS = ("preparing", "training batches")  # by what they are for, once


def above(step: str, found: dict[str, float]) -> float:
    """MB beyond what a step is there to hold."""
    return found["memory_mb"] - (found["data_mb"] if step in HOLDS_WINDOWS else 0.0)


def measure(runs: int, minutes: float) -> dict[tuple[str, int], list[dict[str, float]]]:
    """What every step costs for every amount of data, a list of `runs` each."""
    base = round(minutes * 60 * SAMPLE_RATE_HZ)
    found: dict[tuple[str, int], list[dict[str, float]]] = {(step, times): [] for step in STEPS for times in TIMES}
    for number in range(runs):
        for step, times in found:
            with tempfile.TemporaryDirectory() as folder:
                said = python_json(__file__, "--one", step, "--samples", base * times, "--folder", folder)
            found[step, times].append(said | {"us": 1e6 * said["cpu_s"] / (base * times)})
        print(f"round {number + 1} of {runs} is done", flush=True)
    return found


def rows(found: dict[tuple[str, int], list[dict[str, float]]]) -> list[Row]:
    """Time for each sample and memory, 100 times the data beside 10 times, where what is paid once hides nothing; then all amounts."""
    table, (few, most) = [], TIMES[-2:]
    for step in STEPS:
        pairs = list(zip(found[step, most], found[step, few], strict=True))
        times = [a["us"] / b["us"] for a, b in pairs]
        table.append(row(f"{step}, time for each sample, {most} times the data / {few} times", times, "ratio", LINEAR))
        beyond = [(above(step, a) - above(step, b)) / a["data_mb"] for a, b in pairs]
        what = "memory beyond the windows" if step in HOLDS_WINDOWS else "memory"
        table.append(row(f"{step}, {what} that {most} times the data add to {few} times / their size", beyond, "ratio", FLAT))
    for (step, times), values in found.items():
        table.append(row(f"{step}, CPU time for each sample, {times} times the data", [value["us"] for value in values], "us"))
        table.append(row(f"{step}, memory, {times} times the data", [value["memory_mb"] for value in values], "MB"))
    return sorted(table, key=lambda line: line["unit"] != "ratio")


def main() -> None:
    """Measure, print and write the table; with --one, a single step, whose cost is printed as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=30, help="of the shortest recording (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    parser.add_argument("--one", choices=STEPS | INNER, help=argparse.SUPPRESS)
    parser.add_argument("--samples", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps((STEPS | INNER)[options.one](options.samples, options.folder)))
        return
    measured = Measured("numpy", "onnxruntime", "torch")
    table = rows(measure(options.runs, options.minutes))
    show(table)
    write_table(options.output, table, measured.stamp())


if __name__ == "__main__":
    sys.exit(main())
