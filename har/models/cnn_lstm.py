"""Convolutions that shorten the window, then an LSTM (a small relative of DeepConvLSTM, Ordonez and Roggen 2016)."""

from torch import Tensor, nn

from har.models.layers import ConvBlock
from har.models.lstm import LSTM


class CNNLSTM(nn.Module):
    """Convolution blocks, each halving the time axis, followed by an LSTM over what is left.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; halved by every block.
        num_classes: activities.
        width: filters of a block.
        depth: blocks.
        kernel_size: samples a filter spans.
        hidden_size: units of the LSTM.
        dropout: share of pooled features dropped in training.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        width: int = 64,
        depth: int = 2,
        kernel_size: int = 5,
        hidden_size: int = 64,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for number in range(depth):
            blocks += [ConvBlock(in_channels if number == 0 else width, width, kernel_size), nn.MaxPool1d(2)]
        self.blocks = nn.Sequential(*blocks)
        self.lstm = LSTM(width, window_size // 2**depth, num_classes, hidden_size=hidden_size, num_layers=1, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        features = self.blocks(x.transpose(1, 2))  # (B, width, T / 2^depth)
        return self.lstm(features.transpose(1, 2))
