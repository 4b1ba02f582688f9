"""``python -m research.windowing``: overlapping windows or the recording reshaped, at equal training budget."""

import tempfile
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import confusion_matrix

from har.config import RunConfig
from har.contract import TEST_SUBJECTS, HarError
from har.data.audit import audit
from har.data.prepare import prepared
from har.data.splits import make_splits
from har.data.windowset import WindowSet
from har.evaluation.compare import pairs_markdown
from har.evaluation.statistics import mean_interval, paired_tests
from har.reporting import markdown, spread
from har.runs.evaluate import results_folder
from har.training.fit import fit
from har.training.trainer import quiet_lightning
from research.cells import Cell, run_cells
from research.common import FOLDS, Bench, experiment, held_out_config, write_table

MODELS = ("cnn1d", "gru")
RUN = 1  # of the folds: seven people are held out
EPOCHS = 16  # of windows half a window apart; divides well by all variants
# How training windows are cut, and their share of the windows of the first, by which the epochs are divided.
VARIANTS: dict[str, tuple[dict[str, Any], float]] = {
    "rolling, half": ({}, 1.0),
    "reshape": ({"windowing.kind": "reshape"}, 0.5),
    "rolling, quarter": ({"windowing.stride": 32}, 2.0),
}
QUICK: dict[str, Any] = {"training.epochs": 2, "model.options": {"width": 8, "depth": 2}}


def run(bench: Bench) -> list[Path]:
    """Train the same networks on the same people, cut in three ways, for as many steps, and score them on the same windows.

    The people of the first of three folds of the 21 training subjects are held out. The scored windows are rolling, half a window apart,
    for all.

    Raises:
        HarError: the data are absent, or a training failed.
    """
    models = MODELS[:1] if bench.quick else MODELS
    scored = prepared(_config(bench, models[0]), bench.archive)
    settings = [
        {"model": model, "windowing": variant, "fold": fold, "seed": seed}
        for seed in bench.seeds
        for model in models
        for variant in VARIANTS
        for fold in range(RUN)
    ]
    for variant, (change, _) in VARIANTS.items():  # fills the cache, once, before the processes start
        bench.say(f"{variant}: {len(prepared(_config(bench, models[0]).changed(change, variant), bench.archive)):,} windows of all people")
    cells = run_cells(bench, "windowing", settings, train_cell, scored.digest, [_config(bench, model) for model in models])
    people = subject_accuracies(cells)
    table = windowing_table(cells, people)
    folder, stem = results_folder(bench.results, scored.dataset), bench.stem("windowing", synthetic=scored.synthetic)
    written = [write_table(table, folder, stem), write_table(people, folder, f"{stem}_subjects")]
    facts = {"data": scored.dataset, "folds": f"{RUN} of {FOLDS}", "seeds": bench.seeds}
    return [*written, bench.write_report(folder, stem, *_text(table, people), **facts)]


def _config(bench: Bench, model: str) -> RunConfig:
    """The shipped config of a model on folds of the training subjects, all others training."""
    change: dict[str, Any] = {"training.epochs": EPOCHS} | (QUICK if bench.quick else {})
    return held_out_config(model, bench.dataset).changed(change, "experiment windowing")


def train_cell(cell: Cell) -> dict[str, Any]:
    """Train one network and count, for every held-out person, the windows of each activity by the answer.

    Returns:
        ``windows`` and ``steps`` of the training, ``epochs``, ``seconds``, and ``confusion``: by person, (true, answer) counts.
    """
    quiet_lightning()
    bench, wanted = cell.bench, cell.settings
    base = _config(bench, wanted["model"])
    change, share = VARIANTS[wanted["windowing"]]
    epochs = max(1, round(base.training.epochs / share))
    fold = {"training.epochs": epochs, "training.seed": wanted["seed"]}
    config = base.changed(change | fold, "experiment windowing")
    split = make_splits(base.data, prepared(base, bench.archive))[wanted["fold"]]  # of the scored windows, so the same for all variants
    if set(split.train + split.test) & set(TEST_SUBJECTS):
        raise HarError(f"fold {wanted['fold']} holds official test subjects, which decide nothing; split the training subjects alone")
    train = split.select(prepared(config, bench.archive).select_channels(config.data.channels), "train")
    test = split.select(prepared(base, bench.archive).select_channels(config.data.channels), "test")
    audit({"train": train, "test": test})
    with tempfile.TemporaryDirectory() as folder:
        result = fit(config, train, None, Path(folder))
    return {
        "windows": len(train),
        "epochs": epochs,
        "steps": epochs * ceil(len(train) / config.training.batch_size),
        "seconds": round(result.seconds, 1),
        "confusion": _confusions(result.classifier.predict_proba(torch.from_numpy(np.array(test.x, dtype=np.float32))).numpy(), test),
    }


def _confusions(probabilities: np.ndarray, test: WindowSet) -> dict[str, list[list[int]]]:
    answer, labels = probabilities.argmax(axis=1), range(len(test.labels))
    people = np.unique(test.subject).tolist()
    return {str(s): confusion_matrix(test.y[test.subject == s], answer[test.subject == s], labels=labels).tolist() for s in people}


