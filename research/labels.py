"""``python -m research.labels``: how many labelled people a classifier needs, with and without pretraining on unlabelled recordings."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch

from har.config import ForecastConfig, RunConfig, load_config
from har.contract import TEST_SUBJECTS, TRAIN_SUBJECTS, HarError
from har.data.audit import audit
from har.data.prepare import prepared
from har.data.splits import SubjectSplit, make_splits
from har.data.windowset import WindowSet
from har.evaluation.metrics import scores
from har.evaluation.predictions import Origin, make_predictions
from har.models.classifier import ActivityClassifier
from har.models.forecaster import Forecaster
from har.runs.checks import config_path
from har.runs.evaluate import results_folder
from har.runs.ledger import record_opening, required_ledger
from har.runs.provenance import git_commit
from har.runtime.bundle import sha256
from har.tasks import TASKS, TaskData
from har.tasks.base import options_of
from har.tasks.code import code_digest
from har.training.checkpoint import load_checkpoint, load_module
from har.training.fit import build_classifier, window_batches
from har.training.trainer import quiet_lightning, run_trainer
from research.common import Bench, experiment, write_table
from research.labels_report import write_report

ENCODER, CLASSIFIER = "seq2seq", "gru"
STARTS = ("random", "pretrained")
FOLDS = 3  # of the 21 training subjects: 14 may be labelled, 7 are scored


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
    quiet_lightning()
    budget = QUICK if bench.quick else Budget()
    synthetic = bench.quick or bench.dataset == "synthetic"
    classifier, forecaster = configs(budget, synthetic=synthetic)
    # One copy can be named, that of the recordings; UCI HAR's labelled windows are those that were prepared.
    labelled = prepared(classifier)
    heard = prepared(forecaster, None if synthetic else bench.archive)
    splits = [SubjectSplit(TRAIN_SUBJECTS, (), TEST_SUBJECTS)] if official else make_splits(classifier.data, labelled)[: budget.parts]
    results, rows = results_folder(bench.results, labelled.dataset), []
    for fold, split in enumerate(splits):
        if not official and set(split.test) & set(TEST_SUBJECTS):
            raise HarError(f"fold {fold} would score official test subjects; they are scored by `python -m research.labels_official` alone")
        bout = Bout(bench, budget, classifier, forecaster, split, labelled, heard, results, fold, official)
        for seed in bench.seeds[:1] if bench.quick else bench.seeds:
            for cell in bout.cells(seed):
                rows.append(cell)
                who, score = f"labels of {cell['labelled']}", f"macro-F1 {100 * cell['macro_f1']:.2f} %"
                bench.say(f"fold {fold}, seed {seed}, {who}, {cell['start']} start: {score}")
    stem = bench.stem("label_efficiency" + "_official" * official, synthetic=labelled.synthetic)
    table = pd.DataFrame(rows)
    return [write_table(table, results, stem), *write_report(table, results, stem, bench, vars(budget), official=official)]


def configs(budget: Budget, *, synthetic: bool) -> tuple[RunConfig, RunConfig]:
    """The shipped configs of classifier and forecaster, with recurrent layers that are alike and contexts of a window's length."""
    base = load_config(config_path(CLASSIFIER))
    classifier = base.with_overrides(
        data__dataset="synthetic" if synthetic else "uci-har",
        model__options=base.model.options | dict(budget.options),
        training__keep="last",
    ).with_split(kind="kfold", folds=FOLDS, subjects="training", validation=0)
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


