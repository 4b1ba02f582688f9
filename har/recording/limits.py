"""Physical limits of body-worn sensors, and the samples that break them. Training, runtime and web page share this table.

A sample outside the limits is handled as if its row were missing: no window, rate, filter or state of a model sees it.
"""

from collections.abc import Sequence

import numpy as np

from har.contract import kind_of
from har.errors import HarError

ACC_LIMIT_G = 16.0  # |value| of any axis; the widest full scale of accelerometers in phones and watches
GYRO_LIMIT_RAD_S = 40.0  # |value| of any axis; the usual full scale of 2000 deg/s is 34.9 rad/s
FROZEN_S = 1.0  # for so long no worn sensor repeats all of its axes bit for bit: noise moves the last digit
BOTH = ("accelerometer", "gyroscope")  # sensors of `contract.RAW6`
LIMIT = {"accelerometer": ACC_LIMIT_G, "linear_acceleration": ACC_LIMIT_G, "gravity": ACC_LIMIT_G, "gyroscope": GYRO_LIMIT_RAD_S}
LIMITS_TEXT = f"{ACC_LIMIT_G:g} g, {GYRO_LIMIT_RAD_S:g} rad/s"

FULL_SCALES_G = (2.0, 4.0, 8.0)  # of accelerometers that clip below the limit
CLIPPED_LEAST = 5  # samples at exactly the largest value of a channel
MOST_OUTSIDE = 0.01  # share of rows outside the limits; more is another unit or a broken file, not a glitch
FEW_OUTSIDE = 3  # rows that are never too many
DEG_S_MOST = 4000.0  # the widest full scale of gyroscopes in deg/s
DEG_S_NEXT = 10.0  # rad/s; a movement in deg/s passes through values above it on its way beyond the limit, a glitch does not
PAUSE_S = 0.25  # a longer step between two samples ends a run of equal values; 2.5 periods at 10 Hz


def slices(sensors: Sequence[str] = BOTH) -> dict[str, slice]:
    """Where the three channels of each sensor are in samples of these sensors."""
    return {sensor: slice(3 * place, 3 * place + 3) for place, sensor in enumerate(sensors)}


def limits(sensors: Sequence[str] = BOTH) -> np.ndarray:
    """(channel,) largest |value| of samples of these sensors, in g and rad/s."""
    return np.repeat([LIMIT[kind_of(sensor)] for sensor in sensors], 3)


def outside(values: np.ndarray, sensors: Sequence[str] = BOTH) -> np.ndarray:
    """(time,) bool: which samples of (time, channel) g and rad/s break a limit; NaN breaks none."""
    return (np.abs(values) > limits(sensors)).any(axis=1)


def check_outside(values: np.ndarray, broken: np.ndarray, place: str, advice: str, first: str, sensors: Sequence[str] = BOTH) -> None:
    """Refuse samples whose unit is another, or of which too many break a limit to be glitches.

    Args:
        values: (time, channel) in g and rad/s.
        broken: (time,) result of `outside`.
        place: start of the message, such as the file's name.
        advice: what to do about deg/s.
        first: where the first broken sample is, such as ``line 12``.
        sensors: of the channels.

    Raises:
        HarError: angular velocity is in deg/s, or more than 1 % of the samples break a limit.
    """
    if not broken.any():
        return
    too_many = broken.sum() > max(FEW_OUTSIDE, MOST_OUTSIDE * len(broken))
    turning = turning_of(values, sensors)
    if in_degrees(turning) or (too_many and (turning[broken] > GYRO_LIMIT_RAD_S).mean() > 0.5):
        raise HarError(
            "recording-units",
            f"{place} the gyroscope reaches {turning.max():.4g} rad/s, expected at most {GYRO_LIMIT_RAD_S:g}; "
            f"it looks like deg/s: {advice}",
        )
    if too_many:
        raise HarError(
            "recording-values",
            f"{place} {int(broken.sum())} of {len(broken)} samples are outside the physical limits ({LIMITS_TEXT}), the first in {first}; "
            "the sensor or the file is broken, or the unit is another",
        )


