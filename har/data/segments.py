"""Windows back to the continuous segments they were cut from, to cut them anew or to replay them as a stream."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from har.contract import RAW6, SAMPLE_RATE_HZ
from har.data.windowset import Stretch, WindowSet
from har.recording import Recording
from har.signals.windows import join_windows


def segments_of(windows: WindowSet) -> list[Stretch]:
    """Continuous segments of one person and one activity, in the order of the windows.

    Consecutive windows of one recording and one label belong together while they overlap or touch. The published
    windows of UCI HAR give 857 segments: 9,442 windows repeat 64 samples of the one before.

    Args:
        windows: as read or cut; those of a recording stand in the order of time.

    Returns:
        Segments whose samples are (time, channel) float32 with the channels of `windows`, and whose labels are all equal.

    Raises:
        ValueError: two windows hold different values for one sample of a recording.
    """
    return [_segment(windows, first, stop) for first, stop in _chains(windows)]


def _chains(windows: WindowSet) -> Iterator[tuple[int, int]]:
    step = np.diff(windows.start)
    linked = (windows.recording[1:] == windows.recording[:-1]) & (windows.y[1:] == windows.y[:-1])
    linked &= (windows.subject[1:] == windows.subject[:-1]) & (step > 0) & (step <= windows.window_size)
    edges = np.concatenate(([0], np.flatnonzero(~linked) + 1, [len(windows)]))
    return ((int(a), int(b)) for a, b in pairwise(edges) if b > a)


def _segment(windows: WindowSet, first: int, stop: int) -> Stretch:
    samples = join_windows(windows.x[first:stop], windows.start[first:stop])
    labels = np.full(len(samples), windows.y[first], dtype=np.int64)
    return Stretch(str(windows.recording[first]), int(windows.subject[first]), int(windows.start[first]), samples, labels)


def recording_of(segment: Stretch, channels: tuple[str, ...]) -> Recording:
    """A segment as a `Recording` of what a phone delivers, to replay it through a recogniser.

    Args:
        segment: of `segments_of`.
        channels: of its samples; total acceleration and angular velocity must be among them.

    Returns:
        A recording at ``contract.SAMPLE_RATE_HZ`` whose time starts with the segment's first sample.
    """
    raw6 = np.ascontiguousarray(segment.samples[:, [channels.index(name) for name in RAW6]], dtype=np.float32)
    time_s = (segment.start + np.arange(len(raw6))) / SAMPLE_RATE_HZ
    return Recording(segment.recording, segment.subject, time_s, raw6, segment.labels.copy())
