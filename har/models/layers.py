"""Layers that several networks share, and ONNX's own recurrent operators for those that torch's exporter would write out."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from har.contract import OPSET


def check_choice(name: str, value: str, choices: Any) -> None:
    """Refuse an option that is none of a `Literal` type.

    Raises:
        ValueError: it is not.
    """
    if value not in get_args(choices):
        raise ValueError(f"{name} is {value!r}, expected {', '.join(get_args(choices))}")


class StatisticsPooling(nn.Module):
    """Mean, maximum and standard deviation over time: (batch, time, feature) -> (batch, 3 * feature).

    Args:
        dim: the axis of time; 2 for (batch, feature, time).
    """

    factor = 3

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=self.dim, keepdim=True)
        deviation = x - mean
        variance = (deviation * deviation).mean(dim=self.dim)
        return torch.cat((mean.squeeze(self.dim), x.amax(dim=self.dim), torch.sqrt(variance + 1e-5)), dim=1)


class ConvBlock(nn.Module):
    """Convolution over time, batch normalisation, ReLU: (batch, feature, time) -> (batch, width, time)."""

    def __init__(self, in_channels: int, width: int, kernel_size: int, *, dilation: int = 1) -> None:
        super().__init__()
        # Bias is left to the normalisation; "same" padding keeps the length whatever kernel and dilation are.
        self.conv = nn.Conv1d(in_channels, width, kernel_size, padding="same", dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x)))


class ResidualBlocks(nn.ModuleList):
    """Blocks whose reach doubles, each added to what goes into it: (batch, width, time) -> the same shape.

    Block n reaches ``2^n`` samples apart.
    """

    def __init__(self, width: int, depth: int, kernel_size: int) -> None:
        super().__init__(ConvBlock(width, width, kernel_size, dilation=2**number) for number in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        for block in self:
            x = x + block(x)
        return x


def halving_stem(in_channels: int, width: int, kernel_size: int) -> nn.Sequential:
    """A strided convolution, normalisation and ReLU: (batch, in_channels, time) -> (batch, width, time / 2)."""
    conv = nn.Conv1d(in_channels, width, kernel_size, stride=2, padding=kernel_size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm1d(width), nn.ReLU())


def read_out(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """Dropout and a linear layer, the last of most networks."""
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, outputs))


class AdditiveAttention(nn.Module):
    """Weighted mean of states over time; a small network says how much each sample counts for a query.

    The alignment model of the paper (section 3.1, appendix A.1.2), with states h_t and the query q in place of the decoder's state::

        e_t = v^T tanh(W h_t + U q),    a = softmax over time of e,    context = sum_t a_t h_t

    Args:
        width: features of a state and of the query.
        size: units of the alignment model.
    """

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.state = nn.Linear(width, size, bias=False)  # W
        self.query = nn.Linear(width, size, bias=False)  # U
        self.score = nn.Linear(size, 1, bias=False)  # v

    def weights(self, states: Tensor, query: Tensor) -> Tensor:
        """(batch, time, width) states, (batch, width) query -> (batch, time) weights that sum to 1 over time."""
        aligned = torch.tanh(self.state(states) + self.query(query).unsqueeze(1))  # (B, T, size)
        return torch.softmax(self.score(aligned).squeeze(2), dim=1)

    def forward(self, states: Tensor, query: Tensor) -> Tensor:
        """(batch, time, width) states, (batch, width) query -> (batch, width) context."""
        return torch.matmul(self.weights(states, query).unsqueeze(1), states).squeeze(1)


class Ensemble(nn.Module):
    """Networks of the same kind side by side; they differ by their first weights and by what dropout leaves out.

    Args:
        members: each (batch, time, in_channels) -> (batch, num_classes) logits.
    """

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> logits.

        In training (batch, member, num_classes), so that every member learns by itself; else (batch, num_classes), the logarithm of
        the mean probability.
        """
        logits = torch.stack([member(x) for member in self.members], dim=1)
        if self.training:
            return logits
        return torch.logsumexp(torch.log_softmax(logits, dim=-1), dim=1) - math.log(len(self.members))


def gru_step(gru: nn.GRU, given: Tensor, layers: list[Tensor]) -> list[Tensor]:
    """One step of a GRU, (batch, feature) and a state (batch, hidden) of each layer -> the next states.

    The weights and the numbers of `gru` on a sequence of one sample, but exported without an operator for whole sequences.
    """
    found = []
    for layer, state in enumerate(layers):
        names = (f"weight_ih_l{layer}", f"weight_hh_l{layer}", f"bias_ih_l{layer}", f"bias_hh_l{layer}")
        given = torch.gru_cell(given, state, *(getattr(gru, name) for name in names))
        found.append(given)
    return found


def recurrent_operator(
    kind: str,
    x: Tensor,
    weights: Sequence[tuple[Tensor, Tensor, Tensor]],
    *,
    start: Sequence[Tensor] | None = None,
    peepholes: Sequence[Tensor] = (),
    activation: str | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """One layer as one operator; for use where `torch.onnx.is_in_onnx_export` says so.

    Args:
        kind: ``RNN`` or ``LSTM``.
        x: (time, batch, feature).
        weights: of each direction: W (gate * hidden, feature), R (gate * hidden, hidden) and B (2 * gate * hidden,), the input's
            biases before the state's; the gates of an LSTM in ONNX's order: input, output, forget, cell.
        start: h, and of an LSTM c, before the first sample, (direction, batch, hidden) each; None: zeros.
        peepholes: of an LSTM, of each direction (3 * hidden,): input, output, forget; that of the output sees the new cell state.
        activation: of an RNN, ``Tanh`` or ``Relu``.

    Returns:
        (time, batch, direction * hidden) states, and h, of an LSTM also c, behind the last sample, as `start`.
    """
    time, batch = x.shape[0], x.shape[1]
    directions, hidden = len(weights), weights[0][1].shape[1]
    attributes: dict = {"hidden_size": hidden, "direction": "forward" if directions == 1 else "bidirectional"}
    if activation:
        attributes["activations"] = [activation] * directions
    carried = 2 if kind == "LSTM" else 1
    inputs: list[Tensor | None] = [x, *(torch.stack(parts) for parts in zip(*weights, strict=True)), None]  # None: no lengths
    inputs += [None] * carried if start is None else list(start)
    inputs += [torch.stack(tuple(peepholes))] if peepholes else []
    shapes = [(time, directions, batch, hidden), *[(directions, batch, hidden)] * carried]
    states, *last = torch.onnx.ops.symbolic_multi_out(
        kind, inputs, attrs=attributes, dtypes=[x.dtype] * len(shapes), shapes=shapes, version=OPSET
    )
    return states.transpose(1, 2).flatten(2), last  # (T, direction, B, hidden) -> (T, B, direction * hidden)
