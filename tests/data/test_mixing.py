"""Labels are mixed in exactly the proportion in which signals are mixed."""

import pytest
import torch
from torch import Tensor

from har.data.augmentation import beta, cutmix, mixup

B, T, CLASSES = 600, 128, 6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Windows that name their own class: channel c of a window of class c is 1, the others are 0."""
    y = torch.randint(CLASSES, (B,), generator=generator(7))
    target = torch.nn.functional.one_hot(y, CLASSES).float()
    return target.unsqueeze(1).repeat(1, T, 1), target, y


@pytest.mark.parametrize("mix", [mixup, cutmix])
@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 10.0])
def test_labels_follow_the_signals_exactly(mix, alpha: float) -> None:  # type: ignore[no-untyped-def]
    x, target, _ = batch()
    mixed, soft = mix(x, target, alpha, generator())
    assert mixed.shape == x.shape
    assert soft.shape == (B, CLASSES)
    assert soft.dtype == x.dtype
    torch.testing.assert_close(mixed.mean(dim=1), soft, atol=2e-6, rtol=0)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(B), atol=1e-6, rtol=0)
    assert not torch.equal(mixed, x)
    assert not torch.equal(soft, target)


def test_mixup_is_one_average_a_window() -> None:
    x, target, _ = batch()
    mixed, soft = mixup(x, target, 1.0, generator())
    torch.testing.assert_close(mixed, soft.unsqueeze(1).expand_as(mixed), atol=1e-6, rtol=0)
    share = soft.gather(1, target.argmax(1, keepdim=True)).squeeze(1)
    assert len(share.unique()) > B / 2  # each pair has its own
    assert (soft.gt(0).sum(dim=1) <= 2).all()


def test_cutmix_replaces_one_contiguous_stretch_by_the_same_stretch_of_another() -> None:
    own = torch.arange(B).float().view(B, 1, 1) * T + torch.arange(T).float().view(1, T, 1)  # every sample knows where it was
    mixed, _ = cutmix(own.expand(B, T, 3).contiguous(), torch.eye(B), 1.0, generator())
    assert torch.equal(mixed, mixed[:, :, :1].expand_as(mixed))  # all channels together
    window, time = (mixed[:, :, 0] // T).long(), mixed[:, :, 0] % T
    assert torch.equal(time, torch.arange(T).float().expand(B, T))  # at the same place
    foreign = window != torch.arange(B).unsqueeze(1)
    edges = foreign.long().diff(dim=1).abs().sum(dim=1)
    assert edges.max() == 2
    for row in range(B):
        assert len(window[row][foreign[row]].unique()) <= 1
    starts = foreign.long().argmax(dim=1)[foreign.any(dim=1) & ~foreign.all(dim=1)]
    assert starts.min() == 0
    assert starts.max() > 100
    assert foreign.double().mean() == pytest.approx(0.5, abs=0.05)


def test_cutmix_labels_count_the_samples() -> None:
    own = torch.arange(B).float().view(B, 1, 1).expand(B, T, 3).contiguous()
    mixed, soft = cutmix(own, torch.eye(B), 0.5, generator())
    counted = torch.stack([(mixed[:, :, 0] == window).sum(dim=1) for window in range(B)], dim=1) / T
    torch.testing.assert_close(soft, counted, atol=0, rtol=0)


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_the_seed_decides(mix) -> None:  # type: ignore[no-untyped-def]
    x, target, _ = batch()
    first, again, other = (mix(x, target, 0.5, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_a_batch_of_one_mixes_with_itself() -> None:
    x, target, _ = batch()
    for mix in (mixup, cutmix):
        mixed, soft = mix(x[:1], target[:1], 1.0, generator())
        torch.testing.assert_close(mixed, x[:1])
        torch.testing.assert_close(soft, target[:1])


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 5.0])
def test_shares_have_the_moments_of_the_beta_distribution(alpha: float) -> None:
    share = beta(40_000, alpha, generator())
    assert ((share >= 0) & (share <= 1)).all()
    assert share.mean() == pytest.approx(0.5, abs=0.01)
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.04)


def test_the_smallest_alpha_gives_no_nan() -> None:
    assert torch.isfinite(beta(10_000, 1e-9, generator())).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_takes_soft_targets(smoothing: float) -> None:
    """The loss of a mixed label is the mixture of the losses, label smoothing included; a hard label stays as it was."""
    loss = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
    logits = torch.randn(1, CLASSES, generator=generator())
    soft = torch.zeros(1, CLASSES)
    soft[0, 2], soft[0, 4] = 0.7, 0.3
    hard = {c: loss(logits, torch.tensor([c])) for c in (2, 4)}
    torch.testing.assert_close(loss(logits, soft), 0.7 * hard[2] + 0.3 * hard[4])
    torch.testing.assert_close(loss(logits, torch.eye(CLASSES)[2:3]), hard[2])
