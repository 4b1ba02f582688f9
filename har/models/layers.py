"""Layers that several networks share: pooling, additive attention, and an ensemble of networks."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


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
