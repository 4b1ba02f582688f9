"""Score saved weights on a split; the only place where the official test subjects are scored."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from har.contract import SPLITS, TEST_SUBJECTS, artefact
from har.data.audit import audit
from har.data.prepare import load_dataset
from har.data.windowset import WindowSet
from har.errors import HarError
from har.evaluation.predictions import Origin, Predictions, write_predictions
from har.files import whole_file
from har.reporting import data_title
from har.runs.ledger import record_opening, required_ledger
from har.runs.run_folder import ONNX, RunFolder, check_other, opened
from har.runs.train import compare_scores, write_score
from har.tasks import Task, TaskData, TaskScore, task_of
from har.training.trainer import load_checkpoint, load_module

EVERYBODY = "all"  # the split of other people than those of the training


def results_folder(results: Path, dataset: str) -> Path:
    """Folder of a data set's results: ``results/uci_har``."""
    return results / dataset.replace("-", "_")


@dataclass(frozen=True)
class Evaluation:
    """The score of a run on one part.

    Attributes:
        task: of the run.
        score: of the saved weights.
        origin: of the scored weights; its split is the part.
        ledger: that got a row, where official test subjects were scored.
        notes: what the score does not say, for the report.
        facts: more plain values for `data`.
    """

    task: Task
    score: TaskScore
    origin: Origin
    ledger: Path | None = None
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] | None = None

    @property
    def values(self) -> dict[str, float]:
        """Scores by name."""
        return self.score.values

    @property
    def predictions(self) -> Predictions:
        """A row per window.

        Raises:
            ValueError: the task names no activities.
        """
        if self.score.predictions is None:
            raise ValueError(f"the task {self.task.name} has no predictions")
        return self.score.predictions

    @property
    def text(self) -> str:
        """The report; its first line is the score."""
        origin, score = self.origin, self.score
        what = data_title(origin)
        count = f", {score.subjects.windows.sum():,} {self.task.unit}"
        lines = [f"{origin.run}, seed {origin.seed}, {what}, {origin.split} subjects: {self.task.text(score.values)}{count}"]
        lines += [f"  reference {name}: {self.task.text(values)}" for name, values in score.references.items()]
        for table in self.task.tables(score).values():
            lines += ["", _table(table, percent=self.task.percent)]
        return "\n".join([*lines, *([""] if self.notes else []), *self.notes])

    def data(self) -> dict[str, Any]:
        """The report as plain values."""
        names = ("run", "seed", "dataset", "synthetic", "split")
        found = {name: getattr(self.origin, name) for name in names} | self.score.values
        found["windows"] = int(self.score.subjects.windows.sum())
        found |= {"references": self.score.references} if self.score.references else {}
        return found | {name: table.to_dict("records") for name, table in self.task.tables(self.score).items()} | (self.facts or {})


def evaluate(
    run: RunFolder | Path | str, part: str = "validation", results: Path | str = "results", archive: Path | str | None = None
) -> Evaluation:
    """Score the saved weights of a run on its validation or test subjects, and write the scores into its folder.

    Scoring an official test subject of a real data set, in whatever part, adds a row to ``test_openings.csv``, before the score is
    shown; where the ledger cannot be written, nothing is scored.

    Args:
        run: what `har.train` returned, or its folder ``RUNS/DATASET/RUN/seed-N``.
        part: ``validation`` or ``test``.
        results: folder of all results, with the ledgers.
        archive: a copy of the data set.

    Returns:
        ``values``: scores by name, shares from 0 to 1 where the task classifies; ``predictions``: a row per window; ``text``: the report.

    Raises:
        HarError: the weights or the data are not those of the training, the part has no subjects, or the ledger cannot be written.

    Examples:
        >>> import har
        >>> run = har.train("cnn1d", dataset="synthetic", epochs=1)
        >>> scored = har.evaluate(run)
        >>> 0 <= scored.values["accuracy"] <= 1
        True
        >>> print(scored.text.split(":")[0])
        cnn1d, seed 0, SYNTHETIC data, validation subjects
    """
    if part not in SPLITS[1:]:
        raise HarError("name-unknown", f"unknown part {part!r}; expected one of {', '.join(SPLITS[1:])}")
    run, results = opened(run), Path(results)
    config, info = run.config(), run.info()
    task, data = load_data(run, archive)
    if part not in data.parts:
        raise HarError("run-kind", f"{run.path} has no {part} subjects, all trained; score the others: har evaluate --part test")
    ledger = required_ledger(results_folder(results, data.dataset), data.split.subjects(part), synthetic=data.synthetic)
    origin = replace(info.origin, split=part)
    module = load_module(run.checkpoint, task.module)
    score = task.score(module, config, data, part, origin)
    if (run.path / ONNX).is_file():
        task.check_export(run.path / ONNX, data, part, score)
    if part == "validation":
        compare_scores(task, score, info.score, f"{run.path}: its training")
    found = Evaluation(task, score, origin, ledger)
    record(found)
    write_score(score, origin, run.path)
    for stem, figure in task.figures(module, config, data, part, score).items():
        with whole_file(run.path / artefact(f"{stem}_{part}", ".png", synthetic=data.synthetic)) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
    return found


def record(found: Evaluation) -> None:
    """Add the row of a scoring to its ledger, where it has one."""
    if found.ledger is not None:
        note = "" if found.score.predictions is not None else f"({found.task.name}: {found.task.text(found.values)})"
        record_opening(found.ledger, found.origin, accuracy=found.values.get("accuracy"), macro_f1=found.values.get("macro_f1"), note=note)


