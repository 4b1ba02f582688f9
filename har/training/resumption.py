"""A training that was interrupted goes on from its last whole epoch as if nothing had happened."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint

from har.contract import HarError
from har.files import whole_file

RESUME = "resume.ckpt"
OWN = "har"  # entry of this project in a checkpoint of Lightning


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
            raise HarError(f"{self.path} is damaged ({type(error).__name__}); delete it, and the training starts again") from None
        self._before_s, self._streams = self.progress.seconds, own["streams"]
        return True

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._streams is None or self.progress is None:
            return
        self._restore(self._streams)
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

    def _restore(self, streams: dict[str, Any]) -> None:
        torch.set_rng_state(streams["cpu"])
        if "cuda" in streams and torch.cuda.is_available():
            torch.cuda.set_rng_state(streams["cuda"])
        # An epoch makes the iterator of its batches after this moment and draws a seed for it; after a restart it exists already.
        torch.empty((), dtype=torch.int64).random_()
