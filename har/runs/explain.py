"""Why a run answers as it does: single windows as figures, and all its mistakes as one HTML file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from har import __version__
from har.contract import RAW6, artefact
from har.data.windowset import WindowSet
from har.errors import HarError
from har.evaluation.attribution import METHODS, attention_of, attribute, baseline_of, nearest_windows
from har.evaluation.explanation import Explanation, Neighbour, explanation_figure, write_error_report
from har.evaluation.figures import save_figure
from har.evaluation.predictions import Predictions
from har.runs.evaluate import load_data
from har.runs.run_folder import RunFolder, scored_predictions
from har.training.trainer import load_checkpoint

MOST = 60  # mistakes in a report; each is a picture of some 150 kB


def explain_errors(
    run: RunFolder,
    split: str,
    *,
    archive: Path | str | None = None,
    method: str = METHODS[0],
    most: int = MOST,
    command: str = "har explain",
) -> Path:
    """Write the mistakes of a run on a split, the surest first, as ``errors_SPLIT.html`` beside it.

    Args:
        run: a classifier of windows that was evaluated on `split`.
        split: ``validation`` or ``test``.
        archive: a copy of the data set.
        method: of the attribution, one of `har.evaluation.attribution.METHODS`.
        most: mistakes that are shown.
        command: that was typed, named in the report.

    Raises:
        HarError: the run is no classifier or was not evaluated on the split; weights or data are not those of the training.
    """
    predictions, windows, train = _opened(run, split, archive)
    table = predictions.table
    wrong = np.flatnonzero((table.y_true != table.y_pred).to_numpy())
    sure = table[[f"p_{label}" for label in predictions.labels]].max(axis=1).to_numpy()
    shown = wrong[np.argsort(-sure[wrong], kind="stable")][:most]
    left_out = f"{len(wrong) - len(shown)} mistakes in which it was least sure (--most)" if len(shown) < len(wrong) else "nothing"
    items = _explain(run, predictions, windows, train, shown, method)
    path = run.path / artefact(f"errors_{split}", ".html", synthetic=predictions.origin.synthetic)
    write_error_report(predictions, items, path, left_out=left_out, method=method, command=command, version=f"wearable-har {__version__}")
    return path


def explain_windows(
    run: RunFolder, split: str, numbers: Sequence[int], *, archive: Path | str | None = None, method: str = METHODS[0]
) -> list[Path]:
    """Write one figure a window, ``explanation_SPLIT_NUMBER.png`` and ``.svg`` beside the run; the arguments are those of `explain_errors`.

    Raises:
        HarError: as `explain_errors`, or there is no such window.
    """
    predictions, windows, train = _opened(run, split, archive, numbers)
    synthetic = predictions.origin.synthetic
    written = []
    for item in _explain(run, predictions, windows, train, np.array(numbers), method):
        stem = artefact(f"explanation_{split}_{item.number}", "", synthetic=synthetic)
        written += save_figure(explanation_figure(item, synthetic=synthetic), run.path, stem)
    return written


def _opened(
    run: RunFolder, split: str, archive: Path | str | None, numbers: Sequence[int] = ()
) -> tuple[Predictions, WindowSet, WindowSet]:
    """The predictions on a split, its windows, and those of the training."""
    origin = run.info().origin
    predictions = scored_predictions(run, split, numbers)
    run.check_weights()
    if predictions.origin.checkpoint_sha256 != origin.checkpoint_sha256:
        raise HarError("run-other", f"{run.predictions_path(split)} is of other weights; score them again: har evaluate --part {split}")
    _, data = load_data(run, archive)
    chosen: WindowSet = data.parts[split]
    if len(chosen) != len(predictions.table) or (chosen.start != predictions.table.start.to_numpy()).any():
        raise HarError("run-other", f"{run.predictions_path(split)} is of other windows; score them again: har evaluate --part {split}")
    return predictions, chosen, data.parts["train"]


def _explain(
    run: RunFolder, predictions: Predictions, windows: WindowSet, train: WindowSet, numbers: np.ndarray, method: str
) -> list[Explanation]:
    if not len(numbers):
        return []
    classifier = load_checkpoint(run.checkpoint)
    x, table, labels = windows.x[numbers], predictions.table.iloc[numbers], predictions.labels
    answers = np.array([labels.index(name) for name in table.y_pred])
    attribution = attribute(classifier, x, answers, baseline_of(train), method)
    attention = attention_of(classifier, x)
    nearest = nearest_windows(classifier, train, x)
    raw = [windows.channels.index(name) for name in RAW6]
    items = []
    for place, (number, row) in enumerate(zip(numbers, table.to_dict("records"), strict=True)):
        near = [
            Neighbour(train.labels[train.y[i]], int(train.subject[i]), float(distance), train.x[i][:, raw[:3]])
            for i, distance in zip(nearest.index[place], nearest.distance[place], strict=True)
        ]
        items.append(
            Explanation(
                number=int(number),
                subject=int(row["subject"]),
                recording=str(row["recording"]),
                start=int(row["start"]),
                true=row["y_true"],
                answer=row["y_pred"],
                probabilities={label: float(row[f"p_{label}"]) for label in labels},
                raw6=x[place][:, raw],
                attribution=_of_sensors(attribution[place], windows.channels),
                attention=None if attention is None else attention[place],
                neighbours=tuple(near),
            )
        )
    return items


def _of_sensors(attribution: np.ndarray, channels: tuple[str, ...]) -> np.ndarray:
    """(time, channel) -> (time, 6): body acceleration is computed from total acceleration, so what speaks there speaks here."""
    found = np.zeros((len(attribution), len(RAW6)), dtype=np.float32)
    for index, channel in enumerate(channels):
        found[:, RAW6.index(channel.replace("body_acc", "total_acc"))] += attribution[:, index]
    return found
