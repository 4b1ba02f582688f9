"""1D convolutional network (after Ronao and Cho 2016, with batch normalisation and statistics pooling)."""

from torch import Tensor, nn

from har.models.layers import ConvBlock, StatisticsPooling


class CNN1D(nn.Module):
    """Convolution blocks with halving of the time axis between them, pooled over time.

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
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.pool.factor * width, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        features = self.blocks(x.transpose(1, 2))  # (B, width, T / 2^(depth - 1))
        return self.head(self.pool(features))
