"""Many trainings of a small network on one GPU: all in step, against one after the other.

    python benchmarks/many_seeds.py [--model cnn1d] [--members 40] [--alone 10] [--epochs N] [--device cuda]

Needs UCI HAR (HAR_DATA_DIR, or as ``har data prepare`` left it) and a GPU. The trainings are seeds times the five folds of the training
subjects; nobody else is trained on or scored. Together: `research.together.fit_together`. One after the other: `har.training.fit`
on the same device, by the same config, for so many of them. Throughput is windows trained on in a second, without the first epoch of
either, in which kernels are chosen. Scores are the share of right windows of the fold that is held out; whether they are drawn from one
distribution is asked of as many trainings a side as both have (two-sided Mann-Whitney). Writes ``results/benchmarks/many_seeds.csv``; on
another device than a GPU only where ``--output`` names another file.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from scipy.stats import mannwhitneyu
from tables import made, write_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from har.config import RunConfig, load_config
from har.data.splits import make_splits
from har.data.windowset import WindowSet
from har.models.classifier import WindowClassifier
from har.runs.checks import config_path
from har.tasks.base import load_windows
from har.training.fit import fit
from har.training.trainer import quiet_lightning
from research.together import Member, fit_together

RESULT = Path("results/benchmarks/many_seeds.csv")


class SinceSecond(pl.Callback):
    """Seconds from the end of the first epoch to that of the last."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        now = time.perf_counter()
        if trainer.current_epoch == 0:
            self.first = now
        self.seconds = now - self.first


@dataclass(frozen=True)
class Side:
    """What one side of the comparison gave: windows trained on in a second, and the score of every training, per cent."""

    throughput: float
    scores: list[float]


def accuracy(classifier: WindowClassifier, windows: WindowSet, device: str) -> float:
    """Share of right windows, per cent."""
    x = torch.from_numpy(np.array(windows.x, dtype=np.float32))
    return 100 * float(np.mean(classifier.to(device).predict_proba(x).argmax(dim=1).numpy() == windows.y))


def together(config: RunConfig, windows: WindowSet, folds: list[np.ndarray], members: int, device: str) -> Side:
    """All of them in step; what is not an epoch (first weights, scaling, the first kernels) is found by one epoch less and taken off."""
    chosen = [Member(seed=number // len(folds), rows=np.flatnonzero(~folds[number % len(folds)])) for number in range(members)]
    started = time.perf_counter()
    fit_together(config.with_overrides(training__epochs=1), windows, chosen, device)
    first = time.perf_counter()
    classifiers = fit_together(config, windows, chosen, device)
    seconds = (time.perf_counter() - first) - (first - started)
    seen = (config.training.epochs - 1) * members * max(len(member.rows) for member in chosen)
    return Side(seen / seconds, [accuracy(c, windows.subset(folds[n % len(folds)]), device) for n, c in enumerate(classifiers)])


def one_by_one(config: RunConfig, windows: WindowSet, folds: list[np.ndarray], count: int, device: str) -> Side:
    """One after the other by Lightning."""
    seen, seconds, scores = 0, 0.0, []
    for number in range(count):
        held_out, clock = folds[number % len(folds)], SinceSecond()
        own = config.with_overrides(training__seed=number // len(folds))
        with tempfile.TemporaryDirectory() as folder:
            classifier = fit(own, windows.subset(~held_out), None, Path(folder), callbacks=[clock]).classifier
        seen += (config.training.epochs - 1) * int((~held_out).sum())
        seconds += clock.seconds
        scores.append(accuracy(classifier, windows.subset(held_out), device))
    return Side(seen / seconds, scores)


def rows(alone: Side, all_of_them: Side, model: str, device: str) -> list[dict[str, object]]:
    """The table: throughput, and whether the scores are alike."""
    both = min(len(alone.scores), len(all_of_them.scores))
    p = float(mannwhitneyu(alone.scores[:both], all_of_them.scores[:both]).pvalue)
    members = len(all_of_them.scores)
    ratio = all_of_them.throughput / alone.throughput
    table: list[tuple[str, float, str, str]] = [
        (f"{model}, windows a second, {members} trainings together / one after the other", ratio, "ratio", ">= 8"),
        (f"{model}, {both} scores a side, p of a difference", p, "p", "> 0.05"),
        (f"{model}, windows a second, together", all_of_them.throughput, "1/s", ""),
        (f"{model}, windows a second, one after the other", alone.throughput, "1/s", ""),
    ]
    for name, side in (("together", all_of_them), ("one after the other", alone)):
        table.append((f"{model}, mean score, {name}", float(np.mean(side.scores)), "%", ""))
        table.append((f"{model}, deviation of scores, {name}", float(np.std(side.scores)), "%", ""))
    return [{"measure": m, "median": f"{v:.4g}", "unit": u, "target": t, "device": device} for m, v, u, t in table]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="cnn1d", help="any network of windows without recurrent layers (default: %(default)s)")
    parser.add_argument("--members", type=int, default=40, help="trainings together (default: %(default)s)")
    parser.add_argument("--alone", type=int, default=10, help="trainings one after the other (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="of every training, at least 2 (default: the config's)")
    parser.add_argument("--device", default="cuda", help="of torch; Lightning takes a GPU by itself (default: %(default)s)")
    parser.add_argument("--output", type=Path, help=f"(default: {RESULT}, on a GPU alone)")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU that torch can use; for a look at the script: --device cpu --members 5 --alone 1 --epochs 2 --output FILE")
    if options.device != "cuda" and options.output is None:
        raise SystemExit(f"{RESULT} is of a GPU; name another file with --output")
    quiet_lightning()
    config = load_config(config_path(options.model)).with_overrides(training__keep="last", training__epochs=options.epochs)
    config = config.with_split(kind="kfold", subjects="training", validation=0)
    if config.training.epochs < 2:
        raise SystemExit("the first epoch is not counted; --epochs 2 at least")
    windows, _ = load_windows(config)
    splits = make_splits(config.data, windows)
    people = sorted({subject for split in splits for subject in split.test})  # the 21 training subjects
    windows = windows.subset(np.isin(windows.subject, people))
    folds = [np.isin(windows.subject, split.test) for split in splits]
    alone = one_by_one(config, windows, folds, options.alone, options.device)
    all_of_them = together(config, windows, folds, options.members, options.device)
    name = torch.cuda.get_device_name() if options.device == "cuda" else options.device
    table = rows(alone, all_of_them, options.model, name)
    for row in table:
        print(f"{row['measure']:80} {row['median']} {row['unit']} {row['target']}")
    write_table(options.output or RESULT, table, made("torch"))


if __name__ == "__main__":
    sys.exit(main())
