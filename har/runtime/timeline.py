"""What the answers of a model over time stand for: activities, a timeline, and its text, CSV and Parquet."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from har.contract import SAMPLE_RATE_HZ, UNKNOWN
from har.errors import HarError
from har.files import write_whole
from har.recording.types import GAP_PERIODS
from har.redaction import csv_text, shown
from har.runtime.bundle import Bundle

SAID = b"har"  # key of what a Parquet file says about itself, JSON, in the metadata of its footer
ROWS = 1 << 14  # windows of a row group, 5.8 hours: many gaps must not become many tiny groups


def outcomes(labels: Sequence[str]) -> list[str]:
    """Names that a decision may have: the labels, and UNKNOWN at the end unless it is one of them."""
    return [*labels] if UNKNOWN in labels else [*labels, UNKNOWN]


def decide(labels: Sequence[str], probabilities: np.ndarray, below: np.ndarray | float) -> np.ndarray:
    """Decide for the highest probability, the first of equals, or for UNKNOWN where that is below the threshold.

    The comparison is in double precision, as in JavaScript: a single-precision 0.77 is below a threshold of 0.77.

    Args:
        labels: names of the activities, in the order of the probabilities.
        probabilities: (window, num_classes).
        below: threshold of all windows, or (window,) one each.

    Returns:
        (window,) index into `outcomes`.

    Raises:
        HarError: a probability is not finite.
    """
    rows = np.asarray(probabilities)
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise HarError(
            "not-finite",
            f"the model's probability of {labels[column]} is {rows[row, column]} in answer {row + 1} of {len(rows)}, "
            "expected a finite number; check the bundle with har verify",
        )
    unknown = outcomes(labels).index(UNKNOWN)
    return np.where(rows.max(axis=1).astype(np.float64) >= np.asarray(below, dtype=np.float64), rows.argmax(axis=1), unknown)


@dataclass(frozen=True)
class Timeline:
    """Activities over a recording.

    Attributes:
        labels: names of the activities, in the order of ``probabilities``.
        from_s: (window,) start of the stretch a window speaks for, in the recording's own time.
        to_s: (window,) its end. Between two overlapping windows the border is half-way between their centres.
        probabilities: (window, num_classes).
        below: (window,) least probability that is an answer; 0 where every one is.
        sample_rate_hz: of the samples.
    """

    labels: list[str]
    from_s: np.ndarray
    to_s: np.ndarray
    probabilities: np.ndarray
    below: np.ndarray
    sample_rate_hz: float = SAMPLE_RATE_HZ

    def decisions(self) -> np.ndarray:
        """(window,) index into `outcomes` of the labels; see `decide`."""
        return decide(self.labels, self.probabilities, self.below)

    def activities(self) -> list[str]:
        """Name of the activity of each window, UNKNOWN where its model is not sure enough."""
        names = outcomes(self.labels)
        return [names[index] for index in self.decisions()]

    def minutes(self) -> dict[str, float]:
        """Minutes of each activity in the order of the labels, UNKNOWN last; 0 where it does not occur."""
        names, decided = outcomes(self.labels), self.decisions()
        seconds = np.bincount(decided, weights=self.to_s - self.from_s, minlength=len(names))
        found = {name: float(sum_s) / 60 for name, sum_s in zip(names, seconds, strict=True)}
        return {name: found[name] for name in [*(name for name in names if name != UNKNOWN), UNKNOWN]}

    def spans(self) -> list[tuple[float, float, str, float, int]]:
        """Runs of one activity: start in s, end in s, name, mean confidence, windows.

        UNKNOWN is an activity here, its confidence the highest probability. A gap in time ends a run, and so does a step back in time.
        """
        decided, confidence, names = self.decisions(), self.probabilities.max(axis=1), outcomes(self.labels)
        # Jitter of the times is less than this, a gap or a step back in time is more.
        longest_s = (GAP_PERIODS - 1) / self.sample_rate_hz - 1e-6
        new = (np.diff(decided) != 0) | (np.abs(self.from_s[1:] - self.to_s[:-1]) > longest_s)
        edges = [0, *(np.flatnonzero(new) + 1).tolist(), len(decided)]
        return [
            (float(self.from_s[a]), float(self.to_s[b - 1]), names[decided[a]], float(confidence[a:b].mean()), b - a)
            for a, b in pairwise(edges)
        ]


def joined(parts: Sequence[Timeline]) -> Timeline:
    """One timeline of its parts, in order; at least one."""
    fields = ("from_s", "to_s", "probabilities", "below")
    joined_fields = {field: np.concatenate([getattr(part, field) for part in parts]) for field in fields}
    return replace(parts[0], **joined_fields)


class LabelScore:
    """How often a timeline is right where a recording has labels; a window counts where all of it has one label.

    Args:
        labels: names of the activities, by the numbers in recordings.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = labels
        self._runs: list[tuple[float, float, int]] = []  # begin and end in s, number of the label
        self.windows = Counter[str]()  # of each activity
        self.right = Counter[str]()

    def add(self, time_s: np.ndarray, labels: np.ndarray, sample_rate_hz: float) -> None:
        """Take (time,) labels of the recording, -1 where there is none."""
        edges = [0, *(np.flatnonzero((np.diff(labels) != 0) | (np.diff(time_s) > GAP_PERIODS / sample_rate_hz)) + 1).tolist(), len(labels)]
        for first, stop in pairwise(edges):
            if stop > first and labels[first] >= 0:
                begin_s, end_s, label = float(time_s[first]), float(time_s[stop - 1]) + 1 / sample_rate_hz, int(labels[first])
                joins = self._runs and self._runs[-1][2] == label and abs(begin_s - self._runs[-1][1]) < GAP_PERIODS / sample_rate_hz
                self._runs.append((self._runs.pop()[0] if joins else begin_s, end_s, label))

    def score(self, timeline: Timeline) -> None:
        """Compare the answers with the labels that were taken."""
        runs = sorted(self._runs)
        begins = np.array([begin_s for begin_s, _, _ in runs])
        slack_s = 0.5 / timeline.sample_rate_hz
        for from_s, to_s, answer in zip(timeline.from_s, timeline.to_s, timeline.activities(), strict=True):
            place = int(np.searchsorted(begins, from_s + slack_s, side="right")) - 1
            if place >= 0 and to_s <= runs[place][1] + slack_s:
                label = self.labels[runs[place][2]]
                self.windows[label] += 1
                self.right[label] += answer == label

    def facts(self) -> dict[str, Any]:
        """For machines; no accuracy where no window has a label."""
        shares = [self.right[label] / count for label, count in self.windows.items()]
        activities = {label: {"windows": count, "right": self.right[label]} for label, count in self.windows.items()}
        total = self.windows.total()
        scores = {"accuracy": self.right.total() / total, "balanced_accuracy": sum(shares) / len(shares)} if total else {}
        return {"windows": total, **scores, "activities": activities}

    def text(self, others: Counter[str]) -> str:
        """One line: windows that are right, and labels that are no activity of the model, with their rows."""
        found, total = self.facts(), self.windows.total()
        text = "score: no window has a label that the model knows" if others else "score: no labels; expected a column label or activity"
        if total:
            parts = ", ".join(f"{label} {self.right[label]} of {count}" for label, count in self.windows.items())
            text = f"score: {self.right.total()} of {total} windows as labelled ({100 * found['accuracy']:.1f} %, "
            text += f"balanced over activities {100 * found['balanced_accuracy']:.1f} %): {parts}"
        named = ", ".join(f"{label!r} ({count} rows)" for label, count in others.most_common(5))
        return text + (f"; no activity of the model: {named}; name them with --map NAME=LABEL" if others else "")


