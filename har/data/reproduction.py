"""Find the windows of UCI HAR again in the raw recordings of HAPT, and measure how a chain of filters reproduces them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from har.contract import HarError
from har.data.windowset import Stretch
from har.recording import Recording
from har.signals.windows import label_runs

TOLERANCE = 1e-6  # g or rad/s; the published values end at the 7th digit, so at 1 g their own rounding is 5e-7
PRINTED_DIGITS = 7  # significant digits of a value in the published files (the 8th is 0)
SHIFTS = range(-6, 7)  # samples tried around the place where a segment was found, because other filters delay otherwise

Chain = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Place:
    """Where a segment stands in the recordings.

    Attributes:
        segment: the published one.
        recording: name of the recording.
        first: first sample in it.
        largest_error: over all samples and channels, g or rad/s.
        label: of the recording there, index into ``contract.HAPT_LABELS``.
        label_offset: samples from the first sample that has this label to the segment's first.
    """

    segment: Stretch
    recording: str
    first: int
    largest_error: float
    label: int
    label_offset: int

    @property
    def matches(self) -> bool:
        """Whether every value is reproduced within `TOLERANCE`."""
        return self.largest_error <= TOLERANCE

    @property
    def same_label(self) -> bool:
        """Whether the recording says there what the segment says."""
        return self.label == self.segment.labels[0]


@dataclass(frozen=True)
class Errors:
    """How far one chain is from the published values.

    Attributes:
        shift: samples by which all segments were moved to fit best.
        differences: (time, channel) reproduced less published, of all segments one after the other.
        same_digits: (channel,) share of values that are the published number once rounded to `PRINTED_DIGITS`.
    """

    shift: int
    differences: np.ndarray
    same_digits: np.ndarray


def locate(segments: list[Stretch], recordings: list[Recording], chain: Chain) -> list[Place]:
    """Find every segment where the squared difference to a recording of its subject, filtered by `chain`, is least.

    Args:
        segments: of `har.data.segments.segments_of`, in the channels of ``contract.UCI9``.
        recordings: raw, with their labels.
        chain: (time, 6) -> (time, 9).

    Raises:
        HarError: a subject has no recording as long as its segment.
    """
    signals = {recording.name: chain(recording.samples) for recording in recordings}
    places = []
    for segment in segments:
        found: list[tuple[float, Recording, int]] = []
        for recording in recordings:
            if recording.subject == segment.subject and len(recording.samples) >= len(segment.samples):
                distance = _squared_distances(signals[recording.name], segment.samples)
                first = int(np.argmin(distance))
                found.append((float(distance[first]), recording, first))
        if not found:
            raise HarError(
                f"no recording of subject {segment.subject} has the {len(segment.samples)} samples of segment {segment.recording}; "
                "expected the UCI HAR and HAPT archives of the same people"
            )
        _, recording, first = min(found, key=lambda item: item[0])
        error = float(np.abs(signals[recording.name][first : first + len(segment.samples)] - segment.samples).max())
        label, begins = _label_at(recording.labels, first, first + len(segment.samples))
        places.append(Place(segment, recording.name, first, error, label, first - begins))
    return places


def _squared_distances(signal: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """(start,) sum of squared differences between `segment` and the signal from every start on."""
    from scipy.signal import fftconvolve

    segment = segment.astype(np.float64)  # sums of squares lose too many digits in single precision
    energy = np.concatenate(([0.0], np.cumsum((signal**2).sum(axis=1))))
    product = fftconvolve(signal, segment[::-1], mode="valid", axes=0).sum(axis=1)
    return energy[len(segment) :] - energy[: -len(segment)] - 2 * product + (segment**2).sum()


def _label_at(labels: np.ndarray, first: int, stop: int) -> tuple[int, int]:
    """The labelled run that shares most samples with [first, stop): its label and its first sample."""
    runs = [run for run in label_runs(labels) if run[0] >= 0]
    label, begins, _ = max(runs, key=lambda run: min(stop, run[2]) - max(first, run[1]))
    return label, begins


def errors_of(places: list[Place], recordings: list[Recording], chain: Chain) -> Errors:
    """Compare what `chain` makes of the recordings with the published values, at the shift that fits best.

    Segments so close to an end of their recording that a shift of `SHIFTS` would leave it are not counted.
    """
    signals = {recording.name: chain(recording.samples) for recording in recordings}
    inside = [
        place
        for place in places
        if place.first + SHIFTS[0] >= 0 and place.first + len(place.segment.samples) + SHIFTS[-1] <= len(signals[place.recording])
    ]
    published = np.concatenate([place.segment.samples for place in inside])

    def shifted(shift: int) -> np.ndarray:
        starts = [(signals[place.recording], place.first + shift, len(place.segment.samples)) for place in inside]
        return np.concatenate([signal[first : first + count] for signal, first, count in starts])

    best = min(SHIFTS, key=lambda shift: float(((shifted(shift) - published) ** 2).sum()))
    reproduced = shifted(best)
    same = np.float32(printed(reproduced)) == np.float32(published)
    return Errors(best, reproduced - published, same.mean(axis=0))


def printed(values: np.ndarray) -> np.ndarray:
    """Values rounded to `PRINTED_DIGITS` significant digits, as in the published files."""
    values = np.asarray(values, dtype=np.float64)
    size = np.floor(np.log10(np.abs(values), out=np.zeros_like(values), where=values != 0))
    scale = 10.0 ** (PRINTED_DIGITS - 1 - size)
    return np.round(values * scale) / scale
