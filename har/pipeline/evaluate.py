"""Score saved weights on a split; the only place where the official test subjects are scored."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from har.contract import SPLITS, HarError, artefact
from har.data.audit import audit
from har.data.splits import SubjectSplit
from har.data.windowset import WindowSet
from har.evaluation.figures import confusion_figure
from har.evaluation.metrics import per_class, per_subject, scores
from har.evaluation.predictions import Predictions, write_predictions
from har.files import whole_file
from har.pipeline.ledger import record_opening, required_ledger
from har.pipeline.run_folder import ONNX, RunFolder
from har.pipeline.task_run import evaluate_task_run, task_report
from har.pipeline.tasks import task_of
from har.pipeline.train import SCORE_TOLERANCE, load_windows, score_weights, with_split
from har.runtime.bundle import sha256
from har.runtime.session import open_session, run_windows
from har.training.checkpoint import load_checkpoint

EXPORT_BATCH = 64
# Over all windows the largest difference is larger than over the 256 of the export: 3.5e-5 was seen for a GRU, on 2,947 windows.
EXPORT_TOLERANCE = 1e-4
EVALUATED = ("validation", "test")


def results_folder(results: Path, dataset: str) -> Path:
    """Folder of a data set's results: ``results/uci_har``."""
    return results / dataset.replace("-", "_")


def evaluate_run(run: RunFolder, split: str, results: Path, archive: Path | str | None = None) -> Predictions:
    """Score the saved weights of a run on the validation or the test subjects and write the predictions beside them.

    Scoring an official test subject of a real data set, in whatever split, adds a row to ``test_openings.csv``, before the score is
    shown; where the ledger cannot be written, nothing is scored.

    Raises:
        HarError: the weights or the data are not those of the training, or the ledger cannot be written.
    """
    if split not in EVALUATED:
        raise HarError(f"unknown split {split!r}; expected one of {', '.join(EVALUATED)}")
    info = run.info()
    checked_weights(run)
    windows, subjects = checked_windows(run, archive)
    if not subjects.subjects(split):
        raise HarError(f"{run.path} has no validation subjects, all trained; score the others: har evaluate --split test")
    audit({name: subjects.select(windows, name) for name in ("train", split)})
    ledger = required_ledger(results_folder(results, windows.dataset), subjects.subjects(split), synthetic=windows.synthetic)
    origin = with_split(info.origin, split)
    predictions = score_weights(load_checkpoint(run.checkpoint), subjects.select(windows, split), origin)
    _check_export(run, subjects.select(windows, split), predictions)
    score = scores(predictions)
    if split == "validation" and (info.score is None or abs(score["macro_f1"] - info.score) > SCORE_TOLERANCE):
        raise HarError(
            f"{run.path} scores {score['macro_f1']:.6f} on its validation subjects, its training reported {info.score}; "
            "its config or its weights were changed; train again"
        )
    if ledger is not None:
        record_opening(ledger, origin, accuracy=score["accuracy"], macro_f1=score["macro_f1"])
    write_predictions(predictions, run.predictions_path(split))
    with whole_file(run.path / artefact(f"confusion_{split}", ".png", synthetic=windows.synthetic)) as temporary:
        confusion_figure(predictions).savefig(temporary, format="png", dpi=120)
    return predictions


def checked_weights(run: RunFolder) -> None:
    """Refuse weights that are not those of the training.

    Raises:
        HarError: the file is missing or another.
    """
    origin = run.info().origin
    checkpoint = sha256(run.checkpoint) if run.checkpoint.is_file() else "missing"
    if checkpoint != origin.checkpoint_sha256:
        raise HarError(
            f"{run.checkpoint} is not the file that was trained ({checkpoint[:12]}); train again: har train --model {origin.run}"
        )


