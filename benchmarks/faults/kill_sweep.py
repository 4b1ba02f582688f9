"""Kill a sweep's driver or one of its workers at random moments, type the same command again, and compare with an undisturbed sweep.

    python benchmarks/faults/kill_sweep.py [--trials 7] [--seed 0]

Each trial starts ``har sweep`` with two workers in an empty folder of runs and, after a random share of the time of an undisturbed one,
sends one signal: SIGKILL to the driver, SIGTERM to the driver, or SIGKILL to a worker chosen at random, which the driver has to survive.
The same command then runs again. It must train exactly the jobs that had no result, and every job must end with the very weights and
scores of the undisturbed sweep and as one FINISHED run in MLflow, with no run RUNNING and no unfinished folder. Small networks on SYNTHETIC
data; Linux. Writes results/reliability/sweep_kill.csv, a row a kind of signal; exit code 1 where anything differed or was left.
"""

import os
import re
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from trials import Har, arguments, finish, running, succeeded, tracked, trained, workplace, write_config, write_study

from har.files import PARTIAL
from har.studies.sweep import RESULT

PATIENCE_S = 120.0
SETTINGS = {"plain": {"idea": "nothing"}, "turned": {"idea": "rotations", "change": {"augmentation.rotation_deg": 20}}}
COUNTS = ("signals", "signals_too_late", "jobs", "done_before", "done_by_rerun", "repeated", "lost", "same_weights", "same_scores")
COUNTS += ("finished_once", "running_left", "folders_left", "workers_left", "wrong_exit_codes")


class Kind(NamedTuple):
    """What is done to a sweep, and how its first command must end."""

    whom: str
    number: signal.Signals
    exit_code: int


KINDS = (Kind("driver", signal.SIGKILL, -9), Kind("driver", signal.SIGTERM, 128 + 15), Kind("worker", signal.SIGKILL, 0))


def start(study: Path, folder: Path) -> Har:
    return Har("sweep", study, "--workers", 2, "--runs", folder / "runs", "--results", folder / "results")


def written(runs: Path) -> dict[str, int]:
    """When the result of each finished job was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in runs.glob(f"synthetic/studies/*/*/*/{RESULT}")}


def workers_of(driver: int) -> list[psutil.Process]:
    """Processes of the driver's pool; its resource tracker is none."""
    try:
        return [child for child in psutil.Process(driver).children() if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def disturb(driver: Har, kind: Kind, moment: float, rng: np.random.Generator) -> list[psutil.Process]:
    """Send the signal once the moment has come; the workers that lived then."""
    time.sleep(moment)
    workers = workers_of(driver.pid)
    while kind.whom == "worker" and not workers and driver.runs():
        time.sleep(0.05)
        workers = workers_of(driver.pid)
    if driver.runs():
        os.kill(int(rng.choice([worker.pid for worker in workers])) if kind.whom == "worker" else driver.pid, kind.number)
    return workers


def trial(study: Path, folder: Path, kind: Kind, moment: float, rng: np.random.Generator, expected: dict) -> Counter[str]:
    """Disturb one sweep, finish it, and look."""
    found, runs = Counter[str](jobs=len(expected)), folder / "runs"
    driver = start(study, folder)
    workers = disturb(driver, kind, moment, rng)
    at_signal = written(runs)
    code = driver.wait().code
    late = code == 0 and kind.exit_code != 0
    found.update(signals=int(not late), signals_too_late=int(late), wrong_exit_codes=int(code not in (kind.exit_code, 0)))
    asked = kind.number == signal.SIGTERM  # it has time to tidy up
    found["running_left"] = running(runs) if asked else 0
    deadline = time.monotonic() + (0 if asked else PATIENCE_S)
    while any(map(lives, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    found["workers_left"] = sum(map(lives, workers))
    before = written(runs)
    output = succeeded(start(study, folder))
    after = written(runs)
    found.update(done_before=len(before), done_by_rerun=len(after) - len(before))
    found["repeated"] = sum(after.get(name) != when for name, when in (at_signal | before).items())
    planned = re.search(r"\d+ jobs, \d+ done before, (\d+) to do", output)
    jobs_right = planned is not None and int(planned[1]) == len(expected) - len(before)  # exactly those that had no result
    found["lost"] = len(expected) - len(after) + int(not jobs_right)
    for name, (weights, scores) in trained(runs).items():
        found.update(same_weights=int(weights == expected[name][0]), same_scores=int(scores == expected[name][1]))
    finished = Counter(key for status, _, _, key in tracked(runs) if key and status == "FINISHED")
    found["finished_once"] = sum(count == 1 for count in finished.values())
    found["running_left"] += running(runs)
    found["folders_left"] = len(list(runs.rglob(f"{PARTIAL}*")))
    return found


def main() -> int:
    options = arguments(__doc__, trials=(7, "of each kind of signal"), seed=(0, "of the moments")).parse_args()
    rng, totals = np.random.default_rng(options.seed), {kind: Counter[str]() for kind in KINDS}
    with workplace() as root:
        config = write_config(root / "small.yaml", training={"epochs": 6, "batch_size": 32})
        study = write_study(root / "study.yaml", config, settings=SETTINGS)
        succeeded(start(study, root / "warm"))  # the data are generated and cached now
        begin = time.perf_counter()
        succeeded(start(study, root / "undisturbed"))
        length, expected = time.perf_counter() - begin, trained(root / "undisturbed/runs")
        for number in range(options.trials):
            for kind in KINDS:
                folder = root / f"{kind.whom}-{kind.number.name}-{number}"
                totals[kind].update(trial(study, folder, kind, float(rng.uniform(0.1, 1.0)) * length, rng, expected))
                print(f"{number + 1} of {options.trials}: {kind.number.name} to the {kind.whom}: {dict(totals[kind])}", flush=True)
            rows = [
                {"signal": kind.number.name, "to": kind.whom, "trials": number + 1, **{name: totals[kind][name] for name in COUNTS}}
                | {"undisturbed_s": f"{length:.0f}"}
                for kind in KINDS
            ]
            code = finish("sweep_kill.csv", rows, "torch", "mlflow", seed=options.seed)  # it takes long: what was tried so far stands there
    return code


if __name__ == "__main__":
    sys.exit(main())
