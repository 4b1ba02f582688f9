"""Layers shared by several networks."""

import torch
from torch import Tensor, nn


class StatisticsPooling(nn.Module):
    """Mean, maximum and standard deviation over time: (batch, time, feature) -> (batch, 3 * feature)."""

    factor = 3

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=1)
        variance = (x - mean.unsqueeze(1)).square().mean(dim=1)
        return torch.cat((mean, x.amax(dim=1), torch.sqrt(variance + 1e-5)), dim=1)


class ConvBlock(nn.Module):
    """Convolution over time, batch normalisation, ReLU: (batch, feature, time) -> (batch, width, time)."""

    def __init__(self, in_channels: int, width: int, kernel_size: int, *, dilation: int = 1) -> None:
        super().__init__()
        # Bias is left to the normalisation; "same" padding keeps the length whatever kernel and dilation are.
        self.conv = nn.Conv1d(in_channels, width, kernel_size, padding="same", dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x)))
