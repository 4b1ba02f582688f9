"""A finished training on disk: ``runs/DATASET/RUN/seed-N`` describes itself."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from har.config import RunConfig, parse_config, read_yaml
from har.contract import MEASURED, artefact
from har.data.prepare import label_names
from har.errors import HarError, nearest
from har.evaluation.predictions import Origin, Predictions, read_predictions
from har.models.registry import MODELS, SEQUENCE, WINDOW, find_model
from har.runtime.bundle import sha256

CONFIG, CHECKPOINT, INFO, ONNX = "config.yaml", "best.ckpt", "run.json", "model.onnx"
REFIT = "-refit"  # what the name of a run without validation subjects ends with
OFFICIAL = ("uci-har", "hapt", "synthetic")  # data sets that the official split is for


@dataclass(frozen=True)
class RunInfo:
    """What is known about a training after its end.

    Attributes:
        origin: as in the prediction files, for the validation split.
        score: the task's primary score on the validation subjects, of the saved weights; None without validation subjects.
        mlflow_run_id: where it is tracked.
        versions: of the packages that trained it.
        split: subjects of train, validation and test.
        key: of code, config and data (`har.tasks.run_key.run_key`).
    """

    origin: Origin
    score: float | None
    mlflow_run_id: str
    versions: dict[str, str]
    split: dict[str, list[int]]
    key: str


@dataclass(frozen=True)
class RunFolder:
    """One run folder."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The weights of the best epoch."""
        return self.path / CHECKPOINT

    @property
    def origin(self) -> Origin:
        """As in `info`."""
        return self.info().origin

    @property
    def task(self) -> str:
        """Name of the task of its model."""
        return find_model(self.origin.model).task

    def config(self) -> RunConfig:
        """The config of the run, defaults included."""
        return parse_config(read_yaml(self.path / CONFIG, "config", "one of har train"), str(self.path / CONFIG))

    def check_weights(self) -> None:
        """Refuse weights that are not those of the training.

        Raises:
            HarError: the file is missing or another.
        """
        origin = self.origin
        found = sha256(self.checkpoint) if self.checkpoint.is_file() else "missing"
        if found != origin.checkpoint_sha256:
            raise HarError(
                "run-damaged",
                f"{self.checkpoint} is not the file that was trained ({found[:12]}); train again: har train --model {origin.run}",
            )

    def info(self) -> RunInfo:
        """What the training wrote at its end.

        Raises:
            HarError: the file is missing or damaged.
        """
        try:
            content = json.loads((self.path / INFO).read_text())
            return RunInfo(Origin(**content.pop("origin")), **content)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise HarError(
                "run-damaged", f"{self.path} is not a finished run ({type(error).__name__}: {error}); train again: har train"
            ) from None

    def predictions_path(self, split: str) -> Path:
        """Where the predictions on `split` are written."""
        return self.path / artefact(f"predictions_{split}", ".parquet", synthetic=self.origin.synthetic)

    def predictions(self, split: str) -> Predictions | None:
        """Predictions on `split`, or None where it was not evaluated."""
        path = self.predictions_path(split)
        return read_predictions(path) if path.is_file() else None


def opened(run: RunFolder | Path | str) -> RunFolder:
    """The run folder that is named, by itself or by its path."""
    return run if isinstance(run, RunFolder) else RunFolder(Path(run))


def exportable(runs: list[RunFolder]) -> list[RunFolder]:
    """The runs that a bundle can be made of: one of a stream model alone, else all of models of windows that read what a phone delivers.

    Raises:
        HarError: there is none; the reason of the first is given where all have one task.
    """
    if {run.task for run in runs} == {SEQUENCE} and len(runs) == 1:
        model = runs[0].origin.model
        if not getattr(find_model(model).network, "streams", False):
            raise HarError(
                "not-exportable",
                f"model {model!r} looks ahead, which no device can: it is not exported; take one that carries a state: stream_gru",
            )
        return runs
    windows = of_windows(runs)
    if not windows:
        raise HarError(
            "run-kind", "none of these runs names activities of windows; a bundle is made of such a model, or of one run of a stream model"
        )
    device = [run for run in windows if run.origin.channels in MEASURED]
    if not device:
        raise HarError("not-exportable", "every run was trained on uci9, which no phone delivers; train with data.channels: raw6 to export")
    return device


def of_windows(runs: list[RunFolder]) -> list[RunFolder]:
    """Those whose model names the activity of a window."""
    return [run for run in runs if run.task == WINDOW]


