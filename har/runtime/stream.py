"""Activities from samples as they arrive, in chunks of any length."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from har.contract import SAMPLE_RATE_HZ, UNKNOWN, HarError
from har.recording.types import GAP_PERIODS
from har.runtime.inputs import RATE_SAMPLES, check_finite, check_rate
from har.signals.resampling import StreamResampler

if TYPE_CHECKING:
    from har.runtime.recognizer import Recognizer


@dataclass(frozen=True)
class Answer:
    """What a person did in one window.

    Attributes:
        from_s: start of the window, in the stream's own time.
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


class WindowStream:
    """The last window of a stream in a ring buffer, and an answer after each hop.

    The answers are those of `Recognizer.predict` on windows cut from the whole stream, however it was cut into chunks. A gap in the times
    empties the buffer: no window crosses it.

    Args:
        recognizer: that answers.
        source_hz: rate of the samples; where it is not 50, they are resampled and need times.
    """

    def __init__(self, recognizer: "Recognizer", source_hz: float | None = None) -> None:
        self.recognizer = recognizer
        self.source_hz = None if source_hz is not None and source_hz == SAMPLE_RATE_HZ else source_hz
        self.reset()

    def reset(self) -> None:
        """Forget all samples, as at the start of a recording."""
        self._resampler = None if self.source_hz is None else StreamResampler(self.source_hz, SAMPLE_RATE_HZ)
        self._samples = np.empty((0, len(self.recognizer.channels)), dtype=np.float32)
        self._time_s = np.empty(0)
        self._steps = np.empty(0)
        self._last_s: float | None = None

    def push(self, chunk: np.ndarray, time_s: np.ndarray | None = None) -> list[Answer]:
        """Take the next samples.

        Args:
            chunk: (time, channel) in g and rad/s, channels as in the manifest; none or one sample, (channel,), are allowed.
            time_s: (time,) increasing times of measurement in s; left out, each is 20 ms behind the one before.

        Returns:
            An answer for each window that the chunk has completed.

        Raises:
            HarError: the shape, order, units, rate or times are wrong, or a value is not finite; the chunk is not taken then.
        """
        chunk = np.asarray(chunk, dtype=np.float64)
        chunk = chunk[np.newaxis] if chunk.ndim == 1 else chunk
        channels = self.recognizer.channels
        if chunk.ndim != 2 or chunk.shape[1] != len(channels):
            raise HarError(f"a chunk has shape {chunk.shape}, expected (time, {len(channels)}): time, then {', '.join(channels)}")
        check_finite(chunk, channels)
        if time_s is None:
            if self._resampler is not None:
                raise HarError(f"samples at {self.source_hz:g} Hz have no times; expected time_s, in seconds, to resample them")
            first_s = 0.0 if self._last_s is None else self._last_s + 1 / SAMPLE_RATE_HZ
            time_s = first_s + np.arange(len(chunk)) / SAMPLE_RATE_HZ
        times = np.atleast_1d(np.asarray(time_s, dtype=np.float64))
        if times.shape != (len(chunk),):
            raise HarError(f"time_s has shape {times.shape} for {len(chunk)} samples; expected a time for each")
        known = times if self._last_s is None else np.concatenate(([self._last_s], times))
        step = np.diff(known)
        if not np.isfinite(times).all() or (step <= 0).any():
            raise HarError("the times of the samples do not increase; sort them, and leave out what was delivered twice")
        period = 1.0 / min(self.source_hz or SAMPLE_RATE_HZ, SAMPLE_RATE_HZ)  # as files are read: what 50 Hz does not notice is no gap
        is_gap = step > GAP_PERIODS * period
        steps = np.concatenate((self._steps, step[~is_gap]))[-RATE_SAMPLES:]
        if self._resampler is None:
            check_rate(steps)
        offset = 0 if self._last_s is None else 1
        cuts = np.flatnonzero(is_gap) + 1 - offset  # first sample behind each gap
        answers: list[Answer] = []
        for part in np.split(np.arange(len(chunk)), cuts):
            if len(part) and part[0] in cuts:
                self._samples, self._time_s = self._samples[:0], self._time_s[:0]
                self._resampler = None if self.source_hz is None else StreamResampler(self.source_hz, SAMPLE_RATE_HZ)
            answers += self._take(chunk[part], times[part])
        self._steps = steps
        self._last_s = float(times[-1]) if len(times) else self._last_s
        return answers

    def _take(self, chunk: np.ndarray, time_s: np.ndarray) -> list[Answer]:
        if self._resampler is not None:
            time_s, chunk = self._resampler.push(time_s, chunk)
        samples = np.concatenate((self._samples, chunk.astype(np.float32)))
        times = np.concatenate((self._time_s, time_s))
        size, hop = self.recognizer.window_size, self.recognizer.stride
        answers = []
        while len(samples) >= size:
            row = self.recognizer.predict(samples[:size])[0]
            answers.append(self._answer(row, float(times[0]), float(times[size - 1]) + 1 / SAMPLE_RATE_HZ))
            samples, times = samples[hop:], times[hop:]
        self._samples, self._time_s = samples, times
        return answers

    def _answer(self, row: np.ndarray, from_s: float, to_s: float) -> Answer:
        best = int(row.argmax())
        label = self.recognizer.labels[best] if row[best] >= self.recognizer.unknown_below else UNKNOWN
        return Answer(from_s, to_s, label, float(row[best]), row)
