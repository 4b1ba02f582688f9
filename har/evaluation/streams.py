"""Scores of a stream of windows in true time order: errors with and without smoothing, and how late a change is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Stream:
    """The windows of one continuous recording in time order.

    Attributes:
        recording: its name.
        subject: number of the person.
        start: (window,) first sample.
        y: (window,) index into the labels, activities first, then transitions; negative where unlabelled.
        p: (window, num_classes) probabilities of the activities.
    """

    recording: str
    subject: int
    start: np.ndarray
    y: np.ndarray
    p: np.ndarray

    @property
    def num_classes(self) -> int:
        """Activities that a window can be taken for."""
        return self.p.shape[1]

    @property
    def scored(self) -> np.ndarray:
        """(window,) whether the window is of an activity; transitions between postures and unlabelled ones are not scored."""
        return (self.y >= 0) & (self.y < self.num_classes)


def stream_errors(streams: Sequence[Stream], answers: Sequence[np.ndarray]) -> pd.DataFrame:
    """A row per subject: windows of the activities, wrong ones before (highest probability) and after smoothing.

    Args:
        streams: the recordings.
        answers: (window,) index of the activity that the smoother names, for each stream.
    """
    rows = []
    for stream, answer in zip(streams, answers, strict=True):
        own = stream.scored
        raw = stream.p.argmax(axis=1)
        wrong = {"wrong": (raw != stream.y)[own].sum(), "wrong_smoothed": (answer != stream.y)[own].sum()}
        rows.append({"subject": stream.subject, "windows": own.sum(), **wrong})
    return pd.DataFrame(rows).groupby("subject", as_index=False).sum()


def change_delays(stream: Stream, answer: np.ndarray) -> list[int | None]:
    """Windows from each change of activity to the first right answer; None where the activity is over before one comes.

    A change is the first window of an activity behind another activity, whatever transition lies between.
    """
    index = np.flatnonzero(stream.scored)
    first = [here for before, here in pairwise(index) if stream.y[before] != stream.y[here]]
    found: list[int | None] = []
    for here in first:
        rest = index[index >= here]
        other = rest[stream.y[rest] != stream.y[here]]
        own = rest[rest < other[0]] if len(other) else rest
        right = own[answer[own] == stream.y[here]]
        found.append(int(right[0] - here) if len(right) else None)
    return found


def transition_answers(streams: Sequence[Stream], answers: Sequence[np.ndarray]) -> pd.DataFrame:
    """What is said in windows of postural transitions: the activity before, the one after, or another.

    Returns:
        One row: ``windows`` and the shares ``before``, ``after``, ``other``; a window between twice the same counts as before.
    """
    counts = {"windows": 0, "before": 0, "after": 0, "other": 0}
    for stream, answer in zip(streams, answers, strict=True):
        scored = np.flatnonzero(stream.scored)
        for here in np.flatnonzero(stream.y >= stream.num_classes):
            earlier, later = scored[scored < here], scored[scored > here]
            counts["windows"] += 1
            if len(earlier) and answer[here] == stream.y[earlier[-1]]:
                counts["before"] += 1
            elif len(later) and answer[here] == stream.y[later[0]]:
                counts["after"] += 1
            else:
                counts["other"] += 1
    total = max(1, counts["windows"])
    return pd.DataFrame([{"windows": counts["windows"], **{name: counts[name] / total for name in ("before", "after", "other")}}])
