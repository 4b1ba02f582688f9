"""Several networks in one model, whose probabilities are averaged (Hansen and Salamon 1990)."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


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
