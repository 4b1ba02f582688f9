"""The one LightningModule around any registered network."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from har.models.frontend import SensorFrontend
from har.models.layers import Ensemble
from har.models.module import LabelModule
from har.models.registry import create_model


class WindowClassifier(LabelModule):
    """Frontend and network: sensor windows in, logits out.

    Args:
        model: name of a registered network.
        options: options of its constructor.
        channels: a key of ``contract.CHANNEL_SETS``.
        window_size: samples in a window.
        num_classes: activities.
        axes, compression, differences: see `SensorFrontend`.
        members: networks whose probabilities are averaged, see `Ensemble`.
        label_smoothing: share of the target given to the other activities in training.
        rates: see `TaskModule`.
    """

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
        label_smoothing: float = 0.0,
        **rates: float,
    ) -> None:
        super().__init__(num_classes, **rates)
        self.frontend = SensorFrontend(channels, window_size, axes=axes, compression=compression, differences=differences)
        networks = [create_model(model, self.frontend.out_channels, window_size, num_classes, options) for _ in range(members)]
        self.network = Ensemble(networks) if members > 1 else networks[0]
        self.loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, channel) sensor windows in g and rad/s -> (batch, num_classes) logits."""
        features = self.frontend(x)  # always in float32: beside 1 g, bfloat16 loses what rest looks like
        if self.training and self.in_bfloat16:
            with torch.autocast(x.device.type, torch.bfloat16):
                return self.network(features).float()
        return self.network(features)

    def predict_proba(self, x: Tensor, batch_size: int = 512) -> Tensor:
        """Probabilities (window, num_classes) on the CPU, in evaluation mode."""
        return torch.cat(self.in_parts(lambda part: torch.softmax(self(part), dim=1), x, size=batch_size)).cpu()

    def batch_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean loss of a training batch: (batch, time, channel) windows and (batch,) numbers or (batch, num_classes) shares of classes."""
        logits = self(x)
        if logits.ndim == 3:  # (B, member, class): every member learns by itself
            return self.loss(logits.flatten(0, 1), y.repeat_interleave(logits.shape[1], dim=0))
        return self.loss(logits, y)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        self.score_batch(self(batch[0]), batch[1])
