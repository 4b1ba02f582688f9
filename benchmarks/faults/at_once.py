"""Several processes at once: on a fresh MLflow store, and on one bundle that two export and others read.

    python benchmarks/faults/at_once.py [--rounds 12] [--swaps 200]

Each round starts eight processes on a store in an sqlite file that is not there yet, and each must end as one FINISHED run. Then two
processes export two different runs into one folder while two more verify it again and again: all must succeed, the last bundle must hold,
and no verification may see a mixture or nothing. Exports take seconds and their last step microseconds, so the same is done with that step
alone, many times. Small networks on SYNTHETIC data; not for Windows. Writes results/reliability/at_once.csv, a row each; exit code 1 where
anything else was seen.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import mlflow
from forked import Har, made, small, succeeds, write_table

from har.data.staging import PREFIX
from har.runtime.bundle import read_bundle, replace_folder
from har.runtime.verify import verify
from har.tracking import tracked_run, tracking_uri

RESULT = Path("results/reliability/at_once.csv")
PROCESSES, READERS = 8, 2
PAUSES = 3  # times a reading, between two last steps of a process, or who reads would never come to an end
FORK = multiprocessing.get_context("fork")
CONFIG = small(1, 128)


def track(runs: Path, start: Barrier, number: int) -> None:
    start.wait()
    with tracked_run(runs, "at once", f"process {number}", {}) as run:
        run.log_metrics({"number": float(number)})


def fresh_store(runs: Path) -> dict[str, int]:
    """One round on a store of its own."""
    start = FORK.Barrier(PROCESSES)
    processes = [FORK.Process(target=track, args=(runs, start, number)) for number in range(PROCESSES)]
    codes = together(processes)
    client = mlflow.MlflowClient(tracking_uri(runs))
    found = [run for experiment in client.search_experiments() for run in client.search_runs([experiment.experiment_id])]
    whole = {run.data.metrics.get("number") for run in found if run.info.status == "FINISHED"}
    failed = sum(code != 0 for code in codes)
    return {"processes": PROCESSES, "failed": failed, "done": len(whole), "left_over": len(list(runs.glob(".mlflow.db.*"))) - 1}


def together(processes: list) -> list[int]:
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def read(folder: Path, over: Event, counts: object) -> None:
    """Verify a bundle until all is over; counts reads and refusals."""
    while not over.is_set():
        try:
            verify(folder)
        except Exception as error:  # whatever it is, it should not be
            print(f"refused: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            counts[1] += 1  # type: ignore[index]
        counts[0] += 1  # type: ignore[index]


def while_read(folder: Path, work: Callable[[], int]) -> tuple[int, int, int]:
    """Do something to a bundle while others verify it: how much of it failed, verifications, and how many of them were refused."""
    over, counts = FORK.Event(), [FORK.Array("i", 2) for _ in range(READERS)]
    readers = [FORK.Process(target=read, args=(folder, over, own)) for own in counts]
    for reader in readers:
        reader.start()
    try:
        failed = work()
    finally:
        over.set()
        for reader in readers:
            reader.join()
    return failed, sum(own[0] for own in counts), sum(own[1] for own in counts)


def exports(runs: Path, folder: Path) -> int:
    """Two exports at once; how many failed."""
    words = ("export", "--dataset", "synthetic", "--runs", runs, "--output", folder)
    answers = [one.wait() for one in [Har(*words, "--seed", seed) for seed in (0, 1)]]
    for answer in answers:
        if answer.code:
            print(answer, file=sys.stderr)
    return sum(answer.code != 0 for answer in answers)


def swap(source: Path, folder: Path, start: Barrier, times: int, pause_s: float) -> None:
    start.wait()
    for number in range(times):
        new = folder.with_name(f"{source.name}-{number}")
        shutil.copytree(source, new)
        replace_folder(new, folder)
        time.sleep(pause_s)


def swaps(sources: list[Path], folder: Path, times: int) -> int:
    """Two processes that put their own bundle there again and again; how many failed."""
    start, before = FORK.Barrier(len(sources)), time.perf_counter()
    verify(sources[0])
    pause_s = PAUSES * (time.perf_counter() - before)
    swapping = [FORK.Process(target=swap, args=(source, folder, start, times, pause_s)) for source in sources]
    return sum(code != 0 for code in together(swapping))


def left_over(folder: Path, known: set[str]) -> int:
    return len([path for path in folder.parent.iterdir() if path.name not in known or path.name.startswith(PREFIX)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12, help="of the store, and half as many of the exports")
    parser.add_argument("--swaps", type=int, default=200, help="of each of two processes")
    options = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        store = {"processes": 0, "failed": 0, "done": 0, "left_over": 0}
        for number in range(options.rounds):
            found = fresh_store(root / f"store-{number}")
            os.environ.pop("MLFLOW_TRACKING_URI", None)  # which MLflow sets
            store = {key: store[key] + found[key] for key in store}
            print(f"store {number + 1} of {options.rounds}: {store}", flush=True)
        (root / "small.yaml").write_text(json.dumps(CONFIG))
        runs = root / "runs"
        for words in (
            ("train", "--config", root / "small.yaml", "--runs", runs, "--seed", 0, 1),
            *(("export", "--dataset", "synthetic", "--runs", runs, "--seed", seed, "--output", root / f"of-{seed}") for seed in (0, 1)),
        ):
            succeeds(*words)
        sources = [root / "of-0", root / "of-1"]
        possible = [read_bundle(source).manifest["files"] for source in sources]
        rows = [{"what": f"{PROCESSES} processes on a fresh sqlite store", "rounds": options.rounds, **store}]
        jobs: list[tuple[str, int, Callable[[Path], int]]] = [
            ("two exports into one folder", options.rounds // 2, lambda folder: exports(runs, folder)),
            (f"{options.swaps} last steps of an export each by two processes", 1, lambda folder: swaps(sources, folder, options.swaps)),
        ]
        for what, rounds, work in jobs:
            row = {"what": what, "rounds": rounds, "processes": 0, "failed": 0, "done": 0, "left_over": 0, "verified": 0, "refused": 0}
            for number in range(rounds):
                folder = root / f"{what.split()[0]}-{number}" / "bundle"
                shutil.copytree(sources[0], folder)
                failed, verified, refused = while_read(folder, lambda folder=folder, work=work: work(folder))  # type: ignore[misc]
                row["processes"] += 2
                row["failed"] += failed
                row["done"] += 2 * int(read_bundle(folder).manifest["files"] in possible) - failed
                row["left_over"] += left_over(folder, {"bundle"})
                row["verified"] += verified
                row["refused"] += refused
            print(row, flush=True)
            rows.append(row)
    write_table(RESULT, rows, made("mlflow", "onnxruntime"))
    return int(any(row["failed"] or row["left_over"] or row.get("refused") or row["done"] != row["processes"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
