"""``python -m research.labels``: how many labelled people a classifier needs, with and without pretraining on unlabelled recordings."""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from har.config import ForecastConfig, RunConfig, load_config
from har.contract import TEST_SUBJECTS, TRAIN_SUBJECTS, HarError
from har.data.audit import audit
from har.data.prepare import prepared
from har.data.splits import SubjectSplit, make_splits
from har.data.windowset import WindowSet
from har.evaluation.metrics import scores
from har.evaluation.predictions import make_predictions
from har.models.classifier import ActivityClassifier
from har.models.forecaster import Forecaster
from har.reporting import git_commit
from har.runs.checks import config_path
from har.runs.evaluate import results_folder
from har.runs.ledger import record_opening, required_ledger
from har.runs.train import fit_task, origin_of
from har.tasks import TASKS, TaskData
from har.tasks.base import options_of
from har.tasks.code import code_digest
from har.training.checkpoint import load_checkpoint, load_module
from har.training.fit import build_classifier, window_batches
from har.training.trainer import quiet_lightning, run_trainer
from research.cells import FOLDER, Cell, run_cells
from research.common import Bench, experiment, held_out_config, write_table
from research.labels_report import write_report

ENCODER, CLASSIFIER = "seq2seq", "gru"
STARTS = ("random", "pretrained")


@dataclass(frozen=True)
class Budget:
    """What may be spent; the same for both starts.

    Attributes:
        counts: labelled people; where fewer may be labelled, all of them.
        pretraining_epochs: over the recordings without labels.
        steps: of the classifier's training, as near as whole epochs come.
        options: of encoder and classifier, whose recurrent layers must be alike.
        parts: folds that are run, from the first.
        stride: samples between two pretraining windows.
    """

    counts: tuple[int, ...] = (1, 2, 5, 10, 21)
    pretraining_epochs: int = 10
    steps: int = 400
    options: tuple[tuple[str, int], ...] = (("hidden_size", 64), ("num_layers", 2))
    parts: int = 1
    stride: int = 50


QUICK = Budget((1, 2), 1, 6, (("hidden_size", 8), ("num_layers", 1)), 1, 200)


def run(bench: Bench) -> list[Path]:
    """Folds of the training subjects: no official test subject is scored, trained on or pretrained on."""
    return label_efficiency(bench)


def label_efficiency(bench: Bench, *, official: bool = False) -> list[Path]:
    """Train the classifier from random and from pretrained recurrent weights with the labels of few and of many people.

    The encoder learns to forecast on recordings of all people who may be labelled, without their labels (as Srivastava, Mansimov and
    Salakhutdinov 2015 do on video); of each fold anew, so that nobody who is scored was heard before. Finished parts are kept and read.

    Args:
        bench: its seeds draw the labelled people, the first weights and the order of batches; a quick one runs on synthetic data.
        official: score the official test subjects instead of folds of the training subjects.

    Raises:
        HarError: the data are absent, or somebody who is scored would be heard in pretraining.
    """
    setup = Setup.of(bench, official=official)
    settings = [
        {"fold": fold, "seed": seed, "labelled": count, "start": start, "official": official}
        for fold, split in enumerate(setup.splits)
        for seed in (bench.seeds[:1] if bench.quick else bench.seeds)
        for count in sorted({min(count, len(split.train)) for count in setup.budget.counts})
        for start in STARTS
    ]
    digest = setup.labelled.digest + setup.heard.digest
    rows = run_cells(bench, "labels", settings, train_cell, digest, [setup.classifier, setup.forecaster])
    stem = bench.stem("label_efficiency" + "_official" * official, synthetic=setup.labelled.synthetic)
    table, results = pd.DataFrame(rows).drop(columns="official"), results_folder(bench.results, setup.labelled.dataset)
    return [write_table(table, results, stem), *write_report(table, results, stem, bench, vars(setup.budget), official=official)]


@dataclass(frozen=True)
class Setup:
    """What every part of the experiment needs.

    Attributes:
        budget: of both starts.
        classifier: its config.
        forecaster: config of what is pretrained.
        labelled: windows of UCI HAR.
        heard: windows of HAPT, whose labels are not looked at.
        splits: who may be labelled and who is scored, by fold.
    """

    budget: Budget
    classifier: RunConfig
    forecaster: RunConfig
    labelled: WindowSet
    heard: WindowSet
    splits: list[SubjectSplit]

    @classmethod
    def of(cls, bench: Bench, *, official: bool) -> "Setup":
        """Read the data.

        Raises:
            HarError: they are absent, or a fold would score official test subjects.
        """
        budget = QUICK if bench.quick else Budget()
        synthetic = bench.quick or bench.dataset == "synthetic"
        classifier, forecaster = configs(budget, synthetic=synthetic)
        # One copy can be named, that of the recordings; UCI HAR's labelled windows are those that were prepared.
        labelled = prepared(classifier).select_channels("raw6")
        heard = prepared(forecaster, None if synthetic else bench.archive).select_channels("raw6")
        splits = [SubjectSplit(TRAIN_SUBJECTS, (), TEST_SUBJECTS)] if official else make_splits(classifier.data, labelled)[: budget.parts]
        if not official and set(TEST_SUBJECTS) & {subject for split in splits for subject in split.test}:
            raise HarError("a fold would score official test subjects; they are scored by `python -m research.labels_official` alone")
        return cls(budget, classifier, forecaster, labelled, heard, splits)


