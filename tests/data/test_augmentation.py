"""Augmentation in training: every field of the config works, off means off to the bit, and validation never sees it."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from har.config import AugmentationConfig, RunConfig, load_config, parse_config
from har.contract import CHANNEL_SETS
from har.data.augmentation import Augmentation
from har.data.datamodule import WindowDataModule
from har.data.windowset import WindowSet
from har.models.registry import model_names
from har.training.fit import fit
from har.training.trainer import Fitted
from tests.refusal import refused

ROOT = Path(__file__).parents[2]
Parts = dict[str, WindowSet]
ON: dict[str, float] = {
    "crop": 0.2,
    "time_warp": 0.1,
    "permutation_cuts": 2,
    "mirror": 0.5,
    "turn_deg": 20.0,
    "tilt_deg": 10.0,
    "rotation_deg": 5.0,
    "scaling": 0.05,
    "magnitude_warp": 0.05,
    "jitter_acc_g": 0.01,
    "jitter_gyro_rad_s": 0.02,
    "bias_gyro_rad_s": 0.05,
    "channel_dropout": 0.2,
    "sensor_dropout": 0.2,
    "mixup_alpha": 0.4,
    "cutmix_alpha": 0.4,
}
MIXING = ("mixup_alpha", "cutmix_alpha")
both_channel_sets = pytest.mark.parametrize("channels", CHANNEL_SETS)
NEEDS_A_GYROSCOPE = ("jitter_gyro_rad_s", "bias_gyro_rad_s", "sensor_dropout")
every_field = pytest.mark.parametrize("field", AugmentationConfig.model_fields)


def augmentation(seed: int = 0, **strengths: float) -> Augmentation:
    return Augmentation(AugmentationConfig.model_validate(strengths), num_classes=6, seed=seed)


def batch(channels: str = "raw6", size: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(size, 128, len(CHANNEL_SETS[channels]), generator=generator)
    return x, torch.randint(6, (size,), generator=generator)


def test_every_field_has_a_strength_to_be_tested_at() -> None:
    assert set(ON) == set(AugmentationConfig.model_fields)


@pytest.mark.parametrize(
    ("field", "channels"), [(field, name) for field in ON for name in CHANNEL_SETS if name != "acc3" or field not in NEEDS_A_GYROSCOPE]
)
def test_no_field_is_a_flag_that_does_nothing(field: str, channels: str) -> None:
    x, y = batch(channels)
    kept = x.clone()
    changed, target = augmentation(**{field: ON[field]})(x, y)
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert torch.isfinite(changed).all()
    different = (changed != x).flatten(1).any(dim=1).float().mean()
    assert different > 0.3, f"{field} changed {different:.0%} of the windows"
    assert torch.equal(x, kept)
    if field in MIXING:
        assert target.shape == (64, 6)
        torch.testing.assert_close(target.sum(dim=1), torch.ones(64))
        assert not torch.equal(target, torch.nn.functional.one_hot(y, 6).float())
    else:
        assert target is y


@every_field
def test_an_accelerometer_alone_changes_as_it_does_next_to_a_gyroscope(field: str) -> None:
    x, y = batch()
    alone, target = augmentation(**{field: ON[field]})(x[..., :3], y)
    both, same = augmentation(**{field: ON[field]})(x, y)
    torch.testing.assert_close(alone, both[..., :3], rtol=0, atol=1e-6)
    assert torch.equal(target, same)


def test_dropping_the_only_sensor_is_refused() -> None:
    content = {"data": {"validation_subjects": [5], "channels": "acc3"}, "model": {"name": "gru"}, "augmentation": {"sensor_dropout": 0.2}}
    with refused("config", "sensor_dropout zeroes whole windows of data.channels acc3, which has one sensor; set it to 0"):
        parse_config(content, "test")


@every_field
def test_twice_the_strength_changes_more(field: str) -> None:
    """The number counts, not only whether it is zero."""
    x, y = batch(size=2000)
    size = []
    for strength in (ON[field], 2 * ON[field]):
        changed, target = augmentation(**{field: strength})(x, y)
        # A share of 0 and one of 1 both leave whole windows: what is mixed is what neither label holds.
        size.append(1 - target.amax(dim=1).mean() if field in MIXING else (changed - x).abs().mean())
    assert size[1] > 1.05 * size[0]


@both_channel_sets
def test_all_zero_returns_the_very_batch_and_draws_nothing(channels: str) -> None:
    x, y = batch(channels)
    off = augmentation(**dict.fromkeys(ON, 0))
    drawn = off.generator.get_state()
    changed, target = off(x, y)
    assert changed is x
    assert target is y
    assert torch.equal(off.generator.get_state(), drawn)


@both_channel_sets
def test_the_same_seed_gives_the_same_batches_and_another_seed_others(channels: str) -> None:
    x, y = batch(channels)
    first, again, other = (augmentation(seed, **ON) for seed in (3, 3, 4))
    one, two = first(x, y), first(x, y)
    assert not torch.equal(one[0], two[0])  # drawn anew for every batch
    for expected in (one, two):
        same = again(x, y)
        assert torch.equal(same[0], expected[0])
        assert torch.equal(same[1], expected[1])
    assert not torch.equal(other(x, y)[0], one[0])


def test_nobody_elses_random_numbers_are_drawn() -> None:
    torch.manual_seed(0)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    augmentation(**ON)(*batch())
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@both_channel_sets
def test_another_device_gives_the_same_windows(channels: str) -> None:
    x, y = batch(channels)
    here = augmentation(**ON)(x, y)
    there = augmentation(**ON)(x.cuda(), y.cuda())
    for expected, found in zip(here, there, strict=True):
        assert found.device.type == "cuda"
        torch.testing.assert_close(found.cpu(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("bad", [-0.1, 1e6, float("nan"), float("inf"), "much"])
@every_field
def test_strengths_out_of_range_are_one_clear_sentence(field: str, bad: object) -> None:
    content = {"data": {"validation_subjects": [5]}, "model": {"name": "gru"}, "augmentation": {field: bad}}
    with refused("config", rf"^test: augmentation\.{field}: ") as caught:
        parse_config(content, "test")
    assert "\n" not in str(caught.value)


def test_a_typo_in_the_section_names_the_nearest() -> None:
    content = {"data": {"validation_subjects": [5]}, "model": {"name": "gru"}, "augmentation": {"mixup": 0.2}}
    with refused("config", r"unknown key 'augmentation\.mixup'; did you mean 'mixup_alpha'"):
        parse_config(content, "test")


def test_the_shipped_configs_are_augmented_as_the_readme_says() -> None:
    for name in model_names():
        expected = AugmentationConfig(rotation_deg=25.0, turn_deg=40.0)
        assert load_config(ROOT / "configs" / f"{name}.yaml").augmentation == expected
    assert not any(AugmentationConfig().model_dump().values())


class Batches(pl.Callback):
    """What reached the network, in training and in validation."""

    def __init__(self) -> None:
        self.train: list[tuple[Tensor, Tensor]] = []
        self.validation: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.train.append(batch)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: tuple[Tensor, Tensor], index: int, dataloader_idx: int = 0
    ) -> None:
        self.validation.append(batch)


def run(config: RunConfig, parts: Parts, folder: Path, **strengths: float) -> tuple[Fitted, Batches]:
    batches = Batches()
    config = config.with_overrides(training__epochs=1, **{f"augmentation__{name}": value for name, value in strengths.items()})
    return fit(config, parts["train"], parts["validation"], folder, callbacks=[batches]), batches


def weights(result: Fitted) -> Tensor:
    return torch.cat([value.flatten().float() for value in result.classifier.state_dict().values()])


def test_off_trains_the_same_weights_to_the_bit(config: RunConfig, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An all-zero section, no section, and a data module that knows of no augmentation: one and the same model."""
    zero, _ = run(config, parts, tmp_path / "zero", **dict.fromkeys(ON, 0))
    none, _ = run(config, parts, tmp_path / "none")
    with monkeypatch.context() as patch:
        patch.setattr("har.training.fit.Augmentation", lambda *_, **__: None)
        patch.delattr(WindowDataModule, "on_after_batch_transfer")
        bare, _ = run(config, parts, tmp_path / "bare")
    assert torch.equal(weights(zero), weights(none))
    assert torch.equal(weights(zero), weights(bare))
    assert zero.best_score == none.best_score == bare.best_score
    on, _ = run(config, parts, tmp_path / "on", jitter_acc_g=0.01)
    assert not torch.equal(weights(zero), weights(on))


