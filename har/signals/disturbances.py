"""How people and phones change a recording: another mounting, rate or unit, noise, loss. Pure functions on (time, 6) samples.

Samples are those of ``contract.RAW6``: total acceleration in g, angular velocity in rad/s, at 50 Hz, oldest first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from har.contract import AXES, SAMPLE_RATE_HZ
from har.signals.resampling import CUTOFF_SHARE, StreamResampler, sinc_resample

STANDARD_GRAVITY = 9.80665  # m/s^2 in 1 g; CGPM 1901
ANGLES_DEG = (15, 30, 45, 60, 90, 120, 150, 180)
RATES_HZ = (20, 25, 30, 40, 60, 80, 100)
NOISE_G, NOISE_RAD_S = (0.003, 0.01, 0.03, 0.1), (0.01, 0.03, 0.1, 0.3)
BIAS_G, BIAS_RAD_S = (0.02, 0.05, 0.1), (0.02, 0.05, 0.1, 0.2)
LOST = (0.01, 0.05, 0.1, 0.2, 0.4)  # shares of the samples
CLIPS_G = (1.5, 2.0, 4.0)
PHASES = (8, 16, 24, 32, 40, 48, 56)  # samples by which the windows start later

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Disturbance:
    """One change of a recording.

    Attributes:
        name: of the curve it is a point of.
        level: how strong, in `unit`.
        unit: of the level.
        change: (time, 6) samples -> the samples a phone would have delivered, which a client takes for 50 Hz.
    """

    name: str
    level: float
    unit: str
    change: Change


def rotation_matrix(axis: int, degrees: float) -> np.ndarray:
    """(3, 3) right-handed rotation about axis 0, 1 or 2; exact at multiples of 90 degrees."""
    cosine, sine = np.cos(np.deg2rad(degrees)).round(15), np.sin(np.deg2rad(degrees)).round(15)
    matrix = np.eye(3)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix[a, a] = matrix[b, b] = cosine
    matrix[a, b], matrix[b, a] = -sine, sine
    return matrix


def turned(samples: np.ndarray, axis: int, degrees: float) -> np.ndarray:
    """The phone mounted otherwise: both sensors turned about one of its axes."""
    matrix = rotation_matrix(axis, degrees)
    return np.concatenate((samples[:, :3] @ matrix.T, samples[:, 3:] @ matrix.T), axis=1)


def sampled_at(samples: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and values of a phone that samples at another rate, with an anti-alias filter as sensors have."""
    time_s = np.arange(len(samples)) / SAMPLE_RATE_HZ
    grid_s = np.arange(int(np.floor(time_s[-1] * rate_hz + 1e-9)) + 1) / rate_hz
    return grid_s, sinc_resample(time_s, samples, grid_s, cutoff_hz=CUTOFF_SHARE * min(rate_hz, SAMPLE_RATE_HZ))


def taken_for_50hz(samples: np.ndarray, rate_hz: float) -> np.ndarray:
    """Samples at another rate, in a client that does not look at the times."""
    return sampled_at(samples, rate_hz)[1]


def resampled(samples: np.ndarray, rate_hz: float) -> np.ndarray:
    """Samples at another rate, brought to 50 Hz as `har.runtime` and the web page do."""
    time_s, values = sampled_at(samples, rate_hz)
    return StreamResampler(rate_hz, SAMPLE_RATE_HZ).push(time_s, values, last=True)[1]


def lost(samples: np.ndarray, rng: np.random.Generator, share: float, *, interpolated: bool) -> np.ndarray:
    """Samples that never arrive: interpolated from their neighbours, or not noticed, so that the others move together."""
    kept = rng.random(len(samples)) >= share
    kept[[0, -1]] = True
    if not interpolated:
        return samples[kept]
    index = np.arange(len(samples))
    return np.stack([np.interp(index, index[kept], column[kept]) for column in samples.T], axis=1)


def scaled(samples: np.ndarray, acc: float, gyro: float) -> np.ndarray:
    """Samples in other units than the contract's."""
    return samples * np.repeat((acc, gyro), 3)


def shifted(samples: np.ndarray, rng: np.random.Generator, acc: float, gyro: float) -> np.ndarray:
    """A constant error of each sensor, in a random direction."""
    direction = rng.normal(size=(2, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return samples + (direction * ((acc,), (gyro,))).reshape(6)


def noisy(samples: np.ndarray, rng: np.random.Generator, acc: float, gyro: float) -> np.ndarray:
    """White noise of each axis."""
    return samples + rng.normal(size=samples.shape) * np.repeat((acc, gyro), 3)


def clipped(samples: np.ndarray, limit_g: float) -> np.ndarray:
    """An accelerometer that cannot measure more."""
    return np.concatenate((samples[:, :3].clip(-limit_g, limit_g), samples[:, 3:]), axis=1)


def later(samples: np.ndarray, phase: int) -> np.ndarray:
    """Windows that start some samples later than the training's did."""
    return samples[phase:]


def disturbances() -> Iterator[Disturbance]:
    """Everything that is measured, curve by curve, the undisturbed recording first."""

    def fixed(change: Callable[..., np.ndarray], *given: float) -> Change:
        return lambda samples, rng: change(samples, *given)

    yield Disturbance("none", 0, "", lambda samples, rng: samples)
    for axis, name in enumerate(AXES):
        for angle in ANGLES_DEG:
            yield Disturbance(f"mounting turned about {name}", angle, "degrees", fixed(turned, axis, angle))
    for rate in RATES_HZ:
        yield Disturbance("other rate, resampled", rate, "Hz", fixed(resampled, rate))
    for rate in RATES_HZ:
        yield Disturbance("other rate, taken for 50 Hz", rate, "Hz", fixed(taken_for_50hz, rate))
    yield Disturbance("acceleration in m/s^2", 1, "", fixed(scaled, STANDARD_GRAVITY, 1.0))
    yield Disturbance("angular velocity in deg/s", 1, "", fixed(scaled, 1.0, 180 / np.pi))
    for level in NOISE_G:
        yield Disturbance("noise of the accelerometer", level, "g", partial(noisy, acc=level, gyro=0.0))
    for level in NOISE_RAD_S:
        yield Disturbance("noise of the gyroscope", level, "rad/s", partial(noisy, acc=0.0, gyro=level))
    for level in BIAS_G:
        yield Disturbance("bias of the accelerometer", level, "g", partial(shifted, acc=level, gyro=0.0))
    for level in BIAS_RAD_S:
        yield Disturbance("bias of the gyroscope", level, "rad/s", partial(shifted, acc=0.0, gyro=level))
    yield Disturbance("no gyroscope", 1, "", fixed(scaled, 1.0, 0.0))
    for share in LOST:
        yield Disturbance("samples lost, interpolated", share, "share", partial(lost, share=share, interpolated=True))
    for share in LOST:
        yield Disturbance("samples lost, not noticed", share, "share", partial(lost, share=share, interpolated=False))
    for limit in CLIPS_G:
        yield Disturbance("clipped accelerometer", limit, "g", fixed(clipped, limit))
    for phase in PHASES:
        yield Disturbance("windows that start later", phase, "samples", fixed(later, phase))
