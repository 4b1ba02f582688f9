"""Vanilla recurrent network (Elman 1990), with the initialisations that were proposed for it."""

import functools
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from har.models.onnx_operators import recurrent_operator
from har.models.recurrent import RecurrentNetwork

Nonlinearity = Literal["tanh", "relu"]
Initialisation = Literal["default", "orthogonal", "identity"]
INPUT_STD = 0.001  # of the input weights of an IRNN (Le, Jaitly and Hinton 2015)


class RNN(RecurrentNetwork):
    """Stacked Elman network, h_t = f(W x_t + b + U h_(t-1) + b'); see `RecurrentNetwork` for the other options.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        nonlinearity: f, ``tanh`` or ``relu``.
        initialisation: ``default``: as torch does. ``orthogonal``: U keeps the length of the state (Saxe, McClelland and Ganguli
            2014). ``identity``: U is the identity, W small and the biases 0, so that with ``relu`` the state of a sample is that
            of the sample before (IRNN; Le, Jaitly and Hinton 2015).
        identity_scale: of that identity; below 1 it forgets.
        options: of `RecurrentNetwork`.

    Raises:
        ValueError: there is no such nonlinearity or initialisation.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        nonlinearity: Nonlinearity = "tanh",
        initialisation: Initialisation = "default",
        identity_scale: float = 1.0,
        **options: Any,
    ) -> None:
        for name, value, valid in (
            ("nonlinearity", nonlinearity, get_args(Nonlinearity)),
            ("initialisation", initialisation, get_args(Initialisation)),
        ):
            if value not in valid:
                raise ValueError(f"{name} is {value!r}, expected {', '.join(valid)}")
        super().__init__(functools.partial(ElmanLayers, nonlinearity=nonlinearity), in_channels, window_size, num_classes, **options)
        if initialisation != "default":
            initialise(self.recurrent, initialisation, identity_scale)


class ElmanLayers(nn.RNN):
    """`torch.nn.RNN`, which is exported as ONNX's own operator."""

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """(batch, time, input_size) -> (batch, time, width) states, and the last states."""
        if not torch.onnx.is_in_onnx_export():
            return super().forward(x, hx)
        directions = 2 if self.bidirectional else 1
        x = x.transpose(0, 1)  # (T, B, feature)
        ends: list[Tensor] = []
        for first in range(0, self.num_layers * directions, directions):
            own = slice(first, first + directions)
            weights = [(w, u, torch.cat((b, c))) for w, u, b, c in self.all_weights[own]]
            start = None if hx is None else [hx[own]]
            x, end = recurrent_operator("RNN", x, weights, start=start, activation=self.nonlinearity.capitalize())
            ends += end
        return x.transpose(0, 1), torch.cat(ends)


def initialise(recurrent: nn.Module, initialisation: Initialisation, identity_scale: float = 1.0) -> None:
    """Give all Elman layers in `recurrent` other first weights, see `RNN`."""
    with torch.no_grad():
        for name, parameter in recurrent.named_parameters():
            kind = name.rpartition(".")[2]
            if kind.startswith("weight_hh") and initialisation == "orthogonal":
                nn.init.orthogonal_(parameter)
            elif initialisation == "identity":
                if kind.startswith("weight_hh"):
                    nn.init.eye_(parameter).mul_(identity_scale)
                elif kind.startswith("weight_ih"):
                    nn.init.normal_(parameter, std=INPUT_STD)
                elif kind.startswith("bias_"):
                    nn.init.zeros_(parameter)
