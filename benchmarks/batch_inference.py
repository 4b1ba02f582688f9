"""How fast recordings become predictions: by format, by length, by number of workers, and through Ray; and how much memory that takes.

    python benchmarks/batch_inference.py [--runs 5] [--hours 24]

Each run does everything once, one after the other, in processes of their own, and the ratios are taken within a run, so that other work
on the machine touches both sides; where it is busy, CPU time says more than the clock. Recordings are SYNTHETIC; the bundle is the one
that comes with the project. Ray's row is left out where Ray is not installed. Writes ``results/benchmarks/batch_inference.csv``: ratios
first. ``benchmarks/cohort_plan.py`` makes a plan from it.
"""

import argparse
import csv
import importlib.metadata
import importlib.util
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq

from har.contract import SAMPLE_RATE_HZ
from har.data import synthetic
from har.recording import COLUMNS as CHANNELS
from har.reporting import git_commit

RESULT = Path("results/benchmarks/batch_inference.csv")
COLUMNS = ("measure", "median", "smallest", "largest", "unit", "target", "runs", "machine", "command", "date_utc", "commit", "versions")
TARGETS = {
    "samples per CPU second, long / 1 h, parquet": ">= 0.9",
    "peak memory, long / a quarter of it, parquet": "<= 1.1",
    "peak memory, long / a quarter of it, csv": "<= 1.1",
    "CPU time, 2 workers / 1": "<= 1.1",
}
BOUT_S = 120.0  # seconds of an activity in the recording that is repeated
SHARED_FILES = 4  # for the workers, each a quarter of the long recording
DONE_FILES = 500  # that have their predictions already
# Run in a process of its own: the recording's predictions, and before that only reading it.
ONE_FILE = """
import json, sys, time
from pathlib import Path
from har.runs.batch import Job, Maker, predict_file, predict_many
from har.recording import ReadOptions, ReadReport, read_pieces
from har.runtime.bundle import sha256
from har.runtime.manifest import MANIFEST
from har.runtime.bundle import pretrained
maker = Maker(pretrained(), sha256(pretrained() / MANIFEST), ReadOptions())
warm, recording, output = map(Path, sys.argv[1:])
predict_file(Job(warm, output), maker=maker)  # the model is opened, and what is imported late is there
started = time.process_time()
for _ in read_pieces(recording, ReadReport()):
    pass
read = time.process_time() - started
started, wall = time.process_time(), time.perf_counter()
predict_file(Job(recording, output), maker=maker)
found = {"read_s": read, "cpu_s": time.process_time() - started, "wall_s": time.perf_counter() - wall}
found["peak_mb"] = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) / 1024
print(json.dumps(found))
"""


def write_recordings(folder: Path, hours: float) -> dict[str, Path]:
    """A minute, an hour, a quarter of the hours and all of them, as Parquet and as CSV."""
    one = synthetic.generate(1, 0, bout_seconds=BOUT_S).samples
    paths = {}
    for name, length_h in (("minute", 1 / 60), ("hour", 1.0), ("quarter", hours / 4), ("long", hours)):
        samples = round(length_h * 3600 * SAMPLE_RATE_HZ)
        time_s, values = np.arange(samples) / SAMPLE_RATE_HZ, one[np.arange(samples) % len(one)]
        paths[f"{name}.parquet"] = path = folder / f"{name}.parquet"
        pq.write_table(pa.table({"time_s": time_s, **dict(zip(CHANNELS, values.T, strict=True))}), path, row_group_size=samples)
        paths[f"{name}.csv"] = path.with_suffix(".csv")
        with open(path.with_suffix(".csv"), "w", encoding="utf-8") as file:
            file.write(",".join(("time_s", *CHANNELS)) + "\n")
            for first in range(0, samples, 100_000):
                part = slice(first, first + 100_000)
                np.savetxt(file, np.column_stack((time_s[part], values[part])), fmt=["%.2f", *["%.6f"] * 6], delimiter=",")
    return paths


def predict_one(paths: dict[str, Path], name: str, output: Path) -> dict[str, float]:
    """CPU seconds and peak memory of the predictions of one recording, in a process of its own."""
    command = [sys.executable, "-c", ONE_FILE, str(paths[f"minute{Path(name).suffix}"]), str(paths[name]), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # nosec B603 # this very Python, no shell
    found = json.loads(done.stdout)
    return found | {"samples": pq.read_metadata(paths[name].with_suffix(".parquet")).num_rows, "bytes": output.stat().st_size}


def predict_folder(folder: Path, output: Path, *options: str) -> tuple[float, float]:
    """Seconds of ``har predict`` on a folder, on the clock and on the CPU of all its processes."""
    command = [sys.executable, "-m", "har", "predict", str(folder), "--output", str(output), *options]
    before, wall = os.times(), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # nosec B603 # this very Python, no shell
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return time.perf_counter() - wall, cpu


def skip_time(recording: Path, predicted: Path, folder: Path) -> float:
    """CPU seconds to find out that a recording is done, without those of the start."""
    many, few = folder / "many", folder / "few"
    for place, count in ((many, DONE_FILES), (few, 1)):
        for number in range(count):
            for source, target in ((recording, place / "in"), (predicted / recording.name, place / "out")):
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target / f"{number}.parquet")
    spent = [predict_folder(place / "in", place / "out")[1] for place in (many, few)]
    for place in (many, few):
        shutil.rmtree(place)
    return (spent[0] - spent[1]) / (DONE_FILES - 1)


