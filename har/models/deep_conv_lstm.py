"""DeepConvLSTM (Ordonez and Roggen 2016, Sensors 16(1), 115)."""

from typing import Any

import torch
from torch import Tensor, nn

from har.models.recurrent import PeepholeLayers


class DeepConvLSTM(nn.Module):
    """Convolutions over time that all channels share, then LSTM layers over the feature maps of all channels.

    As in the paper: four convolutions of 64 filters of length 5 along time, the same for every channel by itself, with ReLU and
    without padding or pooling; two LSTM layers of 128 units over what remains (112 of 128 samples), each sample with the maps of all
    channels, and with peepholes, which the LSTM of the authors' code has; a softmax layer on the last sample; dropout 0.5 on the
    inputs of every dense layer, that is of both LSTM layers and of the softmax; orthogonal first weights. Not as in the paper: what
    is the same for every network here, namely windows of 128 samples in place of 24, the inputs of the first layer (body
    acceleration and compressed copies beside the sensor values) and the training of the config in place of RMSProp.

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
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_size, num_classes))
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
