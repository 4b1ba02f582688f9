"""Kill trainings with SIGKILL at random moments, go on with ``--resume``, and compare with one that nobody disturbed.

    python benchmarks/kill_training.py [--trials 20] [--seed 0]

Each trial starts ``har train --resume`` in an empty folder of runs, kills it after a random share of the time of an undisturbed one,
kills the second attempt in the same way, and lets the third one finish. The run must then have the very weights and scores of the
undisturbed one, be one FINISHED run in MLflow beside no RUNNING one, and lie alone in its folder. A network of windows and one
that carries its state along a stream take turns, both small, on SYNTHETIC data. Writes results/reliability/training_kill.csv, a row a
network; exit code 1 where anything differed or was left.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import mlflow
import numpy as np
import torch
from tables import made, write_table

from har.data.staging import PREFIX
from har.pipeline.run_folder import RunFolder
from har.tracking import tracking_uri
from har.training.resumption import RESUME

RESULT = Path("results/reliability/training_kill.csv")
COUNTS = ("kills", "kills_before_first_epoch_was_kept", "kills_later", "kills_too_late", "resumed")
COUNTS += ("same_weights", "same_scores", "one_tracked_run", "running_left", "folders_left")
TRAINING = {"epochs": 8, "batch_size": 32, "learning_rate": 0.01, "threads": 1}
CONFIGS = {
    "cnn1d": {"model": {"options": {"width": 8, "depth": 2, "dropout": 0.2}}, "augmentation": {"rotation_deg": 20}},
    "stream_gru": {"model": {"options": {"hidden_size": 8, "num_layers": 1}}, "task": {"chunk": 64}},
}


def write_config(model: str, folder: Path) -> Path:
    config = CONFIGS[model] | {"data": {"dataset": "synthetic", "validation_subjects": [5, 15, 25, 30]}, "training": TRAINING}
    path = folder / f"{model}.yaml"
    path.write_text(json.dumps(config | {"model": config["model"] | {"name": model}}))
    return path


def start(config: Path, runs: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "har", "train", "--config", str(config), "--runs", str(runs), "--resume", "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # nosec B603 # this very Python, no shell


def finished(config: Path, runs: Path) -> tuple[RunFolder, str]:
    """Let it run to its end; the run, and what it printed."""
    output, _ = (process := start(config, runs)).communicate()
    if process.returncode != 0:
        raise SystemExit(f"the training failed:\n{output}")
    return RunFolder(runs / "synthetic" / config.stem / "seed-0"), output


def content(run: RunFolder) -> tuple[dict[str, torch.Tensor], tuple]:
    info = run.info()
    weights = torch.load(run.checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return weights, (info.score, info.origin.epochs, info.origin.best_epoch)


def trial(config: Path, runs: Path, moments: list[float], expected: tuple[dict[str, torch.Tensor], tuple]) -> Counter[str]:
    """Kill two attempts, finish the third, and look."""
    found: Counter[str] = Counter()
    for moment in moments:
        process = start(config, runs)
        time.sleep(moment)
        process.kill()
        process.communicate()
        target = runs / "synthetic" / config.stem
        kept = any(target.glob(f"{PREFIX}*/{RESUME}"))
        when = "kills_too_late" if process.returncode == 0 else "kills_later" if kept else "kills_before_first_epoch_was_kept"
        found.update({"kills": int(process.returncode != 0), when: 1})
    run, output = finished(config, runs)
    found["resumed"] = int("goes on where it was interrupted" in output)
    weights, score = content(run)
    found["same_weights"] = int(all(torch.equal(value, weights[name]) for name, value in expected[0].items()))
    found["same_scores"] = int(score == expected[1])
    client = mlflow.MlflowClient(tracking_uri(runs))
    states = [one.info.status for ex in client.search_experiments() for one in client.search_runs([ex.experiment_id])]
    found["one_tracked_run"] = int(states.count("FINISHED") == 1)
    found["running_left"] = states.count("RUNNING")
    found["folders_left"] = len(list(run.path.parent.iterdir())) - 1
    return found


def count(model: str, trials: int, rng: np.random.Generator, root: Path) -> dict[str, object]:
    """A row of the table."""
    config = write_config(model, root)
    finished(config, root / "warm")  # the data are generated and cached now
    before = time.perf_counter()
    expected = content(finished(config, root / "undisturbed" / model)[0])
    length = time.perf_counter() - before
    totals: Counter[str] = Counter()
    for number in range(trials):
        totals.update(trial(config, root / f"{model}-{number}", rng.uniform(0.2 * length, length, 2).tolist(), expected))
        print(f"{model}: {number + 1} of {trials}, {dict(totals)}", flush=True)
    return {"model": model, "trials": trials, **{name: totals[name] for name in COUNTS}, "undisturbed_s": f"{length:.1f}"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, help="of each network")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        rows = [count(model, options.trials, rng, Path(folder)) for model in CONFIGS]
    write_table(RESULT, [row | {"seed": options.seed} for row in rows], made("torch", "pytorch-lightning", "mlflow"))
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items()))
    whole = ("same_weights", "same_scores", "one_tracked_run")
    return int(any(row["running_left"] or row["folders_left"] or any(row[name] != options.trials for name in whole) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
