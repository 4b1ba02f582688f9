"""Runs of one label, rolling windows, and chains of overlapping windows."""

from dataclasses import dataclass
from math import ceil
from typing import Literal, NamedTuple

import numpy as np


def label_runs(labels: np.ndarray) -> list[tuple[int, int, int]]:
    """Runs of one label as (label, first sample, one past the last sample).

    Args:
        labels: (time,) one integer label a sample; negative means unlabelled.
    """
    labels = np.asarray(labels)
    if labels.size == 0:
        return []
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts = np.concatenate(([0], edges))
    stops = np.concatenate((edges, [labels.size]))
    return [(int(labels[a]), int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


def window_starts(num_samples: int, window_size: int, stride: int) -> np.ndarray:
    """First samples of all whole windows of `window_size` samples, `stride` samples apart: (window,) int64.

    Raises:
        ValueError: window_size or stride is not positive.
    """
    if window_size < 1 or stride < 1:
        raise ValueError(f"window_size and stride must be positive, found {window_size} and {stride}")
    return np.arange(0, num_samples - window_size + 1, stride, dtype=np.int64)


def cut_windows(samples: np.ndarray, starts: np.ndarray, window_size: int) -> np.ndarray:
    """Copy windows out of a recording: samples (time, channel) -> (window, window_size, channel).

    Raises:
        ValueError: the recording is shorter than a window.
    """
    channels = samples.shape[1]
    # Row after row in memory, a window is one piece of it: copied once, and as fast as memory is.
    view = np.lib.stride_tricks.sliding_window_view(np.ascontiguousarray(samples).ravel(), window_size * channels)[::channels]
    return view[starts].reshape(len(starts), window_size, channels)


def join_windows(windows: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The continuous stretch that overlapping or touching windows were cut from: the inverse of `cut_windows`.

    Args:
        windows: (window, time, channel) of one stretch, by increasing start.
        starts: (window,) first sample of each window in the stretch; samples before the first one are not there.

    Returns:
        (time, channel), from the first sample of the first window to the last sample of the last.

    Raises:
        ValueError: there is no window, a start does not increase, a sample between two windows is missing, or two
            windows hold different values for one sample.
    """
    if not len(windows):
        raise ValueError("no window to join")
    size, step = windows.shape[1], np.diff(starts)
    if (step < 1).any() or (step > size).any():
        found = step[(step < 1) | (step > size)][0]
        raise ValueError(f"windows are {found} samples apart, expected 1 to {size}: by increasing start and without a hole")
    position = np.asarray(starts) - starts[0]
    joined = np.empty((position[-1] + size, windows.shape[2]), dtype=windows.dtype)
    end = 0
    for window, first in zip(windows, position, strict=True):
        known = end - first  # samples that the windows before hold too
        if not np.array_equal(joined[first:end], window[: max(known, 0)], equal_nan=windows.dtype.kind == "f"):
            raise ValueError(
                f"windows disagree on the samples from {starts[0] + first} to {starts[0] + end - 1}; they are not of one stretch"
            )
        joined[end : first + size] = window[max(known, 0) :]
        end = first + size
    return joined


def chain_windows(windows: np.ndarray, groups: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Find which consecutive windows continue one another, by their shared samples.

    Args:
        windows: (window, time, channel) in the order of the file.
        groups: (window,) windows of two groups (subjects, labels) never chain.
        stride: samples between two windows of a chain; the overlap must be equal to the bit.

    Returns:
        (window,) number of the chain, from 0, and (window,) first sample within the chain.
    """
    count = len(windows)
    if count == 0:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    linked = (groups[1:] == groups[:-1]) & (windows[1:, :-stride] == windows[:-1, stride:]).all(axis=(1, 2))
    first = np.concatenate(([True], ~linked))
    chain = np.cumsum(first) - 1
    position = np.arange(count) - np.flatnonzero(first)[chain]
    return chain.astype(np.int64), (position * stride).astype(np.int64)


LabelRule = Literal["majority", "last", "centre"]
Padding = Literal["none", "zero", "edge"]
BLOCK = 256  # windows that are copied at a time, about 1 MB


@dataclass(frozen=True)
class WindowRule:
    """How a window gets its label and what becomes of the rest of a stretch.

    Attributes:
        label_rule: ``majority``: the label with most samples, the first of equals, an activity before unlabelled;
            ``last``: of the newest sample; ``centre``: of the middle sample, the later of two.
        min_purity: least share of a window's recorded samples with the window's label.
        padding: of the samples that a last window lacks. ``none``: no such window; ``zero``; ``edge``: the last sample again.
        min_recorded: least share of a padded window that was recorded.
        cross_labels: whether a window may hold a change of label; else windows start anew with every label.
    """

    label_rule: LabelRule = "majority"
    min_purity: float = 0.0
    padding: Padding = "none"
    min_recorded: float = 0.5
    cross_labels: bool = False

    def shortest(self, window_size: int) -> int:
        """Samples that the shortest stretch with a window has."""
        return window_size if self.padding == "none" else max(1, ceil(self.min_recorded * window_size))


class WindowPlan(NamedTuple):
    """Windows of one stretch."""

    starts: np.ndarray  # (window,) int64, first sample
    labels: np.ndarray  # (window,) int64, never negative
    recorded: np.ndarray  # (window,) int64, samples before the padding


def plan_windows(labels: np.ndarray, window_size: int, stride: int, rule: WindowRule | None = None) -> WindowPlan:
    """The windows of a stretch without a gap.

    With a stride of at most the window size and padding from the first recorded sample on, every sample of a labelled run
    (with `cross_labels`: of the stretch) is in a window. A padded window is made only for samples that no whole window holds.

    Args:
        labels: (time,) one integer label a sample; negative means unlabelled.
        window_size: samples in a window.
        stride: samples between the starts of two windows; equal to `window_size`, the stretch is reshaped without overlap.
        rule: by default, windows inside one label, whole ones alone.

    Raises:
        ValueError: window_size or stride is not positive.
    """
    rule = rule or WindowRule()
    labels = np.asarray(labels)
    starts, recorded = _extents(labels, window_size, stride, rule)
    window_labels, purity = _labels_of(labels, starts, recorded, window_size, rule.label_rule)
    keep = (window_labels >= 0) & (purity >= rule.min_purity)
    return WindowPlan(starts[keep], window_labels[keep], recorded[keep])


def _extents(labels: np.ndarray, window_size: int, stride: int, rule: WindowRule) -> tuple[np.ndarray, np.ndarray]:
    """(window,) first samples and (window,) recorded samples of all windows, whatever their label."""
    starts, recorded = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    inside = [(first, stop) for label, first, stop in label_runs(labels) if label >= 0]
    for first, stop in [(0, len(labels))] if rule.cross_labels else inside:  # parts of the stretch that a window stays in
        whole = window_starts(stop - first, window_size, stride)
        starts.append(first + whole)
        recorded.append(np.full(len(whole), window_size, dtype=np.int64))
        held = int(whole[-1]) + window_size if len(whole) else 0
        rest = int(whole[-1]) + stride if len(whole) else 0
        left = stop - first - rest
        if rule.padding != "none" and held < stop - first and left >= rule.shortest(window_size):
            starts.append(np.array([first + rest], dtype=np.int64))
            recorded.append(np.array([left], dtype=np.int64))
    return np.concatenate(starts), np.concatenate(recorded)


def _labels_of(
    labels: np.ndarray, starts: np.ndarray, recorded: np.ndarray, window_size: int, rule: LabelRule
) -> tuple[np.ndarray, np.ndarray]:
    """(window,) label of each window and (window,) its share of the window's recorded samples."""
    if not len(starts):
        return np.empty(0, dtype=np.int64), np.empty(0)
    known = np.unique(labels)
    known = np.concatenate((known[known >= 0], known[known < 0]))  # argmax takes the first of equals: an activity
    before = np.zeros((len(known), len(labels) + 1), dtype=np.int64)  # a row a label: summed along the memory, six times as fast
    np.cumsum(labels == known[:, None], axis=1, out=before[:, 1:])
    count = before[:, starts + recorded] - before[:, starts]  # (label, window), without touching every sample of every window
    if rule == "majority":
        chosen = count.argmax(axis=0)
    else:
        sample = starts + (recorded - 1 if rule == "last" else recorded // 2)
        chosen = (labels[sample][:, None] == known).argmax(axis=1)
    return known[chosen].astype(np.int64), count[chosen, np.arange(len(starts))] / recorded


def fill_windows(samples: np.ndarray, plan: WindowPlan, window_size: int, padding: Padding, out: np.ndarray | None = None) -> np.ndarray:
    """Copy the windows of a plan out of a stretch.

    Args:
        samples: (time, channel), the stretch that was planned.
        plan: of `plan_windows`.
        window_size: samples in a window.
        padding: as in the plan's rule; what stands behind the recorded samples of a window.
        out: (window, window_size, channel), where they go; else a new array of the samples' type.

    Returns:
        (window, window_size, channel).
    """
    if out is None:
        out = np.empty((len(plan.starts), window_size, samples.shape[1]), dtype=samples.dtype)
    whole = plan.recorded == window_size
    if whole.all():
        for first in range(0, len(out), BLOCK):  # the copy between the two stays in the cache
            out[first : first + BLOCK] = cut_windows(samples, plan.starts[first : first + BLOCK], window_size)
        return out
    if whole.any():
        out[whole] = cut_windows(samples, plan.starts[whole], window_size)
    for index in np.flatnonzero(~whole):
        first, count = plan.starts[index], plan.recorded[index]
        out[index, :count] = samples[first : first + count]
        out[index, count:] = samples[first + count - 1] if padding == "edge" else 0
    return out