def turning_of(values: np.ndarray, sensors: Sequence[str]) -> np.ndarray:
    """(time,) largest |angular velocity| of any axis; 0 without a gyroscope."""
    return np.abs(values[:, np.repeat([kind_of(sensor) == "gyroscope" for sensor in sensors], 3)]).max(axis=1, initial=0.0)


def in_degrees(turning: np.ndarray) -> bool:
    """Whether (time,) largest |angular velocity| crosses the limit as a movement does, not as a glitch."""
    beyond = (turning > GYRO_LIMIT_RAD_S) & (turning <= DEG_S_MOST)
    if not beyond.any():
        return False
    edge = np.diff(beyond.astype(np.int8), prepend=0, append=0)
    first, last = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1) - 1
    before = turning[np.maximum(first - 1, 0)] * (first > 0)
    after = turning[np.minimum(last + 1, len(turning) - 1)] * (last < len(turning) - 1)
    crosses = [(next_to > DEG_S_NEXT) & (next_to <= GYRO_LIMIT_RAD_S) for next_to in (before, after)]
    return bool((crosses[0] | crosses[1]).mean() >= 0.5)


def within(values: np.ndarray, sensors: Sequence[str] = BOTH) -> np.ndarray:
    """(time, channel) resampled values cut to the limits, which a resampling filter oversteps where samples just inside them swing."""
    return np.clip(values, -limits(sensors), limits(sensors))


class Repeats:
    """For how long each sensor has repeated its value bit for bit, over samples that arrive in pieces."""

    def __init__(self, sensors: Sequence[str] = BOTH) -> None:
        self._slices = slices(sensors)
        self._last: tuple[float, np.ndarray] | None = None
        self._held_s = np.zeros(len(sensors))

    def push(self, time_s: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Take the next samples.

        Args:
            time_s: (time,) in s. A step back, or of more than `PAUSE_S`, ends a run.
            values: (time, channel).

        Returns:
            (time, sensor) s since the first sample of the run that a sample belongs to.
        """
        if not len(time_s):
            return np.zeros((0, len(self._slices)))
        values = values.astype(np.float32)  # as models see them
        before_s, before = self._last or (np.nan, np.full(values.shape[1], np.nan))
        step = np.diff(time_s, prepend=before_s)
        same = values == np.concatenate((before[None], values[:-1]))
        joined = (step >= 0) & (step <= PAUSE_S)
        held = np.empty((len(time_s), len(self._slices)))
        for number, channels in enumerate(self._slices.values()):
            goes_on = joined & same[:, channels].all(axis=1)
            start = np.maximum.accumulate(np.where(goes_on, -1, np.arange(len(time_s))))
            start_s = np.where(start >= 0, time_s[start], before_s - self._held_s[number])
            held[:, number] = time_s - start_s
        self._last, self._held_s = (float(time_s[-1]), values[-1].copy()), held[-1].copy()
        return held


def frozen(time_s: np.ndarray, values: np.ndarray, sensors: Sequence[str] = BOTH) -> np.ndarray:
    """(time, sensor) bool: which samples lie in a run of `FROZEN_S` or more in which a sensor repeats one value.

    Args:
        time_s: (time,) in s.
        values: (time, channel).
        sensors: of the channels.
    """
    return whole_runs(Repeats(sensors).push(time_s, values))


def whole_runs(held_s: np.ndarray) -> np.ndarray:
    """(time, sensor) bool: which samples belong to a run that becomes frozen, from (time, sensor) results of `Repeats.push`."""
    found = np.zeros(held_s.shape, dtype=bool)
    for number in range(held_s.shape[1]):
        is_first = held_s[:, number] == 0.0
        run = np.cumsum(is_first)
        longest = np.zeros(int(run[-1]) + 1 if len(run) else 1)
        np.maximum.at(longest, run, held_s[:, number])
        found[:, number] = longest[run] >= FROZEN_S - 1e-9
    return found
