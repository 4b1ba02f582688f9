"""Is an array what the model takes? A network answers anything; what is wrong has to be found before it is asked."""

from collections.abc import Sequence

import numpy as np

from har.contract import SignalSpec, kind_of
from har.errors import HarError
from har.recording.limits import BOTH, FROZEN_S, LIMITS_TEXT, check_outside, frozen, limits, outside, slices

LEAST_NORM_G, MOST_NORM_G = 0.3, 4.0  # of the median length of total acceleration; walking people stay between 0.8 and 1.2
RATE_TOLERANCE = 0.02  # share by which a stream's rate may be off
RATE_STEPS = 127  # over which a stream's rate is taken, few enough to miss a sample or two


def check_windows(windows: np.ndarray, spec: SignalSpec) -> None:
    """Refuse windows of another shape, in other units or order than the model's, or with values that no sensor measures.

    Args:
        windows: (window, time, channel).
        spec: of the model, with a window size.

    Raises:
        HarError: with what was found: also a value that is not finite or outside the physical limits, or a sensor that repeats one value
            for `FROZEN_S`.
    """
    assert spec.window_size is not None
    window_size, channels = spec.window_size, list(spec.channels)
    expected = (window_size, len(channels))
    if windows.ndim != 3 or windows.shape[1:] != expected:
        turned = windows.ndim == 3 and windows.shape[1:] == expected[::-1]
        hint = "; time and channel have changed places: windows.transpose(0, 2, 1)" if turned else ""
        raise HarError(
            "windows",
            f"windows have shape {windows.shape}, expected (window, {expected[0]}, {expected[1]}): time, then {', '.join(channels)}{hint}",
        )
    check_finite(windows.reshape(-1, len(channels)), channels, window_size)
    if not len(windows):
        return
    samples = windows.reshape(-1, len(channels))
    broken = check_units(samples, spec.sensor_names)
    if broken.any():
        first = int(np.argmax(broken))
        window, sample = divmod(first, window_size)
        channel = int(np.argmax(np.abs(samples[first]) / limits(spec.sensor_names)))
        raise HarError(
            "recording-values",
            f"window {window} has {channels[channel]} = {samples[first, channel]:.4g} at sample {sample}, outside the physical limits "
            f"({LIMITS_TEXT}); leave the window out",
        )
    _check_frozen(windows, spec)


def _check_frozen(windows: np.ndarray, spec: SignalSpec) -> None:
    far = windows[:, :: max(1, int(FROZEN_S * spec.sample_rate_hz) // 2)]  # two of these lie in every run that is long enough
    repeats = far[:, 1:] == far[:, :-1]
    if not repeats.any():
        return
    for number, (sensor, part) in enumerate(slices(spec.sensor_names).items()):
        for window in np.flatnonzero(repeats[:, :, part].all(axis=2).any(axis=1)):
            if frozen(np.arange(windows.shape[1]) / spec.sample_rate_hz, windows[window], spec.sensor_names)[:, number].any():
                raise HarError(
                    "recording-values",
                    f"window {window}: the {sensor} repeats one value for {FROZEN_S:g} s or longer; leave the window out",
                )


def check_finite(samples: np.ndarray, channels: list[str], window_size: int | None = None) -> None:
    """Refuse (time, channel) samples that are not finite; with a window size, the rows are those of windows one behind the other.

    Raises:
        HarError: with the place of the first.
    """
    if np.isfinite(samples).all():
        return
    row, channel = np.argwhere(~np.isfinite(samples))[0]
    where = f"sample {row}" if window_size is None else f"sample {row % window_size}"
    what = "the chunk" if window_size is None else f"window {row // window_size}"
    raise HarError("not-finite", f"{what} is not finite at {where}, channel {channels[channel]}; interpolate or leave it out")


def check_units(samples: np.ndarray, sensors: Sequence[str] = BOTH) -> np.ndarray:
    """Refuse (time, channel) samples of sensors whose size says that they are in other units, in another order, or without gravity.

    Returns:
        (time,) bool: which of them are outside the physical limits.

    Raises:
        HarError: with what it looks like.
    """
    median = {sensor: float(np.median(np.linalg.norm(samples[:, part], axis=1))) for sensor, part in slices(sensors).items()}
    gyro = next((value for sensor, value in median.items() if kind_of(sensor) == "gyroscope"), 0.0)
    for acc in (value for sensor, value in median.items() if kind_of(sensor) in ("accelerometer", "gravity")):
        if acc < LEAST_NORM_G and 0.8 < gyro < 1.2:
            raise HarError(
                "recording-units",
                f"the median length of total acceleration is {acc:.3g} g and that of angular velocity {gyro:.3g} rad/s: they have changed "
                "places; expected total acceleration x, y, z, then angular velocity x, y, z",
            )
        if not LEAST_NORM_G <= acc <= MOST_NORM_G:
            cause = "gravity must be included" if acc < LEAST_NORM_G else "expected g"
            if 7.0 < acc < 13.0:
                cause = "it looks like m/s^2: divide by 9.80665"
            raise HarError("recording-units", f"the median length of total acceleration is {acc:.3g} g, expected about 1 g; {cause}")
    broken = outside(samples, sensors)
    check_outside(samples, broken, "samples refused:", "multiply by pi / 180", f"sample {np.argmax(broken)}", sensors)
    return broken


def check_rate(step_s: np.ndarray, sample_rate_hz: float) -> None:
    """Refuse steps between samples of a stream that are not those of its rate on average over any `RATE_STEPS` of them.

    Args:
        step_s: (step,) in s, gaps left out; fewer than `RATE_STEPS` tell nothing.
        sample_rate_hz: that is expected.

    Raises:
        HarError: with the rate found.
    """
    if len(step_s) < RATE_STEPS:
        return
    passed_s = np.concatenate(([0.0], np.cumsum(step_s)))
    rates = RATE_STEPS / (passed_s[RATE_STEPS:] - passed_s[:-RATE_STEPS])
    rate = float(rates[np.abs(rates / sample_rate_hz - 1.0).argmax()])
    if abs(rate / sample_rate_hz - 1.0) > RATE_TOLERANCE:
        raise HarError(
            "recording-rate",
            f"the samples come at {rate:.4g} Hz, expected {sample_rate_hz:g} Hz; open the stream with source_hz={rate:.4g}, "
            "and it resamples them",
        )
