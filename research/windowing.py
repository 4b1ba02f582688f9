"""``python -m research.windowing``: overlapping windows or the recording reshaped, at equal training budget."""

import tempfile
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from har.config import RunConfig, load_config
from har.contract import TEST_SUBJECTS
from har.data.audit import audit
from har.data.prepare import prepared
from har.errors import HarError
from har.evaluation.statistics import mean_interval, paired_tests
from har.runs.checks import config_path
from har.runs.comparison import pairs_markdown
from har.runs.evaluate import results_folder
from har.tasks.base import load_windows, tensor
from har.training.fit import fit
from har.training.trainer import quiet_lightning
from research.common import Bench, Settings, experiment, listed, markdown, run_cells

MODELS = ("cnn1d", "gru")
FOLDS = 3  # of the 21 training subjects; the seven of the first are held out
EPOCHS = 16  # of windows half a window apart; divides well by all variants
# How training windows are cut, and their share of the windows of the first, by which the epochs are divided.
VARIANTS: dict[str, tuple[dict[str, Any], float]] = {
    "rolling, half": ({}, 1.0),
    "reshape": ({"windowing.kind": "reshape"}, 0.5),
    "rolling, quarter": ({"windowing.stride": 32}, 2.0),
}
QUICK: dict[str, Any] = {"training.epochs": 2, "model.options": {"width": 8, "depth": 2}}


def run(bench: Bench) -> list[Path]:
    """Train the same networks on the same subjects, cut in three ways, for as many steps, and score them on the same windows.

    The subjects of the first of three folds of the 21 training subjects are held out. The scored windows are rolling, half a window apart,
    for all.

    Raises:
        HarError: the data are absent, or a training failed.
    """
    models = MODELS[:1] if bench.quick else MODELS
    scored = prepared(_config(bench, models[0]), bench.archive)
    for variant, (change, _) in VARIANTS.items():  # fills the cache, once, before the processes start
        bench.say(
            f"{variant}: {len(prepared(_config(bench, models[0]).changed(change, variant), bench.archive)):,} windows of all subjects"
        )
    settings = [{"model": model, "windowing": variant, "seed": s} for s in bench.seeds for model in models for variant in VARIANTS]
    cells = run_cells(bench, "windowing", settings, train_cell, scored.digest, [_config(bench, model) for model in models])
    people = subject_accuracies(cells)
    table = windowing_table(cells)
    formats = dict.fromkeys(("windows", "epochs", "steps", "seconds"), ",.0f") | {"p": ".2g", "p_holm": ".2g"}
    formats |= dict.fromkeys(("accuracy", "low", "high", "accuracy_sd", "macro_f1", "macro_f1_sd", "difference"), ".2%")
    pairs = [
        f"{m}, paired over subjects:\n\n{pairs_markdown(paired_tests(_scores(own)))}" for m, own in people.groupby("model", sort=False)
    ]
    text = [
        "# Rolling windows or reshape, at equal training budget",
        markdown(table, formats),
        *pairs,
        "Windows of 128 samples. Rolling: a half or a quarter of a window apart. Reshape: one after the other. Epochs are chosen "
        "so that all take about as many steps. The subjects of one fold are held out and scored on the same rolling windows "
        "whatever trained; no test subject is scored or trained on. Accuracy: mean over subjects and seeds, with its 95 % interval; sd: "
        "over the seeds.",
    ]
    folder, stem = results_folder(bench.results, scored.dataset), bench.stem("windowing", synthetic=scored.synthetic)
    facts = {"data": scored.dataset, "folds": f"1 of {FOLDS}", "seeds": listed(bench.seeds)}
    return bench.write(folder, stem, text, {"": table, "_subjects": people}, None, **facts)


def _config(bench: Bench, model: str) -> RunConfig:
    """The shipped config of a model on folds of the training subjects, all others training."""
    config = load_config(config_path(model)).with_overrides(data__dataset=bench.dataset, training__keep="last")
    config = config.with_split(kind="kfold", folds=FOLDS, subjects="training", validation=0)
    return config.changed({"training.epochs": EPOCHS} | (QUICK if bench.quick else {}), "experiment windowing")


