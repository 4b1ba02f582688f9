"""Windows with everything needed to split them honestly and to find them again in their recording."""

import hashlib
import math
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from har.config import MAX_STRIDE, MAX_WINDOW
from har.contract import LABELS, RAW6, SAMPLE_RATE_HZ, UCI9, HarError, channel_names
from har.recording import Recording
from har.signals.filters import GRAVITY_MIN_SAMPLES, gravity_lowpass
from har.signals.windows import WindowRule, fill_windows, join_windows, plan_windows


@dataclass(frozen=True)
class Description:
    """What reports, model cards and pages say about a data set; a text that is not known is empty.

    Attributes:
        title: as it is known.
        subjects: who took part, with which device, in which activities.
        placement: where and how the device was worn.
        axes: where its axes pointed on the body.
        terms: under which the data may be used.
        cite: the publication.
        limits: what a model of these data is known to confuse, a sentence.
        official: whether its subjects are those of UCI HAR, with the published split of 21 and 9.
    """

    title: str
    subjects: str = ""
    placement: str = ""
    axes: str = ""
    terms: str = "see the data set"
    cite: str = ""
    limits: str = ""
    official: bool = False

    def texts(self) -> dict[str, str]:
        """The entry ``dataset_description`` of a manifest."""
        found = {"title": self.title, "subjects": self.subjects, "placement": self.placement, "axes": self.axes}
        return {name: text for name, text in found.items() if text}


@dataclass(frozen=True)
class WindowSet:
    """A set of labelled windows.

    Attributes:
        x: (window, time, channel) float32, acceleration in g, angular velocity in rad/s.
        y: (window,) index into ``labels``.
        subject: (window,) number of the person.
        recording: (window,) name of the continuous stretch the window was cut from.
        start: (window,) first sample within that stretch.
        channels: names of the channels, in the order of the last axis of ``x``.
        dataset: name of the data set.
        synthetic: whether the data were generated; carried into every artefact.
        digest: SHA-256 of the windows, labels and subjects of the whole data set.
    """

    x: np.ndarray
    y: np.ndarray
    subject: np.ndarray
    recording: np.ndarray
    start: np.ndarray
    channels: tuple[str, ...]
    dataset: str
    synthetic: bool
    digest: str = ""
    labels: tuple[str, ...] = LABELS
    sample_rate_hz: float = SAMPLE_RATE_HZ

    def __post_init__(self) -> None:
        if self.x.ndim != 3 or self.x.shape[2] != len(self.channels):
            raise ValueError(f"windows have shape {self.x.shape}, expected (window, time, {len(self.channels)})")
        for name in ("y", "subject", "recording", "start"):
            if len(getattr(self, name)) != len(self.x):
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {len(self.x)} windows")

    def __len__(self) -> int:
        return len(self.x)

    @property
    def window_size(self) -> int:
        """Samples in a window."""
        return self.x.shape[1]

    def subset(self, keep: np.ndarray) -> "WindowSet":
        """The windows of a boolean mask or of an index array, in that order."""
        fields = ("x", "y", "subject", "recording", "start")
        return replace(self, **{name: getattr(self, name)[keep] for name in fields})

    def select_channels(self, channels: str) -> "WindowSet":
        """The windows with the channel set `channels` (``raw6`` or ``uci9``)."""
        names = channel_names(channels)
        missing = [name for name in names if name not in self.channels]
        if missing:
            raise HarError(f"{self.dataset} has no channel {', '.join(missing)}; it has {', '.join(self.channels)}")
        return replace(self, x=self.x[:, :, [self.channels.index(name) for name in names]], channels=names)


def content_digest(x: np.ndarray, y: np.ndarray, subject: np.ndarray) -> str:
    """SHA-256 of windows, labels and subjects; the same whatever archive format they came from."""
    digest = hashlib.sha256()
    for array, dtype in ((x, "<f4"), (y, "<i8"), (subject, "<i8")):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array, dtype=dtype).data)
    return digest.hexdigest()


def offline_uci9(raw6: np.ndarray) -> np.ndarray:
    """(time, 6) samples as they are, and body acceleration by the zero-phase gravity filter -> (time, 9) as ``contract.UCI9``."""
    body_acc = raw6[:, :3] - gravity_lowpass(raw6[:, :3], SAMPLE_RATE_HZ).astype(np.float32)
    return np.concatenate((body_acc, raw6[:, 3:], raw6[:, :3]), axis=1)


@dataclass(frozen=True)
class Stretch:
    """Continuous samples of one person without a gap; what windows are cut from.

    Attributes:
        recording: name of the recording.
        subject: number of the person.
        start: first sample within the recording.
        samples: (time, channel) float32.
        labels: (time,) index of the activity, negative where unlabelled.
    """

    recording: str
    subject: int
    start: int
    samples: np.ndarray
    labels: np.ndarray


