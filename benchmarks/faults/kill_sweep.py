"""Kill a sweep's driver or one of its workers at random moments, type the same command again, and compare with an undisturbed sweep.

    python benchmarks/faults/kill_sweep.py [--trials 7] [--seed 0]

Each trial starts ``har sweep`` with two workers in an empty folder of runs and, after a random share of the time of an undisturbed one,
sends one signal: SIGKILL to the driver, SIGTERM to the driver, or SIGKILL to a worker chosen at random, which the driver has to survive.
The same command then runs again. It must train exactly the jobs that had no result, and every job must end with the very weights and
scores of the undisturbed sweep and as one FINISHED run in MLflow, with no run RUNNING and no unfinished folder. Small networks on SYNTHETIC
data; Linux. Writes results/reliability/sweep_kill.csv, a row a kind of signal; exit code 1 where anything differed or was left.
"""

import json
import os
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import mlflow
import numpy as np
import torch
from forked import Har, arguments, checked, made, same, small, weights_of, write_table

from har.data.staging import PREFIX
from har.studies.sweep import RESULT as JOB_RESULT
from har.tracking import tracking_uri

RESULT = Path("results/reliability/sweep_kill.csv")
WORKERS, PATIENCE_S = 2, 120.0
CONFIG = small(6, 32, keep="last")
STUDY = {
    "question": "Does it survive?",
    "split": {"kind": "kfold", "folds": 3, "subjects": "training", "validation": 0},
    "folds": [0, 1],
    "settings": {"plain": {"idea": "nothing"}, "turned": {"idea": "rotations", "change": {"augmentation.rotation_deg": 20}}},
}
CHANGES = ("train_seconds", "checkpoint_sha256", "commit")  # of one training done twice
COUNTS = ("signals", "signals_too_late", "jobs", "done_before", "done_by_rerun", "repeated", "lost", "same_weights", "same_scores")
COUNTS += ("finished_once", "running_left", "folders_left", "workers_left", "wrong_exit_codes")


@dataclass(frozen=True)
class Sweep:
    """One study with its runs and results in a folder of its own."""

    study: Path
    folder: Path

    def start(self) -> Har:
        places = ("--runs", self.folder / "runs", "--results", self.folder / "results")
        return Har("sweep", self.study, "--workers", WORKERS, *places)

    def finish(self) -> str:
        """Let it run to its end, and return what it printed."""
        return checked(self.start().wait())

    @property
    def base(self) -> Path:
        return self.folder / "runs/synthetic/studies" / self.study.stem

    def written(self) -> dict[str, int]:
        """When the result of each finished job was written."""
        return {path.parent.name: path.stat().st_mtime_ns for path in self.base.glob(f"*/*/{JOB_RESULT}")}

    def content(self) -> dict[str, tuple[dict, dict[str, torch.Tensor]]]:
        """Scores and weights of every finished job."""
        found = {}
        for path in self.base.glob(f"*/*/{JOB_RESULT}"):
            scores = {name: value for name, value in json.loads(path.read_text()).items() if name not in CHANGES}
            found[path.parent.name] = scores, weights_of(path.parent)
        return found

    def states(self) -> list[tuple[str | None, str]]:
        """Key and status of every tracked run."""
        if not (self.folder / "runs/mlflow.db").exists():
            return []
        client = mlflow.MlflowClient(tracking_uri(self.folder / "runs"))
        runs = [run for experiment in client.search_experiments() for run in client.search_runs([experiment.experiment_id])]
        return [(run.data.tags.get("run_key"), run.info.status) for run in runs]

    def running(self) -> int:
        return [state for _, state in self.states()].count("RUNNING")


class Kind(NamedTuple):
    """What is done to a sweep, and how its first command must end."""

    whom: str
    number: signal.Signals
    exit_code: int


KINDS = (Kind("driver", signal.SIGKILL, -9), Kind("driver", signal.SIGTERM, 128 + 15), Kind("worker", signal.SIGKILL, 0))


