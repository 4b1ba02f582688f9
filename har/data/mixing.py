"""Mixing of two windows and, in the same proportion, of their labels.

Targets are rows of probabilities (batch, num_classes), which cross-entropy takes as it takes class numbers. The partner
of each window comes from a random order of the batch, and each pair has a share of its own.
"""

import torch
from torch import Tensor


def mixup(x: Tensor, target: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Average each window with another, in a share drawn from Beta(alpha, alpha) (Zhang et al. 2018).

    Args:
        x: (batch, time, channel) windows.
        target: (batch, num_classes) probabilities.
        alpha: small values mix little, 1 makes every share equally likely.
        generator: on the CPU.
    """
    share, partner = beta(len(x), alpha, generator), torch.randperm(len(x), generator=generator).to(x.device)
    return _average(x, partner, share.view(-1, 1, 1)), _average(target, partner, share.view(-1, 1))


def cutmix(x: Tensor, target: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Replace a contiguous stretch of each window by the same stretch of another (Yun et al. 2019, along time).

    The share that stays is drawn from Beta(alpha, alpha) and rounded to whole samples; labels follow the samples that
    were really replaced. All channels change together. Arguments as in `mixup`.
    """
    window_size = x.shape[1]
    length = torch.round((1 - beta(len(x), alpha, generator)) * window_size).unsqueeze(1)  # (B, 1) samples replaced
    first = torch.floor(torch.rand(len(x), 1, generator=generator, dtype=torch.float64) * (window_size - length + 1))
    partner = torch.randperm(len(x), generator=generator).to(x.device)
    time = torch.arange(window_size)
    replaced = ((time >= first) & (time < first + length)).to(x.device)  # (B, T)
    mixed = torch.where(replaced.unsqueeze(-1), x[partner], x)
    return mixed, _average(target, partner, 1 - length / window_size)


def beta(count: int, alpha: float, generator: torch.Generator) -> Tensor:
    """(count,) float64 draws from Beta(alpha, alpha).

    ``torch.distributions`` takes no generator; it draws from the same function as here. In double precision, because for
    a small alpha both gamma variates are tiny.
    """
    first, second = torch._standard_gamma(torch.full((2, count), alpha, dtype=torch.float64), generator=generator)
    tiny = torch.finfo(torch.float64).tiny
    return (first + tiny) / (first + second + 2 * tiny)


def _average(values: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    share = share.to(values)
    return share * values + (1 - share) * values[partner]
