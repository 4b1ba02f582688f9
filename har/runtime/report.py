"""A timeline for people and as a file."""

from pathlib import Path

import numpy as np

from har.files import write_whole
from har.runtime.bundle import Bundle
from har.runtime.recognizer import Timeline


def timeline_text(name: str, bundle: Bundle, timeline: Timeline) -> str:
    """One line a run of one activity: from, to, activity, mean confidence."""
    seconds = float(np.sum(timeline.to_s - timeline.from_s))
    lines = [f"{name}: {len(timeline.from_s)} windows, {seconds:.1f} s"]
    if bundle.synthetic:
        lines.append("the model was trained on SYNTHETIC data: its answers say nothing about people")
    width = max(len(label) for label in timeline.labels)
    lines.append(f"{'from':>9} {'to':>9}  {'activity':<{width}}  confidence")
    for from_s, to_s, label, confidence, _ in timeline.spans():
        lines.append(f"{from_s:8.2f}s {to_s:8.2f}s  {label:<{width}}  {100 * confidence:8.1f} %")
    return "\n".join(lines)


def write_timeline(timeline: Timeline, path: Path) -> None:
    """One row a window as CSV: ``from_s``, ``to_s``, ``activity``, ``confidence`` and one ``p_LABEL`` a class.

    Raises:
        HarError: the file cannot be written; nothing is left then.
    """
    best = timeline.probabilities.argmax(axis=1)
    rows = [",".join(["from_s", "to_s", "activity", "confidence", *(f"p_{label}" for label in timeline.labels)])]
    for from_s, to_s, index, row in zip(timeline.from_s, timeline.to_s, best, timeline.probabilities, strict=True):
        values = ",".join(f"{value:.6f}" for value in row)
        rows.append(f"{from_s:.3f},{to_s:.3f},{timeline.labels[index]},{row[index]:.6f},{values}")
    write_whole(path, "\n".join(rows) + "\n")