@dataclass(frozen=True)
class Bout:
    """One fold of the experiment and everything its cells need."""

    bench: Bench
    budget: Budget
    classifier: RunConfig
    forecaster: RunConfig
    split: SubjectSplit
    labelled: WindowSet
    heard: WindowSet
    results: Path
    fold: int
    official: bool

    def cells(self, seed: int) -> Iterator[dict[str, Any]]:
        """Scores of every count and start, read where they are finished."""
        for count in sorted({min(count, len(self.split.train)) for count in self.budget.counts}):
            for start in STARTS:
                path = self._folder(seed) / f"{count}-{start}.json"
                if not path.is_file():
                    cell = self._train(seed, count, start)
                    temporary = path.with_name(f".{path.name}.{os.getpid()}")
                    temporary.write_text(json.dumps(cell) + "\n")
                    os.replace(temporary, path)
                yield json.loads(path.read_text())

    def _folder(self, seed: int) -> Path:
        """Where the parts of a fold and seed are kept; its name changes with code, configs, data, budget and split."""
        code = [code_digest(ENCODER), code_digest(CLASSIFIER), hashlib.sha256(Path(__file__).read_bytes()).hexdigest()]
        settings = [self.classifier.model_dump(mode="json"), self.forecaster.model_dump(mode="json"), asdict(self.budget)]
        content = [code, settings, asdict(self.split), self.labelled.digest, self.heard.digest, self.fold, seed, self.official]
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        folder = self.bench.runs / "experiments" / "labels" / f"fold{self.fold}-seed{seed}-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _encoder(self, seed: int) -> Forecaster:
        """The forecaster of this fold and seed, trained once."""
        path = self._folder(seed) / "encoder.ckpt"
        if not path.is_file():
            config = self.forecaster.with_overrides(training__seed=seed)
            windows = unlabelled(self.heard, self.split)
            counts = audit({"train": windows, "test": self.split.select(self.labelled, "test")})
            data = TaskData(windows.dataset, windows.synthetic, windows.digest, self.split, {"train": windows}, counts)
            pl.seed_everything(seed, verbose=False)
            torch.set_num_threads(config.training.threads)
            module = TASKS["forecast"].build(config, data)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".encoder-") as work:
                batches = window_batches(config, windows, None)
                fitted = run_trainer(module, batches, config.training, Path(work), name=ENCODER, validates=False, progress=False)
                os.replace(fitted.checkpoint, path)
        return load_module(path, Forecaster)

    def _train(self, seed: int, count: int, start: str) -> dict[str, Any]:
        people = labelled_people(self.split, count, seed, self.fold)
        train = self.labelled.subset(np.isin(self.labelled.subject, people))
        scored = self.split.select(self.labelled, "test")
        audit({"train": train, "test": scored})
        each = -(-len(train) // self.classifier.training.batch_size)
        config = self.classifier.with_overrides(training__seed=seed, training__epochs=max(1, round(self.budget.steps / each)))
        encoder = self._encoder(seed)
        torch.set_num_threads(config.training.threads)
        classifier = build_classifier(config, train)
        # Scaling needs no labels: both starts have that of the encoder, so that they differ in the recurrent weights alone.
        classifier.frontend.load_state_dict(encoder.frontend.state_dict())
        if start == "pretrained":
            start_from(classifier, encoder)
        with tempfile.TemporaryDirectory() as work:
            batches = window_batches(config, train, None)
            fitted = run_trainer(classifier, batches, config.training, Path(work), name=CLASSIFIER, validates=False, progress=False)
            classifier, checksum = load_checkpoint(fitted.checkpoint), sha256(fitted.checkpoint)
        origin = Origin(
            run="labels-official" if self.official else "labels",
            model=CLASSIFIER,
            seed=seed,
            dataset=self.labelled.dataset,
            synthetic=self.labelled.synthetic,
            split="test",
            channels="raw6",
            parameters=classifier.num_parameters,
            epochs=fitted.epochs,
            best_epoch=fitted.best_epoch,
            train_seconds=fitted.seconds,
            commit=git_commit(),
            checkpoint_sha256=checksum,
            data_digest=self.labelled.digest,
        )
        ledger = required_ledger(self.results, scored.subject.tolist(), synthetic=scored.synthetic)
        x = torch.from_numpy(np.array(scored.x, dtype=np.float32))
        found = scores(make_predictions(scored, classifier.predict_proba(x).numpy(), origin))
        if ledger is not None:
            note = f"({count} labelled, {start} start)"
            record_opening(ledger, replace(origin, split="test"), accuracy=found["accuracy"], macro_f1=found["macro_f1"], note=note)
        about = {"fold": self.fold, "seed": seed, "labelled": count, "start": start, "people": " ".join(map(str, people))}
        spent = {"epochs": fitted.epochs, "steps": fitted.epochs * each, "seconds": round(fitted.seconds, 1), "commit": origin.commit}
        return about | {"macro_f1": found["macro_f1"], "accuracy": found["accuracy"]} | spent


if __name__ == "__main__":
    raise SystemExit(experiment("labels"))
