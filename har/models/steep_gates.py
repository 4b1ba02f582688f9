"""LSTM and GRU whose gates open and close over a shorter range: sigmoid(slope * z) in place of sigmoid(z)."""

import torch
from torch import Tensor, nn


class SteepLSTM(nn.LSTM):
    """`torch.nn.LSTM` with steeper gates: i, f, o = sigmoid(slope * (W x_t + U h_(t-1) + b)); the cell's tanh stays.

    With a slope above 1 the gates are nearer to open or shut. Chung, Ahn and Bengio 2017 (Hierarchical multiscale recurrent neural
    networks) let the slope of a hard sigmoid grow during training, until their boundary detector is all but a step ("slope
    annealing"); here the slope is fixed, the sigmoid smooth, and the gates are those of the cell. Because
    ``slope * (W x + U h + b)`` is what a plain LSTM computes from scaled rows of W, U and b, torch's own kernel runs on scaled
    weights; the parameters that learn, and their names, are those of `torch.nn.LSTM`.

    Args:
        input_size, hidden_size, num_layers: of `torch.nn.LSTM`.
        gate_slope: of the gates, above 0.
        options: further options of `torch.nn.LSTM`.

    Raises:
        ValueError: the slope is not above 0.
    """

    row_scale: Tensor

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, *, gate_slope: float, **options: bool | float) -> None:
        super().__init__(input_size, hidden_size, num_layers, **options)
        slope = _checked(gate_slope)
        rows = torch.tensor((slope, slope, 1.0, slope)).repeat_interleave(hidden_size)  # input, forget, cell, output
        self.register_buffer("row_scale", rows, persistent=False)

    def forward(  # type: ignore[override]
        self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(batch, time, input_size) -> (batch, time, width) states, and the last states as `torch.nn.LSTM` gives them."""
        if hx is None:
            start = _zero_state(self, x)
            hx = (start, start)
        states, hidden, cell = torch.lstm(
            x,
            hx,
            _scaled(self, self.row_scale),
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            self.batch_first,
        )
        return states, (hidden, cell)


class SteepGRU(nn.GRU):
    """`torch.nn.GRU` with steeper gates: r, z = sigmoid(slope * (W x_t + U h_(t-1) + b)); see `SteepLSTM`.

    The candidate ``tanh(W x + b + r * (U h + b'))`` keeps its weights: the reset gate multiplies them, no slope does.

    Args:
        input_size, hidden_size, num_layers: of `torch.nn.GRU`.
        gate_slope: of the gates, above 0.
        options: further options of `torch.nn.GRU`.

    Raises:
        ValueError: the slope is not above 0.
    """

    row_scale: Tensor

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, *, gate_slope: float, **options: bool | float) -> None:
        super().__init__(input_size, hidden_size, num_layers, **options)
        slope = _checked(gate_slope)
        rows = torch.tensor((slope, slope, 1.0)).repeat_interleave(hidden_size)  # reset, update, candidate
        self.register_buffer("row_scale", rows, persistent=False)

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """(batch, time, input_size) -> (batch, time, width) states, and the last states as `torch.nn.GRU` gives them."""
        return torch.gru(
            x,
            _zero_state(self, x) if hx is None else hx,
            _scaled(self, self.row_scale),
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            self.batch_first,
        )


def _checked(slope: float) -> float:
    if not slope > 0:
        raise ValueError(f"gate_slope is {slope!r}, expected a number above 0")
    return float(slope)


def _zero_state(layers: nn.RNNBase, x: Tensor) -> Tensor:
    """(layer and direction, batch, hidden_size) zeros."""
    batch = x.shape[0 if layers.batch_first else 1]
    return x.new_zeros(layers.num_layers * (2 if layers.bidirectional else 1), batch, layers.hidden_size)


def _scaled(layers: nn.RNNBase, rows: Tensor) -> list[Tensor]:
    """All weights and biases with their rows scaled, in the order in which torch's kernels take them."""
    return [
        weight * (rows.unsqueeze(1) if weight.ndim > 1 else rows)
        for weights in layers.all_weights
        for weight in weights  # of one layer and direction
    ]
