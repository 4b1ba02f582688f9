"""Augmentation of training batches: the transforms a config turns on, in a fixed order, from a random stream of their own."""

import numpy as np
import torch
from torch import Tensor

from har.config import AugmentationConfig
from har.data import transforms

STREAM = 7_919  # sets this stream apart from others of the same seed, such as the order of the windows


class Augmentation:
    """Changes a batch of training windows at random; with every strength at 0 it draws nothing and changes nothing.

    Called with the same batches in the same order, the same seed gives the same windows, on any device.

    Args:
        config: strengths.
        channels: ``raw6`` or ``uci9``.
        num_classes: activities; the width of mixed labels.
        seed: of the run.
    """

    def __init__(self, config: AugmentationConfig, *, channels: str, num_classes: int, seed: int) -> None:
        self.config = config
        self.num_classes = num_classes
        self.channels = channels
        self.axes = transforms.sensor_axes(channels)
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
        # Time first, then how the phone is held, then what its sensors add and lose.
        config, axes, generator = self.config, self.axes, self.generator
        if config.crop:
            x = transforms.crop(x, config.crop, generator)
        if config.time_warp:
            x = transforms.time_warp(x, config.time_warp, generator)
        if config.permutation_cuts:
            x = transforms.permute(x, config.permutation_cuts, generator)
        if config.mirror:
            x = transforms.mirror(x, config.mirror, self.channels, generator)
        if config.turn_deg:
            x = transforms.turn(x, config.turn_deg, generator)
        if config.tilt_deg:
            x = transforms.tilt(x, config.tilt_deg, generator)
        if config.rotation_deg:
            x = transforms.rotate(x, config.rotation_deg, generator)
        if config.scaling:
            x = transforms.scale(x, config.scaling, axes, generator)
        if config.magnitude_warp:
            x = transforms.magnitude_warp(x, config.magnitude_warp, axes, generator)
        if config.jitter_acc_g or config.jitter_gyro_rad_s:
            x = transforms.jitter(x, config.jitter_acc_g, config.jitter_gyro_rad_s, axes, generator)
        if config.bias_gyro_rad_s:
            x = transforms.bias_gyro(x, config.bias_gyro_rad_s, axes, generator)
        if config.channel_dropout:
            x = transforms.drop_channels(x, config.channel_dropout, axes, generator)
        if config.sensor_dropout:
            x = transforms.drop_sensors(x, config.sensor_dropout, axes, generator)
        return x

    def _mixed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        config = self.config
        if not (config.mixup_alpha or config.cutmix_alpha):
            return x, y
        target = torch.nn.functional.one_hot(y, self.num_classes).to(x)
        if config.mixup_alpha:
            x, target = transforms.mixup(x, target, config.mixup_alpha, self.generator)
        if config.cutmix_alpha:
            x, target = transforms.cutmix(x, target, config.cutmix_alpha, self.generator)
        return x, target
