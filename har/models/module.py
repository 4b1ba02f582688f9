"""What the LightningModules of all tasks share: optimiser, schedule, and the score that may choose an epoch."""

from collections.abc import Callable
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from har.contract import SignalSpec

SPEC = "signal_spec"  # key of a checkpoint


class TaskModule(pl.LightningModule):
    """Base of the modules that are trained, one a task.

    A subclass computes the loss of a training batch in `batch_loss` and, on validation, logs `monitor`. The arguments of its constructor
    and these are saved as hyperparameters.

    Args:
        learning_rate: peak of a one-cycle schedule over the whole budget (Smith and Topin 2018).
        weight_decay: of AdamW, on matrices only; biases and normalisation are free of it.

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

    def __init__(self, *, learning_rate: float = 1e-3, weight_decay: float = 1e-2) -> None:
        super().__init__()
        self.save_hyperparameters()  # also those of the subclass, whose constructor calls this one

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

    def batch_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean loss of a training batch of windows; a module whose batches are others has a `training_step` of its own.

        Raises:
            TypeError: the module has neither.
        """
        raise TypeError(f"{type(self).__name__} defines neither batch_loss nor training_step")

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        loss = self.batch_loss(*batch)
        self.log_loss(loss, len(batch[0]))
        return loss

    @torch.no_grad()
    def in_parts(self, function: Callable[..., Any], *tensors: Tensor, size: int = 512) -> list[Any]:
        """What `function` makes of parts of the tensors on the module's device, in evaluation mode; the mode is restored afterwards."""
        training = self.training
        self.eval()
        found = [function(*(part.to(self.device) for part in parts)) for parts in zip(*(x.split(size) for x in tensors), strict=True)]
        self.train(training)
        return found

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        decayed = [p for p in self.parameters() if p.ndim > 1]
        free = [p for p in self.parameters() if p.ndim <= 1]
        rate, decay = self.hparams["learning_rate"], self.hparams["weight_decay"]
        groups = [{"params": decayed, "weight_decay": decay}, {"params": free, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)  # one pass over a weight in place of a dozen
        steps = int(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": one_cycle(optimizer, rate, steps), "interval": "step"}}


class LabelModule(TaskModule):
    """Base of the modules that name so many activities: accuracy and macro F1 of the validation part.

    Attributes:
        ignored: in place of a label, counts in no score.
    """

    monitor = "val/macro_f1"
    ignored: ClassVar[int | None] = None

    def __init__(self, num_classes: int, **rates: float) -> None:
        super().__init__(**rates)
        self.validation_scores = MetricCollection(
            {
                "val/accuracy": MulticlassAccuracy(num_classes, average="micro", ignore_index=self.ignored),
                "val/macro_f1": MulticlassF1Score(num_classes, average="macro", ignore_index=self.ignored),
            }
        )

    def score_batch(self, logits: Tensor, y: Tensor) -> None:
        """Count the answers (example, num_classes) to a validation batch, and log their loss."""
        self.validation_scores.update(logits, y)
        known = slice(None) if self.ignored is None else y != self.ignored
        logits, y = logits[known], y[known]
        # Without smoothing, so that it can be compared between configs.
        self.log("val/loss", nn.functional.cross_entropy(logits, y), on_epoch=True, batch_size=len(y))

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.validation_scores.compute(), prog_bar=True)
        self.validation_scores.reset()


class ErrorModule(TaskModule):
    """Base of the modules whose score is a mean over the validation part, the less the better.

    Attributes:
        power: of the mean that is logged; 0.5 for the root of a mean square.
    """

    mode = "min"
    power: ClassVar[float] = 0.5
    total, values = 0.0, 0

    def count(self, errors: Tensor) -> None:
        """Add the errors of a validation batch."""
        self.total += float(errors.double().sum())
        self.values += errors.numel()

    def predict(self, x: Tensor) -> Tensor:
        """What the module gives for (window, time, channel), on the CPU, in evaluation mode."""
        return torch.cat(self.in_parts(self, x)).cpu()

    def on_validation_epoch_end(self) -> None:
        self.log(self.monitor, (self.total / max(1, self.values)) ** self.power, prog_bar=True)
        self.total, self.values = 0.0, 0


def one_cycle(optimizer: torch.optim.Optimizer, rate: float, steps: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """A learning rate that rises to `rate` in the first fifth of the steps and then falls (Smith and Topin 2018)."""
    share = 0.25 if steps == 5 else 0.2  # of five steps a fifth is one, and torch divides by one less
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=share)