def train_cell(bench: Bench, settings: Settings) -> dict[str, Any]:
    """Train one network and score it on the windows of the held-out subjects.

    Returns:
        ``windows`` and ``steps`` of the training, ``epochs``, ``seconds``, ``subjects`` (accuracy of each), ``accuracy`` (their mean) and
        ``macro_f1`` over all windows.
    """
    quiet_lightning()
    base = _config(bench, settings["model"])
    change, share = VARIANTS[settings["windowing"]]
    epochs = max(1, round(base.training.epochs / share))
    config = base.changed(change | {"training.epochs": epochs, "training.seed": settings["seed"]}, "experiment windowing")
    scored, split = load_windows(base, bench.archive)  # of the scored windows, so the same for all variants
    if set(split.train + split.test) & set(TEST_SUBJECTS):
        raise HarError("test-subjects", "the fold holds official test subjects, which decide nothing; split the training subjects alone")
    train = split.select(prepared(config, bench.archive), "train")
    test = split.select(scored, "test")
    audit({"train": train, "test": test})
    with tempfile.TemporaryDirectory() as folder:
        result = fit(config, train, None, Path(folder))
        classifier = result.classifier
    answer = classifier.predict_proba(tensor(test)).argmax(dim=1).numpy()
    accuracy = pd.Series(answer == test.y).groupby(test.subject).mean()
    return {
        "windows": len(train),
        "epochs": epochs,
        "steps": epochs * ceil(len(train) / config.training.batch_size),
        "seconds": round(result.seconds, 1),
        "subjects": {str(subject): value for subject, value in accuracy.items()},
        "accuracy": accuracy.mean(),
        "macro_f1": f1_score(test.y, answer, labels=range(len(test.labels)), average="macro", zero_division=np.nan),
    }


def subject_accuracies(cells: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a model, windowing and subject: ``accuracy``, the mean over the seeds."""
    keys = ["model", "windowing", "subject"]
    rows = [(cell["model"], cell["windowing"], int(subject), value) for cell in cells for subject, value in cell["subjects"].items()]
    return pd.DataFrame(rows, columns=[*keys, "accuracy"]).groupby(keys, sort=False).mean().reset_index()


def _scores(people: pd.DataFrame) -> dict[str, pd.Series]:
    """Accuracy by subject of every windowing of one model."""
    return {str(name): own.set_index("subject").accuracy.sort_index() for name, own in people.groupby("windowing", sort=False)}


def windowing_table(cells: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a model and windowing.

    Returns:
        Columns ``model``, ``windowing``, ``windows`` (to train on), ``epochs``, ``steps``, ``seconds`` (of one training),
        ``accuracy`` (mean over subjects) with its 95 % interval ``low`` to ``high``, ``accuracy_sd`` over seeds, ``macro_f1`` (over all
        windows, mean of the seeds) and ``macro_f1_sd``; ``difference`` to the first windowing, mean over subjects, how many are
        ``better`` and ``worse``, ``p`` and ``p_holm`` (Wilcoxon's test over subjects, corrected for the pairs of a model).
    """
    rows = []
    for model, people in subject_accuracies(cells).groupby("model", sort=False):
        scores = _scores(people)
        tests = paired_tests(scores)
        tests = tests[tests.a == next(iter(scores))].set_index("b")  # each has the difference of the first to another
        for name, values in scores.items():
            own = pd.DataFrame([cell for cell in cells if (cell["model"], cell["windowing"]) == (model, name)])
            interval = mean_interval(values.to_numpy())
            row = {"model": model, "windowing": name} | own[["windows", "epochs", "steps", "seconds"]].mean().to_dict()
            row |= {"accuracy": interval.value, "low": interval.low, "high": interval.high, "accuracy_sd": own.accuracy.std()}
            row |= {"macro_f1": own.macro_f1.mean(), "macro_f1_sd": own.macro_f1.std()}
            if name in tests.index:
                pair = tests.loc[name]
                row |= {"difference": -pair.difference, "better": pair.worse, "worse": pair.better, "p": pair.p, "p_holm": pair.p_holm}
            rows.append(row)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    raise SystemExit(experiment("windowing"))
