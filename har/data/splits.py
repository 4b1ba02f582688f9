"""Splits by subject: the official one, folds, and splits saved as JSON.

A split file holds one or more folds of subject numbers, so that a comparison can be repeated on the same subjects::

    {"schema_version": 1, "kind": "kfold", "dataset": "uci-har",
     "folds": [{"train": [1, 3], "validation": [5], "test": [6, 7]}]}
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from har.config import DataConfig, SplitConfig, checked
from har.contract import SPLITS, TEST_SUBJECTS, TRAIN_SUBJECTS
from har.data.audit import audit
from har.data.windowset import WindowSet
from har.errors import HarError
from har.files import read_small, write_whole


@dataclass(frozen=True)
class SubjectSplit:
    """Which subjects train, which choose, which are reported."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    def subjects(self, split: str) -> tuple[int, ...]:
        """Subjects of `split` (train, validation or test)."""
        if split not in SPLITS:
            raise HarError("name-unknown", f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
        return getattr(self, split)

    def parts(self, windows: WindowSet) -> dict[str, WindowSet]:
        """The windows of every part that has subjects; all but the validation part must have some.

        Raises:
            HarError: the data set has no window of a part's subjects.
        """
        return {name: self.select(windows, name) for name in SPLITS if name != "validation" or self.validation}

    def select(self, windows: WindowSet, split: str) -> WindowSet:
        """The windows of the subjects of `split`.

        Raises:
            HarError: the data set has no window of these subjects.
        """
        chosen = windows.subset(np.isin(windows.subject, self.subjects(split)))
        if not len(chosen):
            raise HarError(
                "split-impossible", f"{windows.dataset} has no window of the {split} subjects {', '.join(map(str, self.subjects(split)))}"
            )
        return chosen


def official_split(validation_subjects: tuple[int, ...] | list[int]) -> SubjectSplit:
    """The split published with UCI HAR, with some of its training subjects, or none, set aside for validation.

    Raises:
        HarError: a validation subject is not one of the 21 training subjects, or none is left to train on.
    """
    validation = tuple(sorted(set(validation_subjects)))
    wrong = [s for s in validation if s not in TRAIN_SUBJECTS]
    if wrong:
        what = "a test subject must never validate; " if set(wrong) & set(TEST_SUBJECTS) else ""
        known = ", ".join(map(str, TRAIN_SUBJECTS))
        raise HarError("split-subjects", f"validation_subjects has subject {wrong[0]}; {what}choose among the training subjects {known}")
    train = tuple(s for s in TRAIN_SUBJECTS if s not in validation)
    if not train:
        raise HarError("split-impossible", "validation_subjects names every training subject; leave some to train on")
    return SubjectSplit(train, validation, TEST_SUBJECTS)


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
        content = json.loads(read_small(Path(path), "a split of har data splits"))
        found = _File.model_validate(content)
    except OSError as error:
        raise HarError(
            "split-file", f"cannot read the split {path} ({error.strerror}); expected a JSON file with folds of subjects"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise HarError("split-file", f"{path} is not a split: {place}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
    except (ValueError, RecursionError) as error:
        raise HarError("split-file", f"{path} is not valid JSON ({error}); expected a split file") from None
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
            raise HarError("leak", f"{where}: {name} names a subject twice; expected every subject once")
    for a, b in combinations(SPLITS, 2):
        shared = set(split.subjects(a)) & set(split.subjects(b))
        if shared:
            raise HarError("leak", f"{where}: subject {min(shared)} is in {a} and in {b}; a subject belongs to one part")
    opened = set(split.validation) & set(TEST_SUBJECTS)
    if opened:
        raise HarError("test-subjects", f"{where}: the official test subject {min(opened)} must never validate; move it to test or train")


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
            raise HarError(
                "split-subjects", f"{where}: {name} names subject {min(strangers)}, whom {windows.dataset} does not have; it has {listed}"
            )


KINDS: tuple[str, ...] = get_args(SplitConfig.model_fields["kind"].annotation)
FIXED_FOLDS = 5  # of `fold5`, the project's own: (subject - 1) mod 5
# Of the shipped configs: the training subjects of the last of the fixed folds.
VALIDATION_SUBJECTS = tuple(s for s in TRAIN_SUBJECTS if (s - 1) % FIXED_FOLDS == FIXED_FOLDS - 1)
VALIDATE = 4  # subjects of a fold, where nothing else is asked for
DRAWS = 200  # of validation subjects, of which the one whose activities are nearest to all is kept


def make_splits(config: DataConfig, windows: WindowSet) -> list[SubjectSplit]:
    """All folds of the split that `config` asks for; one for the official split.

    The folds are those of the subjects in `windows`, so those of ``kfold`` may change with the labels: save them with
    `har.data.splits.write_splits` to keep them.

    Raises:
        HarError: there are too few subjects, or a split file is damaged or does not fit the data.
    """
    split = config.split
    if split.kind == "official":
        if not has_official(windows):
            raise HarError(
                "split-subjects",
                f"the official split is that of UCI HAR's people, {windows.dataset} has others; name another: --split kfold or loso",
            )
        return [official_split(config.validation_subjects or ())]
    if split.kind == "file":
        splits = read_splits(split.path or "")
        for number, found in enumerate(splits):
            check_fit(found, windows, f"{split.path}, fold {number}")
        return splits
    pool = _pool(split, windows)
    return [_with_validation(test, pool, split, number) for number, test in enumerate(_test_folds(split, pool))]


def make_split(config: DataConfig, windows: WindowSet) -> SubjectSplit:
    """The fold that `config` asks for.

    Raises:
        HarError: as `make_splits`, or there is no such fold.
    """
    splits = make_splits(config, windows)
    if config.split.fold >= len(splits):
        raise HarError(
            "split-subjects", f"data.split.fold is {config.split.fold}; the {config.split.kind} split has folds 0 to {len(splits) - 1}"
        )
    return splits[config.split.fold]


def split(
    windows: WindowSet,
    kind: str = "official",
    *,
    fold: int = 0,
    folds: int = 5,
    subjects: str | None = None,
    validation: int | None = None,
    validation_subjects: Sequence[int] | None = None,
    seed: int = 0,
    path: Path | str | None = None,
) -> dict[str, WindowSet]:
    """Split windows by subject into training, validation and test windows, and prove that nothing leaks between them.

    Scores on the official test subjects of UCI HAR and HAPT belong into the ledger that `har.evaluate` keeps.

    Args:
        windows: a whole data set.
        kind: ``official`` (as published with UCI HAR), ``fold5`` (the project's five fixed folds), ``kfold``, ``loso`` (leave one subject
            out) or ``file``.
        fold: which fold is the test part, from 0; with ``loso`` the place of the subject among the sorted subjects.
        folds: how many folds, with ``kfold``.
        subjects: ``training`` or ``all``, of UCI HAR's subjects; by default the 21 training subjects, and all 30 with ``fold5``.
        validation: how many subjects of a fold's training part validate; by default 4, or a quarter where that is less.
        validation_subjects: numbers of the validation subjects, with ``official``.
        seed: of the folds of ``kfold``, and of the choice of validation subjects.
        path: JSON file of ``har data splits``, with ``file``.

    Returns:
        Windows by part: ``train``, ``validation`` (not with ``validation=0``) and ``test``. No subject, sample or stretch of signal is in
        two of them.

    Raises:
        HarError: an option does not belong to the kind, there are too few subjects, a split file is damaged, or two parts share a signal.

    Examples:
        >>> import har
        >>> parts = har.split(har.load_dataset("synthetic"), "loso", fold=3, subjects="all")
        >>> {name: sorted(set(part.subject.tolist())) for name, part in parts.items() if name != "train"}
        {'validation': [15, 16, 17, 28], 'test': [4]}
    """
    chosen = {"kind": kind, "fold": fold, "folds": folds, "subjects": subjects, "validation": validation, "seed": seed}
    official = VALIDATION_SUBJECTS if kind == "official" and validation_subjects is None else validation_subjects
    content = {"dataset": windows.dataset, "validation_subjects": official, "split": chosen | {"path": path and str(path)}}
    parts = make_split(checked(DataConfig, content, "split"), windows).parts(windows)
    audit(parts)
    return parts


def check_split(config: DataConfig) -> None:
    """Find the mistakes in a split that can be found before the data are read.

    Raises:
        HarError: a validation subject is wrong, or a split file is damaged.
    """
    if config.split.kind == "official":
        official_split(config.validation_subjects or ())
    elif config.split.kind == "file":
        read_splits(config.split.path or "")


def fold_count(split: SplitConfig) -> int | None:
    """How many folds a split has; None where the subjects of the data decide.

    Raises:
        HarError: a split file is damaged.
    """
    if split.kind == "file":
        return len(read_splits(split.path or ""))
    return {"official": 1, "fold5": FIXED_FOLDS, "kfold": split.folds}.get(split.kind)


class _Pool(NamedTuple):
    """Labels and subjects of the windows that are split, and where they come from."""

    y: np.ndarray  # (window,)
    subject: np.ndarray  # (window,)
    labels: int
    dataset: str

    @property
    def subjects(self) -> list[int]:
        return np.unique(self.subject).tolist()


def has_official(windows: WindowSet) -> bool:
    """Whether people of UCI HAR are among these."""
    return bool(np.isin(windows.subject, TRAIN_SUBJECTS + TEST_SUBJECTS).any())


def _pool(split: SplitConfig, windows: WindowSet) -> _Pool:
    whose = split.subjects or ("all" if split.kind == "fold5" or not has_official(windows) else "training")
    keep = np.isin(windows.subject, TRAIN_SUBJECTS) if whose == "training" else np.ones(len(windows), dtype=bool)
    return _Pool(windows.y[keep], windows.subject[keep], len(windows.labels), windows.dataset)


def _test_folds(split: SplitConfig, pool: _Pool) -> list[tuple[int, ...]]:
    subjects = pool.subjects
    count = fold_count(split) or len(subjects)
    if len(subjects) < max(count, 3):
        found = f"{pool.dataset} has {len(subjects)} subjects to split into {count} folds"
        if len(subjects) < 3:
            raise HarError(
                "split-impossible",
                f"{found}; at least 3 are needed, to train, to validate and to test: record more subjects{_more(split, pool)}",
            )
        advice = f"--split kfold --folds {min(len(subjects), 3)}, or --split loso"
        raise HarError(
            "split-impossible", f"{found}; expected at least {count} subjects; ask for fewer folds: {advice}{_more(split, pool)}"
        )
    if split.kind == "loso":
        return [(subject,) for subject in subjects]
    if split.kind == "fold5":
        folds = [tuple(s for s in subjects if (s - 1) % FIXED_FOLDS == number) for number in range(FIXED_FOLDS)]
    else:
        folds = _stratified_folds(pool, split.folds, split.seed)
    if not all(folds):
        raise HarError(
            "split-impossible", f"fold {folds.index(())} of {pool.dataset} has no subject; use data.split.kind: kfold with fewer folds"
        )
    return folds


def _more(split: SplitConfig, pool: _Pool) -> str:
    """Advice to take all subjects, where that adds some."""
    return ", or --subjects all" if split.subjects != "all" and set(pool.subjects) <= set(TRAIN_SUBJECTS) else ""


def _stratified_folds(pool: _Pool, folds: int, seed: int) -> list[tuple[int, ...]]:
    """Folds of subjects whose shares of the activities are as equal as whole subjects allow."""
    from sklearn.model_selection import StratifiedGroupKFold

    maker = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an activity with fewer windows than folds cannot be in all of them
        try:
            parts = [test for _, test in maker.split(np.zeros(len(pool.y)), pool.y, pool.subject)]
        except ValueError as error:
            raise HarError(
                "split-impossible", f"{pool.dataset} cannot be split into {folds} folds ({error}); ask for fewer folds"
            ) from None
    return [tuple(np.unique(pool.subject[part]).tolist()) for part in parts]


def _with_validation(test: tuple[int, ...], pool: _Pool, split: SplitConfig, fold: int) -> SubjectSplit:
    """Set subjects aside, if any shall, whose activities are shared out as those of all who are not in `test`.

    Official test subjects are never among them, because what validates decides the epoch.
    """
    candidates = tuple(s for s in pool.subjects if s not in test)
    wanted = min(VALIDATE, -(-len(candidates) // 4)) if split.validation is None else split.validation
    if not wanted:
        return SubjectSplit(candidates, (), test)
    may_validate = [s for s in candidates if s not in TEST_SUBJECTS]
    if len(may_validate) < wanted or len(candidates) <= wanted:
        rest = f" ({len(may_validate)} of them no official test subject)" if len(may_validate) < len(candidates) else ""
        raise HarError(
            "split-impossible",
            f"data.split.validation asks for {wanted} subjects, but fold {fold} of {pool.dataset} leaves {len(candidates)} to "
            f"train and validate{rest}; lower it: --validation {max(1, min(len(may_validate), len(candidates) // 4))}",
        )
    count = np.array([np.bincount(pool.y[pool.subject == s], minlength=pool.labels) for s in candidates])  # (subject, label)
    whole = count.sum(axis=0) / count.sum()
    rng, places = np.random.default_rng((split.seed, fold)), np.flatnonzero(np.isin(candidates, may_validate))
    draws = [places[rng.permutation(len(places))[:wanted]] for _ in range(DRAWS)]
    parts = count[draws].sum(axis=1)  # (draw, label)
    nearest = np.abs(parts / parts.sum(axis=1, keepdims=True) - whole).sum(axis=1).argmin()
    validation = tuple(candidates[index] for index in sorted(draws[nearest]))
    return SubjectSplit(tuple(s for s in candidates if s not in validation), validation, test)
