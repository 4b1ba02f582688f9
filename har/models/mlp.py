"""Fully connected network on the whole window: the naive baseline, which knows nothing of time."""

from collections.abc import Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """Every unit of the first layer sees every sample and channel of the window (Rumelhart, Hinton and Williams 1986).

    The first layer has ``in_channels * window_size * hidden_sizes[0]`` weights, so the network grows with the window; a movement
    that was learned at one place in the window must be learned again at every other place.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; no other length can be given.
        num_classes: activities.
        hidden_sizes: units of each hidden layer; with none it is a linear classifier.
        dropout: share of each hidden layer dropped in training.
    """

    def __init__(
        self, in_channels: int, window_size: int, num_classes: int, *, hidden_sizes: Sequence[int] = (128, 64), dropout: float = 0.3
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        width = in_channels * window_size
        for size in hidden_sizes:
            layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        return self.layers(x)
