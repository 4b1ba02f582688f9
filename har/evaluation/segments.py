"""Scores of answers that come with every sample of a recording: by sample, by segment, and how late a change is told.

A segment is a run of one label in the truth. Where a recording has no label nothing is judged, and a run of answers ends there. An answer
of -1 is no answer, which is wrong.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from har.contract import SAMPLE_RATE_HZ
from har.signals.windows import label_runs

OVERLAP = 0.5  # of F1@50, Lea et al. 2017
STEADY = 50  # samples, 1 s: so long an answer has to stay right for a change to count as told


class Labelled(NamedTuple):
    """A recording and what was said about it."""

    recording: str
    subject: int
    truth: np.ndarray  # (time,) index of the activity, negative where unlabelled
    answer: np.ndarray  # (time,) index of the activity that is named, -1 for none


Segment = tuple[int, int, int]  # label, first sample, one past the last sample


def segments(labels: np.ndarray) -> list[Segment]:
    """Runs of one label that is not negative."""
    return [run for run in label_runs(labels) if run[0] >= 0]


def judged(truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """(time,) answers, -1 where the truth is not known."""
    return np.where(truth >= 0, answer, -1)


def overlap_counts(truth: np.ndarray, answer: np.ndarray, overlap: float = OVERLAP) -> tuple[int, int, int]:
    """Segments found, runs of answers that find none, and segments missed (segmental F1, Lea et al. 2017, section 4).

    In order of time, each run of answers is held against the segment of its activity with which it has the largest intersection over
    union. At least `overlap` of it finds the segment, unless another run has found it before: a segment is found once.
    """
    true, found = segments(truth), set()  # a set: found again, a segment counts no more
    runs = segments(judged(truth, answer))
    for label, first, stop in runs:
        shares = [
            max(0, min(stop, end) - max(first, begin)) / (max(stop, end) - min(first, begin)) if own == label else 0.0
            for own, begin, end in true
        ]
        best = int(np.argmax(shares)) if shares else -1
        if shares and shares[best] >= overlap:
            found.add(best)
    return len(found), len(runs) - len(found), len(true) - len(found)


def edit_score(truth: np.ndarray, answer: np.ndarray) -> float:
    """1 less the Levenshtein distance between the labels of segments and of runs of answers, over the longer of both (Lea et al. 2016).

    It asks for the right order and for no run too many, whatever their lengths.
    """
    wanted, said = ([label for label, _, _ in segments(labels)] for labels in (truth, judged(truth, answer)))
    row = np.arange(len(said) + 1)
    for number, label in enumerate(wanted, 1):
        changed = np.minimum(row[:-1] + (np.array(said, dtype=np.int64) != label), row[1:] + 1)
        row = np.concatenate(([number], changed))
        row = np.minimum.accumulate(row - np.arange(len(row))) + np.arange(len(row))  # insertions, one after the other
    return 1.0 - float(row[-1]) / max(1, len(wanted), len(said))


def majority_right(truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """(segment,) whether the most frequent answer within the segment, no answer being one, is its activity."""
    return np.array([np.bincount(answer[a:b] + 1).argmax() - 1 == label for label, a, b in segments(truth)], dtype=bool)


def fragmented(truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """(segment,) whether the right answer comes in several runs with others between (a fragmented event, Ward et al. 2011)."""
    return np.array([len(_right_runs(answer[a:b], label)) > 1 for label, a, b in segments(truth)], dtype=bool)


def _right_runs(answer: np.ndarray, label: int) -> list[tuple[int, int]]:
    return [(first, stop) for right, first, stop in label_runs((answer == label).astype(np.int64)) if right]


def change_delays(truth: np.ndarray, answer: np.ndarray, steady: int = STEADY) -> tuple[np.ndarray, np.ndarray]:
    """How late each change of activity is told.

    A change is a segment behind one of another activity, whatever transition lies between. It is told with the first sample from which
    the answer stays right for `steady` samples, or to the end of a segment that is over sooner.

    Returns:
        (change,) samples from the beginning of the segment until it is told, its whole length where it never is; (change,) whether it is.
    """
    delays, told = [], []
    for (before, _, _), (label, first, stop) in pairwise(segments(truth)):
        if label == before:
            continue
        early = [a for a, b in _right_runs(answer[first:stop], label) if b - a >= steady or b == stop - first]
        delays.append(early[0] if early else stop - first)
        told.append(bool(early))
    return np.array(delays, dtype=np.int64), np.array(told, dtype=bool)


def sample_scores(items: Sequence[Labelled], num_classes: int) -> dict[str, float]:
    """``accuracy`` and ``macro_f1`` over the labelled samples of all recordings, from 0 to 1.

    An activity that no sample is of and none is taken for has no F1; the mean is over the others, as in training.
    """
    truth, answer = (np.concatenate([getattr(item, name) for item in items]) for name in ("truth", "answer"))
    own = truth >= 0
    with np.errstate(invalid="ignore"):
        f1 = f1_score(truth[own], answer[own], labels=range(num_classes), average="macro", zero_division=np.nan)
    return {"accuracy": float((truth == answer)[own].mean()), "macro_f1": float(f1)}


def stream_scores(items: Sequence[Labelled], num_classes: int) -> dict[str, float]:
    """Everything that is reported of a set of recordings.

    Returns:
        ``accuracy`` and ``macro_f1`` over samples; ``segment_accuracy`` (share of segments whose majority answer is right),
        ``segment_f1`` (F1@50, counts of all recordings), ``edit`` (mean over the recordings), ``fragmented`` (share of segments),
        ``delay_s`` (mean over the changes, of one that is never told the whole segment) and ``untold`` (share of changes).
    """
    pairs = [(item.truth, item.answer) for item in items]
    found, extra, missed = np.sum([overlap_counts(*pair) for pair in pairs], axis=0)
    delays, told = (np.concatenate(parts) for parts in zip(*(change_delays(*pair) for pair in pairs), strict=True))
    return sample_scores(items, num_classes) | {
        "segment_accuracy": float(np.concatenate([majority_right(*pair) for pair in pairs]).mean()),
        "segment_f1": float(2 * found / (2 * found + extra + missed)),
        "edit": float(np.mean([edit_score(*pair) for pair in pairs])),
        "fragmented": float(np.concatenate([fragmented(*pair) for pair in pairs]).mean()),
        "delay_s": float(delays.mean() / SAMPLE_RATE_HZ) if len(delays) else 0.0,
        "untold": float(1 - told.mean()) if len(told) else 0.0,
    }


def subject_scores(items: Sequence[Labelled], num_classes: int) -> pd.DataFrame:
    """A row per person: ``subject``, ``windows`` (labelled samples; the name is that of every task's table) and `stream_scores`."""
    rows = []
    for subject in sorted({item.subject for item in items}):
        own = [item for item in items if item.subject == subject]
        rows.append({"subject": subject, "windows": sum(int((item.truth >= 0).sum()) for item in own)} | stream_scores(own, num_classes))
    return pd.DataFrame(rows)
