"""Fit one classifier of windows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from har.config import RunConfig
from har.contract import SignalSpec
from har.data.augmentation import Augmentation
from har.data.datamodule import WindowDataModule
from har.data.windowset import WindowSet
from har.models.classifier import WindowClassifier
from har.training.trainer import Fitted, run_trainer


def module_settings(config: RunConfig) -> dict[str, Any]:
    """What every module behind a `SensorFrontend` or `StreamFrontend` is built with."""
    return {
        "model": config.model.name,
        "options": dict(config.model.options),
        "compression": config.frontend.compression,
        "differences": config.frontend.differences,
        "learning_rate": config.training.learning_rate,
        "weight_decay": config.training.weight_decay,
    }


def build_classifier(config: RunConfig, spec: SignalSpec) -> WindowClassifier:
    """An untrained classifier for windows of a specification; the seed decides its weights.

    Raises:
        ValueError: the specification is one of streams.
    """
    if spec.window_size is None:
        raise ValueError("a classifier of windows needs a specification with a window size")
    pl.seed_everything(config.training.seed, verbose=False)
    made = WindowClassifier(
        **module_settings(config),
        channels=config.data.channels,
        window_size=spec.window_size,
        num_classes=len(spec.labels),
        axes=config.frontend.axes,
        members=config.model.members,
        label_smoothing=config.training.label_smoothing,
    )
    made.spec = spec
    return made


def window_batches(config: RunConfig, train: WindowSet, validation: WindowSet | None) -> WindowDataModule:
    """The batches of a config: shuffled and augmented by its seed."""
    augmentation = Augmentation(config.augmentation, num_classes=len(train.labels), seed=config.training.seed)
    return WindowDataModule(train, validation, batch_size=config.training.batch_size, seed=config.training.seed, augmentation=augmentation)


def fit(
    config: RunConfig,
    train: WindowSet,
    validation: WindowSet | None,
    folder: Path,
    callbacks: Sequence[Callback] = (),
) -> Fitted:
    """Train one classifier; on CPU the same config and seed give the same weights.

    Args:
        config: the run.
        train: windows of the training subjects; scaling is fitted on them alone, as recorded, before augmentation.
        validation: windows of other training subjects; they choose the epoch, or with ``training.keep: last`` only watch.
            None where all training subjects train.
        folder: where ``best.ckpt`` is written.
        callbacks: more callbacks of Lightning.

    Raises:
        HarError: the loss became NaN or infinite, or nobody could choose the epoch.
    """
    torch.set_num_threads(config.training.threads)
    classifier = build_classifier(config, train.spec(config.windowing.step))
    data = window_batches(config, train, validation)
    classifier.frontend.fit(data.train_set.tensors[0])
    validates = validation is not None
    return run_trainer(classifier, data, config.training, folder, name=config.model.name, validates=validates, callbacks=callbacks)