def load_data(run: RunFolder, archive: Path | str | None = None) -> tuple[Task, TaskData]:
    """The task and the data that a run was trained with, audited.

    Raises:
        HarError: weights, data or split are not those of the training.
    """
    run.check_weights()
    info = run.info()
    task = task_of(info.origin.model)
    data = task.load(run.config(), archive)
    if data.digest != info.origin.data_digest:
        raise HarError(
            "run-other",
            f"{run.path} was trained on other data (digest {info.origin.data_digest[:12]}, found {data.digest[:12]}); "
            "name the same archive, or train again",
        )
    if info.split != {name: list(data.split.subjects(name)) for name in SPLITS}:
        raise HarError(
            "run-other", f"{run.path} was trained on another split than its config gives now; restore the split file, or train again"
        )
    return task, data


def _table(table: pd.DataFrame, *, percent: bool) -> str:
    return table.to_string(index=False, float_format=lambda value: f"{100 * value:.1f} %" if percent else f"{value:.4f}")


def evaluate_on(
    run: RunFolder,
    dataset: str,
    split: str,
    results: Path,
    *,
    archive: Path | str | None = None,
    own_archive: Path | str | None = None,
    rename: Mapping[str, str] | None = None,
) -> Evaluation:
    """Score the saved weights of a run on another data set and write the predictions next to them.

    Of the people of the training, as HAPT has those of UCI HAR, only those of `split` are scored; of other people all, but for UCI HAR's
    official test subjects, whom ``test`` scores and nothing else does, with a row in the ledger of the data set. No subject and no
    signal of the training may be among them.

    Args:
        run: a classifier of windows.
        dataset: the other data set.
        split: ``validation`` or ``test``, for people that the run's split knows.
        results: where the ledgers are.
        archive: a copy of the other data set.
        own_archive: a copy of that of the training.
        rename: activities of the data set to labels of the model.

    Raises:
        HarError: the data sets are the same, share no activity or somebody who trained; or as `evaluate`.
    """
    config, info, rename = run.config(), run.info(), dict(rename or {})
    check_other(run, dataset, rename)
    task, own = load_data(run, own_archive)
    trained, subjects = own.parts["train"], own.split
    found = load_dataset(dataset, channels=config.data.channels, archive=archive, windowing=config.windowing)
    known = {*subjects.train, *subjects.validation, *subjects.test}
    shared = bool(known & set(found.subject.tolist()))
    if shared:
        if not subjects.subjects(split):
            raise HarError("run-kind", f"{run.path} has no {split} subjects; score the others: --part test")
        found = subjects.select(found, split)
    elif not found.synthetic:  # whoever trained elsewhere opens the official test subjects by --part test alone, as everybody does
        official = np.isin(found.subject, TEST_SUBJECTS)
        found = found.subset(official if split == "test" and official.any() else ~official)
    kept, left_out = _relabelled(found, trained.labels, rename)
    audit({"train": trained, dataset: kept})
    origin = replace(
        info.origin,
        run=f"{info.origin.run} trained on {info.origin.dataset}",
        dataset=dataset,
        synthetic=info.origin.synthetic or found.synthetic,
        split=split if shared or set(found.subject.tolist()) <= set(TEST_SUBJECTS) else EVERYBODY,
        data_digest=found.digest,
    )
    ledger = required_ledger(results_folder(results, dataset), kept.subject.tolist(), synthetic=found.synthetic)
    data = TaskData(dataset, found.synthetic, found.digest, subjects, {dataset: kept}, {dataset: len(kept)})
    score = task.score(load_checkpoint(run.checkpoint), config, data, dataset, origin)
    seen = {trained.labels[label] for label in np.unique(kept.y)}
    absent = [label for label in trained.labels if label not in seen]
    evaluation = Evaluation(task, score, origin, ledger, _notes(left_out, absent), {"left_out": left_out, "absent": absent})
    record(evaluation)
    write_predictions(evaluation.predictions, run.path / artefact(f"on-{dataset}_{origin.split}", ".parquet", synthetic=origin.synthetic))
    return evaluation


def _notes(left_out: dict[str, int], absent: list[str]) -> tuple[str, ...]:
    """What the score does not say: windows of activities that the model does not know, and activities that the data set has not."""
    lines = []
    if left_out:
        names = ", ".join(f"{name} ({count} windows)" for name, count in left_out.items())
        lines.append(f"left out, the model does not know them: {names}; --map NAME=LABEL counts one as another")
    if absent:
        lines.append(f"not in the data set: {', '.join(absent)}; a window that is taken for one of them is wrong")
    return tuple(lines)


def _relabelled(windows: WindowSet, labels: tuple[str, ...], rename: dict[str, str]) -> tuple[WindowSet, dict[str, int]]:
    """The windows of activities that are among `labels`, numbered by them, and how many of each other there are."""
    names = [rename.get(name, name) for name in windows.labels]
    number = np.array([labels.index(name) if name in labels else -1 for name in names])
    y = number[windows.y]
    count = np.bincount(windows.y, minlength=len(names))
    left_out = {windows.labels[i]: int(count[i]) for i in range(len(names)) if number[i] < 0 and count[i]}
    if not (y >= 0).any():
        raise HarError(
            "argument",
            f"{windows.dataset} has no activity that the model knows: it has {', '.join(windows.labels)}, the model {', '.join(labels)}; "
            "say which is which: --map NAME=LABEL",
        )
    return replace(windows.subset(y >= 0), y=y[y >= 0], labels=labels), left_out
