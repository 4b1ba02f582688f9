"""Layers shared by several networks."""

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
