"""How many trainings a study does in an hour: one worker, two, and two through Ray.

    python benchmarks/sweep_engines.py [--rounds 3] [--jobs 24] [--epochs 25]

Each round runs the same study of small networks on SYNTHETIC data three times, one after the other, with ``har sweep`` in an empty folder
of runs; the ratios are taken within a round, so that other work on the machine touches all three. Jobs by the clock include start and end
of the command, some eight seconds, which a study of hours does not notice; the throughput counts from the first end of a job to the last.
Where it is busy, the clock says little: the cores that a command got, its CPU time by the clock, stand beside. CPU time is read from all
processes of a command while they run, Ray's own included. All must give the same scores. Writes ``results/benchmarks/sweep_engines.csv``,
ratios first; exit code 1 where a score differed. Needs Ray and psutil; Linux or macOS.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import psutil
from tables import made, write_table

from har.studies.sweep import RESULT as JOB_RESULT

RESULT = Path("results/benchmarks/sweep_engines.csv")
WAYS = {"1 worker": ("--workers", "1"), "2 workers": ("--workers", "2"), "Ray, 2": ("--engine", "ray", "--workers", "2")}
PAIRS = (("2 workers", "1 worker"), ("Ray, 2", "2 workers"), ("Ray, 2", "1 worker"))
TARGETS = {"throughput, 2 workers / 1 worker": ">= 1.8"}
LOOK_S = 0.5
FOLDS = 2
CONFIG = {
    "data": {"dataset": "synthetic", "validation_subjects": [5, 15, 25, 30]},
    "model": {"name": "cnn1d", "options": {"width": 16, "depth": 2}},
    "training": {"batch_size": 64, "learning_rate": 0.01, "threads": 1, "keep": "last"},
}
STUDY = {
    "question": "How fast?",
    "split": {"kind": "kfold", "folds": 3, "subjects": "training", "validation": 0},
    "folds": list(range(FOLDS)),
}


class Run(NamedTuple):
    """What a command cost, and what it found."""

    wall_s: float
    cpu_s: float
    jobs_per_s: float
    scores: dict[str, dict]


def sweep(study: Path, folder: Path, options: tuple[str, ...], cache: Path) -> Run:
    """One study from its beginning to its end."""
    command = [
        sys.executable,
        "-m",
        "har",
        "sweep",
        str(study),
        "--runs",
        str(folder / "runs"),
        "--results",
        str(folder / "results"),
        *options,
    ]
    environment = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI")}
    begin, seconds = time.perf_counter(), {}
    running = subprocess.Popen(  # nosec B603 # this very Python, no shell
        command, env=environment | {"HAR_CACHE_DIR": str(cache)}, stdout=subprocess.DEVNULL
    )
    root = psutil.Process(running.pid)
    while running.poll() is None:
        for process in [root, *children_of(root)]:
            try:
                times = process.cpu_times()
                seconds[process.pid] = times.user + times.system
            except psutil.Error:  # it has ended, or is about to
                continue
        try:
            running.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            continue
    wall = time.perf_counter() - begin
    if running.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {running.returncode}")
    paths = list((folder / "runs").rglob(JOB_RESULT))
    results = {path.parent.name: json.loads(path.read_text()) for path in paths}
    return Run(
        wall,
        sum(seconds.values()),
        throughput([path.stat().st_mtime for path in paths], options),
        {name: {"accuracy": one["scores"]["accuracy"], "f1": one["scores"]["macro_f1"]} for name, one in results.items()},
    )


def throughput(ended: list[float], options: tuple[str, ...]) -> float:
    """Jobs a second while every worker has one: from the end of the first round of jobs to the end of the last job."""
    ended, workers = sorted(ended), int(options[-1]) if options else 1
    if len(ended) <= workers:
        return float("nan")
    return (len(ended) - workers) / (ended[-1] - ended[workers - 1])


def children_of(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def measure(rounds: int, jobs: int, epochs: int) -> tuple[dict[str, list[Run]], list[float]]:
    """Every way in every round, and the load of the machine before each."""
    found: dict[str, list[Run]] = defaultdict(list)
    load = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "small.yaml").write_text(json.dumps(CONFIG | {"training": CONFIG["training"] | {"epochs": epochs}}))
        study, warm = root / "study.yaml", root / "warm.yaml"
        content = STUDY | {"configs": [str(root / "small.yaml")]}
        study.write_text(json.dumps(content | {"seeds": list(range(jobs // FOLDS))}))
        warm.write_text(json.dumps(content | {"folds": [0], "change": {"training.epochs": 1}}))
        sweep(warm, root / "warm", (), root / "data")  # the data are generated and cached now
        for number in range(rounds):
            for way, options in WAYS.items():
                load.append(os.getloadavg()[0])
                run = sweep(study, root / f"{number}-{way}", options, root / "data")
                found[way].append(run)
                print(f"round {number + 1} of {rounds}, {way}: {run.wall_s:.0f} s, {run.cpu_s:.0f} s of CPU", flush=True)
    return found, load


def rows(found: dict[str, list[Run]], load: list[float]) -> list[dict[str, object]]:
    """Ratios first."""
    measures: dict[str, tuple[list[float], str]] = {}
    for ours, theirs in PAIRS:
        pairs = list(zip(found[ours], found[theirs], strict=True))
        measures[f"throughput, {ours} / {theirs}"] = [own.jobs_per_s / other.jobs_per_s for own, other in pairs], "ratio"
        measures[f"jobs by the clock, {ours} / {theirs}"] = [other.wall_s / own.wall_s for own, other in pairs], "ratio"
        measures[f"CPU time, {ours} / {theirs}"] = [own.cpu_s / other.cpu_s for own, other in pairs], "ratio"
    for way, runs in found.items():
        measures[f"throughput, {way}"] = [3600 * run.jobs_per_s for run in runs], "1/h"
        measures[f"CPU time of a job, {way}"] = [run.cpu_s / len(run.scores) for run in runs], "s"
        measures[f"cores at work, {way}"] = [run.cpu_s / run.wall_s for run in runs], "cores"
    return [
        {
            "measure": name,
            "median": f"{statistics.median(values):.4g}",
            "smallest": f"{min(values):.4g}",
            "largest": f"{max(values):.4g}",
            "unit": unit,
            "target": TARGETS.get(name, ""),
            "rounds": len(values),
            "machine": f"{os.cpu_count()} cores, load average {min(load):.1f} to {max(load):.1f} before the runs",
        }
        for name, (values, unit) in measures.items()
    ]


def main() -> int:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=24, help="of the study, an even number (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=25, help="of each (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    found, load = measure(options.rounds, options.jobs, options.epochs)
    table = rows(found, load)
    for row in table:
        print(f"{row['measure']:48} {row['median']} {row['unit']} ({row['smallest']} to {row['largest']}) {row['target']}")
    stamp = made("torch", "mlflow")
    stamp["versions"] += f", ray {importlib.metadata.version('ray')}"
    write_table(options.output, table, stamp)
    scores = [run.scores for runs in found.values() for run in runs]
    return int(any(one != scores[0] for one in scores) or len(scores[0]) != options.jobs // FOLDS * FOLDS)


if __name__ == "__main__":
    sys.exit(main())
