"""What the LightningModules of all tasks share: optimiser, schedule, and the score that may choose an epoch."""

from typing import ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig


class TaskModule(pl.LightningModule):
    """Base of the modules that are trained, one a task.

    A subclass saves the hyperparameters ``learning_rate`` (peak of a one-cycle schedule over the whole budget, Smith and Topin 2018)
    and ``weight_decay`` (of AdamW, on matrices only; biases and normalisation are free of it), logs ``train/loss`` and, on validation,
    `monitor`.

    Attributes:
        monitor: name of the logged validation score that chooses the epoch.
        mode: ``max`` where more of it is better, else ``min``.
        can_use_bfloat16: whether it looks at `in_bfloat16`.
        in_bfloat16: whether the network computes its products in bfloat16 in training.
    """

    monitor: ClassVar[str]
    mode: ClassVar[str] = "max"
    can_use_bfloat16: ClassVar[bool] = False
    in_bfloat16: bool = False

    @property
    def num_parameters(self) -> int:
        """Trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        decayed = [p for p in self.parameters() if p.ndim > 1]
        free = [p for p in self.parameters() if p.ndim <= 1]
        rate, decay = self.hparams["learning_rate"], self.hparams["weight_decay"]
        optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": decay}, {"params": free, "weight_decay": 0.0}], lr=rate)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=0.2)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
