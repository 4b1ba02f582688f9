"""The LightningModule around any network that foretells sensor values."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from har.models.frontend import SensorFrontend
from har.models.module import TaskModule
from har.models.registry import create_model


class Forecaster(TaskModule):
    """Foretells the last `horizon` samples of a window from those before them.

    The network works in units of the training subjects' standard deviation; its error is weighed in these units, so that a channel in
    rad/s counts no more than one in g.

    Args:
        model: name of a registered network of the task ``forecast``.
        options: options of its constructor.
        channels: ``raw6`` or ``uci9``; what is read and what is foretold.
        window_size: samples in a window, context and horizon.
        horizon: samples that are foretold.
        compression, differences: see `SensorFrontend`.
        learning_rate, weight_decay: see `TaskModule`.
    """

    monitor = "val/rmse"
    mode = "min"
    target_mean: Tensor
    target_std: Tensor

    def __init__(
        self,
        *,
        model: str,
        options: dict[str, Any],
        channels: str,
        window_size: int,
        horizon: int,
        compression: Sequence[float] = (1.0,),
        differences: Sequence[float] = (),
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.horizon, self.context = horizon, window_size - horizon
        self.frontend = SensorFrontend(channels, self.context, compression=compression, differences=differences)
        count = self.frontend.in_channels
        self.network = create_model(model, self.frontend.out_channels, self.context, count, options)
        self.register_buffer("target_mean", torch.zeros(count))
        self.register_buffer("target_std", torch.ones(count))
        self.squared_error, self.values = 0.0, 0

    @torch.no_grad()
    def fit_scaling(self, x: Tensor) -> None:
        """Set means and deviations of inputs and targets from windows of the training subjects, (window, time, channel)."""
        self.frontend.fit(x[:, : self.context])
        self.target_mean.copy_(x.mean(dim=(0, 1)))
        self.target_std.copy_(x.std(dim=(0, 1)).clamp_min(1e-6))

    def standardise(self, x: Tensor) -> Tensor:
        """(..., channel) sensor values -> the same in standard deviations from the mean."""
        return (x - self.target_mean) / self.target_std

    def foretell(self, context: Tensor, target: Tensor | None = None) -> Tensor:
        """(batch, context, channel) -> (batch, horizon, channel), standardised; `target`, standardised, where the teacher helps."""
        last = self.standardise(context[:, -1])
        return self.network(self.frontend(context), last, self.horizon, target)

    def forward(self, context: Tensor) -> Tensor:
        """(batch, context, channel) in g and rad/s -> (batch, horizon, channel) in the same units."""
        if not torch.compiler.is_exporting() and (context.ndim != 3 or context.shape[1] != self.context):
            raise ValueError(f"contexts have shape {tuple(context.shape)}, expected (batch, {self.context}, {self.frontend.in_channels})")
        return self.foretell(context) * self.target_std + self.target_mean

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        x = batch[0]
        target = self.standardise(x[:, self.context :])
        loss = nn.functional.mse_loss(self.foretell(x[:, : self.context], target), target)
        self.log_loss(loss, len(x))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        x = batch[0]
        error = self.foretell(x[:, : self.context]) - self.standardise(x[:, self.context :])
        self.squared_error += float(error.double().square().sum())
        self.values += error.numel()

    def on_validation_epoch_end(self) -> None:
        self.log(self.monitor, (self.squared_error / max(1, self.values)) ** 0.5, prog_bar=True)
        self.squared_error, self.values = 0.0, 0

    @torch.no_grad()
    def predict(self, x: Tensor, batch_size: int = 512) -> Tensor:
        """(window, context + horizon, channel) -> (window, horizon, channel) on the CPU, in evaluation mode, in sensor units."""
        training = self.training
        self.eval()
        parts = [self(part[:, : self.context].to(self.device)).cpu() for part in x.split(batch_size)]
        self.train(training)
        return torch.cat(parts)
