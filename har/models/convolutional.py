"""Convolutional networks over windows, alone or in front of an LSTM."""

from typing import Any

import torch
from torch import Tensor, nn

from har.models.layers import ConvBlock, ResidualBlocks, StatisticsPooling, halving_stem, read_out
from har.models.recurrent import LSTM, PeepholeLayers


class CNN1D(nn.Module):
    """Convolution blocks with halving of the time axis between them, pooled over time.

    After Ronao and Cho 2016, with batch normalisation and statistics pooling.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; halved after each block but the last.
        num_classes: activities.
        width: filters of a block.
        depth: blocks.
        kernel_size: samples a filter spans.
        dropout: share of pooled features dropped in training.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        width: int = 64,
        depth: int = 4,
        kernel_size: int = 5,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for number in range(depth):
            blocks.append(ConvBlock(in_channels if number == 0 else width, width, kernel_size))
            if number < depth - 1:
                blocks.append(nn.MaxPool1d(2))
        self.blocks = nn.Sequential(*blocks)
        self.pool = StatisticsPooling(dim=2)
        self.head = read_out(self.pool.factor * width, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        features = self.blocks(x.transpose(1, 2))  # (B, width, T / 2^(depth - 1))
        return self.head(self.pool(features))


class DilatedCNN(nn.Module):
    """A convolution that halves the time axis, then residual blocks whose reach doubles, pooled over time.

    After van den Oord et al. 2016 and Bai et al. 2018, here not causal.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        width: filters of a block.
        depth: residual blocks; block n reaches ``2^n`` samples apart.
        kernel_size: samples a filter spans.
        stem_size: samples the first filter spans.
        dropout: share of pooled features dropped in training.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        width: int = 40,
        depth: int = 4,
        kernel_size: int = 5,
        stem_size: int = 7,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.stem = halving_stem(in_channels, width, stem_size)
        self.blocks = ResidualBlocks(width, depth, kernel_size)
        self.pool = StatisticsPooling(dim=2)
        self.head = read_out(self.pool.factor * width, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        return self.head(self.pool(self.blocks(self.stem(x.transpose(1, 2)))))  # (B, width, T / 2) into the pooling


class CNNLSTM(nn.Module):
    """A convolution that halves the time axis, residual blocks whose reach doubles, halving again, then an LSTM over what is left.

    A small relative of DeepConvLSTM (Ordonez and Roggen 2016).

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
        self.stem = halving_stem(in_channels, width, stem_size)
        self.blocks = ResidualBlocks(width, depth, kernel_size)
        self.shorten = nn.MaxPool1d(2)
        self.lstm = LSTM(width, window_size // 4, num_classes, hidden_size=hidden_size, num_layers=1, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        features = self.blocks(self.stem(x.transpose(1, 2)))  # (B, width, T / 2)
        return self.lstm(self.shorten(features).transpose(1, 2))


class DeepConvLSTM(nn.Module):
    """DeepConvLSTM: convolutions over time that all channels share, then LSTM layers over the feature maps of all channels.

    As in the paper (Ordonez and Roggen 2016, Sensors 16(1), 115): four convolutions of 64 filters of length 5 along time, the same for
    every channel by itself, with ReLU and without padding or pooling; two LSTM layers of 128 units over what remains (112 of 128
    samples), each sample with the maps of all channels, and with peepholes, which the LSTM of the authors' code has; a softmax layer on
    the last sample; dropout 0.5 on the inputs of every dense layer, that is of both LSTM layers and of the softmax; orthogonal first
    weights. Not as in the paper: what is the same for every network here, namely windows of 128 samples in place of 24, the inputs of
    the first layer (body acceleration and compressed copies beside the sensor values) and the training of the config in place of
    RMSProp.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; `depth` convolutions must leave at least one.
        num_classes: activities.
        width: filters of a convolution.
        depth: convolutions.
        kernel_size: samples a filter spans.
        hidden_size: units of an LSTM layer.
        num_layers: LSTM layers.
        peepholes: the gates see the cell state, see `PeepholeLayers`; without, torch's own faster LSTM runs.
        dropout: share of the inputs of the LSTM layers and of the last layer dropped in training.

    Raises:
        ValueError: the window is too short for the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        width: int = 64,
        depth: int = 4,
        kernel_size: int = 5,
        hidden_size: int = 128,
        num_layers: int = 2,
        peepholes: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        left = window_size - depth * (kernel_size - 1)
        if left < 1:
            raise ValueError(f"{depth} convolutions of {kernel_size} samples need windows of {window_size + 1 - left} samples or more")
        layers: list[nn.Module] = []
        for number in range(depth):
            layers += [nn.Conv2d(1 if number == 0 else width, width, (kernel_size, 1)), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        cell: Any = PeepholeLayers if peepholes else nn.LSTM
        between = dropout if num_layers > 1 else 0.0
        self.dropout = nn.Dropout(dropout)
        self.recurrent = cell((width if depth else 1) * in_channels, hidden_size, num_layers, batch_first=True, dropout=between)
        self.head = read_out(hidden_size, num_classes, dropout)
        self._initialise()
        # In this layout of memory the convolutions are faster on a CPU.
        self.convolutions.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def _initialise(self) -> None:
        """Every matrix orthogonal, those of an LSTM gate by gate; every bias and peephole 0."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                nn.init.zeros_(parameter)
                continue
            for part in parameter.chunk(4) if name.startswith("recurrent.") else [parameter]:
                nn.init.orthogonal_(part)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        maps = self.convolutions(x.unsqueeze(1))  # (B, width, T - depth * (kernel_size - 1), in_channels)
        sequence = maps.permute(0, 2, 3, 1).flatten(2)  # (B, T', in_channels * width)
        states, _ = self.recurrent(self.dropout(sequence))
        return self.head(states[:, -1])
