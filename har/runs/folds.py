"""The folds that a command line asks for, one run each, and splits written for others with a summary a person can read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from har.config import DataConfig, RunConfig, parse_config
from har.contract import SPLITS
from har.data.audit import audit
from har.data.prepare import prepared
from har.data.splits import VALIDATION_SUBJECTS, SubjectSplit, fold_count, make_splits, write_splits
from har.data.windowset import WindowSet
from har.errors import HarError


@dataclass(frozen=True)
class SplitChoice:
    """What the command line says about the split; None where it says nothing.

    Attributes:
        kind: as in ``config.SplitConfig``; else the config's own.
        numbers: of the folds, one run each; else all of them.
        folds: how many, with ``kfold``.
        subjects: whose folds.
        validation: how many subjects of each fold validate.
        seed: of the folds.
        path: the split file, with ``file``.
    """

    kind: str | None = None
    numbers: list[int] | None = None
    folds: int | None = None
    subjects: str | None = None
    validation: int | None = None
    seed: int | None = None
    path: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options of a split that are given, but for its kind and the numbers of folds."""
        found = {name: getattr(self, name) for name in ("folds", "subjects", "validation", "seed", "path")}
        return {name: value for name, value in found.items() if value is not None}


def fold_configs(config: RunConfig, choice: SplitChoice, archive: Path | str | None = None) -> list[RunConfig]:
    """The config once for every fold that is asked for; as it is where nothing is asked for.

    Args:
        config: of the run.
        choice: from the command line; the official split has one fold and keeps the config's validation subjects.
        archive: a copy of the data set, whose subjects decide how many folds there are.

    Raises:
        HarError: an option does not belong to the kind of split, or there is no such fold.
    """
    first = first_fold(config, choice)
    if first is None:
        return [config]
    count, kind = len(make_splits(first.data, prepared(first, archive))), first.data.split.kind
    numbers = list(range(count)) if choice.numbers is None else list(dict.fromkeys(choice.numbers))
    for number in numbers:
        if not 0 <= number < count:
            raise HarError(
                "split-subjects", f"fold {number} is asked for; the {kind} split of {first.data.dataset} has folds 0 to {count - 1}: --fold"
            )
    return [config.with_split(**(first.data.split.model_dump() | {"fold": number})) for number in numbers]


def first_fold(config: RunConfig, choice: SplitChoice) -> RunConfig | None:
    """The config with fold 0 of the split that is asked for; None where that is the config as it is.

    Raises:
        HarError: an option does not belong to the kind of split, a split file is damaged, or a fold cannot exist.
    """
    if choice == SplitChoice():
        return None
    own = config.data.split
    kind = choice.kind or own.kind
    if kind == "official":
        if choice.numbers is not None or choice.options:
            raise HarError(
                "split-subjects", "the official split has one fold and no options; name another: --split fold5, kfold, loso or file"
            )
        if own.kind != "official":
            raise HarError(
                "split-subjects",
                f"the config's split is {own.kind!r} and names no validation subjects for the official one; add them to a config",
            )
        return None
    base = own.model_dump() if kind == own.kind else {"kind": kind}
    first = config.with_split(**(base | choice.options | {"fold": 0}))
    count = fold_count(first.data.split)
    for number in choice.numbers or []:
        if number < 0 or (count is not None and number >= count):
            known = f"has folds 0 to {count - 1}" if count is not None else "has folds from 0 on"
            raise HarError("split-subjects", f"fold {number} is asked for; the {kind} split of {first.data.dataset} {known}: --fold")
    return first


def describe_splits(
    dataset: str, choice: SplitChoice, validation_subjects: list[int] | None, archive: Path | str | None, output: Path | None
) -> str:
    """Make all folds of a split, audit each, write them as JSON where `output` names a file.

    Returns:
        For each part of each fold: its subjects, its windows and the shares of the activities.

    Raises:
        HarError: an option does not belong to the kind of split, the data are absent, a fold leaks, or the file cannot be written.
    """
    kind = choice.kind or "official"
    official = validation_subjects or (VALIDATION_SUBJECTS if kind == "official" else None)
    content = {"dataset": dataset, "validation_subjects": official, "split": {"kind": kind} | choice.options}
    # The model decides nothing here, but only a whole config is checked.
    config = parse_config({"data": content, "model": {"name": "cnn1d"}}, "command line")
    windows = prepared(config, archive)
    splits = make_splits(config.data, windows)
    lines = [_title(config.data, windows, len(splits))]
    for number, split in enumerate(splits):
        parts = {name: split.select(windows, name) for name in SPLITS}
        audit(parts)
        lines += [f"fold {number}: no leak found", *(_part_line(name, split, parts[name]) for name in SPLITS)]
    if output is not None:
        write_splits(output, splits, kind, dataset)
    return "\n".join(lines)


def _title(data: DataConfig, windows: WindowSet, count: int) -> str:
    what = f"{windows.dataset} (SYNTHETIC data)" if windows.synthetic else windows.dataset
    people = len(np.unique(windows.subject))
    return f"{what}, split {data.split.kind}: {count} fold{'s' * (count > 1)}, {len(windows):,} windows of {people} subjects"


def _part_line(name: str, split: SubjectSplit, part: WindowSet) -> str:
    share = np.bincount(part.y, minlength=len(part.labels)) / len(part)
    activities = ", ".join(f"{label} {100 * value:.1f} %" for label, value in zip(part.labels, share, strict=True))
    subjects = split.subjects(name)
    return f"  {name:10} {len(part):6,} windows of {len(subjects)} subjects: {', '.join(map(str, subjects))}\n{'':13}{activities}"
