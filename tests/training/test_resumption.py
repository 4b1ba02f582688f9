"""A training that was interrupted ends with the same weights, bit for bit, as one that was not."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from har.config import RunConfig
from har.data.windowset import WindowSet
from har.training.fit import fit
from har.training.trainer import RESUME, Fitted
from tests.refusal import refused

Parts = dict[str, WindowSet]
VARIANTS = {
    "best": {},
    "last": {"training__keep": "last"},
    "early stop": {"training__epochs": 30, "training__patience": 1, "training__learning_rate": 0.05},
    "all at random": {
        "model__options": {"width": 8, "depth": 2, "dropout": 0.3},
        "augmentation__rotation_deg": 20,
        "augmentation__mixup_alpha": 0.2,
    },
    "recurrent": {"model__name": "gru", "model__options": {"hidden_size": 8, "num_layers": 2, "dropout": 0.2}},
}


class Interruption(pl.Callback):
    """Ctrl-C before a step is done, as often as it is asked."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: object, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


class Epochs(pl.Callback):
    """Counts the epochs that begin."""

    def __init__(self) -> None:
        self.begun: list[int] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.begun.append(trainer.current_epoch)


def run(config: RunConfig, parts: Parts, folder: Path, *callbacks: pl.Callback) -> Fitted:
    return fit(config, parts["train"], parts["validation"], folder, callbacks=callbacks)


def same(a: Fitted, b: Fitted) -> bool:
    first, second = a.classifier.state_dict(), b.classifier.state_dict()
    told = [(one.best_epoch, one.best_score, one.epochs) for one in (a, b)]
    return told[0] == told[1] and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("variant", VARIANTS)
def test_interrupted_twice_it_ends_like_undisturbed(variant: str, config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    config = config.with_overrides(**({"training__epochs": 5, "training__batch_size": 64} | VARIANTS[variant]))
    steps = -(-len(parts["train"]) // config.training.batch_size)
    whole = run(config, parts, tmp_path / "whole")
    if variant == "early stop":
        assert whole.epochs < config.training.epochs
    epochs = Epochs()
    for stop in (steps + 3, 2 * steps):  # in the second epoch, and before the first step of the third
        with pytest.raises(KeyboardInterrupt):
            run(config, parts, tmp_path / "parts", Interruption(stop), epochs)
    resumed = run(config, parts, tmp_path / "parts", epochs)
    assert epochs.begun == [0, 1, 1, 2, *range(2, whole.epochs)]
    assert same(whole, resumed)
    assert run(config, parts, tmp_path / "parts", epochs).epochs == whole.epochs  # finished: nothing runs again
    assert epochs.begun[-1] == whole.epochs - 1
    assert resumed.seconds < 2 * whole.seconds + 60


def test_before_the_first_epoch_is_over_there_is_nothing_to_keep(config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(config, parts, tmp_path, Interruption(2))
    assert not (tmp_path / RESUME).exists()


def test_a_damaged_file_is_named(config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    config = config.with_overrides(training__epochs=2)
    run(config, parts, tmp_path)
    whole = (tmp_path / RESUME).read_bytes()
    (tmp_path / RESUME).write_bytes(whole[: len(whole) // 2])
    with refused("run-damaged", r"resume\.ckpt is damaged .*; delete it"):
        run(config, parts, tmp_path)
