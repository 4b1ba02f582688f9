"""Train any task's module under a fixed budget and keep the best epoch on the validation subjects, or the last."""

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

from har.config import TrainingConfig
from har.contract import HarError
from har.models.module import TaskModule


@dataclass(frozen=True)
class Fitted:
    """What a training left behind.

    Attributes:
        checkpoint: file with the weights that are kept.
        best_epoch: whose weights they are, from 0.
        best_score: the module's `monitor` that Lightning logged in that epoch; None where nobody validates.
        epochs: epochs that ran.
        seconds: time of the fit.
    """

    checkpoint: Path
    best_epoch: int
    best_score: float | None
    epochs: int
    seconds: float


def run_trainer(
    module: TaskModule,
    data: pl.LightningDataModule,
    training: TrainingConfig,
    folder: Path,
    *,
    name: str,
    validates: bool,
    logger: Logger | bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> Fitted:
    """Train one module; on CPU the same module, data and seed give the same weights.

    Args:
        module: with its scaling fitted.
        data: its batches.
        training: the budget.
        folder: where ``best.ckpt`` is written.
        name: of the network, for messages.
        validates: whether there is a validation part.
        logger: of Lightning; gets per-epoch curves.
        callbacks: more callbacks of Lightning.
        progress: show a progress bar.

    Raises:
        HarError: the loss became NaN or infinite, or nobody could choose the epoch.
    """
    keep_best = training.keep == "best"
    if keep_best and not validates:
        raise HarError("the split has no validation subjects, so that no epoch is best; set training.keep: last")
    kept = ModelCheckpoint(
        dirpath=folder,
        filename="best",
        monitor=module.monitor if keep_best else None,  # without a monitor each epoch replaces the one before
        mode=module.mode,
        save_weights_only=True,
        enable_version_counter=False,
        save_on_train_epoch_end=None if keep_best else True,
    )
    own: list[Callback] = [kept]
    if keep_best:
        own.append(EarlyStopping(monitor=module.monitor, mode=module.mode, patience=training.patience, check_finite=True))
    trainer = pl.Trainer(
        max_epochs=training.epochs,
        accelerator="auto",
        devices=1,
        gradient_clip_val=training.gradient_clip_norm,
        deterministic="warn" if torch.cuda.is_available() else True,
        logger=logger,
        callbacks=[*own, *callbacks],
        limit_val_batches=1.0 if validates else 0,
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
            trainer.fit(module, datamodule=data)
        except SystemExit:
            if trainer.interrupted and not trainer.received_sigterm:  # Lightning turns Ctrl-C into an exit
                raise KeyboardInterrupt from None
            raise
    seconds = time.perf_counter() - started
    if not kept.best_model_path or not torch.isfinite(trainer.callback_metrics.get("train/loss", torch.tensor(torch.nan))):
        raise HarError(
            f"training of {name} diverged: the loss is not finite after {trainer.current_epoch} epochs; "
            "lower training.learning_rate or training.gradient_clip_norm"
        )
    checkpoint = Path(kept.best_model_path)
    epoch = int(torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"])
    score = kept.best_model_score if keep_best else trainer.callback_metrics.get(module.monitor)
    return Fitted(checkpoint, epoch, None if score is None else float(score), trainer.current_epoch, seconds)


def quiet_lightning() -> None:
    """Keep Lightning's hints about hardware and tips out of the output."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
