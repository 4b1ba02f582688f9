"""What the LSTM and the GRU have in common."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from har.models.layers import StatisticsPooling


class RecurrentNetwork(nn.Module):
    """Stacked recurrent layers over the window, read out by statistics of all states and the last state.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        hidden_size: units of a layer and direction.
        num_layers: stacked layers.
        bidirectional: read the window in both directions.
        dropout: share dropped between layers and of the pooled features in training.
    """

    cell: Callable[..., nn.RNNBase]

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        hidden_size: int = 64,
        num_layers: int = 2,
        bidirectional: bool = False,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.recurrent = self.cell(in_channels, hidden_size, num_layers, batch_first=True, bidirectional=bidirectional, dropout=between)
        self.pool = StatisticsPooling()
        width = hidden_size * (2 if bidirectional else 1)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear((self.pool.factor + 1) * width, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        states, _ = self.recurrent(x)  # (B, T, width)
        return self.head(torch.cat((self.pool(states), states[:, -1]), dim=1))
