"""Training: repeatable, honest about which weights are kept, blind to the test subjects."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import f1_score

from har.config import RunConfig
from har.data.datamodule import WindowDataModule
from har.data.windowset import WindowSet
from har.training import trainer
from har.training.fit import fit
from har.training.trainer import Fitted, load_checkpoint
from tests.models.test_models import SMALL
from tests.refusal import refused

Parts = dict[str, WindowSet]


def weights(result: Fitted) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in result.classifier.state_dict().values()])


def run(config: RunConfig, parts: Parts, folder: Path, **options: object) -> Fitted:
    return fit(config, parts["train"], parts["validation"], folder, **options)  # type: ignore[arg-type]


class History(pl.Callback):
    """Validation macro-F1 after each epoch, recomputed with scikit-learn, and the weights."""

    def __init__(self, validation: WindowSet) -> None:
        self.x, self.y = torch.from_numpy(np.array(validation.x)), validation.y
        self.scores: list[float] = []
        self.states: list[dict] = []

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        predicted = module.predict_proba(self.x).argmax(1).numpy()
        self.scores.append(f1_score(self.y, predicted, average="macro"))
        self.states.append({name: value.clone() for name, value in module.state_dict().items()})


@pytest.mark.parametrize(("model", "options"), [("cnn1d", {"width": 8, "depth": 2}), ("lstm", {"hidden_size": 8, "num_layers": 1})])
def test_the_same_seed_gives_the_same_model_and_another_seed_another(
    model: str, options: dict, config: RunConfig, parts: Parts, tmp_path: Path
) -> None:
    config = config.with_overrides(model__name=model, model__options=options, training__epochs=1)
    first, again = run(config, parts, tmp_path / "a"), run(config, parts, tmp_path / "b")
    assert first.best_score == again.best_score
    assert torch.equal(weights(first), weights(again))
    other = run(config.with_overrides(training__seed=1), parts, tmp_path / "c")
    assert other.best_score != first.best_score
    assert not torch.equal(weights(first), weights(other))


def test_the_best_epoch_is_what_is_saved(config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    """Not the last one, and not a reference that later epochs overwrite; the score is that of scikit-learn."""
    config = config.with_overrides(training__epochs=12, training__learning_rate=0.03)
    history = History(parts["validation"])
    result = run(config, parts, tmp_path, callbacks=[history])
    assert result.best_epoch == int(np.argmax(history.scores))
    assert result.best_epoch < len(history.scores) - 1, "the test needs a run whose last epoch is not its best"
    assert result.best_score == pytest.approx(max(history.scores), abs=1e-6)
    assert load_checkpoint(result.checkpoint).spec == parts["train"].spec(config.windowing.step)
    saved = load_checkpoint(result.checkpoint).state_dict()
    for name, value in history.states[result.best_epoch].items():
        assert torch.equal(saved[name], value), name
    assert any(not torch.equal(saved[name], value) for name, value in history.states[-1].items())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.ckpt", "resume.ckpt"]


def test_patience_ends_a_training_that_no_longer_improves(config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    config = config.with_overrides(training__epochs=40, training__learning_rate=1e-9, training__patience=2)
    result = run(config, parts, tmp_path)
    assert result.epochs <= result.best_epoch + 1 + 2
    assert result.epochs < 40


def test_nothing_but_training_subjects_is_fitted(config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    """Validation windows choose the epoch; with one epoch, changing them changes no weight and no scaler."""
    config = config.with_overrides(training__epochs=1)
    other = replace(parts["validation"], x=parts["validation"].x * 3 + 1)
    first, second = run(config, parts, tmp_path / "a"), run(config, parts | {"validation": other}, tmp_path / "b")
    assert torch.equal(weights(first), weights(second))


def test_a_loss_that_is_not_finite_is_one_clear_sentence(config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    broken = replace(parts["train"], x=np.full_like(parts["train"].x, np.nan))
    with refused("diverged"):
        run(config, parts | {"train": broken}, tmp_path)


def test_batches_hold_every_window_once_in_an_order_of_the_seed(parts: Parts) -> None:
    def epoch(seed: int) -> list[torch.Tensor]:
        return [x[:, 0, 0] for x, _ in WindowDataModule(parts["train"], parts["validation"], batch_size=100, seed=seed).train_dataloader()]

    first = torch.cat(epoch(0))
    assert torch.equal(first, torch.cat(epoch(0)))
    assert not torch.equal(first, torch.cat(epoch(1)))
    assert torch.equal(first.sort().values, torch.from_numpy(np.array(parts["train"].x[:, 0, 0])).sort().values)


def test_a_last_batch_of_one_is_left_out(parts: Parts) -> None:
    train = parts["train"].subset(np.arange(101))
    sizes = [len(y) for _, y in WindowDataModule(train, parts["validation"], batch_size=50, seed=0).train_dataloader()]
    assert sizes == [50, 50]


@pytest.mark.parametrize(
    "change",
    [
        {"training__label_smoothing": 0.3},
        {"training__weight_decay": 0.9},
        {"training__gradient_clip_norm": 1e-4},
        {"training__batch_size": 32},
        {"training__learning_rate": 0.001},
        {"frontend__compression": ()},
        {"model__options": {"width": 8, "depth": 3}},
        {"training__seed": 5},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_option_does_nothing(change: dict, config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    small = {name: part.subset(np.arange(0, len(part), 6)) for name, part in parts.items()}
    config = config.with_overrides(training__epochs=1)
    first, second = run(config, small, tmp_path / "a"), run(config.with_overrides(**change), small, tmp_path / "b")
    a, b = weights(first), weights(second)
    assert a.shape != b.shape or not torch.equal(a, b)


def test_bfloat16_is_of_the_network_in_training_alone(config: RunConfig, parts: Parts, tmp_path: Path) -> None:
    class Seen(pl.Callback):
        """What goes through the network in training and in validation."""

        def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
            self.products: set[tuple[bool, torch.dtype]] = set()
            self.features: set[torch.dtype] = set()
            network: torch.nn.Module = pl_module.network  # type: ignore[assignment]
            linear = next(module for module in network.modules() if isinstance(module, torch.nn.Conv1d))
            linear.register_forward_hook(lambda module, _, made: self.products.add((module.training, made.dtype)))
            pl_module.frontend.register_forward_hook(lambda module, _, made: self.features.add(made.dtype))  # type: ignore[operator,union-attr]

    config = config.with_overrides(model__name="cnn1d", model__options={"width": 8, "depth": 2}, training__epochs=1)
    seen = Seen()
    half = run(config.with_overrides(training__precision="bfloat16"), parts, tmp_path / "half", callbacks=[seen])
    assert seen.products == {(True, torch.bfloat16), (False, torch.float32)}
    assert seen.features == {torch.float32}
    assert {value.dtype for value in half.classifier.state_dict().values() if value.is_floating_point()} == {torch.float32}
    whole = run(config, parts, tmp_path / "whole")
    assert not torch.equal(weights(half), weights(whole))
    torch.testing.assert_close(weights(half), weights(whole), atol=0.05, rtol=0.05)


def test_a_module_without_bfloat16_refuses_it(config: RunConfig, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("har.models.classifier.WindowClassifier.can_use_bfloat16", False)
    with refused("config", r"trains in float32 alone; take training\.precision: bfloat16 away"):
        run(config.with_overrides(training__precision="bfloat16"), parts, tmp_path)


@pytest.mark.parametrize("name", ["cnn1d", "cnn_lstm", "dilated_cnn", "gru", "lstm", "peephole_lstm", "transformer"])
def test_memory_that_is_not_filled_changes_no_weight(
    name: str, config: RunConfig, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = torch.utils.deterministic.fill_uninitialized_memory
    small = config.with_overrides(model__name=name, model__options=SMALL[name], training__epochs=1, training__keep="last")
    few = {"train": parts["train"].subset(np.arange(150)), "validation": parts["validation"].subset(np.arange(40))}
    seen: list[bool] = []

    class Watch(pl.Callback):
        def on_train_batch_end(self, *_: object) -> None:
            seen.append(torch.utils.deterministic.fill_uninitialized_memory)

    left = weights(run(small, few, tmp_path / "left", callbacks=[Watch()]))
    assert not any(seen)
    assert torch.utils.deterministic.fill_uninitialized_memory == filled
    monkeypatch.setattr(trainer, "unfilled_memory", nullcontext)
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    assert torch.equal(left, weights(run(small, few, tmp_path / "filled", callbacks=[Watch()])))
    assert seen[-1]
