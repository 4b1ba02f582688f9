"""Additive attention over time (Bahdanau, Cho and Bengio 2015)."""

import torch
from torch import Tensor, nn


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
