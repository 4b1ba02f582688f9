"""Residual network of dilated convolutions (after van den Oord et al. 2016 and Bai et al. 2018, here not causal)."""

from torch import Tensor, nn

from har.models.layers import ConvBlock, StatisticsPooling


class DilatedCNN(nn.Module):
    """A convolution that halves the time axis, then residual blocks whose reach doubles, pooled over time.

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
        self.stem = nn.Sequential(
            nn.Conv1d(in_channels, width, stem_size, stride=2, padding=stem_size // 2, bias=False), nn.BatchNorm1d(width), nn.ReLU()
        )
        self.blocks = nn.ModuleList(ConvBlock(width, width, kernel_size, dilation=2**number) for number in range(depth))
        self.pool = StatisticsPooling(dim=2)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.pool.factor * width, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        features = self.stem(x.transpose(1, 2))  # (B, width, T / 2)
        for block in self.blocks:
            features = features + block(features)
        return self.head(self.pool(features))
