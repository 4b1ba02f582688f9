"""Splits by subject."""

from dataclasses import dataclass

import numpy as np

from har.contract import SPLITS, TEST_SUBJECTS, TRAIN_SUBJECTS, HarError
from har.data.windowset import WindowSet


@dataclass(frozen=True)
class SubjectSplit:
    """Which subjects train, which choose, which are reported."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    def subjects(self, split: str) -> tuple[int, ...]:
        """Subjects of `split` (train, validation or test)."""
        if split not in SPLITS:
            raise HarError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
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
            raise HarError(f"{windows.dataset} has no window of the {split} subjects {', '.join(map(str, self.subjects(split)))}")
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
        raise HarError(f"validation_subjects has subject {wrong[0]}; {what}choose among the training subjects {known}")
    train = tuple(s for s in TRAIN_SUBJECTS if s not in validation)
    if not train:
        raise HarError("validation_subjects names every training subject; leave some to train on")
    return SubjectSplit(train, validation, TEST_SUBJECTS)
