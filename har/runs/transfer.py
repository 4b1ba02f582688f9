"""A trained model on another data set: the same windows, the activities that both have, and people it has never seen."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from har.contract import TEST_SUBJECTS, artefact
from har.data.audit import audit
from har.data.prepare import load_dataset
from har.data.windowset import WindowSet
from har.errors import HarError, nearest
from har.evaluation.predictions import write_predictions
from har.runs.evaluate import Evaluation, load_data, record, results_folder
from har.runs.ledger import required_ledger
from har.runs.run_folder import RunFolder
from har.tasks import TaskData, task_of
from har.tasks.classify import Classify
from har.training.trainer import load_checkpoint

EVERYBODY = "all"  # the split of other people than those of the training


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
    """Score the saved weights of a run on another data set and write the predictions beside them.

    Of the people of the training, as HAPT has those of UCI HAR, only those of `split` are scored; of other people all, but for UCI HAR's
    official test subjects, whom ``test`` scores and nothing else does, with a row in the ledger of the data set. Nobody and no stretch of
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
    config, info = run.config(), run.info()
    if not isinstance(task_of(info.origin.model), Classify):
        raise HarError("run-kind", f"{info.origin.run} is no classifier of windows; only those can be tried on another data set")
    if dataset == info.origin.dataset:
        raise HarError("argument", f"{info.origin.run} was trained on {dataset}; name another data set with --on, or leave it out")
    run.check_weights()
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
    kept, left_out = _relabelled(found, trained.labels, dict(rename or {}))
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
    for name, label in rename.items():
        if name not in windows.labels:
            raise HarError("argument", f"--map names {name!r}, which {windows.dataset} has not; {nearest(name, list(windows.labels))}")
        if label not in labels:
            raise HarError("argument", f"--map takes {name} for {label!r}, which the model does not know; {nearest(label, list(labels))}")
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
