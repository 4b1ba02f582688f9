"""Residual convolutions that shorten the window, then an LSTM (a small relative of DeepConvLSTM, Ordonez and Roggen 2016)."""

from torch import Tensor, nn

from har.models.layers import ConvBlock
from har.models.recurrent import LSTM


class CNNLSTM(nn.Module):
    """A convolution that halves the time axis, residual blocks whose reach doubles, halving again, then an LSTM over what is left.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; a quarter of it reaches the LSTM.
        num_classes: activities.
        width: filters of a block.
        depth: residual blocks; block n reaches ``2^n`` samples apart.
        kernel_size: samples a filter spans.
        stem_size: samples the first filter spans.
        hidden_size: units of the LSTM.
        dropout: share of pooled features dropped in training.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        width: int = 48,
        depth: int = 2,
        kernel_size: int = 5,
        stem_size: int = 7,
        hidden_size: int = 64,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(in_channels, width, stem_size, stride=2, padding=stem_size // 2, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )
        self.blocks = nn.ModuleList(ConvBlock(width, width, kernel_size, dilation=2**number) for number in range(depth))
        self.shorten = nn.MaxPool1d(2)
        self.lstm = LSTM(width, window_size // 4, num_classes, hidden_size=hidden_size, num_layers=1, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        features = self.stem(x.transpose(1, 2))  # (B, width, T / 2)
        for block in self.blocks:
            features = features + block(features)
        return self.lstm(self.shorten(features).transpose(1, 2))