def windows_of(
    recordings: list[Recording],
    *,
    window_size: int,
    stride: int,
    dataset: str,
    synthetic: bool,
    to_uci9: Callable[[np.ndarray], np.ndarray] = offline_uci9,
    labels: tuple[str, ...] = LABELS,
    rule: WindowRule | None = None,
) -> WindowSet:
    """Cut labelled windows out of raw recordings; the channels are those of ``contract.UCI9``.

    Windows stay inside one recording and one stretch without a gap and, unless the rule says otherwise, one label.

    Args:
        recordings: continuous, unfiltered.
        window_size: samples in a window.
        stride: samples between two windows of one labelled stretch.
        dataset: its name.
        synthetic: whether it was generated.
        to_uci9: from the (time, 6) samples of a contiguous stretch to its nine channels, such as `SensorChain.apply`.
        labels: names of the labels of the recordings.
        rule: label, purity, padding; by default whole windows inside one label.

    Raises:
        HarError: as `cut_stretches`.
    """
    rule = rule or WindowRule()
    _check_sizes(window_size, stride, dataset)
    for recording in recordings:
        check_labels(recording.labels, len(recording.samples), f"{dataset}, recording {recording.name}")
    shortest = max(rule.shortest(window_size), GRAVITY_MIN_SAMPLES)
    stretches = [stretch for recording in recordings for stretch in _stretches(recording, shortest)]
    return cut_stretches(
        stretches,
        UCI9,
        window_size=window_size,
        stride=stride,
        dataset=dataset,
        synthetic=synthetic,
        labels=labels,
        rule=rule,
        to_channels=to_uci9,
    )


def _check_sizes(window_size: int, stride: int, where: str) -> None:
    for name, value, most in (("window_size", window_size, MAX_WINDOW), ("stride", stride, MAX_STRIDE)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 1 <= value <= most:
            raise HarError(f"{where}: {name} is {value!r:.40}, expected a whole number of samples, 1 to {most:,}")


def check_labels(labels: object, samples: int, where: str) -> None:
    """Refuse labels that are not one integer per sample.

    Raises:
        HarError: with what was found.
    """
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        kind = labels.dtype if isinstance(labels, np.ndarray) else type(labels).__name__
        raise HarError(f"{where}: labels are {kind}, expected a numpy array of integers")
    if labels.shape != (samples,):
        raise HarError(f"{where}: labels have shape {labels.shape}, expected ({samples},): one integer for each sample")


def _stretches(recording: Recording, shortest: int) -> Iterator[Stretch]:
    for first, stop in recording.contiguous_runs():
        labels = recording.labels[first:stop]
        # What gives no window need not be filtered, and may be too short for it.
        if stop - first >= shortest and (labels >= 0).any():
            yield Stretch(recording.name, recording.subject, first, recording.samples[first:stop], labels)


def _unfilled(shape: tuple[int, ...]) -> np.ndarray:
    """A float32 array in pages of the usual size.

    numpy asks for huge ones, and a virtual machine gives those back to its host whenever they are free: 600 MB of windows took 1.5 times
    the CPU time a sample of 60 MB, and take as much this way (``benchmarks/growth.py``).
    """
    memory = mmap.mmap(-1, math.prod(shape) * np.dtype(np.float32).itemsize)
    return np.frombuffer(memory, dtype=np.float32).reshape(shape)


def cut_stretches(
    stretches: Iterable[Stretch],
    channels: tuple[str, ...],
    *,
    window_size: int,
    stride: int,
    dataset: str,
    synthetic: bool,
    labels: tuple[str, ...] = LABELS,
    rule: WindowRule | None = None,
    to_channels: Callable[[np.ndarray], np.ndarray] | None = None,
) -> WindowSet:
    """Cut labelled windows out of continuous stretches, as `windows_of` does; no window crosses a stretch.

    All are planned before the first is cut, so that every sample goes straight to its place and nothing is twice in memory.

    Args:
        stretches: whose samples have these channels, or become them by `to_channels`.
        channels: of the windows.
        window_size: samples in a window.
        stride: samples between two windows of one labelled stretch.
        dataset: its name.
        synthetic: whether it was generated.
        labels: names of the labels.
        rule: label, purity, padding; by default whole windows inside one label.
        to_channels: from the samples of a whole stretch to its channels.

    Raises:
        HarError: `window_size` or `stride` is not a whole number in range, labels are not one integer per sample, no stretch is long
            enough for a window, or no window is pure enough.
    """
    rule = rule or WindowRule()
    stretches = list(stretches)
    _check_sizes(window_size, stride, dataset)
    for stretch in stretches:
        check_labels(stretch.labels, len(stretch.samples), f"{dataset}, recording {stretch.recording}")
    planned = [(stretch, plan_windows(stretch.labels, window_size, stride, rule)) for stretch in stretches]
    planned = [(stretch, plan) for stretch, plan in planned if len(plan.starts)]
    if not planned:
        raise HarError(
            f"{dataset}: no labelled stretch gives a window of {window_size} samples; use shorter windows, padding or a lower min_purity"
        )
    x = _unfilled((sum(len(plan.starts) for _, plan in planned), window_size, len(channels)))
    first = 0
    for stretch, plan in planned:
        samples = stretch.samples if to_channels is None else to_channels(stretch.samples).astype(np.float32, copy=False)
        fill_windows(samples, plan, window_size, rule.padding, out=x[first : first + len(plan.starts)])
        first += len(plan.starts)
    y = np.concatenate([plan.labels for _, plan in planned])
    subject = np.concatenate([np.full(len(plan.starts), stretch.subject, dtype=np.int64) for stretch, plan in planned])
    return WindowSet(
        x,
        y,
        subject,
        np.concatenate([np.full(len(plan.starts), stretch.recording) for stretch, plan in planned]),
        np.concatenate([stretch.start + plan.starts for stretch, plan in planned]),
        channels=channels,
        dataset=dataset,
        synthetic=synthetic,
        digest=content_digest(x, y, subject),
        labels=labels,
    )


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
