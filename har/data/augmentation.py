"""Augmentation of training batches: random changes of windows, and the ones a config turns on, in a fixed order and from a random stream.

Every function takes windows ``x: (batch, time, channel)`` and returns new ones of the same shape, dtype and device,
vectorised over the batch: each window gets a draw of its own, with no loop over windows.

Random numbers come from a generator on the CPU and then move to the windows. They are few compared with the windows, and the
same seed gives the same augmentation on every device. What happens to a sensor is drawn per physical axis (3 of the
accelerometer, 3 of the gyroscope), whichever of them the windows have. So ``uci9`` windows, where body and total acceleration come from
one sensor, get the same change in both, and so do ``raw6`` and ``acc3`` windows of the same seed.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from har.config import AugmentationConfig
from har.contract import AXES, BODY_ACC, CHANNEL_SETS, GYRO, RAW6, TOTAL_ACC
from har.errors import HarError

STREAM = 7_919  # sets this stream apart from others of the same seed, such as the order of the windows


class Augmentation:
    """Changes a batch of training windows at random; with every strength at 0 it draws nothing and changes nothing.

    Called with the same batches in the same order, the same seed gives the same windows, on any device.

    Args:
        config: strengths.
        num_classes: activities; the width of mixed labels.
        seed: of the run.
    """

    def __init__(self, config: AugmentationConfig, *, num_classes: int, seed: int) -> None:
        self.config = config
        self.num_classes = num_classes
        own_seed = int(np.random.SeedSequence((seed, STREAM)).generate_state(1)[0])
        self.generator = torch.Generator().manual_seed(own_seed)

    @torch.no_grad()
    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            x: (batch, time, channel) windows, g and rad/s; not changed in place.
            y: (batch,) class numbers.

        Returns:
            Windows of the same shape, and ``y`` as it came; where windows are mixed, (batch, num_classes) probabilities.
        """
        return self._mixed(self._changed(x), y)

    def _changed(self, x: Tensor) -> Tensor:
        for change, *keys in CHANGES:
            strengths = [getattr(self.config, key) for key in keys]
            if any(strengths):
                x = change(x, *strengths, self.generator)
        return x

    def _mixed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        config = self.config
        if not (config.mixup_alpha or config.cutmix_alpha):
            return x, y
        target = torch.nn.functional.one_hot(y, self.num_classes).to(x)
        if config.mixup_alpha:
            x, target = mixup(x, target, config.mixup_alpha, self.generator)
        if config.cutmix_alpha:
            x, target = cutmix(x, target, config.cutmix_alpha, self.generator)
        return x, target


KNOTS = 4  # of a smooth random curve, between its two ends; Um et al. 2017


def sensor_axes(x: Tensor) -> Tensor:
    """The physical axis, an index into ``contract.RAW6``, of each channel of windows of any channel set: (channel,) int64."""
    origin = dict(zip(BODY_ACC + TOTAL_ACC + GYRO, (*range(3), *range(3), *range(3, 6)), strict=True))
    return torch.tensor([origin[name] for name in _names(x)])


def _names(x: Tensor) -> tuple[str, ...]:
    return next(names for names in CHANNEL_SETS.values() if len(names) == x.shape[-1])


def rotate(x: Tensor, max_deg: float, generator: torch.Generator) -> Tensor:
    """Rotate each window about a random axis, all triads alike, as if the phone were mounted otherwise (Um et al. 2017).

    The axis is uniform on the sphere and the angle uniform within ``max_deg`` degrees either way. Norms, and angles
    between two vectors (gravity and body acceleration), stay as they are.
    """
    axis = torch.nn.functional.normalize(torch.randn(len(x), 3, generator=generator, dtype=torch.float64), dim=1)
    return _turn_about(x, axis, max_deg, generator)


