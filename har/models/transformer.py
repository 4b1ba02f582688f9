"""Transformer encoder over short patches of the window (Vaswani et al. 2017)."""

from typing import Literal

import torch
from torch import Tensor, nn

from har.models.layers import AdditiveAttention, check_choice, read_out

Pooling = Literal["mean", "attention"]
LONGEST_PERIOD = 10_000.0  # of the position code (Vaswani et al. 2017, section 3.5)


class Transformer(nn.Module):
    """A strided convolution makes tokens of patches, sinusoidal positions are added, encoder layers mix them, pooled over tokens.

    As in the paper (sections 3.1 to 3.5): multi-head self-attention ``softmax(Q K^T / sqrt(d)) V`` and a two-layer network, each with
    a residual connection, and sinusoidal positions. Not as in the paper: layer normalisation stands before the two instead of behind
    (pre-norm; Xiong et al. 2020), GELU in place of ReLU, and patches, because attention over 128 samples costs 16 times that over 32
    tokens (patches as in Dosovitskiy et al. 2021).

    Args:
        in_channels: features a sample.
        window_size: samples in a window.
        num_classes: activities.
        width: features of a token, a multiple of `heads`, even.
        depth: encoder layers.
        heads: of the self-attention.
        expansion: width of the two-layer network, in widths of a token.
        patch_size: samples a token spans.
        patch_stride: samples between two tokens.
        dropout: share dropped behind each part of an encoder layer and of the pooled features in training.
        pooling: ``mean`` over tokens, or ``attention``: their mean is the query of `AdditiveAttention`.

    Raises:
        ValueError: there is no such pooling, or the width is odd or no multiple of the heads.
    """

    positions: Tensor

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        expansion: int = 2,
        patch_size: int = 8,
        patch_stride: int = 4,
        dropout: float = 0.1,
        pooling: Pooling = "mean",
    ) -> None:
        super().__init__()
        check_choice("pooling", pooling, Pooling)
        if width % 2 or width % heads:
            raise ValueError(f"width is {width}, expected an even multiple of heads, which is {heads}")
        self.window_size, self.patch_stride = window_size, patch_stride
        padding = max(0, patch_size - patch_stride) // 2  # as many samples on both sides as patches overlap
        self.embedding = nn.Conv1d(in_channels, width, patch_size, stride=patch_stride, padding=padding)
        tokens = (window_size + 2 * padding - patch_size) // patch_stride + 1
        self.register_buffer("positions", sinusoidal_positions(tokens, width), persistent=False)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, expansion * width, dropout, activation="gelu", batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.pool = AdditiveAttention(width, width) if pooling == "attention" else None
        self.head = read_out(width, num_classes, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        tokens = self._encode(x)
        mean = tokens.mean(dim=1)
        return self.head(mean if self.pool is None else self.pool(tokens, mean))

    def _encode(self, x: Tensor) -> Tensor:
        tokens = self._embed(x)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens)

    def _embed(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, token, width)."""
        return self.embedding(x.transpose(1, 2)).transpose(1, 2) + self.positions

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each sample counts in the pooling, (batch, time, in_channels) -> (batch, time), summing to 1 over time.

        The weight of a token is shared by the `patch_stride` samples in its middle.

        Raises:
            ValueError: the network has no attention pooling.
        """
        if self.pool is None:
            raise ValueError("this network has no attention weights over time; build it with pooling: attention, or see attention_maps")
        tokens = self._encode(x)
        weights = self.pool.weights(tokens, tokens.mean(dim=1)).repeat_interleave(self.patch_stride, dim=1) / self.patch_stride
        weights = nn.functional.pad(weights, (0, max(0, self.window_size - weights.shape[1])))[:, : self.window_size]
        return weights / weights.sum(dim=1, keepdim=True)

    def attention_maps(self, x: Tensor) -> Tensor:
        """Self-attention, (batch, time, in_channels) -> (batch, layer, head, token, token); of each query token they sum to 1."""
        tokens = self._embed(x)
        maps = []
        for layer in self.layers:
            assert isinstance(layer, nn.TransformerEncoderLayer)
            normed = layer.norm1(tokens)
            maps.append(layer.self_attn(normed, normed, normed, need_weights=True, average_attn_weights=False)[1])
            tokens = layer(tokens)
        return torch.stack(maps, dim=1)


def sinusoidal_positions(tokens: int, width: int) -> Tensor:
    """Position codes (token, width): sin and cos of the place over periods from 2 pi to 10,000 * 2 pi (Vaswani et al. 2017, 3.5)."""
    rate = LONGEST_PERIOD ** (-torch.arange(0, width, 2) / width)  # (width / 2,)
    angle = torch.arange(tokens).unsqueeze(1) * rate
    return torch.stack((torch.sin(angle), torch.cos(angle)), dim=2).flatten(1)
