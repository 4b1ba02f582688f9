"""The one LightningModule around any registered network."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from har.models.frontend import SensorFrontend
from har.models.layers import Ensemble
from har.models.module import TaskModule
from har.models.registry import create_model


class ActivityClassifier(TaskModule):
    """Frontend and network: sensor windows in, logits out.

    Args:
        model: name of a registered network.
        options: options of its constructor.
        channels: ``raw6`` or ``uci9``.
        window_size: samples in a window.
        num_classes: activities.
        axes, compression, differences: see `SensorFrontend`.
        members: networks whose probabilities are averaged, see `Ensemble`.
        learning_rate: peak of a one-cycle schedule over the whole budget (Smith and Topin 2018).
        weight_decay: of AdamW, on matrices only; biases and normalisation are free of it.
        label_smoothing: share of the target given to the other activities in training.
    """

    monitor = "val/macro_f1"
    can_use_bfloat16 = True

    def __init__(
        self,
        *,
        model: str,
        options: dict[str, Any],
        channels: str,
        window_size: int,
        num_classes: int,
        axes: str = "sensor",
        compression: Sequence[float] = (1.0,),
        differences: Sequence[float] = (),
        members: int = 1,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.frontend = SensorFrontend(channels, window_size, axes=axes, compression=compression, differences=differences)
        networks = [create_model(model, self.frontend.out_channels, window_size, num_classes, options) for _ in range(members)]
        self.network = Ensemble(networks) if members > 1 else networks[0]
        self.loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.validation_scores = MetricCollection(
            {
                "val/accuracy": MulticlassAccuracy(num_classes, average="micro"),
                "val/macro_f1": MulticlassF1Score(num_classes, average="macro"),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, channel) sensor windows in g and rad/s -> (batch, num_classes) logits."""
        expected = (self.frontend.window_size, self.frontend.in_channels)
        if not torch.compiler.is_exporting() and (x.ndim != 3 or tuple(x.shape[1:]) != expected):
            raise ValueError(f"windows have shape {tuple(x.shape)}, expected (batch, {expected[0]}, {expected[1]}): batch, time, channel")
        features = self.frontend(x)  # always in float32: beside 1 g, bfloat16 loses what rest looks like
        if self.training and self.in_bfloat16:
            with torch.autocast(x.device.type, torch.bfloat16):
                return self.network(features).float()
        return self.network(features)

    @torch.no_grad()
    def predict_proba(self, x: Tensor, batch_size: int = 512) -> Tensor:
        """Probabilities (window, num_classes) on the CPU, in evaluation mode; the mode is restored afterwards."""
        training = self.training
        self.eval()
        parts = [torch.softmax(self(part.to(self.device)), dim=1).cpu() for part in x.split(batch_size)]
        self.train(training)
        return torch.cat(parts)

    def batch_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean loss of a training batch: (batch, time, channel) windows and (batch,) numbers or (batch, num_classes) shares of classes."""
        logits = self(x)
        if logits.ndim == 3:  # (B, member, class): every member learns by itself
            return self.loss(logits.flatten(0, 1), y.repeat_interleave(logits.shape[1], dim=0))
        return self.loss(logits, y)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        loss = self.batch_loss(*batch)
        self.log_loss(loss, len(batch[1]))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        x, y = batch
        logits = self(x)
        self.validation_scores.update(logits, y)
        # Without smoothing, so that it can be compared between configs.
        self.log("val/loss", nn.functional.cross_entropy(logits, y), on_epoch=True, batch_size=len(y))

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.validation_scores.compute(), prog_bar=True)
        self.validation_scores.reset()
