"""Kill trainings at random moments, resume them with ``--resume``, and compare with one that was not disturbed.

    python benchmarks/faults/kill_training.py [--signal KILL] [--trials 10] [--seed 0]

Each trial starts ``har train --resume`` in an empty folder of runs, kills it after a random share of the time that one takes,
kills the second attempt in the same way, and lets the third one finish. The run must then have the very weights and scores of the
undisturbed one, be one FINISHED run in MLflow next to no RUNNING one, and lie alone in its folder. A network of windows and one
that carries its state along a stream take turns, both small, on SYNTHETIC data. With ``--signal TERM`` the process is
asked to end: it must do so with exit code 143 and leave no RUNNING run even before the next attempt. Writes
results/reliability/training_kill.csv, or training_term.csv, a row a network; exit code 1 where anything differed or was left.
"""

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from trials import Har, arguments, finish, running, succeeded, tracked, trained, workplace, write_config

from har.files import PARTIAL
from har.training.trainer import RESUME

EXIT_CODES = {"KILL": -signal.SIGKILL, "TERM": 128 + signal.SIGTERM}
COUNTS = ("kills", "kills_before_first_epoch_was_kept", "kills_later", "kills_too_late", "resumed")
COUNTS += ("same_weights", "same_scores", "one_tracked_run", "running_left", "folders_left", "wrong_exit_codes")
CONFIGS = {
    "cnn1d": {"augmentation": {"rotation_deg": 20}},
    "stream_gru": {
        "model": {"name": "stream_gru", "options": {"hidden_size": 8, "num_layers": 1}},
        "task": {"name": "sequence", "chunk": 64},
    },
}


def start(config: Path, runs: Path) -> Har:
    return Har("train", "--config", config, "--runs", runs, "--resume")


def trial(config: Path, runs: Path, how: str, moments: list[float], expected: dict) -> tuple[Counter[str], float]:
    """Kill two attempts, finish the third, and look; what was found, and the seconds of the third."""
    found, target = Counter[str](), runs / "synthetic" / config.stem
    for moment in moments:
        process = start(config, runs)
        time.sleep(moment)
        if process.runs():
            os.kill(process.pid, signal.Signals[f"SIG{how}"])
        code = process.wait().code
        kept = any(target.glob(f"{PARTIAL}*/{RESUME}"))
        when = "kills_too_late" if code == 0 else "kills_later" if kept else "kills_before_first_epoch_was_kept"
        found.update({"kills": int(code != 0), when: 1, "wrong_exit_codes": int(code not in (0, EXIT_CODES[how]))})
        found["running_left"] += running(runs) if how == "TERM" else 0
    before = time.perf_counter()
    output = succeeded(start(config, runs))
    seconds = time.perf_counter() - before
    ((weights, scores),), ((same_weights, same_scores),) = trained(runs).values(), expected.values()
    found.update(resumed=int("goes on where it was interrupted" in output))
    found.update(same_weights=int(weights == same_weights), same_scores=int(scores == same_scores))
    found["one_tracked_run"] = int([status for status, *_ in tracked(runs)].count("FINISHED") == 1)
    found["running_left"] += running(runs)
    found["folders_left"] = len(list(target.iterdir())) - 1
    return found, seconds


def main() -> int:
    parser = arguments(__doc__, trials=(10, "of each network"), seed=(0, "of the moments"))
    parser.add_argument("--signal", choices=EXIT_CODES, default="KILL", help="what is sent")
    options = parser.parse_args()
    rng, rows = np.random.default_rng(options.seed), {}
    with workplace() as root:
        for model, sections in CONFIGS.items():
            config = write_config(root / f"{model}.yaml", training={"epochs": 8, "batch_size": 32}, **sections)
            succeeded(start(config, root / "warm"))  # the data are generated and cached now
            before, undisturbed = time.perf_counter(), root / "undisturbed" / model
            succeeded(start(config, undisturbed))
            length = whole = time.perf_counter() - before
            expected, totals = trained(undisturbed), Counter[str]()
            for number in range(options.trials):
                moments = rng.uniform(0.2 * length, length, 2).tolist()
                found, seconds = trial(config, root / f"{model}-{number}", options.signal, moments, expected)
                totals.update(found)
                if found["kills"] and not found["resumed"]:
                    length = seconds  # of a whole training; other work on the machine may have begun, or ended, since the first
                print(f"{model}: {number + 1} of {options.trials}, {dict(totals)}", flush=True)
                rows[model] = {"model": model, "trials": number + 1, **{name: totals[name] for name in COUNTS}}
                rows[model] |= {"undisturbed_s": f"{whole:.1f}"}
                # It takes long: what was tried so far stands there.
                name = f"training_{options.signal.lower()}.csv"
                code = finish(name, list(rows.values()), "torch", "pytorch-lightning", "mlflow", seed=options.seed)
    return code


if __name__ == "__main__":
    sys.exit(main())
