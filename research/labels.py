"""``python -m research.labels``: how many labelled subjects a classifier needs, with and without pretraining on unlabelled recordings."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from har.config import ForecastConfig, RunConfig, load_config
from har.contract import TEST_SUBJECTS, TRAIN_SUBJECTS
from har.data.audit import audit
from har.data.prepare import prepared
from har.data.splits import SubjectSplit, make_split
from har.data.windowset import WindowSet
from har.errors import HarError
from har.evaluation.metrics import scores
from har.evaluation.predictions import make_predictions
from har.models.classifier import WindowClassifier
from har.models.forecaster import Forecaster
from har.reporting import git_commit
from har.runs.checks import config_path
from har.runs.evaluate import results_folder
from har.runs.ledger import record_opening, required_ledger
from har.runs.train import fit_task, origin_of
from har.tasks import TASKS, TaskData
from har.tasks.base import options_of, tensor
from har.training.fit import build_classifier, window_batches
from har.training.trainer import load_checkpoint, quiet_lightning, run_trainer
from research.common import SYNTHETIC, Bench, Settings, experiment, listed, markdown, run_cells, spread

ENCODER, CLASSIFIER = "seq2seq", "gru"
STARTS = {"random": ("o-", "#D55E00"), "pretrained": ("s--", "#0072B2")}  # style and colour, distinct also for the colour-blind
NAMES = {"random": "from random weights", "pretrained": "pretrained by forecasting"}
FOLDS = 3  # of the 21 training subjects: 14 may be labelled, 7 are scored


@dataclass(frozen=True)
class Budget:
    """What may be spent; the same for both starts.

    Attributes:
        counts: labelled subjects; where fewer may be labelled, all of them.
        pretraining_epochs: over the recordings without labels.
        steps: of the classifier's training, as near as whole epochs come.
        options: of encoder and classifier, whose recurrent layers must be alike.
        stride: samples between two pretraining windows.
    """

    counts: tuple[int, ...] = (1, 2, 5, 10, 21)
    pretraining_epochs: int = 10
    steps: int = 400
    options: tuple[tuple[str, int], ...] = (("hidden_size", 64), ("num_layers", 2))
    stride: int = 50


QUICK = Budget((1, 2), 1, 6, (("hidden_size", 8), ("num_layers", 1)), 200)


class Material(NamedTuple):
    """What the experiment trains and on which data: labelled windows, and those that the encoder sees without labels."""

    budget: Budget
    classifier: RunConfig
    forecaster: RunConfig
    labelled: WindowSet
    heard: WindowSet
    split: SubjectSplit


def material(bench: Bench, *, official: bool) -> Material:
    """Configs, data and split; without `official`, no official test subject is scored, trained on or pretrained on."""
    budget = QUICK if bench.quick else Budget()
    synthetic = bench.quick or bench.dataset == SYNTHETIC
    classifier, forecaster = configs(budget, synthetic=synthetic)
    # One copy can be named, that of the recordings; UCI HAR's labelled windows are those that were prepared.
    labelled = prepared(classifier)
    heard = prepared(forecaster, None if synthetic else bench.archive)
    split = SubjectSplit(TRAIN_SUBJECTS, (), TEST_SUBJECTS) if official else make_split(classifier.data, labelled)
    if not official and set(split.test) & set(TEST_SUBJECTS):
        raise HarError(
            "test-subjects", "the fold would score official test subjects; they are scored by `python -m research.labels_official` alone"
        )
    return Material(budget, classifier, forecaster, labelled, heard, split)


def configs(budget: Budget, *, synthetic: bool) -> tuple[RunConfig, RunConfig]:
    """The shipped configs of classifier and forecaster, with recurrent layers that are alike and contexts of a window's length."""
    base = load_config(config_path(CLASSIFIER))
    classifier = base.with_overrides(
        data__dataset=SYNTHETIC if synthetic else "uci-har",
        model__options=base.model.options | dict(budget.options),
        training__keep="last",
    ).with_split(kind="kfold", folds=FOLDS, subjects="training", validation=0)
    base = load_config(config_path(ENCODER))
    forecaster = base.with_overrides(
        data__dataset=SYNTHETIC if synthetic else "hapt",
        frontend__compression=classifier.frontend.compression,
        frontend__differences=classifier.frontend.differences,
        windowing__window_size=classifier.windowing.window_size + options_of(base, ForecastConfig).horizon,
        windowing__stride=budget.stride,
        model__options=base.model.options | dict(budget.options),
        training__epochs=budget.pretraining_epochs,
        training__keep="last",
    )
    return classifier, forecaster


