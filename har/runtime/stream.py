"""Activities from samples as they arrive, in chunks of any length."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from har.contract import SAMPLE_RATE_HZ, WINDOW_SIZE, HarError
from har.recording.types import GAP_PERIODS
from har.runtime.decision import decide, outcomes
from har.runtime.inputs import RATE_STEPS, check_finite, check_rate, check_units
from har.signals.resampling import StreamResampler

if TYPE_CHECKING:
    from har.runtime.recognizer import Recognizer


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


class SampleStream(ABC):
    """Samples of one phone: checked, resampled where they are not at 50 Hz, and cut where a gap is.

    Args:
        channels: names, in their order.
        source_hz: rate of the samples; where it is not 50, they are resampled and need times.
    """

    def __init__(self, channels: list[str], source_hz: float | None = None) -> None:
        self.channels = channels
        self.source_hz = None if source_hz is not None and source_hz == SAMPLE_RATE_HZ else source_hz
        self.reset()

    def reset(self) -> None:
        """Forget everything, as at the start of a recording."""
        self._forget()
        self._last_s: float | None = None
        self._next_s = 0.0  # time of the next sample, where none is given

    def _forget(self) -> None:
        self._steps = np.empty(0)  # s, between the last samples
        self._recent = np.empty((0, len(self.channels)))  # the last samples, for their units
        self._begin()

    def interrupt(self) -> list[Answer]:
        """What comes next is another stretch, as behind a gap: the clock was set back, or the app was away.

        Its times may begin anywhere. How the phone is worn stays known, unlike after `reset`.

        Returns:
            Answers that the samples held back by the resampler complete.
        """
        try:
            return self._held_back()
        finally:
            self._begin()
            self._last_s = None

    def push(self, chunk: np.ndarray, time_s: np.ndarray | None = None) -> list[Answer]:
        """Take the next samples.

        A chunk that is refused is not taken. Where its shape, a value or its times are wrong, it can be mended and pushed again; where its
        units or its rate are, the samples before it are suspect as well and are forgotten, so that what is right later is answered.

        Args:
            chunk: (time, channel) in g and rad/s, channels as in the manifest; none or one sample, (channel,), are allowed.
            time_s: (time,) increasing times of measurement in s; left out, each is 20 ms behind the one before.

        Returns:
            An answer for each stretch that the chunk has completed.

        Raises:
            HarError: the shape, order, units, rate or times are wrong, or a value is not finite.
        """
        chunk = np.asarray(chunk, dtype=np.float64)
        chunk = chunk[np.newaxis] if chunk.ndim == 1 else chunk
        channels = self.channels
        if chunk.ndim != 2 or chunk.shape[1] != len(channels):
            raise HarError(f"a chunk has shape {chunk.shape}, expected (time, {len(channels)}): time, then {', '.join(channels)}")
        check_finite(chunk, channels)
        times = self._times(len(chunk), time_s)
        known = times if self._last_s is None else np.concatenate(([self._last_s], times))
        step = np.diff(known)
        if not np.isfinite(times).all() or (step <= 0).any():
            raise HarError(
                "the times of the samples do not increase; sort them, leave out what was delivered twice, and call interrupt() "
                "where the clock was set back"
            )
        period = 1.0 / min(self.source_hz or SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)  # as files are read: what 50 Hz does not notice is no gap
        is_gap = step > GAP_PERIODS * period
        cuts = np.flatnonzero(is_gap) + len(chunk) - len(step)  # first sample behind each gap
        steps, recent = np.concatenate((self._steps, step[~is_gap])), np.concatenate((self._recent, chunk))
        try:
            if self._resampler is None:
                check_rate(steps)
            if len(recent) >= WINDOW_SIZE:  # chunks may be too short to tell their unit
                check_units(recent)
            answers = self._take_parts(chunk, times, cuts)
        except HarError:
            self._forget()
            raise
        self._steps, self._recent = steps[-RATE_STEPS:], recent[-WINDOW_SIZE:]
        if len(times):
            self._last_s, self._next_s = float(times[-1]), float(times[-1]) + 1 / SAMPLE_RATE_HZ
        return answers

    def _times(self, count: int, time_s: np.ndarray | None) -> np.ndarray:
        """(count,) times of the next samples, where they are not given 20 ms apart."""
        if time_s is None:
            if self._resampler is not None:
                raise HarError(f"samples at {self.source_hz:g} Hz have no times; expected time_s, in seconds, to resample them")
            return self._next_s + np.arange(count) / SAMPLE_RATE_HZ
        times = np.atleast_1d(np.asarray(time_s, dtype=np.float64))
        if times.shape != (count,):
            raise HarError(f"time_s has shape {times.shape} for {count} samples; expected a time for each")
        return times

    def _take_parts(self, chunk: np.ndarray, times: np.ndarray, cuts: np.ndarray) -> list[Answer]:
        answers: list[Answer] = []
        for part in np.split(np.arange(len(chunk)), cuts):
            if len(part) and part[0] in cuts:
                answers += self._held_back()
                self._begin()
            answers += self._resampled(chunk[part], times[part])
        return answers

    def _begin(self) -> None:
        """Nothing before this moment counts: the start of a recording, or the end of a gap."""
        self._resampler = None if self.source_hz is None else StreamResampler(self.source_hz, SAMPLE_RATE_HZ)
        self._restart()

    def _held_back(self) -> list[Answer]:
        """Answers that the resampler's last samples complete, at the end of a stretch as at the end of a file's."""
        return self._resampled(np.empty((0, len(self.channels))), np.empty(0), last=True)

    def _resampled(self, chunk: np.ndarray, time_s: np.ndarray, *, last: bool = False) -> list[Answer]:
        if self._resampler is not None:
            time_s, chunk = self._resampler.push(time_s, chunk, last=last)
        return self._take(chunk.astype(np.float32), time_s)

    @abstractmethod
    def _restart(self) -> None:
        """Forget what was kept of the samples before."""

    @abstractmethod
    def _take(self, samples: np.ndarray, time_s: np.ndarray) -> list[Answer]:
        """Answers that the next samples at 50 Hz, (time, channel) float32, complete."""


class WindowStream(SampleStream):
    """The last window of a stream in a ring buffer, and an answer after each hop.

    The answers are those of `Recognizer.predict_in_order` on windows cut from the whole stream, however it was cut into chunks. A gap in
    the times empties the buffer: no window crosses it.

    Args:
        recognizer: that answers.
        source_hz: see `SampleStream`.
    """

    def __init__(self, recognizer: "Recognizer", source_hz: float | None = None) -> None:
        self.recognizer = recognizer
        super().__init__(recognizer.channels, source_hz)

    def reset(self) -> None:
        self._mounting = self.recognizer.start_mounting()  # a gap is no reason to wear the phone otherwise
        super().reset()

    def _restart(self) -> None:
        self._samples = np.empty((0, len(self.channels)), dtype=np.float32)
        self._time_s = np.empty(0)

    def _take(self, samples: np.ndarray, time_s: np.ndarray) -> list[Answer]:
        samples, times = np.concatenate((self._samples, samples)), np.concatenate((self._time_s, time_s))
        size, hop = self.recognizer.window_size, self.recognizer.stride
        answers = []
        while len(samples) >= size:
            rows, below = self.recognizer.predict_in_order(samples[:size], self._mounting)
            end_s = float(times[size - 1]) + 1 / SAMPLE_RATE_HZ
            answers.append(answer_of(rows[0], self.recognizer.labels, float(below[0]), float(times[0]), end_s))
            samples, times = samples[hop:], times[hop:]
        self._samples, self._time_s = samples, times
        return answers
