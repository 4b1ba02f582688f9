"""Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000)."""

import functools
from typing import Any

from har.models.fast_recurrent import FastLSTM
from har.models.recurrent import RecurrentNetwork, set_forget_bias
from har.models.steep_gates import SteepLSTM


class LSTM(RecurrentNetwork):
    """Stacked LSTM; see `RecurrentNetwork` for the other options.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        forget_bias: where the forget gate's bias starts: at 1, so that early in training the cell remembers (Jozefowicz et al. 2015).
        gate_slope: of the gates' sigmoids, see `SteepLSTM`.
        bfloat16: train in bfloat16 where the CPU is faster with it, see `FastLSTM`; with a gate_slope, float32 always.
        options: of `RecurrentNetwork`.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        forget_bias: float = 1.0,
        gate_slope: float = 1.0,
        bfloat16: bool = True,
        **options: Any,
    ) -> None:
        plain = functools.partial(FastLSTM, bfloat16=bfloat16)
        cell = plain if gate_slope == 1 else functools.partial(SteepLSTM, gate_slope=gate_slope)
        super().__init__(cell, in_channels, window_size, num_classes, **options)
        set_forget_bias(self.recurrent, forget_bias)