def run(bench: Bench, *, official: bool = False) -> list[Path]:
    """Train the classifier from random and from pretrained recurrent weights with the labels of few and of many subjects.

    The encoder learns to forecast on recordings of all subjects who may be labelled, without their labels (as Srivastava, Mansimov and
    Salakhutdinov 2015 do on video), and never on those who are scored. Finished seeds are kept and read.

    Args:
        bench: its seeds draw the labelled subjects, the first weights and the order of batches; a quick one runs on synthetic data.
        official: score the official test subjects instead of a fold of the training subjects.

    Raises:
        HarError: the data are absent, or a subject who is scored would be in the pretraining.
    """
    made = material(bench, official=official)
    settings = [{"seed": seed, "official": official} for seed in (bench.seeds[:1] if bench.quick else bench.seeds)]
    digest = made.labelled.digest + made.heard.digest
    found = run_cells(bench, "labels", settings, train_seed, digest, [made.classifier, made.forecaster])
    table = pd.DataFrame([row for one in found for row in one["rows"]])
    grouped, synthetic = by_count(table), made.labelled.synthetic
    shown = grouped[[*STARTS, "gain"]].agg(spread)
    shown["pairs that gain"] = grouped.gain.agg(lambda gain: f"{(gain > 0).sum()} of {len(gain)}")
    what = "SYNTHETIC data" if synthetic else "UCI HAR, pretrained on HAPT's recordings of the same training subjects"
    who = "the held-out subjects of one fold of the training subjects; no test subject took part"
    who = "the test subjects, each scoring in the ledger; nothing was decided on them" if official else who
    text = [
        "# How many labelled subjects does a classifier need?",
        markdown(shown.reset_index()),
        f"Macro-F1 in per cent of `gru` on {who}; mean ± deviation over seeds, gain within the same seed. {what}. "
        f"Both starts have the same scaling, labels and steps of training ({made.budget.steps}, to whole epochs); the recurrent layers of "
        f"one start from an encoder that learnt to forecast a second in {made.budget.pretraining_epochs} epochs over recordings without "
        "labels, of those subjects alone who may be labelled.",
    ]
    folder, stem = results_folder(bench.results, made.labelled.dataset), "label_efficiency" + "_official" * official
    seeds = listed(sorted(table.seed.unique()))
    return bench.write(folder, bench.stem(stem, synthetic=synthetic), text, {"": table}, curve_figure(grouped, what), seeds=seeds)


def unlabelled(heard: WindowSet, split: SubjectSplit) -> WindowSet:
    """The pretraining windows: of all who may be labelled.

    Raises:
        HarError: one of them is scored or an official test subject; HAPT's user N is UCI HAR's subject N.
    """
    scored = sorted(set(split.train) & {*split.test, *split.validation, *TEST_SUBJECTS})
    if scored:
        raise HarError(
            "test-subjects",
            f"pretraining would use subject {scored[0]} of {heard.dataset}, who is scored or an official test subject "
            "(HAPT's user N is UCI HAR's subject N); leave these subjects out",
        )
    return split.select(heard, "train")


def labelled_people(split: SubjectSplit, count: int, seed: int) -> tuple[int, ...]:
    """The first `count` of the training subjects in a random order of the seed, so that fewer are among more."""
    order = np.random.default_rng((seed, 0)).permutation(sorted(split.train))
    return tuple(sorted(int(subject) for subject in order[:count]))


def start_from(classifier: WindowClassifier, encoder: Forecaster) -> None:
    """Give a classifier the recurrent weights of a forecaster's encoder.

    Raises:
        HarError: their sizes differ.
    """
    try:
        classifier.network.recurrent.load_state_dict(encoder.network.encoder.state_dict())  # type: ignore[union-attr]
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise HarError(
            "argument", f"the encoder's weights do not fit the classifier ({reason}); give both the same hidden_size and num_layers"
        ) from None


