"""Splits as JSON, so that a comparison can be repeated on the same subjects.

The file holds one or more folds of subject numbers::

    {"schema_version": 1, "kind": "kfold", "dataset": "uci-har",
     "folds": [{"train": [1, 3], "validation": [5], "test": [6, 7]}]}
"""

import json
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from har.contract import SPLITS, TEST_SUBJECTS, HarError
from har.data.splits import SubjectSplit
from har.data.windowset import WindowSet
from har.files import write_whole

SCHEMA_VERSION = 1


class _Fold(BaseModel):
    model_config = ConfigDict(extra="forbid")
    train: tuple[StrictInt, ...] = Field(min_length=1)
    validation: tuple[StrictInt, ...]
    test: tuple[StrictInt, ...] = Field(min_length=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    schema_version: Literal[1]
    kind: str
    dataset: str
    folds: list[_Fold] = Field(min_length=1)


def split_document(splits: list[SubjectSplit], kind: str, dataset: str) -> dict[str, Any]:
    """The content of a split file."""
    folds = [{name: list(split.subjects(name)) for name in SPLITS} for split in splits]
    return {"schema_version": SCHEMA_VERSION, "kind": kind, "dataset": dataset, "folds": folds}


def write_splits(path: Path | str, splits: list[SubjectSplit], kind: str, dataset: str) -> None:
    """Write a split file, whole or not at all.

    Raises:
        HarError: the file cannot be written.
    """
    path = Path(path)
    write_whole(path, json.dumps(split_document(splits, kind, dataset)) + "\n")


def read_splits(path: Path | str) -> list[SubjectSplit]:
    """Read a split file.

    Raises:
        HarError: the file is missing or not of this schema, a subject stands in two parts of a fold, or an official test
            subject validates.
    """
    try:
        if not Path(path).is_file() and Path(path).exists():
            raise HarError(f"the split {path} is not a file; expected a JSON file with folds of subjects")
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        found = _File.model_validate(content)
    except OSError as error:
        raise HarError(f"cannot read the split {path} ({error.strerror}); expected a JSON file with folds of subjects") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise HarError(f"{path} is not a split: {place}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
    except (ValueError, RecursionError) as error:
        raise HarError(f"{path} is not valid JSON ({error}); expected a split file") from None
    splits = []
    for number, fold in enumerate(found.folds):
        split = SubjectSplit(*(tuple(sorted(getattr(fold, name))) for name in SPLITS))
        _check_fold(split, f"{path}, fold {number}")
        splits.append(split)
    return splits


def _check_fold(split: SubjectSplit, where: str) -> None:
    for name in SPLITS:
        subjects = split.subjects(name)
        if len(set(subjects)) < len(subjects):
            raise HarError(f"{where}: {name} names a subject twice; expected every subject once")
    for a, b in combinations(SPLITS, 2):
        shared = set(split.subjects(a)) & set(split.subjects(b))
        if shared:
            raise HarError(f"{where}: subject {min(shared)} is in {a} and in {b}; a subject belongs to one part")
    opened = set(split.validation) & set(TEST_SUBJECTS)
    if opened:
        raise HarError(f"{where}: the official test subject {min(opened)} must never validate; move it to test or train")


def check_fit(split: SubjectSplit, windows: WindowSet, where: str) -> None:
    """Refuse a split that names people the data set does not have.

    Raises:
        HarError: with the first such subject.
    """
    known = set(np.unique(windows.subject).tolist())
    for name in SPLITS:
        strangers = set(split.subjects(name)) - known
        if strangers:
            listed = ", ".join(map(str, sorted(known)))
            raise HarError(f"{where}: {name} names subject {min(strangers)}, whom {windows.dataset} does not have; it has {listed}")
