"""Recurrent networks that name the activity of every sample of a stream and carry their state from chunk to chunk."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from har.models.recurrent import set_forget_bias


class StreamRNN(nn.Module, ABC):
    """Stacked recurrent layers that read forward alone, and a linear answer to every sample (many to many).

    The state is one tensor a stream, all layers side by side; zeros are the start of a recording. Carried from chunk to chunk, it makes
    the answers those of the whole recording read at once; trained so, gradients end at the chunk's beginning (truncated back-propagation
    through time, Williams and Peng 1990).

    Args:
        in_channels: features a sample.
        window_size: samples in a chunk; any length works.
        num_classes: activities.
        hidden_size: units of a layer.
        num_layers: stacked layers.
        dropout: share dropped between layers and before the answer in training.
    """

    streams: ClassVar[bool] = True
    cell: ClassVar[Callable[..., nn.RNNBase]]
    parts: ClassVar[int]  # tensors that a layer's state has

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.recurrent = self.cell(in_channels, hidden_size, num_layers, batch_first=True, dropout=between)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_size, num_classes))
        self.shape = (self.parts * num_layers, hidden_size)
        self.state_size = self.parts * num_layers * hidden_size

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, time, in_channels), and the state (batch, state_size) -> (batch, time, num_classes) logits, and the state behind."""
        if state is None:
            state = x.new_zeros(x.shape[0], self.state_size)
        layers = state.unflatten(1, self.shape).transpose(0, 1).contiguous()  # (part * layer, B, hidden)
        states, after = self._read(x, layers)  # (B, T, hidden)
        return self.head(states), after.transpose(0, 1).flatten(1)

    @abstractmethod
    def _read(self, x: Tensor, layers: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, time, in_channels), (part * layer, batch, hidden) -> (batch, time, hidden) states, and the state behind."""


class StreamGRU(StreamRNN):
    """Stacked GRU (Cho et al. 2014) over a stream; see `StreamRNN` for the options."""

    cell = nn.GRU
    parts = 1

    def _read(self, x: Tensor, layers: Tensor) -> tuple[Tensor, Tensor]:
        return self.recurrent(x, layers)


class StreamLSTM(StreamRNN):
    """Stacked LSTM (Hochreiter and Schmidhuber 1997) over a stream, forget gates open at first; see `StreamRNN` for the options."""

    cell = nn.LSTM
    parts = 2  # what a layer says, and its cells

    def __init__(self, in_channels: int, window_size: int, num_classes: int, **options: int | float) -> None:
        super().__init__(in_channels, window_size, num_classes, **options)  # type: ignore[arg-type]
        set_forget_bias(self.recurrent, 1.0)  # Jozefowicz et al. 2015

    def _read(self, x: Tensor, layers: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cells = layers.chunk(self.parts)
        states, (hidden, cells) = self.recurrent(x, (hidden.contiguous(), cells.contiguous()))
        return states, torch.cat((hidden, cells))
