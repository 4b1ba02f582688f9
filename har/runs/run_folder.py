"""A finished training on disk: ``runs/DATASET/RUN/seed-N`` describes itself."""

import glob
import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from har.config import RunConfig, parse_config
from har.config.yaml_file import read_yaml
from har.contract import TEST_SUBJECTS, artefact
from har.errors import HarError
from har.evaluation.predictions import Origin, Predictions, read_predictions, same_but_fold
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
        split: subjects of train, validation and test; None in runs of an older version.
        key: of code, config and data (`har.tasks.run_key.run_key`); None in runs of an older version.
    """

    origin: Origin
    score: float | None
    mlflow_run_id: str
    versions: dict[str, str]
    split: dict[str, list[int]] | None = None
    key: str | None = None


@dataclass(frozen=True)
class RunFolder:
    """One run folder."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """The weights of the best epoch."""
        return self.path / CHECKPOINT

    def config(self) -> RunConfig:
        """The config of the run, defaults included; that of an older version says nothing of the task's name, and has keys of all tasks."""
        content = read_yaml(self.path / CONFIG, "config", "one of har train")
        if isinstance(content, dict) and "name" not in (content.get("task") or {}):
            kind = {"name": find_model(self.info().origin.model).task}
            keys = parse_config(content | {"task": kind}, str(self.path / CONFIG)).task.model_dump()
            content["task"] = kind | {name: value for name, value in (content.get("task") or {}).items() if name in keys}
        return parse_config(content, str(self.path / CONFIG))

    def check_weights(self) -> None:
        """Refuse weights that are not those of the training.

        Raises:
            HarError: the file is missing or another.
        """
        origin = self.info().origin
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
        return self.path / artefact(f"predictions_{split}", ".parquet", synthetic=self.info().origin.synthetic)

    def predictions(self, split: str) -> Predictions | None:
        """Predictions on `split`, or None where it was not evaluated."""
        path = self.predictions_path(split)
        return read_predictions(path) if path.is_file() else None


def opened(run: RunFolder | Path | str) -> RunFolder:
    """The run folder that is named, by itself or by its path."""
    return run if isinstance(run, RunFolder) else RunFolder(Path(run))


def write_info(folder: Path, info: RunInfo) -> None:
    """Write ``run.json``."""
    (folder / INFO).write_text(json.dumps(asdict(info), indent=1) + "\n")


def run_path(runs: Path, dataset: str, run: str, seed: int) -> Path:
    """Folder of one run."""
    return runs / dataset / run / f"seed-{seed}"


def exportable(runs: list[RunFolder]) -> list[RunFolder]:
    """The runs that a bundle can be made of: one of a stream model alone, else all of models of windows that read what a phone delivers.

    Raises:
        HarError: there is none; the reason of the first is given where all have one task.
    """
    tasks = {find_model(run.info().origin.model).task for run in runs}
    if tasks == {SEQUENCE} and len(runs) == 1:
        model = runs[0].info().origin.model
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
    device = [run for run in windows if run.info().origin.channels == "raw6"]
    if not device:
        raise HarError("not-exportable", "every run was trained on uci9, which no phone delivers; train with data.channels: raw6 to export")
    return device


def of_windows(runs: list[RunFolder]) -> list[RunFolder]:
    """Those whose model names the activity of a window."""
    return [run for run in runs if find_model(run.info().origin.model).task == WINDOW]


def check_measurable(run: RunFolder) -> None:
    """Refuse a run whose robustness cannot be measured.

    Raises:
        HarError: it is of another task, or has no ONNX file of raw sensors.
    """
    origin = run.info().origin
    if find_model(origin.model).task != WINDOW:
        raise HarError(
            "run-kind", f"{run.path} does not name activities of windows, which is what is measured; name another run with --model"
        )
    if origin.channels != "raw6" or not (run.path / ONNX).is_file():
        raise HarError(
            "run-kind", f"{run.path} has no ONNX file of raw sensors; train a model of windows on raw6, with validation subjects"
        )


def scored_predictions(run: RunFolder, split: str, windows: Sequence[int] = ()) -> Predictions:
    """The predictions of a run that are to be explained.

    Raises:
        HarError: the run is of another task or was not scored on `split`, or there is no window of such a number.
    """
    origin = run.info().origin
    if find_model(origin.model).task != WINDOW:
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
    found = [RunFolder(path.parent) for path in sorted(base.glob(f"*/seed-*/{INFO}")) if not path.parent.name.startswith(".")]
    found = [run for run in found if names is None or run.path.parent.name in names]
    found = [run for run in found if seeds is None or run.path.name in {f"seed-{seed}" for seed in seeds}]
    missing = [name for name in names or [] if name not in {run.path.parent.name for run in found}]
    absent = [seed for seed in seeds or [] if f"seed-{seed}" not in {run.path.name for run in found}]
    if missing or absent or not found:
        wanted = f" of {', '.join(missing or names or [dataset])}"
        with_seeds = f" with seed {', '.join(map(str, absent or seeds))}" if seeds else ""
        every = sorted(base.glob(f"*/seed-*/{INFO}"))
        there = list(dict.fromkeys(f"{path.parts[-3]} ({path.parts[-2]})" if seeds else path.parts[-3] for path in every))
        known = f"there are {', '.join(there)}" if there else f"train first: {_training(dataset, names or [], seeds or [])}"
        raise HarError("run-missing", f"no finished run{wanted}{with_seeds} below {base}; {known}")
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


def validation_of_all_folds(run: RunFolder) -> Predictions | None:
    """Validation predictions of all folds of a run's split, its own first and each window once; None where there is one fold.

    The test subjects of the run are left out, and official test subjects: nothing is fitted on subjects whose scores are reported.
    """
    info, own, split = run.info(), run.predictions("validation"), run.config().data.split
    if split.kind == "official" or own is None or info.split is None:
        return None
    stem = info.origin.run.removesuffix(str(split.fold))
    folders = sorted(path.parent for path in run.path.parent.parent.glob(f"{glob.escape(stem)}*/{run.path.name}/{INFO}"))
    tables = [own.table]
    for other in (RunFolder(path) for path in folders if path != run.path and path.parent.name.removeprefix(stem).isdigit()):
        found = other.predictions("validation")
        if found is not None and same_but_fold(found.origin, info.origin):
            tables.append(found.table[~found.table.subject.isin({*info.split["test"], *TEST_SUBJECTS})])
    table = pd.concat(tables).drop_duplicates(["subject", "recording", "start"], ignore_index=True)
    return Predictions(table, own.origin) if len(tables) > 1 else None
