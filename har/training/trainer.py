"""Train the module of any task, keep the best or the last epoch, resume an interrupted training, and read the weights."""

import io
import logging
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
import torch.utils.deterministic
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import Logger

from har.config import TrainingConfig
from har.contract import SignalSpec
from har.errors import HarError
from har.files import whole_file, write_whole
from har.models.classifier import WindowClassifier
from har.models.module import SPEC, TaskModule

RESUME = "resume.ckpt"
OWN = "har"  # entry of this project in a checkpoint of Lightning
M = TypeVar("M", bound=TaskModule)


@dataclass(frozen=True)
class Progress:
    """What is known after an epoch.

    Attributes:
        epochs: that ran.
        kept: name of the file with the weights that are kept; empty where no epoch was good enough.
        best_score: of them; None where nobody validates.
        last_score: of the last epoch.
        train_loss: of the last epoch.
        seconds: of the fit, interruptions not counted.
        finished: whether the training has come to its end.
    """

    epochs: int
    kept: str
    best_score: float | None
    last_score: float | None
    train_loss: float
    seconds: float
    finished: bool


class Resumption(Checkpoint):
    """Keeps in ``resume.ckpt`` all that the next epoch depends on: weights, optimiser, schedule, callbacks, data and random streams.

    On one machine's CPU a training that goes on from it ends with the same weights, bit for bit, as one that was never interrupted.
    The file is replaced whole after every epoch, and once more at the end.

    Args:
        folder: where it is written.
        kept: the callback that keeps the weights.
        monitor: the score that it may look at.
    """

    def __init__(self, folder: Path, kept: ModelCheckpoint, monitor: str) -> None:
        self.path, self.kept, self.monitor = folder / RESUME, kept, monitor
        self.progress: Progress | None = None
        self._started, self._before_s = time.perf_counter(), 0.0
        self._streams: dict[str, Any] | None = None

    def read(self) -> bool:
        """Find out whether there is something to go on from; `progress` then says how far it came.

        Raises:
            HarError: the file is damaged.
        """
        if not self.path.is_file():
            return False
        try:
            own = torch.load(self.path, map_location="cpu", weights_only=True)[OWN]
            self.progress = Progress(**own["progress"])
        except Exception as error:  # torch raises many kinds for a damaged file; all mean the same to the user
            raise HarError(
                "run-damaged", f"{self.path} is damaged ({type(error).__name__}); delete it, and the training starts again"
            ) from None
        self._before_s, self._streams = self.progress.seconds, own["streams"]
        return True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._streams is None or self.progress is None:
            return
        torch.set_rng_state(self._streams["cpu"])
        if "cuda" in self._streams and torch.cuda.is_available():
            torch.cuda.set_rng_state(self._streams["cuda"])
        # An epoch makes the iterator of its batches after this moment and draws a seed for it; after a restart it exists already.
        torch.empty((), dtype=torch.int64).random_()
        self._streams = None
        # Lightning logs the loss of an epoch after this file is written; where the process died in between, it is nowhere else.
        for logger in trainer.loggers:
            logger.log_metrics({"train/loss": self.progress.train_loss, "epoch": self.progress.epochs - 1}, step=trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        best = self.kept.best_model_score
        self.progress = Progress(
            epochs=trainer.current_epoch + 1,
            kept=Path(self.kept.best_model_path).name if self.kept.best_model_path else "",
            best_score=None if best is None or self.kept.monitor is None else float(best),
            last_score=metrics.get(self.monitor),
            train_loss=metrics.get("train/loss", float("nan")),
            seconds=self._before_s + time.perf_counter() - self._started,
            finished=False,
        )
        self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.progress is not None:
            self.progress = Progress(**asdict(self.progress) | {"finished": True})
            self._save(trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        if self.progress is not None:
            streams = {"cpu": torch.get_rng_state()}
            if torch.cuda.is_available():
                streams["cuda"] = torch.cuda.get_rng_state()
            checkpoint[OWN] = {"progress": asdict(self.progress), "streams": streams}

    def _save(self, trainer: pl.Trainer) -> None:
        with whole_file(self.path) as temporary:
            trainer.save_checkpoint(temporary, weights_only=False)


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

    @cached_property
    def classifier(self) -> WindowClassifier:
        """The weights that are kept, read back from the checkpoint, where they are those of a classifier of windows."""
        return load_checkpoint(self.checkpoint)


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
        raise HarError("config", f"{name} trains in float32 alone; take training.precision: bfloat16 away")
    keep_best = training.keep == "best"
    if keep_best and not validates:
        raise HarError("config", "the split has no validation subjects, so that no epoch is best; set training.keep: last")
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
            "diverged",
            f"training of {name} diverged: the loss is not finite after {done.epochs if done else 0} epochs; "
            "lower training.learning_rate or training.gradient_clip_norm",
        )
    checkpoint = folder / done.kept
    epoch = int(torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"])
    return Fitted(checkpoint, epoch, done.best_score if keep_best else done.last_score, done.epochs, done.seconds)


def load_module(path: Path, kind: type[M]) -> M:
    """The module saved in a checkpoint, in evaluation mode on the CPU. Only tensors and plain values are unpickled.

    Args:
        path: of the checkpoint.
        kind: class of the module.

    Raises:
        HarError: the file is missing or is not a checkpoint of such a module.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        module = kind(**content["hyper_parameters"])
        module.load_state_dict(content["state_dict"])
        if SPEC in content:
            module.spec = SignalSpec.from_json(content[SPEC])
    except FileNotFoundError:
        raise HarError("run-missing", f"no checkpoint at {path}; train first: har train") from None
    except HarError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file; all mean the same to the user
        first_line = str(error).strip().split("\n")[0][:160]
        raise HarError(
            "run-damaged", f"{path} is not a checkpoint of this version ({type(error).__name__}: {first_line}); train again"
        ) from None
    return module.eval()


def save_weights(path: Path, module: TaskModule) -> None:
    """Put the weights and buffers of `module` into the checkpoint it was loaded from, whole or not at all.

    Raises:
        HarError: it cannot be written.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    content["state_dict"] = {name: value.cpu() for name, value in module.state_dict().items()}
    buffer = io.BytesIO()  # torch does not tell why a file could not be written
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


def load_checkpoint(path: Path) -> WindowClassifier:
    """The classifier of windows saved in a checkpoint.

    Raises:
        HarError: as `load_module`.
    """
    return load_module(path, WindowClassifier)


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
