"""Many trainings at once give what each gives alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from har.config import RunConfig
from har.data.windowset import WindowSet
from har.errors import HarError
from har.training.fit import fit
from research.together import Member, clip_each, fit_together

Parts = dict[str, WindowSet]
BATCH = 32


@pytest.fixture
def plain(config: RunConfig) -> RunConfig:
    """A config in which nothing is drawn but first weights and order."""
    return config.with_overrides(
        model__name="cnn1d",
        model__options={"width": 8, "depth": 2, "dropout": 0.0},
        augmentation__rotation_deg=0.0,
        augmentation__turn_deg=0.0,
        training__batch_size=BATCH,
        training__epochs=3,
        training__keep="last",
    )


def whole_batches(parts: Parts, first: int, batches: int) -> np.ndarray:
    assert first + batches * BATCH <= len(parts["train"])
    return np.arange(first, first + batches * BATCH)


@pytest.mark.parametrize("networks", [1, 2])
def test_each_has_the_weights_that_it_has_alone(plain: RunConfig, parts: Parts, tmp_path: Path, networks: int) -> None:
    config = plain.with_overrides(model__members=networks)
    members = [Member(0, whole_batches(parts, 0, 3)), Member(5, whole_batches(parts, 0, 3)), Member(5, whole_batches(parts, BATCH, 3))]
    together = fit_together(config, parts["train"], members)
    for place, member in enumerate(members):
        own = config.with_overrides(training__seed=member.seed)
        alone = fit(own, parts["train"].subset(member.rows), None, tmp_path / str(place)).classifier
        expected, found = alone.state_dict(), together[place].state_dict()
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
        assert not together[place].training
    first, second, third = (classifier.frontend.mean for classifier in together)
    assert torch.equal(first, second)
    assert not torch.equal(second, third)  # scaling is fitted on its own windows


def test_what_was_learned_holds_with_augmentation_and_dropout(config: RunConfig, parts: Parts) -> None:
    changed = config.with_overrides(model__name="cnn1d", training__epochs=25, training__keep="last", augmentation__rotation_deg=20.0)
    rows = np.arange(len(parts["train"]))
    x, y = torch.from_numpy(np.array(parts["validation"].x)), torch.from_numpy(np.array(parts["validation"].y))
    right = []
    for classifier in fit_together(changed, parts["train"], [Member(seed, rows) for seed in range(3)]):
        right.append(float((classifier.predict_proba(x).argmax(dim=1) == y).float().mean()))
    assert min(right) > 0.8
    again = fit_together(changed, parts["train"], [Member(seed, rows) for seed in range(3)])
    assert right == [float((c.predict_proba(x).argmax(dim=1) == y).float().mean()) for c in again]


def test_the_fewer_windows_are_seen_again(plain: RunConfig, parts: Parts) -> None:
    few, many = Member(0, np.arange(BATCH + 5)), Member(1, np.arange(4 * BATCH - 3))
    classifiers = fit_together(plain, parts["train"], [few, many])
    tracked = [int(c.network.blocks[0].norm.num_batches_tracked) for c in classifiers]
    assert tracked == [4 * plain.training.epochs] * 2


def test_clipping_is_that_of_each_member() -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = {"a": torch.randn(3, 4, 5, generator=generator), "b": torch.randn(3, 7, generator=generator)}
    gradients["a"][1] *= 0.01
    gradients["b"][1] *= 0.01  # of the second the norm is below the limit
    alone = []
    for member in range(3):
        parameters = [torch.nn.Parameter(torch.zeros_like(g[member])) for g in gradients.values()]
        for parameter, gradient in zip(parameters, gradients.values(), strict=True):
            parameter.grad = gradient[member].clone()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        alone.append([parameter.grad for parameter in parameters])
    clip_each(gradients, 1.0)
    for member, expected in enumerate(alone):
        for gradient, one in zip(gradients.values(), expected, strict=True):
            torch.testing.assert_close(gradient[member], one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model__name": "gru", "model__options": {}}, "gru has a layer .*GRU"),
        ({"augmentation__mixup_alpha": 0.2}, "mixed windows"),
        ({"training__precision": "bfloat16"}, "float32"),
        ({"training__keep": "best"}, "keep: last"),
        ({"training__learning_rate": 1e30, "training__gradient_clip_norm": 1e30}, "diverged with seed 3"),
    ],
)
def test_what_cannot_be_trained_so_is_refused(plain: RunConfig, parts: Parts, change: dict, message: str) -> None:
    with pytest.raises(HarError, match=message):
        fit_together(plain.with_overrides(**change), parts["train"], [Member(3, np.arange(64))])
