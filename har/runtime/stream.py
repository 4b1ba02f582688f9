"""Activities from samples as they arrive, in chunks of any length."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from har.errors import HarError
from har.recording.limits import FROZEN_S, Repeats, outside, within
from har.recording.rate import LATE_S, ROUNDING_S, most_restarts, number_stretches
from har.recording.types import GAP_PERIODS
from har.runtime.inputs import RATE_STEPS, check_finite, check_rate, check_units
from har.runtime.timeline import decide, outcomes
from har.signals.resampling import StreamResampler

if TYPE_CHECKING:
    from har.runtime.recognizer import Recognizer, StateRecognizer, WindowRecognizer


@dataclass(frozen=True)
class Answer:
    """What a person did in one stretch of a stream: a window, or the samples of a hop.

    Attributes:
        from_s: its start, in the stream's own time.
        to_s: end of its last sample.
        label: name of the activity, or ``UNKNOWN`` where the model is not sure enough.
        confidence: probability of the likeliest activity.
        probabilities: (num_classes,) in the order of the labels.
    """

    from_s: float
    to_s: float
    label: str
    confidence: float
    probabilities: np.ndarray


def answer_of(row: np.ndarray, labels: list[str], unknown_below: float, from_s: float, to_s: float) -> Answer:
    """The answer that (num_classes,) probabilities give.

    Raises:
        HarError: a probability is not finite.
    """
    decided = int(decide(labels, row[np.newaxis], unknown_below)[0])
    return Answer(from_s, to_s, outcomes(labels)[decided], float(row.max()), row)


@dataclass
class StreamFaults:
    """How many samples of a stream were not taken as they came.

    Attributes:
        sorted, late: samples at most `LATE_S` late: put into their place, or left out because those after them were answered already.
        latest_s: how late the latest of them was, s.
        restarts: samples that were later still and so began a new stretch.
        repeated: samples delivered twice, left out.
        outside: samples outside the physical limits, left out.
        frozen: samples left out because a sensor had repeated its value for `FROZEN_S`.
    """

    sorted: int = 0
    late: int = 0
    latest_s: float = 0.0
    restarts: int = 0
    repeated: int = 0
    outside: int = 0
    frozen: int = 0


class SampleStream(ABC):
    """Samples of one phone: checked, resampled where they are not at the model's rate, and cut where a gap is.

    Args:
        recognizer: that answers.
        size, hop: samples of an answer, and from one to the next.
        source_hz: rate of the samples; where it is not the model's, they are resampled and need times.
    """

    _rows: np.ndarray  # of samples that are not answered yet, and their times
    _time_s: np.ndarray

    def __init__(self, recognizer: "Recognizer", size: int, hop: int, source_hz: float | None) -> None:
        self.labels, self.spec, self.size, self.hop = recognizer.labels, recognizer.spec, size, hop
        self.channels, self.rate_hz = recognizer.channels, recognizer.spec.sample_rate_hz
        self._taken_s = float("nan")  # time of the last sample used of the stretch
        self.source_hz = None if source_hz is not None and source_hz == self.rate_hz else source_hz
        self.reset()

    def reset(self) -> None:
        """Forget everything, as at the start of a recording."""
        self.faults = StreamFaults()
        self._forget()
        self._last_s = -np.inf
        self._next_s = 0.0  # time of the next sample, where none is given

    def _forget(self) -> None:
        self._recent_s = np.empty(0)  # of the last samples, for their rate and units; those outside the limits are among them
        self._recent = np.empty((0, len(self.channels)))
        self._repeats = Repeats(self.spec.sensor_names)
        self._was_frozen = False
        self._begin()

    def interrupt(self) -> list[Answer]:
        """Begin another stretch with the next sample, as after a gap: the app was away, for example.

        Its times may begin anywhere. How the phone is worn stays known, unlike after `reset`.

        Returns:
            Answers that the samples held back by the resampler complete.
        """
        try:
            return self._held_back()
        finally:
            self._begin()
            self._last_s = -np.inf

    def push(self, chunk: np.ndarray, time_s: np.ndarray | None = None) -> list[Answer]:
        """Take the next samples.

        A sample more than `LATE_S` earlier than the newest one begins a new stretch: the clock was set back. One that is at most so late
        is put into its place where no answer has used the samples around it yet, otherwise it is left out. Samples outside the physical
        limits, samples delivered twice and those of a sensor that repeats its value for `FROZEN_S` are left out. `faults` counts them all.

        A chunk that is refused is not taken. Where its shape, a value or its times are wrong, it can be repaired and pushed again; where
        its units or its rate are, the samples before it are suspect as well and are forgotten, so that later ones are answered.

        Args:
            chunk: (time, channel) in g and rad/s, channels as in the manifest; none or one sample, (channel,), are allowed.
            time_s: (time,) times of measurement in s; left out, each is a sample period after the one before.

        Returns:
            An answer for each stretch that the chunk has completed.

        Raises:
            HarError: the shape, units, rate or times are wrong, or a value is not finite.
        """
        chunk = np.asarray(chunk, dtype=np.float64)
        chunk = chunk[np.newaxis] if chunk.ndim == 1 else chunk
        channels = self.channels
        if chunk.ndim != 2 or chunk.shape[1] != len(channels):
            raise HarError(
                "windows", f"a chunk has shape {chunk.shape}, expected (time, {len(channels)}): time, then {', '.join(channels)}"
            )
        check_finite(chunk, channels)
        times = self._times(len(chunk), time_s)
        if not len(chunk):
            return []
        if not np.isfinite(times).all():
            raise HarError("recording-times", f"the time of sample {np.argmin(np.isfinite(times))} is not finite; expected seconds")
        faults = replace(self.faults)
        next_s = float(times[-1]) + 1 / self.rate_hz
        chunk, times, stretch, late = self._in_order(chunk, times, faults)
        recent_s, recent = self._with_late(late)
        recent_s, recent = np.concatenate((recent_s, times)), np.concatenate((recent, chunk))
        try:
            if self._resampler is None:
                step = np.diff(recent_s[~outside(recent, self.spec.sensor_names)])
                check_rate(step[(step > 0) & (step <= self._longest_s)], self.rate_hz)
            if len(recent) > RATE_STEPS:  # fewer do not show their unit
                check_units(recent, self.spec.sensor_names)
        except HarError:
            self._forget()
            raise
        self._recent_s, self._recent = recent_s[-RATE_STEPS - 1 :], recent[-RATE_STEPS - 1 :]
        self.faults, self._next_s = faults, next_s
        if len(times):
            self._last_s = float(times[-1])
        for time, sample in zip(*late, strict=True):
            taken = not outside(sample[None], self.spec.sensor_names)[0] and self._insert(float(time), sample)
            faults.sorted, faults.late = faults.sorted + taken, faults.late + (not taken)
        broken = outside(chunk, self.spec.sensor_names)
        faults.outside += int(broken.sum())
        return self._take_parts(chunk[~broken], times[~broken], stretch[~broken])

    def _in_order(
        self, chunk: np.ndarray, times: np.ndarray, faults: StreamFaults
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Samples sorted by time within their stretch, their times and stretches, and the times and samples that come after later ones."""
        twice = self._delivered_before(chunk, times)
        faults.repeated += int(twice.sum())
        chunk, times = chunk[~twice], times[~twice]
        stretch, late_s = number_stretches(times, self._last_s)
        first = np.diff(stretch, prepend=0) > 0
        if first.sum() > most_restarts(len(times)):
            raise HarError(
                "recording-times",
                f"the times of {len(times)} samples do not increase: they go back {int(first.sum())} times or more; sort them",
            )
        order = np.lexsort((times, stretch))
        late_s, chunk, times, stretch = np.where(first, 0.0, late_s)[order], chunk[order], times[order], stretch[order]
        before = np.concatenate((self._recent[-1:] if len(self._recent) else np.full_like(chunk[:1], np.nan), chunk[:-1]))[: len(chunk)]
        repeated = (np.diff(times, prepend=self._last_s) == 0) & (np.diff(stretch, prepend=0) == 0)
        if (chunk[repeated] != before[repeated]).any():
            raise HarError(
                "recording-times",
                "the times of the samples do not increase: two have one time and other values; expected when each was measured",
            )
        passed = (stretch == 0) & (times < self._last_s)
        faults.restarts += int(first.sum())
        faults.repeated += int(repeated.sum())
        faults.latest_s = max(faults.latest_s, float(late_s.max(initial=0.0)))
        faults.sorted += int(((late_s > 0) & ~passed & ~repeated).sum())
        late = passed & ~repeated
        kept = ~(passed | repeated)
        return chunk[kept], times[kept], stretch[kept], (times[late], chunk[late])

    def _delivered_before(self, chunk: np.ndarray, times: np.ndarray) -> np.ndarray:
        """(time,) which samples repeat earlier ones; none where some of those that are not new are unknown: the clock was set back."""
        old = np.flatnonzero(times <= self._last_s)
        known = times[old, None] == self._recent_s
        known &= (chunk[old, None] == self._recent).all(axis=2)
        twice = np.zeros(len(times), dtype=bool)
        twice[old] = known.any(axis=1).all()
        return twice

    def _with_late(self, late: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The last samples and their times, with late ones in their places: they were measured, so they count for rate and units."""
        recent_s, recent = self._recent_s, self._recent
        for time, sample in zip(*late, strict=True):
            place = len(recent_s)
            while place and 0 < recent_s[place - 1] - time <= LATE_S + ROUNDING_S:
                place -= 1
            recent_s, recent = np.insert(recent_s, place, time), np.insert(recent, place, sample, axis=0)
        return recent_s, recent

    def _insert(self, time_s: float, sample: np.ndarray) -> bool:
        """Put a late sample into its place, where nothing after it was used yet; whether that could be done."""
        return False

    @property
    def _longest_s(self) -> float:
        """A longer step between two samples is a gap, as in files: what the model's rate does not notice is none."""
        return GAP_PERIODS / min(self.source_hz or self.rate_hz, self.rate_hz)

    def _times(self, count: int, time_s: np.ndarray | None) -> np.ndarray:
        """(count,) times of the next samples, where they are not given a sample period apart."""
        if time_s is None:
            if self._resampler is not None:
                raise HarError(
                    "recording-times", f"samples at {self.source_hz:g} Hz have no times; expected time_s, in seconds, to resample them"
                )
            return self._next_s + np.arange(count) / self.rate_hz
        times = np.atleast_1d(np.asarray(time_s, dtype=np.float64))
        if times.shape != (count,):
            raise HarError("windows", f"time_s has shape {times.shape} for {count} samples; expected a time for each")
        return times

    def _take_parts(self, chunk: np.ndarray, times: np.ndarray, stretch: np.ndarray) -> list[Answer]:
        """Answers of samples within the limits, in their order; gaps, set clocks and frozen sensors end a stretch."""
        is_frozen = (self._repeats.push(times, chunk) >= FROZEN_S - ROUNDING_S).any(axis=1)
        self.faults.frozen += int(is_frozen.sum())
        thawed = np.concatenate(([self._was_frozen], is_frozen))
        self._was_frozen = bool(thawed[-1])
        kept = np.flatnonzero(~is_frozen)
        begins = (np.diff(times[kept], prepend=self._taken_s) > self._longest_s) | (np.diff(stretch[kept], prepend=0) > 0) | thawed[kept]
        answers: list[Answer] = []
        for part in np.split(np.arange(len(kept)), np.flatnonzero(begins)):
            if len(part) and begins[part[0]]:
                answers += [] if thawed[kept[part[0]]] else self._held_back()
                self._begin()
            answers += self._resampled(chunk[kept[part]], times[kept[part]])
        if len(kept):
            self._taken_s = float(times[kept[-1]])
        return answers

    def _begin(self) -> None:
        """Begin a stretch: no earlier sample counts, as at the start of a recording or after a gap."""
        self._taken_s = float("nan")
        self._resampler = None if self.source_hz is None else StreamResampler(self.source_hz, self.rate_hz)
        self._restart()

    def _held_back(self) -> list[Answer]:
        """Answers that the resampler's last samples complete, at the end of a stretch as at the end of a file's."""
        return self._resampled(np.empty((0, len(self.channels))), np.empty(0), last=True)

    def _resampled(self, chunk: np.ndarray, time_s: np.ndarray, *, last: bool = False) -> list[Answer]:
        if self._resampler is not None:
            time_s, chunk = self._resampler.push(time_s, chunk, last=last)
            chunk = within(chunk, self.spec.sensor_names)
        return self._take(chunk.astype(np.float32), time_s)

    @abstractmethod
    def _restart(self) -> None:
        """Forget what was kept of the samples before."""

    def _take(self, samples: np.ndarray, time_s: np.ndarray) -> list[Answer]:
        """Answers that the next samples at the model's rate, (time, channel) float32, complete."""
        rows, times = np.concatenate((self._rows, self._read(samples))), np.concatenate((self._time_s, time_s))
        answers = []
        while len(rows) >= self.size:
            probabilities, below = self._answer(rows[: self.size])
            end_s = float(times[self.size - 1]) + 1 / self.rate_hz
            answers.append(answer_of(probabilities, self.labels, below, float(times[0]), end_s))
            rows, times = rows[self.hop :], times[self.hop :]
        self._rows, self._time_s = rows, times
        return answers

    def _read(self, samples: np.ndarray) -> np.ndarray:
        """A row of each sample, to be kept until it is answered."""
        return samples

    @abstractmethod
    def _answer(self, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """Probabilities of the next `size` rows, and the least one that is an answer."""


class WindowStream(SampleStream):
    """The last window of a stream in a ring buffer, and an answer after each hop.

    The answers are those of `Recognizer.predict_in_order` on windows cut from the whole stream, however it was cut into chunks. A gap in
    the times empties the buffer: no window crosses it.

    Args:
        recognizer: that answers.
        source_hz: see `SampleStream`.
    """

    def __init__(self, recognizer: "WindowRecognizer", source_hz: float | None = None) -> None:
        self.recognizer = recognizer
        super().__init__(recognizer, recognizer.window_size, recognizer.stride, source_hz)

    def reset(self) -> None:
        self._mounting = self.recognizer.start_mounting()  # a gap is no reason to wear the phone otherwise
        super().reset()

    def _restart(self) -> None:
        self._rows, self._time_s = np.empty((0, len(self.channels)), dtype=np.float32), np.empty(0)

    def _insert(self, time_s: float, sample: np.ndarray) -> bool:
        if self._resampler is not None or not len(self._time_s) or time_s <= self._time_s[0]:
            return False
        place = int(np.searchsorted(self._time_s, time_s))
        if place < len(self._time_s) and self._time_s[place] == time_s:  # a sample of that time is there already
            return False
        self._time_s = np.insert(self._time_s, place, time_s)
        self._rows = np.insert(self._rows, place, sample.astype(np.float32), axis=0)
        return True

    def _answer(self, rows: np.ndarray) -> tuple[np.ndarray, float]:
        probabilities, below = self.recognizer.predict_in_order(rows, self._mounting)
        return probabilities[0], float(below[0])


class StateStream(SampleStream):
    """A stream whose model keeps what it needs of the past in a state of fixed size; an answer is the mean over a hop's samples.

    The answers do not depend on how the stream was cut into chunks. A gap starts from an empty state.

    Args:
        recognizer: that answers.
        source_hz: see `SampleStream`.
    """

    def __init__(self, recognizer: "StateRecognizer", source_hz: float | None = None) -> None:
        self.recognizer = recognizer
        super().__init__(recognizer, recognizer.hop, recognizer.hop, source_hz)

    def _restart(self) -> None:
        self._state: np.ndarray | None = None
        self._rows, self._time_s = np.empty((0, len(self.labels)), dtype=np.float32), np.empty(0)

    def _read(self, samples: np.ndarray) -> np.ndarray:
        if not len(samples):
            return self._rows[:0]
        rows, self._state = self.recognizer.label_samples(samples, self._state)
        return rows

    def _answer(self, rows: np.ndarray) -> tuple[np.ndarray, float]:
        return rows.mean(axis=0), self.recognizer.unknown_below
