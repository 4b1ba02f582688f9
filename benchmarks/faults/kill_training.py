"""Kill trainings at random moments, go on with ``--resume``, and compare with one that nobody disturbed.

    python benchmarks/faults/kill_training.py [--signal KILL] [--trials 10] [--seed 0]

Each trial starts ``har train --resume`` in an empty folder of runs, kills it after a random share of the time that one takes,
kills the second attempt in the same way, and lets the third one finish. The run must then have the very weights and scores of the
undisturbed one, be one FINISHED run in MLflow beside no RUNNING one, and lie alone in its folder. A network of windows and one
that carries its state along a stream take turns, both small, on SYNTHETIC data. With ``--signal TERM`` the process is
asked to end: it must do so with exit code 143 and leave no RUNNING run even before the next attempt. Writes
results/reliability/training_kill.csv, or training_term.csv, a row a network; exit code 1 where anything differed or was left.
"""

import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from forked import Har, arguments, checked, made, running, same, small, tracked, weights_of, write_table

from har.data.staging import PREFIX
from har.runs.run_folder import RunFolder
from har.training.resumption import RESUME

RESULTS = Path("results/reliability")
EXIT_CODES = {"KILL": -signal.SIGKILL, "TERM": 128 + signal.SIGTERM}
COUNTS = ("kills", "kills_before_first_epoch_was_kept", "kills_later", "kills_too_late", "resumed")
COUNTS += ("same_weights", "same_scores", "one_tracked_run", "running_left", "folders_left", "wrong_exit_codes")
STREAM = {"name": "stream_gru", "options": {"hidden_size": 8, "num_layers": 1}}
CONFIGS = {
    "cnn1d": small(8, 32) | {"augmentation": {"rotation_deg": 20}},
    "stream_gru": small(8, 32, STREAM) | {"task": {"name": "sequence", "chunk": 64}},
}


def write_config(model: str, folder: Path) -> Path:
    path = folder / f"{model}.yaml"
    path.write_text(json.dumps(CONFIGS[model]))
    return path


def start(config: Path, runs: Path) -> Har:
    return Har("train", "--config", config, "--runs", runs, "--resume")


def finished(config: Path, runs: Path) -> tuple[RunFolder, str]:
    """Let it run to its end; the run, and what it printed."""
    output = checked(start(config, runs).wait())
    return RunFolder(runs / "synthetic" / config.stem / "seed-0"), output


def content(run: RunFolder) -> tuple[dict[str, torch.Tensor], tuple]:
    info = run.info()
    return weights_of(run.path), (info.score, info.origin.epochs, info.origin.best_epoch)


def trial(
    config: Path, runs: Path, how: str, moments: list[float], expected: tuple[dict[str, torch.Tensor], tuple]
) -> tuple[Counter[str], float]:
    """Kill two attempts, finish the third, and look; what was found, and the seconds of the third."""
    found: Counter[str] = Counter()
    for moment in moments:
        process = start(config, runs)
        time.sleep(moment)
        if process.runs():
            os.kill(process.pid, signal.Signals[f"SIG{how}"])
        code = process.wait().code
        target = runs / "synthetic" / config.stem
        kept = any(target.glob(f"{PREFIX}*/{RESUME}"))
        when = "kills_too_late" if code == 0 else "kills_later" if kept else "kills_before_first_epoch_was_kept"
        found.update({"kills": int(code != 0), when: 1, "wrong_exit_codes": int(code not in (0, EXIT_CODES[how]))})
        if how == "TERM":
            found["running_left"] += running(runs)
    before = time.perf_counter()
    run, output = finished(config, runs)
    seconds = time.perf_counter() - before
    found["resumed"] = int("goes on where it was interrupted" in output)
    weights, score = content(run)
    found["same_weights"] = int(same(weights, expected[0]))
    found["same_scores"] = int(score == expected[1])
    found["one_tracked_run"] = int(tracked(runs, "status").count(("FINISHED",)) == 1)
    found["running_left"] += running(runs)
    found["folders_left"] = len(list(run.path.parent.iterdir())) - 1
    return found, seconds


def count(model: str, how: str, trials: int, rng: np.random.Generator, root: Path) -> Iterator[dict[str, object]]:
    """The row of a network, after each trial."""
    config = write_config(model, root)
    finished(config, root / "warm")  # the data are generated and cached now
    before = time.perf_counter()
    expected = content(finished(config, root / "undisturbed" / model)[0])
    undisturbed = length = time.perf_counter() - before
    totals: Counter[str] = Counter()
    for number in range(trials):
        found, seconds = trial(config, root / f"{model}-{number}", how, rng.uniform(0.2 * length, length, 2).tolist(), expected)
        totals.update(found)
        if found["kills"] and not found["resumed"]:
            length = seconds  # of a whole training; other work on the machine may have begun, or ended, since the first
        print(f"{model}: {number + 1} of {trials}, {dict(totals)}", flush=True)
        yield {"model": model, "trials": number + 1, **{name: totals[name] for name in COUNTS}, "undisturbed_s": f"{undisturbed:.1f}"}


def main() -> int:
    parser = arguments(__doc__, 10, "of each network", "of the moments")
    parser.add_argument("--signal", choices=EXIT_CODES, default="KILL", help="what is sent")
    options = parser.parse_args()
    rng, stamp = np.random.default_rng(options.seed), made("torch", "pytorch-lightning", "mlflow")
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in CONFIGS:
            for row in count(model, options.signal, options.trials, rng, Path(folder)):
                found[model] = row | {"seed": options.seed}
                # It takes long: what was tried so far stands there.
                write_table(RESULTS / f"training_{options.signal.lower()}.csv", list(found.values()), stamp)
    whole = ("same_weights", "same_scores", "one_tracked_run")
    none = ("running_left", "folders_left", "wrong_exit_codes")
    return int(any(any(row[name] for name in none) or any(row[name] != options.trials for name in whole) for row in found.values()))


if __name__ == "__main__":
    sys.exit(main())