def configs(budget: Budget, *, synthetic: bool) -> tuple[RunConfig, RunConfig]:
    """The shipped configs of classifier and forecaster, with recurrent layers that are alike and contexts of a window's length."""
    classifier = held_out_config(CLASSIFIER, "synthetic" if synthetic else "uci-har")
    classifier = classifier.with_overrides(model__options=classifier.model.options | dict(budget.options))
    base = load_config(config_path(ENCODER))
    forecaster = base.with_overrides(
        data__dataset="synthetic" if synthetic else "hapt",
        frontend__compression=classifier.frontend.compression,
        frontend__differences=classifier.frontend.differences,
        windowing__window_size=classifier.windowing.window_size + options_of(base, ForecastConfig).horizon,
        windowing__stride=budget.stride,
        model__options=base.model.options | dict(budget.options),
        training__epochs=budget.pretraining_epochs,
        training__keep="last",
    )
    return classifier, forecaster


def unlabelled(heard: WindowSet, split: SubjectSplit) -> WindowSet:
    """The pretraining windows: of all who may be labelled."""
    chosen = heard.subset(np.isin(heard.subject, split.train))
    check_unheard(chosen, split)
    return chosen


def check_unheard(windows: WindowSet, split: SubjectSplit) -> None:
    """Refuse pretraining windows of anybody who is scored, and of the official test subjects.

    Raises:
        HarError: somebody is; HAPT's user N is UCI HAR's subject N.
    """
    scored = sorted(set(windows.subject.tolist()) & {*split.test, *split.validation, *TEST_SUBJECTS})
    if scored:
        raise HarError(
            f"pretraining would hear subject {scored[0]} of {windows.dataset}, who is scored or an official test subject "
            "(HAPT's user N is UCI HAR's subject N); leave these people out"
        )


def labelled_people(split: SubjectSplit, count: int, seed: int, fold: int) -> tuple[int, ...]:
    """The first `count` of the fold's training subjects in a random order of the seed, so that fewer are among more."""
    order = np.random.default_rng((seed, fold)).permutation(sorted(split.train))
    return tuple(sorted(int(subject) for subject in order[:count]))


def start_from(classifier: ActivityClassifier, encoder: Forecaster) -> None:
    """Give a classifier the recurrent weights of a forecaster's encoder.

    Raises:
        HarError: their sizes differ.
    """
    try:
        classifier.network.recurrent.load_state_dict(encoder.network.encoder.state_dict())  # type: ignore[union-attr]
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise HarError(
            f"the encoder's weights do not fit the classifier ({reason}); give both the same hidden_size and num_layers"
        ) from None


def pretrained(setup: Setup, bench: Bench, split: SubjectSplit, seed: int) -> Forecaster:
    """The forecaster of a split and seed, trained once; its file's name changes with code, config, data and split."""
    config = setup.forecaster.with_overrides(training__seed=seed)
    content = [code_digest(ENCODER), config.model_dump(mode="json"), asdict(split), setup.heard.digest]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    path = bench.runs / FOLDER / "labels" / f"encoder-{key}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            windows = unlabelled(setup.heard, split)
            counts = audit({"train": windows, "test": split.select(setup.labelled, "test")})
            data = TaskData(windows.dataset, windows.synthetic, windows.digest, split, {"train": windows}, counts)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".encoder-") as work:
                _, fitted = fit_task(TASKS["forecast"], config, data, Path(work))
                os.replace(fitted.checkpoint, path)
    return load_module(path, Forecaster)


def train_cell(cell: Cell) -> dict[str, Any]:
    """Train one classifier and score it; a score of official test subjects stands in the ledger before it is kept."""
    quiet_lightning()
    bench, wanted = cell.bench, cell.settings
    setup = Setup.of(bench, official=wanted["official"])
    split, seed, labelled = setup.splits[wanted["fold"]], wanted["seed"], setup.labelled
    people = labelled_people(split, wanted["labelled"], seed, wanted["fold"])
    train, scored = labelled.subset(np.isin(labelled.subject, people)), split.select(labelled, "test")
    audit({"train": train, "test": scored})
    each = -(-len(train) // setup.classifier.training.batch_size)
    config = setup.classifier.with_overrides(training__seed=seed, training__epochs=max(1, round(setup.budget.steps / each)))
    encoder = pretrained(setup, bench, split, seed)
    torch.set_num_threads(config.training.threads)
    classifier = build_classifier(config, train)
    # Scaling needs no labels: both starts have that of the encoder, so that they differ in the recurrent weights alone.
    classifier.frontend.load_state_dict(encoder.frontend.state_dict())
    if wanted["start"] == "pretrained":
        start_from(classifier, encoder)
    with tempfile.TemporaryDirectory() as work:
        batches = window_batches(config, train, None)
        fitted = run_trainer(classifier, batches, config.training, Path(work), name=CLASSIFIER, validates=False)
        classifier = load_checkpoint(fitted.checkpoint)
        data = TaskData(labelled.dataset, labelled.synthetic, labelled.digest, split, {}, {})
        origin = origin_of("labels-official" if wanted["official"] else "labels", config, data, classifier, fitted, git_commit())
    ledger = required_ledger(results_folder(bench.results, labelled.dataset), scored.subject.tolist(), synthetic=scored.synthetic)
    x = torch.from_numpy(np.array(scored.x, dtype=np.float32))
    found = scores(make_predictions(scored, classifier.predict_proba(x).numpy(), origin))
    if ledger is not None:
        note = f"({wanted['labelled']} labelled, {wanted['start']} start)"
        record_opening(ledger, replace(origin, split="test"), accuracy=found["accuracy"], macro_f1=found["macro_f1"], note=note)
    spent = {"epochs": fitted.epochs, "steps": fitted.epochs * each, "seconds": round(fitted.seconds, 1), "commit": origin.commit}
    return {"people": " ".join(map(str, people)), "macro_f1": found["macro_f1"], "accuracy": found["accuracy"]} | spent


if __name__ == "__main__":
    raise SystemExit(experiment("labels"))