def measure(runs: int, hours: float) -> tuple[dict[str, list[float]], list[float]]:
    """Every measure, a list of `runs` each, and the load of the machine at each run."""
    found: dict[str, list[float]] = defaultdict(list)
    load = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        paths = write_recordings(folder, hours)
        shared, single = folder / "shared", folder / "single"
        shared.mkdir()
        single.mkdir()
        shutil.copy2(paths["minute.parquet"], single)
        for number in range(SHARED_FILES):
            shutil.copy(paths["quarter.parquet"], shared / f"{number}.parquet")
        for run in range(runs):
            load.append(os.getloadavg()[0])
            one = {
                name: predict_one(paths, name, folder / "one.parquet")
                for name in ("hour.parquet", "quarter.parquet", "long.parquet", "hour.csv", "quarter.csv", "long.csv")
            }
            add_single(found, one, paths, hours)
            output = folder / f"output-{run}"
            wall_1, cpu_1 = predict_folder(shared, output / "1", "--workers", "1")
            wall_2, cpu_2 = predict_folder(shared, output / "2", "--workers", "2")
            found["speed on the clock, 2 workers / 1"].append(wall_1 / wall_2)
            found["CPU time, 2 workers / 1"].append(cpu_2 / cpu_1)
            found["start of har predict, CPU time"].append(predict_folder(single, output / "start", "--workers", "1")[1])
            found["CPU time of a recording that is done already"].append(skip_time(paths["minute.parquet"], output / "start", folder))
            if importlib.util.find_spec("ray") is not None:
                ray, _ = predict_folder(shared, output / "ray", "--workers", "2", "--engine", "ray")
                ray_start, _ = predict_folder(single, output / "ray-start", "--workers", "2", "--engine", "ray")
                start, _ = predict_folder(single, output / "local-start", "--workers", "2")
                found["time on the clock, ray / local, 2 workers"].append(ray / wall_2)
                found["start of har predict --engine ray, on the clock"].append(ray_start)
                found["start of har predict, on the clock"].append(start)
            shutil.rmtree(output)
            print(f"run {run + 1} of {runs} done", flush=True)
    return found, load


def add_single(found: dict[str, list[float]], one: dict[str, dict[str, float]], paths: dict[str, Path], hours: float) -> None:
    """What follows from the recordings that were predicted one by one."""
    speed = {name: said["samples"] / said["cpu_s"] for name, said in one.items()}
    for kind in ("parquet", "csv"):
        long = one[f"long.{kind}"]
        found[f"samples per CPU second, long / 1 h, {kind}"].append(speed[f"long.{kind}"] / speed[f"hour.{kind}"])
        found[f"peak memory, long / a quarter of it, {kind}"].append(long["peak_mb"] / one[f"quarter.{kind}"]["peak_mb"])
        found[f"samples per CPU second, {kind}, {hours:g} h"].append(speed[f"long.{kind}"])
        found[f"samples per CPU second, {kind}, 1 h"].append(speed[f"hour.{kind}"])
        found[f"real time over CPU time, {kind}, {hours:g} h"].append(speed[f"long.{kind}"] / SAMPLE_RATE_HZ)
        found[f"share of the CPU time that is reading, {kind}"].append(long["read_s"] / long["cpu_s"])
        for name in ("hour", "quarter", "long"):
            length = {"hour": 1.0, "quarter": hours / 4, "long": hours}[name]
            found[f"peak memory of a process, {kind}, {length:g} h"].append(one[f"{name}.{kind}"]["peak_mb"])
        found[f"size of a recording, {kind}"].append(paths[f"long.{kind}"].stat().st_size / long["samples"])
    found["samples per CPU second, csv / parquet"].append(speed["long.csv"] / speed["long.parquet"])
    found["size of the predictions"].append(one["long.parquet"]["bytes"] / one["long.parquet"]["samples"])


def unit(measure_name: str) -> str:
    """Of a measure, from what it is called."""
    if " / " in measure_name or measure_name.startswith(("share", "real time")):
        return "ratio"
    if measure_name.startswith("size"):
        return "B/sample"
    if measure_name.startswith("samples per"):
        return "samples/s"
    return "MB" if "memory" in measure_name else "s"


def rows(found: dict[str, list[float]], load: list[float], command: str) -> list[dict[str, object]]:
    """Ratios first."""
    versions = f"python {platform.python_version()}, onnxruntime {onnxruntime.__version__}, pyarrow {pa.__version__}"
    if importlib.util.find_spec("ray") is not None:
        versions += f", ray {importlib.metadata.version('ray')}"
    common = {
        "machine": f"{os.cpu_count()} cores, shared with other work: load average {min(load):.1f} to {max(load):.1f} before the runs",
        "command": command,
        "date_utc": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": git_commit(),
        "versions": versions,
    }
    return [
        {
            "measure": name,
            "median": f"{statistics.median(values):.4g}",
            "smallest": f"{min(values):.4g}",
            "largest": f"{max(values):.4g}",
            "unit": unit(name),
            "target": TARGETS.get(name, ""),
            "runs": len(values),
        }
        | common
        for name, values in sorted(found.items(), key=lambda item: " / " not in item[0])
    ]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="paired runs (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=24.0, help="of the long recording (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    command = shlex.join(["python", "benchmarks/batch_inference.py", "--runs", str(options.runs), "--hours", f"{options.hours:g}"])
    table = rows(*measure(options.runs, options.hours), command)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with open(options.output, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    for row in table:
        print(f"{row['measure']:72} {row['median']} {row['unit']} ({row['smallest']} to {row['largest']}) {row['target']}")
    print(f"wrote {options.output}")


if __name__ == "__main__":
    sys.exit(main())