def check_measurable(run: RunFolder) -> None:
    """Refuse a run whose robustness cannot be measured.

    Raises:
        HarError: it is of another task, or has no ONNX file of ``raw6``.
    """
    if run.task != WINDOW:
        raise HarError(
            "run-kind", f"{run.path} does not name activities of windows, which is what is measured; name another run with --model"
        )
    if run.origin.channels != "raw6" or not (run.path / ONNX).is_file():
        raise HarError(
            "run-kind",
            f"{run.path} has no ONNX file that reads both sensors, which are disturbed; train a model of windows on raw6, "
            "with validation subjects",
        )


def check_other(run: RunFolder, dataset: str, rename: Mapping[str, str]) -> None:
    """Refuse to score a run on another data set.

    Args:
        run: a classifier of windows.
        dataset: the other one.
        rename: activities of the data set to labels of the model.

    Raises:
        HarError: it is that of the training, or an activity or a label is not known.
    """
    data = run.config().data
    if run.task != WINDOW:
        raise HarError("run-kind", f"{run.origin.run} is no classifier of windows; only those can be tried on another data set")
    if dataset == data.dataset:
        raise HarError("argument", f"{run.origin.run} was trained on {dataset}; name another data set with --on, or leave it out")
    for name, label in rename.items():
        theirs, ours = label_names(dataset), label_names(data.dataset, data.transitions)
        if name not in theirs:
            raise HarError("argument", f"--map names {name!r}, which {dataset} has not; {nearest(name, theirs)}")
        if label not in ours:
            raise HarError("argument", f"--map takes {name} for {label!r}, which the model does not know; {nearest(label, ours)}")


def scored_predictions(run: RunFolder, split: str, windows: Sequence[int] = ()) -> Predictions:
    """The predictions of a run that are to be explained.

    Raises:
        HarError: the run is of another task or was not scored on `split`, or there is no window of such a number.
    """
    origin = run.origin
    if run.task != WINDOW:
        raise HarError("run-kind", f"{origin.run} is no classifier of windows; only those can be explained")
    predictions = run.predictions(split)
    if predictions is None:  # the test subjects are only looked at after their evaluation is in the ledger
        again = f"har evaluate --dataset {origin.dataset} --model {run.path.parent.name} --seed {origin.seed} --part {split}"
        raise HarError("run-missing", f"{run.path} was not scored on the {split} subjects; first: {again}")
    for number in windows:
        if not 0 <= number < len(predictions.table):
            raise HarError("argument", f"window {number} is asked for; the {split} subjects have windows 0 to {len(predictions.table) - 1}")
    return predictions


def find_runs(runs: Path, dataset: str, names: list[str] | None = None, seeds: list[int] | None = None) -> list[RunFolder]:
    """Finished runs of a data set, by name and seed.

    Raises:
        HarError: there is none, or a named one is missing.
    """
    base = runs / dataset
    every = [RunFolder(path.parent) for path in sorted(base.glob(f"*/seed-*/{INFO}"))]
    known = {run: (run.path.parent.name, run.path.name) for run in every if not run.path.name.startswith(".")}
    wanted = {f"seed-{seed}": seed for seed in seeds or []}
    found = [run for run, (name, _) in known.items() if names is None or name in names]
    found = [run for run in found if seeds is None or run.path.name in wanted]
    missing = [name for name in names or [] if name not in {known[run][0] for run in found}]
    absent = [seed for folder, seed in wanted.items() if folder not in {known[run][1] for run in found}]
    if missing or absent or not found:
        what = f" of {', '.join(missing or names or [dataset])}"
        with_seeds = f" with seed {', '.join(map(str, absent or seeds))}" if seeds else ""
        there = list(dict.fromkeys(f"{name} ({seed})" if seeds else name for name, seed in known.values()))
        hint = f"there are {', '.join(there)}" if there else f"train first: {_training(dataset, names or [], seeds or [])}"
        raise HarError("run-missing", f"no finished run{what}{with_seeds} below {base}; {hint}")
    return found


def _training(dataset: str, names: list[str], seeds: list[int]) -> str:
    """The command that trains the runs that are missing."""
    models = [name.removesuffix(REFIT) for name in names]
    words = ["har", "train", "--dataset", dataset]
    if models and all(model in MODELS for model in models):
        words += ["--model", *models]
        words += ["--refit"] * all(name.endswith(REFIT) for name in names)
    words += ["--split", "kfold"] * (dataset not in OFFICIAL)
    words += ["--seed", *map(str, seeds)] if seeds else []
    return shlex.join(words)
