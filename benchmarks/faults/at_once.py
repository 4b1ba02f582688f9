"""Several processes at once: on a fresh MLflow store, and on one bundle that two export and others read.

    python benchmarks/faults/at_once.py [--rounds 12] [--swaps 200]

Each round starts eight processes on a store in an sqlite file that is not there yet, and each must end as one FINISHED run. Then two
processes export two different runs into one folder while two more verify it again and again: all must succeed, the last bundle must hold,
and no verification may see a mixture or nothing. Exports take seconds and their last step microseconds, so the same is done with that step
alone, many times. Small networks on SYNTHETIC data; not for Windows. Writes results/reliability/at_once.csv, a row each; exit code 1 where
anything else was seen.
"""

import multiprocessing
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

from trials import Har, arguments, finish, succeeded, tracked, workplace, write_config

from har.runtime.bundle import read_bundle, replace_folder
from har.runtime.recognizer import verify
from har.tracking.runs import tracked_run

PROCESSES, READERS = 8, 2
PAUSES = 3  # times a reading, between two last steps of a process, or the readers would never come to an end
FORK = multiprocessing.get_context("fork")


def together(work: Callable[..., None], arguments: list[tuple]) -> int:
    """Run a function in processes at once, each with its arguments after a common barrier; how many failed."""
    start = FORK.Barrier(len(arguments))
    processes = [FORK.Process(target=work, args=(start, *own)) for own in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return sum(process.exitcode != 0 for process in processes)


def track(start: Barrier, runs: Path, number: int) -> None:
    start.wait()
    with tracked_run(runs, "at once", f"process {number}", {}) as run:
        run.log_metrics({"number": float(number)})


def read(folder: Path, over: Event, counts: list[int]) -> None:
    """Verify a bundle until all is over; counts reads and refusals."""
    while not over.is_set():
        try:
            verify(folder)
        except Exception as error:  # whatever it is, it should not be
            print(f"refused: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            counts[1] += 1
        counts[0] += 1


def while_read(folder: Path, work: Callable[[Path], int]) -> Counter[str]:
    """Do something to a bundle while others verify it: how much of it failed, verifications, and how many of them were refused."""
    over, counts = FORK.Event(), [FORK.Array("i", 2) for _ in range(READERS)]
    readers = [FORK.Process(target=read, args=(folder, over, own)) for own in counts]
    for reader in readers:
        reader.start()
    try:
        failed = work(folder)
    finally:
        over.set()
        for reader in readers:
            reader.join()
    return Counter(processes=2, failed=failed, verified=sum(own[0] for own in counts), refused=sum(own[1] for own in counts))


def swap(start: Barrier, source: Path, folder: Path, times: int, pause_s: float) -> None:
    """Put a bundle in a folder again and again."""
    start.wait()
    for number in range(times):
        new = folder.with_name(f"{source.name}-{number}")
        shutil.copytree(source, new)
        replace_folder(new, folder)
        time.sleep(pause_s)


def main() -> int:
    numbers = {"rounds": (12, "of the store, and half as many of the exports"), "swaps": (200, "of each of two processes")}
    options = arguments(__doc__, **numbers).parse_args()
    with workplace() as root:
        store = Counter(processes=0, failed=0, done=0, left_over=0)
        for round_ in range(options.rounds):
            runs = root / f"store-{round_}"
            store.update(processes=PROCESSES, failed=together(track, [(runs, number) for number in range(PROCESSES)]))
            store["done"] += [status for status, *_ in tracked(runs)].count("FINISHED")
            store["left_over"] += len(list(runs.glob(".mlflow.db.*"))) - 1
            os.environ.pop("MLFLOW_TRACKING_URI", None)  # which MLflow sets
            print(f"store {round_ + 1} of {options.rounds}: {dict(store)}", flush=True)
        rows: list[dict] = [{"what": f"{PROCESSES} processes on a fresh sqlite store", "rounds": options.rounds, **store}]
        runs, sources = root / "runs", [root / "of-0", root / "of-1"]
        config = write_config(root / "small.yaml", training={"epochs": 1, "batch_size": 128})
        succeeded(Har("train", "--config", config, "--runs", runs, "--seed", 0, 1))

        def export(folder: Path, seed: int) -> Har:
            return Har("export", "--dataset", "synthetic", "--runs", runs, "--seed", seed, "--output", folder)

        def exports(folder: Path) -> int:
            return sum(one.wait().code != 0 for one in [export(folder, seed) for seed in (0, 1)])

        for seed, source in enumerate(sources):
            succeeded(export(source, seed))
        before = time.perf_counter()
        verify(sources[0])
        pause_s = PAUSES * (time.perf_counter() - before)

        def swaps(folder: Path) -> int:
            return together(swap, [(source, folder, options.swaps, pause_s) for source in sources])

        possible = [read_bundle(source).manifest["files"] for source in sources]
        steps = f"{options.swaps} last steps of an export each by two processes"
        for what, rounds, work in (("two exports into one folder", options.rounds // 2, exports), (steps, 1, swaps)):
            found = Counter(processes=0, failed=0, done=0, left_over=0, verified=0, refused=0)
            for number in range(rounds):
                folder = root / f"{what.split()[0]}-{number}" / "bundle"
                shutil.copytree(sources[0], folder)
                seen = while_read(folder, work)
                found.update(seen)
                found["done"] += 2 * int(read_bundle(folder).manifest["files"] in possible) - seen["failed"]
                found["left_over"] += len(list(folder.parent.iterdir())) - 1
            rows.append({"what": what, "rounds": rounds, **found})
            print(rows[-1], flush=True)
    return finish("at_once.csv", rows, "mlflow", "onnxruntime")


if __name__ == "__main__":
    sys.exit(main())