def train_seed(bench: Bench, settings: Settings) -> dict[str, Any]:
    """Train the encoder, then a classifier for every count of labelled subjects and start; ``rows`` of the table."""
    quiet_lightning()
    made, seed = material(bench, official=settings["official"]), settings["seed"]
    windows, scored = unlabelled(made.heard, made.split), made.split.select(made.labelled, "test")
    counts = audit({"train": windows, "test": scored})
    data = TaskData(windows.dataset, windows.synthetic, windows.digest, made.split, {"train": windows}, counts)
    with tempfile.TemporaryDirectory() as work:
        encoder, _ = fit_task(TASKS["forecast"], made.forecaster.with_overrides(training__seed=seed), data, Path(work))
    rows = []
    for count in sorted({min(count, len(made.split.train)) for count in made.budget.counts}):
        people = labelled_people(made.split, count, seed)
        train = made.labelled.subset(np.isin(made.labelled.subject, people))
        data = TaskData(train.dataset, train.synthetic, made.labelled.digest, made.split, {}, audit({"train": train, "test": scored}))
        each = -(-len(train) // made.classifier.training.batch_size)
        config = made.classifier.with_overrides(training__seed=seed, training__epochs=max(1, round(made.budget.steps / each)))
        torch.set_num_threads(config.training.threads)
        for start in STARTS:
            classifier = build_classifier(config, train.spec(config.windowing.step))
            # Scaling needs no labels: both starts have that of the encoder, so that they differ in the recurrent weights alone.
            classifier.frontend.load_state_dict(encoder.frontend.state_dict())  # type: ignore[union-attr]
            if start == "pretrained":
                start_from(classifier, encoder)  # type: ignore[arg-type]
            with tempfile.TemporaryDirectory() as work:
                batches = window_batches(config, train, None)
                fitted = run_trainer(classifier, batches, config.training, Path(work), name=CLASSIFIER, validates=False, progress=False)
                classifier = load_checkpoint(fitted.checkpoint)
                name = "labels-official" if settings["official"] else "labels"
                origin = replace(origin_of(name, config, data, classifier, fitted, git_commit()), split="test")
            ledger = required_ledger(results_folder(bench.results, data.dataset), scored.subject.tolist(), synthetic=scored.synthetic)
            score = scores(make_predictions(scored, classifier.predict_proba(tensor(scored)).numpy(), origin))
            if ledger is not None:
                note = f"({count} labelled, {start} start)"
                record_opening(ledger, origin, accuracy=score["accuracy"], macro_f1=score["macro_f1"], note=note)
            row = {"fold": 0, "seed": seed, "labelled": count, "start": start, "people": " ".join(map(str, people))}
            row |= {"macro_f1": score["macro_f1"], "accuracy": score["accuracy"], "epochs": fitted.epochs, "steps": fitted.epochs * each}
            rows.append(row | {"seconds": round(fitted.seconds, 1), "commit": origin.commit})
    return {"rows": rows}


def by_count(table: pd.DataFrame) -> Any:
    """Macro-F1 of both starts and the gain of the second within a seed, grouped by the number of labelled subjects.

    Args:
        table: a row per training with ``fold``, ``seed``, ``labelled``, ``start`` and ``macro_f1`` from 0 to 1.
    """
    wide = table.pivot(index=["labelled", "fold", "seed"], columns="start", values="macro_f1")
    return wide.assign(gain=wide.pretrained - wide.random).groupby("labelled")


def curve_figure(grouped: Any, what: str) -> Figure:
    """Macro-F1 of `by_count` against the number of labelled subjects, a line per start, bars one deviation over seeds."""
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for place, (start, (style, colour)) in enumerate(STARTS.items()):
        mean, deviation = 100 * grouped[start].mean(), 100 * grouped[start].std().fillna(0)
        x = mean.index * (0.985 + 0.03 * place)  # next to each other, so that both bars are visible
        axes.errorbar(x, mean, yerr=deviation, fmt=style, color=colour, capsize=3, label=NAMES[start])
    axes.set_xscale("log")
    axes.set_xticks(mean.index, mean.index.astype(str))
    axes.set_xticks([], minor=True)
    axes.set(xlabel="labelled subjects", ylabel="macro-F1 of subjects never seen (%)")
    axes.set_title(f"Label efficiency\n{what}", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


if __name__ == "__main__":
    raise SystemExit(experiment("labels"))
