"""What the times of a recording say: its rate, regular or not, and the order of its samples."""

from dataclasses import dataclass

import numpy as np

from har.contract import SAMPLE_RATE_HZ
from har.errors import HarError
from har.recording.types import GAP_PERIODS

RATE_TOLERANCE = 0.02  # a phone's 50 Hz is within 2 %: kept as it is; beyond it the gait frequencies move
MAX_JITTER = 0.25  # of a period, for the 99th percentile of the steps: more is resampled
MAX_DRIFT = 0.1  # of the rate, for any block of a window's length: more is resampled
BLOCK = 128  # samples over which a rate must hold
LEAST_RATE = 0.8  # of a model's rate: a slower recording has lost what it was trained on; people move up to 20 Hz, and 50 Hz need 40
ENOUGH_HZ = 40.0  # for any model that states no least rate
LEAST_HZ = 10.0  # of any model and recording
MAX_RATE_HZ = 5000.0  # faster than any phone: the time is in another unit
BURST_RATIO = 1.25  # mean over median step, pauses included; more is not a sensor that lost some samples
MAX_PAUSE = 1.75  # mean periods; a sensor that is late once is early the next time, 10 and 30 ms for 20 ms
SHORT, SHORT_SHARE = 0.4, 1 / 3  # of the mean step; of all steps: half of them, where samples arrive in pairs
LATE_S = 0.1  # a sample that is later by more was not delayed: the clock was set back
ROUNDING_S = 1e-9


@dataclass(frozen=True)
class Rate:
    """What the times say.

    Attributes:
        hz: mean rate, gaps left out.
        regular: the wanted rate within 2 % throughout, so that the samples can be kept as they are.
    """

    hz: float
    regular: bool


def measure_rate(
    name: str,
    time_s: np.ndarray,
    unit_hint: str = "name its unit with --time-unit",
    *,
    wanted_hz: float = SAMPLE_RATE_HZ,
    least_hz: float | None = None,
) -> Rate:
    """Judge (time,) times in s, increasing within a stretch, by the median and the mean step, and by the mean of each window's length.

    The rate must be at least `least_hz`, by default `LEAST_RATE` of `wanted_hz`, of which `ENOUGH_HZ` is enough.

    The median alone is blind to samples that arrive in bursts: ten rows a millisecond apart and then a pause have a median
    of 1 kHz and are 50 Hz all the same. A step of more than 2.5 median periods is a gap if such steps are rare, less than
    one in a window; if they are not, they belong to the rate.

    Raises:
        HarError: there are fewer than two samples, the rate is too low or impossible, or the samples come in bursts, whose
            times are those of their arrival.
    """
    step = np.diff(time_s)
    step = step[step > 0]  # the clock may have been set back between two stretches
    if not len(step):
        count = f"{len(time_s)} sample{'s that do not follow each other' * (len(time_s) > 1)}"
        raise HarError("recording-short", f"{name} has {count}; expected at least one window of samples at {wanted_hz:g} Hz")
    median = float(np.median(step))
    is_gap = step > GAP_PERIODS * median
    pause = float(np.quantile(step, 1 - 1 / BLOCK))  # as long as happens once in a window
    mean = float(step[step <= 10 * pause].mean())  # rare long gaps left out, pauses not
    often = is_gap.mean() * BLOCK > 1
    if (often and pause > MAX_PAUSE * mean and mean > BURST_RATIO * median) or (step < SHORT * mean).mean() > SHORT_SHARE:
        raise HarError(
            "recording-times",
            f"{name}: the samples come in bursts, {1000 * float(np.quantile(step, 0.25)):.3g} ms apart but {1 / mean:.4g} a second on "
            f"average, with pauses of {1000 * pause:.3g} ms; expected the times at which they were measured, not at which they arrived: "
            "use the sensor's own time stamps",
        )
    if often and pause <= GAP_PERIODS * mean:  # irregular, but without a hole
        is_gap = step > GAP_PERIODS * mean
    kept = step[~is_gap]
    rate = 1.0 / float(kept.mean())
    least_hz = min(ENOUGH_HZ, LEAST_RATE * wanted_hz) if least_hz is None else least_hz
    if rate < least_hz:
        hint = f"is the time in ms? {unit_hint}" if rate < 1 else "record faster"
        raise HarError("recording-rate", f"{name}: the sampling rate is {rate:.4g} Hz (mean), expected at least {least_hz:g} Hz; {hint}")
    if rate > MAX_RATE_HZ:
        raise HarError("recording-times", f"{name}: the sampling rate would be {rate:.4g} Hz; is the time in s? {unit_hint}")
    jitter = float(np.quantile(np.abs(kept * rate - 1.0), 0.99))
    regular = abs(rate / wanted_hz - 1.0) <= RATE_TOLERANCE and jitter <= MAX_JITTER and _drift(kept) <= MAX_DRIFT
    return Rate(rate, regular)


def check_still_regular(name: str, time_s: np.ndarray, line: np.ndarray, wanted_hz: float) -> None:
    """The samples of a file that began regular are kept as they are; refuse a later part that is not regular any more.

    Args:
        name: of the file, for the message.
        time_s: (time,) increasing times of the part.
        line: of the file, for each of them.
        wanted_hz: its rate.

    Raises:
        HarError: with the line from which the part was read.
    """
    if len(time_s) <= BLOCK:
        return
    step = np.diff(time_s) * wanted_hz  # in periods
    kept = step[(step > 0) & (step <= GAP_PERIODS)]
    if not len(kept) or abs(kept.mean() - 1.0) > 2 * RATE_TOLERANCE or _drift(kept, 1.0) > MAX_DRIFT:
        found = wanted_hz / float(kept.mean()) if len(kept) else 0.0
        raise HarError(
            "recording-rate",
            f"{name}: the file begins at {wanted_hz:g} Hz, but between lines {line[0]} and {line[-1]} its rate is another "
            f"({found:.4g} Hz on average); expected one rate; split the file where the rate changes",
        )


def _drift(step: np.ndarray, period: float | None = None) -> float:
    """Largest share by which the mean step of a window's length of steps is off."""
    blocks = step[: len(step) // BLOCK * BLOCK].reshape(-1, BLOCK)
    return float(np.abs(blocks.mean(axis=1) / (period or step.mean()) - 1.0).max(initial=0.0))


def number_stretches(time_s: np.ndarray, newest_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Number the stretches of samples in the order in which they were written or arrived.

    A sample more than `LATE_S` earlier than the newest of its stretch begins the next one. Numbering stops where more than
    `most_restarts` stretches have begun.

    Args:
        time_s: (time,) in s, finite.
        newest_s: largest time of the stretch so far, s; -inf before the first sample.

    Returns:
        (time,) int, 0 in the stretch so far, then 1, 2, ...; and (time,) by how much a sample is late, s; not positive where it is not.
    """
    number, late_s = np.zeros(len(time_s), dtype=np.int64), np.empty(len(time_s))
    most, first = most_restarts(len(time_s)), 0
    while first < len(time_s) and (not first or number[-1] <= most):
        newest = np.maximum.accumulate(np.concatenate(([newest_s], time_s[first:])))
        late_s[first:] = newest[:-1] - time_s[first:]
        over = late_s[first:] > LATE_S + ROUNDING_S
        if not over.any():
            break
        first += int(over.argmax())
        number[first:] += 1
        newest_s, first = float(time_s[first]), first + 1
    return number, late_s


def most_restarts(count: int) -> float:
    """How many of `count` samples may begin a new stretch; with more, they are in no order at all."""
    return 1 + count / BLOCK
