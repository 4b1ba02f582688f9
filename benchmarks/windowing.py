"""How fast recordings are cut into windows: beside loops in Python, and beside numpy's sliding_window_view with a copy.

    python benchmarks/windowing.py [--runs 15] [--samples 200000]

A SYNTHETIC recording of six channels, windows of 128 samples, 64 apart. All ways give the same windows, which is checked first. The
loop over samples is how textbooks write it, a list of rows for each window; the loop over windows takes a slice for each and stacks
them; with labels, each loop counts those of a window's samples for the one with most. Each round times all ways one after the other,
on one thread, and the ratios are taken within a round. Writes ``results/benchmarks/windowing.csv``: ratios first.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from paired import Measured, Row, Times, ratio, rounds, row, show
from tables import write_table

from har.contract import SAMPLE_RATE_HZ, STRIDE, WINDOW_SIZE
from har.data import synthetic
from har.data.windowset import windows_of
from har.recording import Recording
from har.signals.windows import WindowRule, cut_windows, fill_windows, plan_windows, window_starts

RESULT = Path("results/benchmarks/windowing.csv")
RULE = WindowRule(cross_labels=True)
Windows = tuple[np.ndarray, np.ndarray]


def recording_of(samples: int) -> Recording:
    """A SYNTHETIC recording of that many samples, several activities one after the other."""
    made = synthetic.generate(1, 0, bout_seconds=40.0)
    index = np.arange(samples) % len(made.samples)
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    return Recording(made.name, made.subject, time_s, made.samples[index].astype(np.float32), made.labels[index])


def ours(samples: np.ndarray) -> np.ndarray:
    return cut_windows(samples, window_starts(len(samples), WINDOW_SIZE, STRIDE), WINDOW_SIZE)


def ours_labelled(samples: np.ndarray, labels: np.ndarray) -> Windows:
    plan = plan_windows(labels, WINDOW_SIZE, STRIDE, RULE)
    return fill_windows(samples, plan, WINDOW_SIZE, RULE.padding), plan.labels


def view_and_copy(samples: np.ndarray) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(samples, WINDOW_SIZE, axis=0)[::STRIDE].transpose(0, 2, 1).copy()


def loop_over_samples(samples: np.ndarray) -> np.ndarray:
    windows = []
    for first in range(0, len(samples) - WINDOW_SIZE + 1, STRIDE):
        window = []
        for at in range(first, first + WINDOW_SIZE):
            window.append(samples[at])
        windows.append(window)
    return np.array(windows)


def loop_over_windows(samples: np.ndarray) -> np.ndarray:
    return np.stack([samples[first : first + WINDOW_SIZE] for first in range(0, len(samples) - WINDOW_SIZE + 1, STRIDE)])


def loop_labelled(samples: np.ndarray, labels: np.ndarray) -> Windows:
    windows, answers = [], []
    for first in range(0, len(samples) - WINDOW_SIZE + 1, STRIDE):
        count = Counter(labels[first : first + WINDOW_SIZE].tolist())
        windows.append(samples[first : first + WINDOW_SIZE])
        answers.append(max(count, key=lambda label: (count[label], label >= 0, -label)))  # of equals as ours: an activity
    keep = np.array(answers) >= 0
    return np.stack(windows)[keep], np.array(answers)[keep]


def check_equal(samples: np.ndarray, labels: np.ndarray) -> None:
    """Prove, before anything is timed, that all ways give the same windows.

    Raises:
        RuntimeError: one differs.
    """
    expected = ours(samples)
    for way in (view_and_copy, loop_over_samples, loop_over_windows):
        if not np.array_equal(way(samples), expected):
            raise RuntimeError(f"{way.__name__} gives other windows")
    if not all(map(np.array_equal, ours_labelled(samples, labels), loop_labelled(samples, labels))):
        raise RuntimeError("loop_labelled gives other windows or labels")


def measure(samples: int, runs: int) -> Times:
    """Seconds of every way, a list of `runs` each."""
    recording = recording_of(samples)
    x, y = recording.samples, recording.labels
    check_equal(x, y)
    ways = {
        "ours": lambda: ours(x),
        "ours, labelled": lambda: ours_labelled(x, y),
        "sliding_window_view with copy": lambda: view_and_copy(x),
        "loop over samples": lambda: loop_over_samples(x),
        "loop over windows": lambda: loop_over_windows(x),
        "loop over windows, labelled": lambda: loop_labelled(x, y),
        "whole preparation": lambda: windows_of(
            [recording], window_size=WINDOW_SIZE, stride=STRIDE, dataset="synthetic", synthetic=True, channels="uci9", rule=RULE
        ),
    }
    return rounds(ways, runs)


def rows(times: Times, samples: int) -> list[Row]:
    """How many times as fast as the others, then samples a second."""
    table = [
        ratio(times, "loop over samples", "ours", "windows, times as fast as a Python loop over samples", ">= 50"),
        ratio(times, "sliding_window_view with copy", "ours", "windows, times as fast as sliding_window_view with copy", ">= 0.95"),
        ratio(times, "loop over windows", "ours", "windows, times as fast as a Python loop over windows that takes slices"),
        ratio(times, "loop over windows, labelled", "ours, labelled", "windows and labels, times as fast as a Python loop over windows"),
    ]
    for name, spent in times.items():
        rates, cpu = [samples / t.wall / 1e6 for t in spent], [samples / t.cpu / 1e6 for t in spent]
        table.append(row(f"{name}, samples per second", rates, "million/s", cpu=cpu))
    return table


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="paired rounds (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=200_000, help="of the recording, 67 minutes (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULT, help="(default: %(default)s)")
    options = parser.parse_args()
    measured = Measured("numpy")
    table = rows(measure(options.samples, options.runs), options.samples)
    show(table)
    write_table(options.output, table, measured.stamp())


if __name__ == "__main__":
    sys.exit(main())