def turn(x: Tensor, max_deg: float, generator: torch.Generator) -> Tensor:
    """Rotate each window about the phone's x axis, all triads alike, by up to ``max_deg`` degrees either way.

    At the waist x points up, so this is as if the phone were worn further left or right on the belt.
    """
    return _turn_about(x, torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64).expand(len(x), 3), max_deg, generator)


def tilt(x: Tensor, max_deg: float, generator: torch.Generator) -> Tensor:
    """Rotate each window about a random axis across the phone's x axis, all triads alike, by up to ``max_deg`` degrees.

    At the waist x points up, so the phone leans to a random side. Its x axis ends anywhere within the circle of ``max_deg``, all parts of
    it alike, so that large angles are as frequent as they are in that area; `rotate` gives few of them.
    """
    side = 2 * math.pi * torch.rand(len(x), generator=generator, dtype=torch.float64)
    axis = torch.stack((torch.zeros_like(side), torch.cos(side), torch.sin(side)), dim=1)
    angle = math.radians(max_deg) * torch.rand(len(x), 1, 1, generator=generator, dtype=torch.float64).sqrt()
    return _turned(x, axis, angle)


def mirror(x: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Reflect a window along the phone's y axis, with this probability, as if worn on the other hip.

    Acceleration is a vector and turns its y; angular velocity is a pseudovector and turns its x and z.
    """
    sign = torch.tensor([-1.0 if (name in GYRO) != name.endswith("y") else 1.0 for name in _names(x)])
    chosen = torch.rand(len(x), 1, 1, generator=generator) < probability
    return torch.where(chosen.to(x.device), x * sign.to(x), x)


def _turn_about(x: Tensor, axis: Tensor, max_deg: float, generator: torch.Generator) -> Tensor:
    """Rotate each window about its own axis, (batch, 3) unit vectors, by an angle uniform within ``max_deg`` either way."""
    return _turned(x, axis, torch.deg2rad(max_deg * (2 * torch.rand(len(x), 1, 1, generator=generator, dtype=torch.float64) - 1)))


def _turned(x: Tensor, axis: Tensor, angle: Tensor) -> Tensor:
    """Rotate each window about its own axis, (batch, 3), by its own angle, (batch, 1, 1) in rad."""
    a, b, c = axis.unbind(dim=1)
    zero = torch.zeros_like(a)
    cross = torch.stack((zero, -c, b, c, zero, -a, -b, a, zero), dim=1).view(-1, 3, 3)
    matrix = torch.eye(3) + torch.sin(angle) * cross + (1 - torch.cos(angle)) * (cross @ cross)  # Rodrigues, (B, 3, 3)
    vectors = x.reshape(len(x), -1, len(AXES))  # (B, T * triad, 3)
    return (vectors @ matrix.mT.to(x)).reshape(x.shape)


def jitter(x: Tensor, acc_g: float, gyro_rad_s: float, generator: torch.Generator) -> Tensor:
    """Add white noise of a root mean square of ``acc_g`` (g) and ``gyro_rad_s`` (rad/s) (Um et al. 2017).

    Body acceleration gets the noise of the total acceleration it was derived from: of white noise, a 0.3 Hz gravity
    filter takes one part in eighty away.
    """
    rms = torch.tensor([acc_g, gyro_rad_s]).repeat_interleave(len(AXES))
    noise = rms * torch.randn(len(x), x.shape[1], len(RAW6), generator=generator)
    return x + noise[:, :, sensor_axes(x)].to(x)


def bias_gyro(x: Tensor, std_rad_s: float, generator: torch.Generator) -> Tensor:
    """Add a constant to each axis of the gyroscope, with standard deviation ``std_rad_s`` (rad/s): phones differ, and drift with warmth.

    The published windows have none of it: the slow part of their angular velocity was filtered away.
    """
    std = torch.tensor([0.0, std_rad_s]).repeat_interleave(len(AXES))
    bias = std * torch.randn(len(x), 1, len(RAW6), generator=generator)
    return x + bias[:, :, sensor_axes(x)].to(x)


def scale(x: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Multiply each sensor axis of a window by a gain around 1 with standard deviation ``std`` (Um et al. 2017)."""
    gain = 1 + std * torch.randn(len(x), 1, len(RAW6), generator=generator)
    return x * gain[:, :, sensor_axes(x)].to(x)


def magnitude_warp(x: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Multiply each sensor axis by a gain that drifts smoothly around 1, ``std`` at its knots (Um et al. 2017)."""
    gain = 1 + std * _smooth_curves(len(x), x.shape[1], len(RAW6), generator)
    return x * gain[:, :, sensor_axes(x)].to(x)


def time_warp(x: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Let time pass faster and slower within a window, all channels alike (Um et al. 2017).

    The logarithm of the speed is a smooth curve with standard deviation ``std`` at its knots, so that time always goes
    forward; the whole is then scaled to keep first and last sample. Between samples is interpolated linearly.
    """
    return resample(x, warped_time(len(x), x.shape[1], std, generator))


def warped_time(batch: int, window_size: int, std: float, generator: torch.Generator) -> Tensor:
    """Where `time_warp` reads: (batch, time) positions in samples, strictly increasing from 0 to window_size - 1."""
    speed = torch.exp(std * _smooth_curves(batch, window_size, 1, generator)).double().squeeze(-1)
    passed = torch.cumsum((speed[:, 1:] + speed[:, :-1]) / 2, dim=1)
    return torch.cat((torch.zeros(batch, 1), passed / passed[:, -1:] * (window_size - 1)), dim=1)


def crop(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Keep a random stretch of each window and stretch it to full length (window slicing, Le Guennec et al. 2016).

    What is cut away is uniform between nothing and ``share`` of the window; all channels alike.
    """
    last = x.shape[1] - 1
    span = last * (1 - share * torch.rand(len(x), 1, generator=generator, dtype=torch.float64))
    first = (last - span) * torch.rand(len(x), 1, generator=generator, dtype=torch.float64)
    return resample(x, first + span * torch.linspace(0, 1, x.shape[1], dtype=torch.float64))


def resample(x: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation of each window at ``position`` (batch, time), in samples within the window."""
    low = position.floor().clamp(0, x.shape[1] - 2)
    weight = (position - low).clamp(0, 1).unsqueeze(-1).to(x)
    index = low.long().unsqueeze(-1).to(x.device)
    before = torch.take_along_dim(x, index, dim=1)
    after = torch.take_along_dim(x, index + 1, dim=1)
    return torch.lerp(before, after, weight)


def permute(x: Tensor, cuts: int, generator: torch.Generator) -> Tensor:
    """Cut each window at ``cuts`` random places and put the pieces in a random order, all channels alike (Um et al. 2017).

    Raises:
        HarError: the window has too few samples for so many cuts.
    """
    batch, window_size = x.shape[:2]
    if cuts >= window_size:
        raise HarError(
            "config", f"augmentation.permutation_cuts is {cuts}, but a window of {window_size} samples has {window_size - 1} places to cut"
        )
    places = torch.rand(batch, window_size - 1, generator=generator).topk(cuts, dim=1).indices  # distinct
    piece = torch.zeros(batch, window_size, dtype=torch.long).scatter_(1, places + 1, 1).cumsum(dim=1)  # (B, T), 0 to cuts
    rank = torch.rand(batch, cuts + 1, generator=generator).argsort(dim=1)
    order = rank.gather(1, piece).argsort(dim=1, stable=True)  # stable: time runs forward within a piece
    return torch.take_along_dim(x, order.unsqueeze(-1).to(x.device), dim=1)


def drop_channels(x: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Set each sensor axis of a window to zero with ``probability``, as a dead channel reads (cf. DeVries and Taylor 2017)."""
    keep = torch.rand(len(x), 1, len(RAW6), generator=generator) >= probability
    return x * keep[:, :, sensor_axes(x)].to(x)


def drop_sensors(x: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Set each sensor of a window, accelerometer or gyroscope, to zero with ``probability`` (cf. DeVries and Taylor 2017)."""
    keep = torch.rand(len(x), 1, len(RAW6) // len(AXES), generator=generator) >= probability
    return x * keep[:, :, sensor_axes(x) // len(AXES)].to(x)


def _smooth_curves(batch: int, window_size: int, curves: int, generator: torch.Generator) -> Tensor:
    """(batch, time, curve) cubic splines through standard normal values at KNOTS inner knots and both ends."""
    knots = torch.randn(batch, KNOTS + 2, curves, generator=generator)
    return torch.from_numpy(_spline_matrix(window_size)).float() @ knots  # (T, K) @ (B, K, curve)


@lru_cache(maxsize=8)
def _spline_matrix(window_size: int) -> np.ndarray:
    """(time, knot): a cubic spline is linear in its values at the knots."""
    from scipy.interpolate import CubicSpline

    knots = np.linspace(0, window_size - 1, KNOTS + 2)
    return CubicSpline(knots, np.eye(KNOTS + 2))(np.arange(window_size))


def mixup(x: Tensor, target: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Average each window with another, in a share drawn from Beta(alpha, alpha) (Zhang et al. 2018).

    Args:
        x: (batch, time, channel) windows.
        target: (batch, num_classes) probabilities.
        alpha: small values mix little, 1 makes every share equally likely.
        generator: on the CPU.
    """
    share, partner = beta(len(x), alpha, generator), torch.randperm(len(x), generator=generator).to(x.device)
    return _average(x, partner, share.view(-1, 1, 1)), _average(target, partner, share.view(-1, 1))


def cutmix(x: Tensor, target: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Replace a contiguous stretch of each window by the same stretch of another (Yun et al. 2019, along time).

    The share that stays is drawn from Beta(alpha, alpha) and rounded to whole samples; labels follow the samples that
    were really replaced. All channels change together. Arguments as in `mixup`.
    """
    window_size = x.shape[1]
    length = torch.round((1 - beta(len(x), alpha, generator)) * window_size).unsqueeze(1)  # (B, 1) samples replaced
    first = torch.floor(torch.rand(len(x), 1, generator=generator, dtype=torch.float64) * (window_size - length + 1))
    partner = torch.randperm(len(x), generator=generator).to(x.device)
    time = torch.arange(window_size)
    replaced = ((time >= first) & (time < first + length)).to(x.device)  # (B, T)
    mixed = torch.where(replaced.unsqueeze(-1), x[partner], x)
    return mixed, _average(target, partner, 1 - length / window_size)


def beta(count: int, alpha: float, generator: torch.Generator) -> Tensor:
    """(count,) float64 draws from Beta(alpha, alpha).

    ``torch.distributions`` takes no generator; it draws from the same function as here. In double precision, because for
    a small alpha both gamma variates are tiny.
    """
    first, second = torch._standard_gamma(torch.full((2, count), alpha, dtype=torch.float64), generator=generator)
    tiny = torch.finfo(torch.float64).tiny
    return (first + tiny) / (first + second + 2 * tiny)


def _average(values: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    share = share.to(values)
    return share * values + (1 - share) * values[partner]


# Functions and the keys of their strengths, in the order of use: time first, then how the phone is held, then what sensors add and lose.
CHANGES: tuple[tuple[Any, ...], ...] = (
    (crop, "crop"),
    (time_warp, "time_warp"),
    (permute, "permutation_cuts"),
    (mirror, "mirror"),
    (turn, "turn_deg"),
    (tilt, "tilt_deg"),
    (rotate, "rotation_deg"),
    (scale, "scaling"),
    (magnitude_warp, "magnitude_warp"),
    (jitter, "jitter_acc_g", "jitter_gyro_rad_s"),
    (bias_gyro, "bias_gyro_rad_s"),
    (drop_channels, "channel_dropout"),
    (drop_sensors, "sensor_dropout"),
)
