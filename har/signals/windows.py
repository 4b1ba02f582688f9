"""Runs of one label, rolling windows, and chains of overlapping windows."""

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
