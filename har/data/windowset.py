"""Windows with everything needed to split them honestly and to find them again in their recording."""

import hashlib
import math
import mmap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np

from har.contract import LABELS, RAW6, SAMPLE_RATE_HZ, SignalSpec, channel_names
from har.errors import HarError
from har.recording import Recording
from har.signals.filters import GRAVITY_MIN_SAMPLES, SensorChain, gravity_lowpass
from har.signals.windows import WindowRule, fill_windows, join_windows, plan_windows


@dataclass(frozen=True)
class Description:
    """What commands, reports, model cards and pages say about a data set; a text that is not known is empty.

    Attributes:
        name: on the command line and in folders, such as ``motionsense``.
        title: as it is known.
        labels: names of the activities, in the order of their numbers.
        people: who took part, with which device, in which activities.
        placement: where and how the device was worn.
        axes: where its axes pointed on the body, such as ``x up along the body``.
        terms: under which the data may be used; they travel with every model that was trained on them.
        cite: the publication.
        limits: what a model of these data is known to confuse, a sentence.
        url: where it is published.
        official: whether its subjects are those of UCI HAR, with the published split of 21 and 9.
        synthetic: whether it was generated; every artefact says so.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    _: KW_ONLY
    people: str = ""
    placement: str = ""
    axes: str = ""
    terms: str = "see the data set"
    cite: str = ""
    limits: str = ""
    url: str = ""
    official: bool = False
    synthetic: bool = False

    def texts(self) -> dict[str, str]:
        """The entry ``dataset_description`` of a manifest."""
        found = {"title": self.title, "subjects": self.people, "placement": self.placement, "axes": self.axes}
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
        labels: names of the activities.
        sample_rate_hz: samples per second.

    Examples:
        >>> import har
        >>> windows = har.load_dataset("synthetic")
        >>> one = windows.subset(windows.subject == 1)
        >>> len(one), one.x.shape, one.labels[one.y[0]]
        (168, (168, 128, 6), 'WALKING_DOWNSTAIRS')
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

    def spec(self, stride: int | None) -> SignalSpec:
        """What a model of these windows, so many samples apart, reads and names."""
        rest = {"sample_rate_hz": self.sample_rate_hz, "window_size": self.window_size, "stride": stride}
        return SignalSpec.of(self.channels, self.labels, **rest)

    def subset(self, keep: np.ndarray) -> "WindowSet":
        """The windows of a boolean mask or of an index array, in that order."""
        fields = ("x", "y", "subject", "recording", "start")
        return replace(self, **{name: getattr(self, name)[keep] for name in fields})

    def select_channels(self, channels: str) -> "WindowSet":
        """The windows with the channel set `channels`, a key of ``contract.CHANNEL_SETS``."""
        names = channel_names(channels)
        missing = [name for name in names if name not in self.channels]
        if missing:
            raise HarError("name-unknown", f"{self.dataset} has no channel {', '.join(missing)}; it has {', '.join(self.channels)}")
        if names == self.channels:
            return self
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
    recordings: Iterable[Recording], *, dataset: str, channels: str = "raw6", chain: SensorChain | None = None, **cut: Any
) -> WindowSet:
    """Cut labelled windows out of raw recordings.

    Windows stay inside one recording and one stretch without a gap and, unless the rule says otherwise, one label. They are the same
    ones, with the same digest, whatever the channels.

    Args:
        recordings: continuous, unfiltered.
        dataset: its name.
        channels: a key of ``contract.CHANNEL_SETS``; of ``uci9``, the body acceleration is derived from the whole stretch.
        chain: filters of a whole stretch; by default samples stay as measured, and body acceleration is that of `offline_uci9`.
        cut: the other arguments of `cut_stretches`: ``window_size``, ``stride``, ``synthetic``, ``labels`` and ``rule``.

    Raises:
        HarError: as `cut_stretches`.
    """
    # A padded window may be shorter than what the filter needs.
    stretches = [stretch for stretch in stretches_of(recordings) if len(stretch.samples) >= GRAVITY_MIN_SAMPLES]
    to_channels = {"raw6": chain.clean if chain else None, "uci9": chain.apply if chain else offline_uci9}
    whole = cut_channels(channels)
    made = cut_stretches(stretches, channel_names(whole), dataset=dataset, to_channels=to_channels[whole], **cut)
    if whole != "raw6":
        made = replace(made, digest=content_digest(made.select_channels("raw6").x, made.y, made.subject))
    return made.select_channels(channels)


def cut_channels(channels: str) -> str:
    """The channel set that windows are cut with before `channels` are selected from it: ``raw6`` wherever it holds them all."""
    return "raw6" if set(channel_names(channels)) <= set(RAW6) else channels


def stretches_of(recordings: Iterable[Recording]) -> Iterator[Stretch]:
    """Stretches of recordings without a gap, unfiltered, (time, 6) as ``contract.RAW6``."""
    for item in recordings:
        for first, stop in item.contiguous_runs():
            yield Stretch(item.name, item.subject, first, item.samples[first:stop], item.labels[first:stop])


def check_labels(labels: object, samples: int, where: str) -> None:
    """Refuse labels that are not one integer per sample.

    Raises:
        HarError: with what was found.
    """
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        kind = labels.dtype if isinstance(labels, np.ndarray) else type(labels).__name__
        raise HarError("windows", f"{where}: labels are {kind}, expected a numpy array of integers")
    if labels.shape != (samples,):
        raise HarError("windows", f"{where}: labels have shape {labels.shape}, expected ({samples},): one integer for each sample")


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
        HarError: labels are not one integer per sample, no stretch is long enough for a window, or no window is pure enough.
    """
    rule = rule or WindowRule()
    stretches = list(stretches)
    for stretch in stretches:
        check_labels(stretch.labels, len(stretch.samples), f"{dataset}, recording {stretch.recording}")
    planned = [(stretch, plan_windows(stretch.labels, window_size, stride, rule)) for stretch in stretches]
    planned = [(stretch, plan) for stretch, plan in planned if len(plan.starts)]
    if not planned:
        raise HarError(
            "windows",
            f"{dataset}: no labelled stretch gives a window of {window_size} samples; use shorter windows, padding or a lower min_purity",
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
    step = np.diff(windows.start)
    linked = (windows.recording[1:] == windows.recording[:-1]) & (windows.y[1:] == windows.y[:-1])
    linked &= (windows.subject[1:] == windows.subject[:-1]) & (step > 0) & (step <= windows.window_size)
    segments = []
    for own in np.split(np.arange(len(windows)), np.flatnonzero(~linked) + 1) if len(windows) else []:
        samples = join_windows(windows.x[own[0] : own[-1] + 1], windows.start[own])
        labels = np.full(len(samples), windows.y[own[0]], dtype=np.int64)
        segments.append(Stretch(str(windows.recording[own[0]]), int(windows.subject[own[0]]), int(windows.start[own[0]]), samples, labels))
    return segments
