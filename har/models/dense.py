"""Networks that name the activity of every sample and look ahead for it: for recordings that have ended, not for a device."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from har.models.layers import ConvBlock


class DenseNetwork(nn.Module, ABC):
    """Base of the networks that look ahead: they have no state to carry, and a chunk's ends are the ends of what they know."""

    streams: ClassVar[bool] = False
    state_size = 0

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, None]:
        """(batch, time, in_channels) -> (batch, time, num_classes) logits, and no state.

        Raises:
            ValueError: a state is given.
        """
        if state is not None:
            raise ValueError(f"{type(self).__name__} looks ahead and has no state to carry; give it the whole recording at once")
        return self.answer(x), None

    @abstractmethod
    def answer(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, time, num_classes) logits."""


class DenseGRU(DenseNetwork):
    """Stacked GRU that reads forward and backward, a linear answer to every sample (Schuster and Paliwal 1997; Graves 2005).

    Args:
        in_channels: features a sample.
        window_size: samples in a chunk; any length works.
        num_classes: activities.
        hidden_size: units of a layer and direction.
        num_layers: stacked layers.
        dropout: share dropped between layers and before the answer in training.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        hidden_size: int = 48,
        num_layers: int = 1,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.recurrent = nn.GRU(in_channels, hidden_size, num_layers, batch_first=True, bidirectional=True, dropout=between)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * hidden_size, num_classes))

    def answer(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0])


class DenseCNN(DenseNetwork):
    """Residual blocks of centred convolutions whose reach doubles, a linear answer to every sample (after Farha and Gall 2019).

    A sample's answer depends on ``(kernel_size - 1) * 2^depth / 2`` samples on either side, some more for the first convolution.

    Args:
        in_channels: features a sample.
        window_size: samples in a chunk; any length works.
        num_classes: activities.
        width: filters of a block.
        depth: residual blocks; block n reaches ``2^n`` samples apart.
        kernel_size: samples a filter spans, odd.
        dropout: share of features dropped before the answer in training.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        width: int = 48,
        depth: int = 7,
        kernel_size: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.stem = ConvBlock(in_channels, width, kernel_size)
        self.blocks = nn.ModuleList(ConvBlock(width, width, kernel_size, dilation=2**number) for number in range(depth))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, num_classes))

    def answer(self, x: Tensor) -> Tensor:
        features = self.stem(x.transpose(1, 2))  # (B, width, T)
        for block in self.blocks:
            features = features + block(features)
        return self.head(features.transpose(1, 2))
