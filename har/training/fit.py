"""Fit one classifier under a fixed budget and keep the best epoch on the validation subjects, or the last."""

import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import Logger

from har.config import RunConfig
from har.contract import HarError
from har.data.augmentation import Augmentation
from har.data.datamodule import WindowDataModule
from har.data.windowset import WindowSet
from har.models.classifier import ActivityClassifier
from har.training.checkpoint import load_checkpoint

MONITOR = "val/macro_f1"


@dataclass(frozen=True)
class FitResult:
    """What a training left behind.

    Attributes:
        classifier: with the weights that are kept, read back from the checkpoint.
        checkpoint: file with these weights.
        best_epoch: whose weights they are, from 0.
        best_score: validation macro-F1 that Lightning logged in that epoch; None where nobody validates.
        epochs: epochs that ran.
        seconds: time of the fit.
    """

    classifier: ActivityClassifier
    checkpoint: Path
    best_epoch: int
    best_score: float | None
    epochs: int
    seconds: float


def build_classifier(config: RunConfig, train: WindowSet) -> ActivityClassifier:
    """An untrained classifier with the frontend fitted on the training windows; the seed decides its weights."""
    pl.seed_everything(config.training.seed, verbose=False)
    classifier = ActivityClassifier(
        model=config.model.name,
        options=dict(config.model.options),
        channels=config.data.channels,
        window_size=train.window_size,
        num_classes=len(train.labels),
        compression=config.frontend.compression,
        differences=config.frontend.differences,
        members=config.model.members,
        learning_rate=config.training.learning_rate,
        weight_decay=config.training.weight_decay,
        label_smoothing=config.training.label_smoothing,
    )
    return classifier


def fit(
    config: RunConfig,
    train: WindowSet,
    validation: WindowSet | None,
    folder: Path,
    *,
    logger: Logger | bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> FitResult:
    """Train one model; on CPU the same config and seed give the same weights.

    Args:
        config: the run.
        train: windows of the training subjects; scaling is fitted on them alone, as recorded, before augmentation.
        validation: windows of other training subjects; they choose the epoch, or with ``training.keep: last`` only watch.
            None where all training subjects train.
        folder: where ``best.ckpt`` is written.
        logger: of Lightning; gets per-epoch curves.
        callbacks: more callbacks of Lightning.
        progress: show a progress bar.

    Raises:
        HarError: the loss became NaN or infinite, or nobody could choose the epoch.
    """
    keep_best = config.training.keep == "best"
    if keep_best and validation is None:
        raise HarError("the split has no validation subjects, so that no epoch is best; set training.keep: last")
    torch.set_num_threads(config.training.threads)
    classifier = build_classifier(config, train)
    augmentation = Augmentation(
        config.augmentation, channels=config.data.channels, num_classes=len(train.labels), seed=config.training.seed
    )
    data = WindowDataModule(train, validation, batch_size=config.training.batch_size, seed=config.training.seed, augmentation=augmentation)
    classifier.frontend.fit(data.train_set.tensors[0])
    kept = ModelCheckpoint(
        dirpath=folder,
        filename="best",
        monitor=MONITOR if keep_best else None,  # without a monitor each epoch replaces the one before
        mode="max",
        save_weights_only=True,
        enable_version_counter=False,
        save_on_train_epoch_end=None if keep_best else True,
    )
    own: list[Callback] = [kept]
    if keep_best:
        own.append(EarlyStopping(monitor=MONITOR, mode="max", patience=config.training.patience, check_finite=True))
    trainer = pl.Trainer(
        max_epochs=config.training.epochs,
        accelerator="auto",
        devices=1,
        gradient_clip_val=config.training.gradient_clip_norm,
        deterministic="warn" if torch.cuda.is_available() else True,
        logger=logger,
        callbacks=[*own, *callbacks],
        limit_val_batches=0 if validation is None else 1.0,
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10**9,  # epochs are logged, steps are not: they cost time and nobody reads them
    )
    started = time.perf_counter()
    with warnings.catch_warnings():
        # In-memory tensors need no worker processes.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")  # the run's own folder
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step.*")
        try:
            trainer.fit(classifier, datamodule=data)
        except SystemExit:
            if trainer.interrupted and not trainer.received_sigterm:  # Lightning turns Ctrl-C into an exit
                raise KeyboardInterrupt from None
            raise
    seconds = time.perf_counter() - started
    if not kept.best_model_path or not torch.isfinite(trainer.callback_metrics.get("train/loss", torch.tensor(torch.nan))):
        raise HarError(
            f"training of {config.model.name} diverged: the loss is not finite after {trainer.current_epoch} epochs; "
            "lower training.learning_rate or training.gradient_clip_norm"
        )
    checkpoint = Path(kept.best_model_path)
    epoch = int(torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"])
    score = kept.best_model_score if keep_best else trainer.callback_metrics.get(MONITOR)
    return FitResult(
        load_checkpoint(checkpoint), checkpoint, epoch, None if score is None else float(score), trainer.current_epoch, seconds
    )


def quiet_lightning() -> None:
    """Keep Lightning's hints about hardware and tips out of the output."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
