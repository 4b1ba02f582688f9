"""Train any task's module under a fixed budget and keep the best epoch on the validation subjects, or the last."""

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.utils.deterministic
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import Logger

from har.config import TrainingConfig
from har.contract import HarError
from har.models.module import TaskModule
from har.training.resumption import Resumption


@dataclass(frozen=True)
class Fitted:
    """What a training left behind.

    Attributes:
        checkpoint: file with the weights that are kept.
        best_epoch: whose weights they are, from 0.
        best_score: the module's `monitor` that Lightning logged in that epoch; None where nobody validates.
        epochs: epochs that ran.
        seconds: time of the fit, without the pauses of one that was interrupted.
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
    progress: bool = False,
) -> Fitted:
    """Train one module; on CPU the same module, data and seed give the same weights.

    Where `folder` holds the ``resume.ckpt`` of an interrupted training of the same, it goes on from there and ends with these weights too.

    Args:
        module: with its scaling fitted.
        data: its batches; one that draws at random keeps where it stands (`har.data.datamodule`).
        training: the budget.
        folder: where ``best.ckpt`` is written, and ``resume.ckpt`` while the training runs.
        name: of the network, for messages.
        validates: whether there is a validation part.
        logger: of Lightning; gets per-epoch curves.
        callbacks: more callbacks of Lightning.
        progress: show a progress bar.

    Raises:
        HarError: the loss became NaN or infinite, nobody could choose the epoch, or the module has no such precision.
    """
    module.in_bfloat16 = training.precision == "bfloat16"
    if module.in_bfloat16 and not module.can_use_bfloat16:
        raise HarError(f"{name} trains in float32 alone; take training.precision: bfloat16 away")
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
    resumption = Resumption(folder, kept, module.monitor)
    resumed = resumption.read()
    own: list[Callback] = [kept, resumption, *([RichProgressBar(console_kwargs={"stderr": True})] if progress else [])]
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
    with unfilled_memory(), warnings.catch_warnings():
        # In-memory tensors need no worker processes.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
        warnings.filterwarnings("ignore", message=".*exists and is not empty.*")  # the run's own folder
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step.*")
        try:
            if resumption.progress is None or not resumption.progress.finished:
                trainer.fit(module, datamodule=data, ckpt_path=resumption.path if resumed else None, weights_only=True)
        except SystemExit:
            if trainer.interrupted and not trainer.received_sigterm:  # Lightning turns Ctrl-C into an exit
                raise KeyboardInterrupt from None
            raise
    done = resumption.progress
    if done is None or not done.kept or not math.isfinite(done.train_loss):
        raise HarError(
            f"training of {name} diverged: the loss is not finite after {done.epochs if done else 0} epochs; "
            "lower training.learning_rate or training.gradient_clip_norm"
        )
    checkpoint = folder / done.kept
    epoch = int(torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"])
    return Fitted(checkpoint, epoch, done.best_score if keep_best else done.last_score, done.epochs, done.seconds)


@contextmanager
def unfilled_memory() -> Iterator[None]:
    """While it lasts, torch leaves new tensors as they are until they are written.

    With deterministic algorithms it fills each with NaN first, so that code that reads what nobody wrote is found. No layer here does, the
    weights are the same bit for bit, and filling took a tenth of a training step of an LSTM, two hundredths of a convolutional network's.
    """
    torch_settings: Any = torch.utils.deterministic  # whose attribute its type does not know
    before = torch_settings.fill_uninitialized_memory
    torch_settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch_settings.fill_uninitialized_memory = before


def quiet_lightning() -> None:
    """Keep Lightning's hints about hardware and tips out of the output."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
