"""Which fold is the test part and who validates inside the others: the splits that a config can ask for."""

import warnings
from typing import NamedTuple

import numpy as np

from har.config import DataConfig, SplitConfig
from har.contract import TEST_SUBJECTS, TRAIN_SUBJECTS, HarError
from har.data.split_file import check_fit, read_splits
from har.data.splits import SubjectSplit, official_split
from har.data.windowset import WindowSet

FIXED_FOLDS = 5  # of `fold5`, the project's own: (subject - 1) mod 5
VALIDATE = 4  # subjects of a fold, where nothing else is asked for
DRAWS = 200  # of validation subjects, of which the one whose activities are nearest to all is kept


def make_splits(config: DataConfig, windows: WindowSet) -> list[SubjectSplit]:
    """All folds of the split that `config` asks for; one for the official split.

    The folds are those of the subjects in `windows`, so those of ``kfold`` may change with the labels: save them with
    `har.data.split_file.write_splits` to keep them.

    Raises:
        HarError: there are too few subjects, or a split file is damaged or does not fit the data.
    """
    split = config.split
    if split.kind == "official":
        if not has_official(windows):
            raise HarError(
                f"the official split is that of UCI HAR's people, {windows.dataset} has others; name another: --split kfold or loso"
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
        raise HarError(f"data.split.fold is {config.split.fold}; the {config.split.kind} split has folds 0 to {len(splits) - 1}")
    return splits[config.split.fold]


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
            raise HarError(f"{found}; at least 3 are needed, to train, to validate and to test: record more subjects{_more(split, pool)}")
        advice = f"--split kfold --folds {min(len(subjects), 3)}, or --split loso"
        raise HarError(f"{found}; expected at least {count} subjects; ask for fewer folds: {advice}{_more(split, pool)}")
    if split.kind == "loso":
        return [(subject,) for subject in subjects]
    if split.kind == "fold5":
        folds = [tuple(s for s in subjects if (s - 1) % FIXED_FOLDS == number) for number in range(FIXED_FOLDS)]
    else:
        folds = _stratified_folds(pool, split.folds, split.seed)
    if not all(folds):
        raise HarError(f"fold {folds.index(())} of {pool.dataset} has no subject; use data.split.kind: kfold with fewer folds")
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
            raise HarError(f"{pool.dataset} cannot be split into {folds} folds ({error}); ask for fewer folds") from None
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
            f"data.split.validation asks for {wanted} subjects, but fold {fold} of {pool.dataset} leaves {len(candidates)} to "
            f"train and validate{rest}; lower it: --validation {max(1, min(len(may_validate), len(candidates) // 4))}"
        )
    count = np.array([np.bincount(pool.y[pool.subject == s], minlength=pool.labels) for s in candidates])  # (subject, label)
    whole = count.sum(axis=0) / count.sum()
    rng = np.random.default_rng((split.seed, fold))
    draws = [rng.permutation(len(may_validate))[:wanted] for _ in range(DRAWS)]
    row = {s: count[index] for index, s in enumerate(candidates)}

    def distance(draw: np.ndarray) -> float:
        part = np.sum([row[may_validate[index]] for index in draw], axis=0)
        return float(np.abs(part / part.sum() - whole).sum())

    validation = tuple(sorted(may_validate[index] for index in min(draws, key=distance)))
    return SubjectSplit(tuple(s for s in candidates if s not in validation), validation, test)
