"""Gated recurrent unit (Cho et al. 2014)."""

import functools
from typing import Any

from torch import nn

from har.models.recurrent import RecurrentNetwork
from har.models.steep_gates import SteepGRU


class GRU(RecurrentNetwork):
    """Stacked GRU; see `RecurrentNetwork` for the other options.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        gate_slope: of the gates' sigmoids, see `SteepGRU`.
        options: of `RecurrentNetwork`.
    """

    def __init__(self, in_channels: int, window_size: int, num_classes: int, *, gate_slope: float = 1.0, **options: Any) -> None:
        cell = nn.GRU if gate_slope == 1 else functools.partial(SteepGRU, gate_slope=gate_slope)
        super().__init__(cell, in_channels, window_size, num_classes, **options)