def timeline_text(name: str, bundle: Bundle, timeline: Timeline) -> str:
    """One line per run of one activity: from, to, activity, mean confidence."""
    seconds = float(np.sum(timeline.to_s - timeline.from_s))
    lines = [f"{name}: {len(timeline.from_s)} windows, {seconds:.1f} s"]
    if bundle.synthetic:
        lines.append("the model was trained on SYNTHETIC data: its answers say nothing about people")
    width = max(len(label) for label in outcomes(timeline.labels))
    lines.append(f"{'from':>9} {'to':>9}  {'activity':<{width}}  confidence")
    for from_s, to_s, label, confidence, _ in timeline.spans():
        lines.append(f"{from_s:8.2f}s {to_s:8.2f}s  {label:<{width}}  {100 * confidence:8.1f} %")
    return "\n".join(shown(line) for line in lines)


def minutes_text(minutes: dict[str, float]) -> str:
    """One line: the minutes of each activity that occurs, and of UNKNOWN."""
    return "minutes: " + ", ".join(f"{name} {value:.2f}" for name, value in minutes.items() if value or name == UNKNOWN)


def write_timeline(timeline: Timeline, path: Path) -> None:
    """One row per window as CSV: ``from_s``, ``to_s``, ``activity``, ``confidence`` and one ``p_LABEL`` per class.

    Raises:
        HarError: the file cannot be written; nothing is left then.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["from_s", "to_s", "activity", "confidence", *(f"p_{label}" for label in timeline.labels)])
    for from_s, to_s, name, row in zip(timeline.from_s, timeline.to_s, timeline.activities(), timeline.probabilities, strict=True):
        rows.writerow([f"{from_s:.3f}", f"{to_s:.3f}", csv_text(name), f"{row.max():.6f}", *(f"{value:.6f}" for value in row)])
    write_whole(path, text.getvalue())


def write_parquet(parts: Iterable[Timeline], labels: list[str], path: Path, said: Callable[[], dict[str, Any]]) -> int:
    """One row a window, with the columns of `write_timeline`: ``from_s``, ``to_s``, ``activity``, ``confidence`` and ``p_LABEL``.

    Args:
        parts: of one timeline, in order.
        labels: names of the activities, in the order of the probabilities.
        path: of the file, which is on the disk for good when this returns.
        said: asked when all parts are written: what the file says about itself, readable by `read_said`.

    Returns:
        Number of rows.

    Raises:
        HarError: pyarrow is missing.
        OSError: the file cannot be written.
    """
    pa, pq = need_pyarrow()
    names = pa.array(outcomes(labels))
    columns = [("from_s", pa.float64()), ("to_s", pa.float64()), ("activity", pa.dictionary(pa.int16(), pa.string()))]
    columns += [("confidence", pa.float32())]
    schema = pa.schema([*columns, *((f"p_{label}", pa.float32()) for label in labels)])
    rows, waiting, held = 0, [], 0
    with open(path, "wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=["activity"]) as writer:
            for part in parts:
                probabilities = part.probabilities.astype(np.float32)
                activity = pa.DictionaryArray.from_arrays(pa.array(part.decisions().astype(np.int16)), names)
                row = [part.from_s, part.to_s, activity, probabilities.max(axis=1), *probabilities.T]
                waiting.append(pa.Table.from_arrays(row, schema=schema))
                held += len(part.from_s)
                if held >= ROWS:
                    writer.write_table(pa.concat_tables(waiting))
                    rows, waiting, held = rows + held, [], 0
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
            writer.add_key_value_metadata({SAID: json.dumps(said()).encode()})
        file.flush()
        os.fsync(file.fileno())
    return rows + held


def read_said(path: Path) -> dict[str, Any] | None:
    """What a file of `write_parquet` says about itself; None where there is no file.

    Raises:
        HarError: pyarrow is missing, or there is another file.
    """
    pa, pq = need_pyarrow()
    try:
        return json.loads(pq.read_metadata(path).metadata[SAID])
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, RecursionError) as error:
        raise HarError(
            "file", f"{path} is there and no file of har predict ({str(error)[:80]}); name another folder, or remove it"
        ) from None


def need_pyarrow() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Raises:
        HarError: pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise HarError(
            "dependency", "predictions of many recordings are Parquet, which needs pyarrow; pip install 'wearable-har[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet
