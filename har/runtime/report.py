"""A timeline for people and as a file."""

import csv
import io
from pathlib import Path

import numpy as np

from har.contract import UNKNOWN
from har.files import write_whole
from har.redaction import csv_text, shown
from har.runtime.bundle import Bundle
from har.runtime.decision import outcomes
from har.runtime.recognizer import Timeline


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