def workers_of(driver: int) -> list[int]:
    """Processes of the driver's pool; its resource tracker is none."""
    try:
        children = [int(word) for word in Path(f"/proc/{driver}/task/{driver}/children").read_text().split()]
        return [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    except OSError:
        return []


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def disturb(driver: Har, kind: Kind, moment: float, rng: np.random.Generator) -> list[int]:
    """Send the signal once the moment has come; the workers that lived then."""
    time.sleep(moment)
    workers = workers_of(driver.pid)
    while kind.whom == "worker" and not workers and driver.runs():
        time.sleep(0.05)
        workers = workers_of(driver.pid)
    if driver.runs():
        os.kill(int(rng.choice(workers)) if kind.whom == "worker" else driver.pid, kind.number)
    return workers


def all_gone(workers: list[int]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while any(map(lives, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(map(lives, workers))


def trial(sweep: Sweep, kind: Kind, moment: float, rng: np.random.Generator, expected: dict) -> Counter[str]:
    """Disturb one sweep, finish it, and look."""
    found: Counter[str] = Counter(jobs=len(expected))
    driver = sweep.start()
    workers = disturb(driver, kind, moment, rng)
    at_signal = sweep.written()
    code = driver.wait().code
    late = code == 0 and kind.exit_code != 0
    found.update(signals=int(not late), signals_too_late=int(late))
    found["wrong_exit_codes"] = int(code not in (kind.exit_code, 0))
    found["workers_left"] = sum(map(lives, workers)) if kind.number == signal.SIGTERM else int(not all_gone(workers))
    if kind.number == signal.SIGTERM:  # it has time to tidy up
        found["running_left"] += sweep.running()
    before = sweep.written()
    output = sweep.finish()
    told = re.search(r"(\d+) jobs, (\d+) done before, (\d+) to do", output)
    after = sweep.written()
    found["done_before"], found["done_by_rerun"] = len(before), len(after) - len(before)
    found["repeated"] = sum(after.get(name) != when for name, when in (at_signal | before).items())
    found["lost"] = len(set(expected) - set(after))
    found["lost"] += int(told is None or int(told[3]) != len(expected) - len(before))  # more or fewer jobs than had no result
    for name, (scores, weights) in sweep.content().items():
        found["same_scores"] += scores == expected[name][0]
        found["same_weights"] += same(weights, expected[name][1])
    states = sweep.states()
    finished = Counter(key for key, state in states if key and state == "FINISHED")
    found["finished_once"] = sum(count == 1 for count in finished.values())
    found["running_left"] += sweep.running()
    found["folders_left"] = len(list(sweep.base.rglob(f"{PREFIX}*")))
    if any(found[name] for name in ("repeated", "lost", "running_left", "folders_left", "workers_left", "wrong_exit_codes")):
        print(f"{sweep.folder}: {dict(found)}, {finished}\n{output}", file=sys.stderr)
    return found


def main() -> int:
    options = arguments(__doc__, 7, "of each kind of signal", "of the moments").parse_args()
    rng = np.random.default_rng(options.seed)
    totals: dict[Kind, Counter[str]] = {kind: Counter() for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "small.yaml").write_text(json.dumps(CONFIG))
        study = root / "study.yaml"
        study.write_text(json.dumps(STUDY | {"configs": [str(root / "small.yaml")]}))
        Sweep(study, root / "warm").finish()  # the data are generated and cached now
        undisturbed, begin = Sweep(study, root / "undisturbed"), time.perf_counter()
        undisturbed.finish()
        length, expected = time.perf_counter() - begin, undisturbed.content()
        for number in range(options.trials):
            for kind in KINDS:
                sweep = Sweep(study, root / f"{kind.whom}-{kind.number.name}-{number}")
                totals[kind].update(trial(sweep, kind, float(rng.uniform(0.1, 1.0)) * length, rng, expected))
                print(f"{number + 1} of {options.trials}: {kind.number.name} to the {kind.whom}: {dict(totals[kind])}", flush=True)
            rows = [
                {"signal": kind.number.name, "to": kind.whom, "trials": number + 1}
                | {name: totals[kind][name] for name in COUNTS}
                | {"undisturbed_s": f"{length:.0f}", "seed": options.seed}
                for kind in KINDS
            ]
            write_table(RESULT, rows, made("torch", "mlflow"))  # it takes long: what was tried so far stands there
    whole = ("same_weights", "same_scores", "finished_once")
    none = ("repeated", "lost", "running_left", "folders_left", "workers_left", "wrong_exit_codes")
    return int(any(any(row[name] for name in none) or any(row[name] != row["jobs"] for name in whole) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