def checked_windows(run: RunFolder, archive: Path | str | None = None) -> tuple[WindowSet, SubjectSplit]:
    """The windows and the split that a run was trained with.

    Raises:
        HarError: the data or the split are not those of the training.
    """
    info = run.info()
    windows, subjects = load_windows(run.config(), archive)
    if windows.digest != info.origin.data_digest:
        raise HarError(
            f"{run.path} was trained on other data (digest {info.origin.data_digest[:12]}, found {windows.digest[:12]}); "
            "name the same archive, or train again"
        )
    if info.split is not None and info.split != {name: list(subjects.subjects(name)) for name in SPLITS}:
        raise HarError(f"{run.path} was trained on another split than its config gives now; restore the split file, or train again")
    return windows, subjects


def _check_export(run: RunFolder, windows: WindowSet, predictions: Predictions) -> None:
    """The run's ONNX file, where it has one, must give the probabilities that are about to be reported."""
    path = run.path / ONNX
    if not path.is_file():
        return
    found = run_windows(open_session(path), np.array(windows.x, dtype=np.float32), batch_size=EXPORT_BATCH)
    expected = predictions.table[[f"p_{label}" for label in predictions.labels]].to_numpy()
    difference = float(np.abs(found - expected).max())
    if not difference <= EXPORT_TOLERANCE:  # also refuses NaN
        raise HarError(
            f"{path} differs from the saved weights by {difference:.2e} in a probability, allowed {EXPORT_TOLERANCE:.0e}; train again"
        )


@dataclass(frozen=True)
class Scored:
    """What the scoring of a run says.

    Attributes:
        text: for people; its first line is the score.
        data: for machines, plain values.
        ledger: that got a row, where official test subjects were scored.
    """

    text: str
    data: dict[str, Any]
    ledger: Path | None = None


def evaluate_any(run: RunFolder, split: str, results: Path, archive: Path | str | None = None) -> Scored:
    """Score a run, whatever its task; see `evaluate_run` and `evaluate_task_run`."""
    origin = run.info().origin
    folder = results_folder(results, origin.dataset)
    if task_of(origin.model) is None:
        predictions = evaluate_run(run, split, results, archive)
        ledger = required_ledger(folder, predictions.table.subject.tolist(), synthetic=origin.synthetic)
        return replace(scored(predictions), ledger=ledger)
    score = evaluate_task_run(run, split, folder, archive)
    ledger = required_ledger(folder, score.subjects.subject.tolist(), synthetic=origin.synthetic)
    facts = {"run": origin.run, "seed": origin.seed, "dataset": origin.dataset, "synthetic": origin.synthetic, "split": split}
    people = score.subjects.to_dict("records")
    return Scored(task_report(run, split, score), facts | score.values | {"references": score.references, "per_subject": people}, ledger)


def scored(predictions: Predictions) -> Scored:
    """Score, activities and people of predictions."""
    origin = predictions.origin
    facts = {"run": origin.run, "seed": origin.seed, "dataset": origin.dataset, "synthetic": origin.synthetic, "split": origin.split}
    tables = {"per_class": per_class(predictions).to_dict("records"), "per_subject": per_subject(predictions).to_dict("records")}
    return Scored(report(predictions), facts | scores(predictions) | {"windows": len(predictions.table)} | tables)


def report(predictions: Predictions) -> str:
    """Score, per-class and per-subject tables as text."""
    origin, score = predictions.origin, scores(predictions)
    what = "SYNTHETIC data" if origin.synthetic else origin.dataset
    head = (
        f"{origin.run}, seed {origin.seed}, {what}, {origin.split} subjects: accuracy {100 * score['accuracy']:.2f} %, "
        f"macro-F1 {100 * score['macro_f1']:.2f} %, {len(predictions.table)} windows"
    )
    return "\n".join((head, "", _percent(per_class(predictions)), "", _percent(per_subject(predictions))))


def _percent(table: pd.DataFrame) -> str:
    return table.to_string(index=False, float_format=lambda value: f"{100 * value:.1f} %")