def subject_accuracies(cells: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a model, windowing and subject: ``accuracy``, the mean over the seeds."""
    rows = [
        {"model": cell["model"], "windowing": cell["windowing"], "subject": int(subject), "accuracy": np.trace(counts) / np.sum(counts)}
        for cell in cells
        for subject, counts in cell["confusion"].items()
    ]
    return pd.DataFrame(rows).groupby(["model", "windowing", "subject"], sort=False).mean().reset_index()


def windowing_table(cells: list[dict[str, Any]], people: pd.DataFrame) -> pd.DataFrame:
    """A row a model and windowing.

    Returns:
        Columns ``model``, ``windowing``, ``windows`` (to train on, mean over folds), ``epochs``, ``steps``, ``seconds`` (of one training),
        ``accuracy`` (mean over subjects) with its 95 % interval ``low`` to ``high``, ``accuracy_sd`` over seeds, ``macro_f1`` (over all
        windows, mean of the seeds) and ``macro_f1_sd``; ``difference`` to the first windowing, mean over subjects, how many are
        ``better`` and ``worse``, ``p`` and ``p_holm`` (Wilcoxon's test over subjects, corrected for the pairs of a model).
    """
    rows = []
    for model in dict.fromkeys(people.model):
        scores = _by_windowing(people[people.model == model])
        tests = paired_tests(scores)
        first = next(iter(scores))
        for name, values in scores.items():
            mine = [cell for cell in cells if (cell["model"], cell["windowing"]) == (model, name)]
            interval = mean_interval(values.to_numpy())
            row = {"model": model, "windowing": name}
            row |= {key: float(np.mean([cell[key] for cell in mine])) for key in ("windows", "epochs", "steps", "seconds")}
            row |= {"accuracy": interval.value, "low": interval.low, "high": interval.high} | _spread(mine)
            pair = tests[(tests.a == first) & (tests.b == name)]
            if len(pair):  # paired_tests takes the other from the first
                found = pair.iloc[0]
                row |= {"difference": -found.difference, "better": found.worse, "worse": found.better, "p": found.p, "p_holm": found.p_holm}
            rows.append(row)
    return pd.DataFrame(rows)


def _spread(cells: list[dict[str, Any]]) -> dict[str, float]:
    """Deviation of the accuracy over the seeds, and macro-F1 with its own, from the counts of all folds of a seed."""
    accuracy, f1 = [], []
    for seed in dict.fromkeys(cell["seed"] for cell in cells):
        by_subject = [np.array(counts) for cell in cells if cell["seed"] == seed for counts in cell["confusion"].values()]
        accuracy.append(np.mean([np.trace(counts) / counts.sum() for counts in by_subject]))
        whole = np.sum(by_subject, axis=0)
        both = whole.sum(axis=0) + whole.sum(axis=1)
        f1.append(np.mean(2 * np.diagonal(whole)[both > 0] / both[both > 0]))
    several = len(accuracy) > 1
    return {
        "accuracy_sd": float(np.std(accuracy, ddof=1)) if several else np.nan,
        "macro_f1": float(np.mean(f1)),
        "macro_f1_sd": float(np.std(f1, ddof=1)) if several else np.nan,
    }


def _text(table: pd.DataFrame, people: pd.DataFrame) -> list[str]:
    rows = []
    for row in table.to_dict("records"):
        accuracy, f1 = (spread(100 * row[name], 100 * row[f"{name}_sd"]) for name in ("accuracy", "macro_f1"))
        cells = [row["model"], row["windowing"], f"{row['windows']:,.0f}", f"{row['epochs']:.0f}", f"{row['steps']:,.0f}", accuracy]
        rows.append([*cells, f"{100 * row['low']:.1f} to {100 * row['high']:.1f}", f1])
    heads = ("model", "training windows", "how many", "epochs", "steps", "accuracy of subjects", "95 % interval", "macro-F1")
    sections = ["# Rolling windows or reshape, at equal training budget", markdown(heads, rows, "llr")]
    for model, own in people.groupby("model", sort=False):
        sections += [f"{model}, paired over subjects:", pairs_markdown(paired_tests(_by_windowing(own)))]
    return [
        *sections,
        "Per cent. Windows of 128 samples. Rolling: a half or a quarter of a window apart. Reshape: one after the other. Epochs are chosen "
        "so that all take about as many steps. The people of one fold are held out and scored on the same rolling windows "
        "whatever trained; no test subject is scored or trained on. Mean over subjects and seeds, ± deviation over the seeds.",
    ]


def _by_windowing(people: pd.DataFrame) -> dict[str, pd.Series]:
    """Accuracy of the subjects of one model, by windowing."""
    return {str(name): group.set_index("subject").accuracy.sort_index() for name, group in people.groupby("windowing", sort=False)}


if __name__ == "__main__":
    raise SystemExit(experiment("windowing"))
