"""What the LightningModules of all tasks share: optimiser, schedule, and the score that may choose an epoch."""

from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from har.contract import SignalSpec

SPEC = "signal_spec"  # key of a checkpoint


class TaskModule(pl.LightningModule):
    """Base of the modules that are trained, one a task.

    A subclass saves the hyperparameters ``learning_rate`` (peak of a one-cycle schedule over the whole budget, Smith and Topin 2018)
    and ``weight_decay`` (of AdamW, on matrices only; biases and normalisation are free of it), gives `log_loss` the loss of every
    training batch and, on validation, logs `monitor`.

    Attributes:
        monitor: name of the logged validation score that chooses the epoch.
        mode: ``max`` where more of it is better, else ``min``.
        can_use_bfloat16: whether it looks at `in_bfloat16`.
        in_bfloat16: whether the network computes its products in bfloat16 in training.
        spec: what it reads and names; it is saved with the weights. None in checkpoints of versions before it.
    """

    monitor: ClassVar[str]
    mode: ClassVar[str] = "max"
    can_use_bfloat16: ClassVar[bool] = False
    in_bfloat16: bool = False
    spec: SignalSpec | None = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the specification beside the weights."""
        if self.spec is not None:
            checkpoint[SPEC] = self.spec.to_json()

    @property
    def num_parameters(self) -> int:
        """Trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def log_loss(self, loss: Tensor, examples: int) -> None:
        """Log the mean loss of a batch of so many examples; the mean over the epoch is ``train/loss``."""
        self.log("train/loss", loss.detach(), on_step=False, on_epoch=True, batch_size=examples)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        decayed = [p for p in self.parameters() if p.ndim > 1]
        free = [p for p in self.parameters() if p.ndim <= 1]
        rate, decay = self.hparams["learning_rate"], self.hparams["weight_decay"]
        groups = [{"params": decayed, "weight_decay": decay}, {"params": free, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)  # one pass over a weight in place of a dozen
        steps = int(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": one_cycle(optimizer, rate, steps), "interval": "step"}}


def one_cycle(optimizer: torch.optim.Optimizer, rate: float, steps: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """A learning rate that rises to `rate` in the first fifth of the steps and then falls (Smith and Topin 2018)."""
    share = 0.25 if steps == 5 else 0.2  # of five steps a fifth is one, and torch divides by one less
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=share)
