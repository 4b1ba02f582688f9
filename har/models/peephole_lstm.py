"""LSTM whose gates see the cell state (Gers, Schraudolph and Schmidhuber 2002)."""

from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from har.models.onnx_operators import recurrent_operator
from har.models.recurrent import RecurrentNetwork, set_forget_bias

State: TypeAlias = tuple[Tensor, Tensor]  # h and c


class Weights(NamedTuple):
    """Of one layer and direction; rows of W, U and the biases as in torch: input, forget, cell, output."""

    w: Tensor
    u: Tensor
    input_bias: Tensor
    state_bias: Tensor
    peephole: Tensor


class PeepholeLSTM(RecurrentNetwork):
    """Stacked LSTM with peepholes, see `PeepholeLayers`, and `RecurrentNetwork` for the other options.

    The peepholes start at 0, so that with the same seed it starts as the very network that ``lstm`` is.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        forget_bias: where the forget gate's bias starts.
        options: of `RecurrentNetwork`.
    """

    def __init__(self, in_channels: int, window_size: int, num_classes: int, *, forget_bias: float = 1.0, **options: Any) -> None:
        super().__init__(PeepholeLayers, in_channels, window_size, num_classes, **options)
        set_forget_bias(self.recurrent, forget_bias)


class PeepholeLayers(nn.LSTM):
    """`torch.nn.LSTM` with weights p from the cell state to the gates (Gers, Schraudolph and Schmidhuber 2002, section 3)::

        i_t = sigmoid(W_i x_t + U_i h_(t-1) + p_i * c_(t-1) + b_i)
        f_t = sigmoid(W_f x_t + U_f h_(t-1) + p_f * c_(t-1) + b_f)
        c_t = f_t * c_(t-1) + i_t * tanh(W_c x_t + U_c h_(t-1) + b_c)
        o_t = sigmoid(W_o x_t + U_o h_(t-1) + p_o * c_t + b_o)
        h_t = o_t * tanh(c_t)

    with * unit by unit. What goes into the cell and out of it is squashed by tanh as in `torch.nn.LSTM`, and the gradient is whole,
    where the paper truncates it. Parameters are named as in `torch.nn.LSTM`, whose weights can be loaded; ``peephole_l0`` and so on
    hold p_i, p_f, p_o of a layer, 3 * hidden_size numbers that start at 0. torch has no kernel for it: a loop over the samples, with
    the projection of all inputs before it (`benchmarks/cells.py` measures what that costs); ONNX has one, which is exported.
    """

    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(*sizes, **options)
        for layer in range(self.num_layers):
            for suffix in self._suffixes:
                self.register_parameter(f"peephole_l{layer}{suffix}", nn.Parameter(torch.zeros(3 * self.hidden_size)))

    @property
    def _suffixes(self) -> tuple[str, ...]:
        """Of the names of a layer's parameters, one a direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def _weights(self, layer: int) -> list[Weights]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "peephole")
        return [Weights(*(getattr(self, f"{name}_l{layer}{suffix}") for name in names)) for suffix in self._suffixes]

    def forward(  # type: ignore[override]
        self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(batch, time, input_size), if `batch_first`, -> states (batch, time, width), and the last h and c as `torch.nn.LSTM`."""
        x = x.transpose(0, 1) if self.batch_first else x  # (T, B, feature)
        hidden, cell = [], []
        run = _as_operator if torch.onnx.is_in_onnx_export() else _as_loop
        for layer in range(self.num_layers):
            if layer > 0:
                x = nn.functional.dropout(x, self.dropout, self.training)
            directions = self._weights(layer)
            own = slice(layer * len(directions), (layer + 1) * len(directions))
            x, (h, c) = run(x, directions, None if hx is None else (hx[0][own], hx[1][own]))
            hidden.append(h)
            cell.append(c)
        return x.transpose(0, 1) if self.batch_first else x, (torch.cat(hidden), torch.cat(cell))


def _as_loop(x: Tensor, directions: list[Weights], start: State | None) -> tuple[Tensor, State]:
    """One layer, sample by sample: (time, batch, feature) -> (time, batch, width); states are (direction, batch, hidden)."""
    h, c = start or (x.new_zeros(len(directions), x.shape[1], directions[0].u.shape[1]),) * 2
    made, ends = [], []
    for number, weights in enumerate(directions):
        states, end = _one_way(x if number == 0 else x.flip(0), weights, h[number], c[number])
        made.append(states if number == 0 else states.flip(0))
        ends.append(end)
    return torch.cat(made, dim=2), (torch.stack([h for h, _ in ends]), torch.stack([c for _, c in ends]))


def _one_way(x: Tensor, weights: Weights, h: Tensor, c: Tensor) -> tuple[Tensor, State]:
    p_i, p_f, p_o = weights.peephole.chunk(3)
    u = weights.u.t()
    states = []
    for projected in nn.functional.linear(x, weights.w, weights.input_bias + weights.state_bias).unbind(0):  # (B, 4 * hidden)
        i, f, g, o = torch.addmm(projected, h, u).chunk(4, dim=1)
        i = torch.sigmoid(torch.addcmul(i, c, p_i))
        f = torch.sigmoid(torch.addcmul(f, c, p_f))
        c = torch.addcmul(f * c, i, torch.tanh(g))
        o = torch.sigmoid(torch.addcmul(o, c, p_o))
        h = o * torch.tanh(c)
        states.append(h)
    return torch.stack(states), (h, c)


def _as_operator(x: Tensor, directions: list[Weights], start: State | None) -> tuple[Tensor, State]:
    """One layer as ONNX's LSTM operator, which has peepholes, with its order of the gates."""

    def reordered(rows: Tensor) -> Tensor:
        return rows.unflatten(0, (4, -1))[[0, 3, 1, 2]].flatten(0, 1)  # input, forget, cell, output -> input, output, forget, cell

    weights = [(reordered(d.w), reordered(d.u), torch.cat((reordered(d.input_bias), reordered(d.state_bias)))) for d in directions]
    peepholes = [d.peephole.unflatten(0, (3, -1))[[0, 2, 1]].flatten() for d in directions]
    states, (h, c) = recurrent_operator("LSTM", x, weights, start=start, peepholes=peepholes)
    return states, (h, c)
