"""Fit one classifier of windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from har.config import RunConfig
from har.data.augmentation import Augmentation
from har.data.datamodule import WindowDataModule
from har.data.windowset import WindowSet
from har.models.classifier import WindowClassifier
from har.training.checkpoint import load_checkpoint
from har.training.trainer import Fitted, run_trainer


@dataclass(frozen=True)
class FitResult(Fitted):
    """What a training left behind.

    Attributes:
        classifier: with the weights that are kept, read back from the checkpoint.
    """

    classifier: WindowClassifier


def build_classifier(config: RunConfig, train: WindowSet) -> WindowClassifier:
    """An untrained classifier for the windows and labels of `train`; the seed decides its weights."""
    made = empty_classifier(config, window_size=train.window_size, num_classes=len(train.labels))
    made.spec = train.spec(config.windowing.step)
    return made


def empty_classifier(config: RunConfig, *, window_size: int, num_classes: int) -> WindowClassifier:
    """An untrained classifier, without data; the seed decides its weights."""
    pl.seed_everything(config.training.seed, verbose=False)
    return WindowClassifier(
        model=config.model.name,
        options=dict(config.model.options),
        channels=config.data.channels,
        window_size=window_size,
        num_classes=num_classes,
        axes=config.frontend.axes,
        compression=config.frontend.compression,
        differences=config.frontend.differences,
        members=config.model.members,
        learning_rate=config.training.learning_rate,
        weight_decay=config.training.weight_decay,
        label_smoothing=config.training.label_smoothing,
    )


def window_batches(config: RunConfig, train: WindowSet, validation: WindowSet | None) -> WindowDataModule:
    """The batches of a config: shuffled and augmented by its seed."""
    augmentation = Augmentation(
        config.augmentation, channels=config.data.channels, num_classes=len(train.labels), seed=config.training.seed
    )
    return WindowDataModule(train, validation, batch_size=config.training.batch_size, seed=config.training.seed, augmentation=augmentation)


def fit(
    config: RunConfig,
    train: WindowSet,
    validation: WindowSet | None,
    folder: Path,
    callbacks: Sequence[Callback] = (),
) -> FitResult:
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
    classifier = build_classifier(config, train)
    data = window_batches(config, train, validation)
    classifier.frontend.fit(data.train_set.tensors[0])
    validates = validation is not None
    fitted = run_trainer(classifier, data, config.training, folder, name=config.model.name, validates=validates, callbacks=callbacks)
    return FitResult(**vars(fitted), classifier=load_checkpoint(fitted.checkpoint))