@both_channel_sets
def test_training_is_augmented_and_validation_never(channels: str, config: RunConfig, windows: WindowSet, tmp_path: Path) -> None:
    from har.data.splits import official_split
    from tests.helpers import VALIDATION

    split = official_split(VALIDATION)
    parts = {name: split.select(windows.select_channels(channels), name) for name in ("train", "validation")}
    config = config.with_overrides(data__channels=channels)
    off, plain = run(config, parts, tmp_path / "off")
    strengths = ON | ({"sensor_dropout": 0.0} if channels == "acc3" else {})
    on, changed = run(config, parts, tmp_path / "on", **strengths)
    assert len(plain.train) == len(changed.train) > 1
    for (x, y), (augmented, target) in zip(plain.train, changed.train, strict=True):
        assert augmented.shape == x.shape
        assert not torch.equal(augmented, x)
        assert y.dtype == torch.int64  # the plain labels are class numbers
        assert target.shape == (len(y), 6)
    for (x, y), (same, labels) in zip(plain.validation, changed.validation, strict=True):
        assert torch.equal(same, x)
        assert torch.equal(labels, y)
    assert torch.equal(torch.cat([x for x, _ in changed.validation]), torch.from_numpy(np.array(parts["validation"].x)))
    for name in ("frontend.mean", "frontend.std"):  # scalers are fitted on the windows as recorded
        assert torch.equal(on.classifier.state_dict()[name], off.classifier.state_dict()[name])


def test_augmentation_leaves_the_order_of_the_windows(config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    _, plain = run(config, parts, tmp_path / "off")
    _, changed = run(config, parts, tmp_path / "on", rotation_deg=5)
    for (x, y), (turned, same) in zip(plain.train, changed.train, strict=True):
        assert torch.equal(y, same)
        torch.testing.assert_close(turned[..., :3].norm(dim=-1), x[..., :3].norm(dim=-1), atol=1e-5, rtol=0)


def test_an_augmented_run_is_repeatable_and_follows_the_seed(config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    first, batches = run(config, parts, tmp_path / "a", **ON)
    again, same = run(config, parts, tmp_path / "b", **ON)
    assert torch.equal(weights(first), weights(again))
    assert first.best_score == again.best_score
    for expected, found in zip(batches.train, same.train, strict=True):
        assert torch.equal(expected[0], found[0])
        assert torch.equal(expected[1], found[1])
    _, other = run(config.with_overrides(training__seed=1), parts, tmp_path / "c", **ON)
    assert not torch.equal(batches.train[0][0], other.train[0][0])
