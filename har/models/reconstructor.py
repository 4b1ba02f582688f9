"""The LightningModule around any autoencoder of windows, and the novelty score that is made of its errors."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from har.models.autoencoder import Autoencoder
from har.models.frontend import SensorFrontend
from har.models.module import TaskModule
from har.models.registry import create_model

PROTOTYPES = 32  # codes that the windows of training subjects gather around
PRIOR = 3.0  # windows of the whole training part that are added to those of each prototype, so that a rare one is not trusted
LOG_FLOOR = 1e-6  # of a mean squared error, squared deviations; keeps a constant channel finite
LEAST_SPREAD = 0.1  # of a log error; below it, differences between people weigh too much


class Reconstructor(TaskModule):
    """Tells a window again from a few numbers, and how unusual it is that this went so badly.

    The error alone is no score: walking is never told as well as lying, so that lying on one side would hide behind it. What counts is the
    error of each channel beside what is usual for windows with about the same code: mean and deviation of the logarithm of
    the error at `PROTOTYPES` codes (k-means, MacQueen 1967), weighted by nearness as in kernel regression (Nadaraya 1964; Watson 1964).
    The score is the root mean square over the channels of what lies above the usual, in deviations. `fit_usual` and `fit_threshold` set
    both; they are buffers, so that a checkpoint and an exported file carry them.

    Args:
        model: name of a registered network of the task ``reconstruct``.
        options: options of its constructor.
        channels: ``raw6`` or ``uci9``.
        window_size: samples in a window.
        compression, differences: see `SensorFrontend`; all its features are reconstructed.
        learning_rate, weight_decay: see `TaskModule`.
    """

    monitor = "val/rmse"
    mode = "min"
    code_mean: Tensor
    code_std: Tensor
    prototypes: Tensor
    nearness: Tensor
    usual: Tensor
    usual_square: Tensor
    threshold: Tensor

    def __init__(
        self,
        *,
        model: str,
        options: dict[str, Any],
        channels: str,
        window_size: int,
        compression: Sequence[float] = (1.0,),
        differences: Sequence[float] = (),
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.frontend = SensorFrontend(channels, window_size, compression=compression, differences=differences)
        count = self.frontend.out_channels
        self.network = cast(Autoencoder, create_model(model, count, window_size, count, options))
        size = self.network.code_size
        self.register_buffer("code_mean", torch.zeros(size))
        self.register_buffer("code_std", torch.ones(size))
        self.register_buffer("prototypes", torch.zeros(PROTOTYPES, size))
        self.register_buffer("nearness", torch.ones(()))
        self.register_buffer("usual", torch.zeros(PROTOTYPES, count))  # mean of the log error
        self.register_buffer("usual_square", torch.ones(PROTOTYPES, count))  # mean of its square
        self.register_buffer("threshold", torch.tensor(torch.inf))  # until it is fitted, nothing is unknown
        self.squared_error, self.values = 0.0, 0

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, channel) sensor windows in g and rad/s -> (batch,) novelty score, from 0."""
        expected = (self.frontend.window_size, self.frontend.in_channels)
        if not torch.compiler.is_exporting() and (x.ndim != 3 or tuple(x.shape[1:]) != expected):
            raise ValueError(f"windows have shape {tuple(x.shape)}, expected (batch, {expected[0]}, {expected[1]}): batch, time, channel")
        code, error = self.code_and_error(x)
        weight = self._weight(code)  # (B, prototype)
        mean = weight @ self.usual  # (B, feature)
        variance = (weight @ self.usual_square - mean.square()).clamp_min(0) + LEAST_SPREAD**2
        excess = torch.relu((_log(error) - mean) / variance.sqrt())
        return excess.square().mean(dim=1).sqrt()

    def code_and_error(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, time, channel) -> (batch, code_size) code and (batch, feature) mean squared error in squared standard deviations."""
        features = self.frontend(x)
        code = self.network.encode(features)
        return code, (self.network.decode(code) - features).square().mean(dim=1)

    def _weight(self, code: Tensor) -> Tensor:
        """(batch, code_size) -> (batch, prototype) weights of the prototypes, 1 together."""
        standard = (code - self.code_mean) / self.code_std
        squared = (standard.unsqueeze(1) - self.prototypes).square().sum(dim=2)
        return torch.softmax(-squared / self.nearness, dim=1)

    @torch.no_grad()
    def fit_usual(self, x: Tensor) -> None:
        """Learn which errors are usual from windows of the training subjects, (window, time, channel); needs trained weights.

        Raises:
            ValueError: there are fewer windows than prototypes.
        """
        from sklearn.cluster import KMeans

        if len(x) < PROTOTYPES:
            raise ValueError(f"{len(x)} windows, expected at least one for each of {PROTOTYPES} prototypes")
        code, error = self._in_parts(x)
        self.code_mean.copy_(code.mean(dim=0))
        self.code_std.copy_(code.std(dim=0).clamp_min(1e-6))
        standard = (code - self.code_mean) / self.code_std
        found = KMeans(PROTOTYPES, n_init=3, random_state=0).fit(standard.cpu().numpy())
        self.prototypes.copy_(torch.from_numpy(found.cluster_centers_))
        nearest = (standard.unsqueeze(1) - self.prototypes).square().sum(dim=2).amin(dim=1)
        self.nearness.copy_(2 * nearest.median().clamp_min(1e-6))
        weight, log = self._weight(code), _log(error)
        count = weight.sum(dim=0).unsqueeze(1) + PRIOR  # (prototype, 1)
        self.usual.copy_((weight.T @ log + PRIOR * log.mean(dim=0)) / count)
        self.usual_square.copy_((weight.T @ log.square() + PRIOR * log.square().mean(dim=0)) / count)

    def fit_threshold(self, x: Tensor, false_alarms: float) -> None:
        """Set the score above which a window is unknown, so that the share `false_alarms` of these windows is.

        Args:
            x: (window, time, channel) everyday windows of the validation subjects.
            false_alarms: between 0 and 1.
        """
        self.threshold.copy_(torch.quantile(self.predict(x), 1 - false_alarms))

    @torch.no_grad()
    def predict(self, x: Tensor, batch_size: int = 512) -> Tensor:
        """(window, time, channel) -> (window,) novelty score on the CPU, in evaluation mode; the mode is restored afterwards."""
        training = self.training
        self.eval()
        parts = [self(part.to(self.device)).cpu() for part in x.split(batch_size)]
        self.train(training)
        return torch.cat(parts)

    @torch.no_grad()
    def squared_errors(self, x: Tensor) -> Tensor:
        """(window, time, channel) -> (window,) mean squared error of the reconstruction, in squared standard deviations."""
        return self._in_parts(x)[1].mean(dim=1).cpu()

    def _in_parts(self, x: Tensor, batch_size: int = 512) -> tuple[Tensor, Tensor]:
        training = self.training
        self.eval()
        codes, errors = zip(*(self.code_and_error(part.to(self.device)) for part in x.split(batch_size)), strict=True)
        self.train(training)
        return torch.cat(codes), torch.cat(errors)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        features = self.frontend(batch[0])
        loss = nn.functional.mse_loss(self.network(features), features)
        self.log_loss(loss, len(features))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        _, error = self.code_and_error(batch[0])
        self.squared_error += float(error.double().sum())
        self.values += error.numel()

    def on_validation_epoch_end(self) -> None:
        self.log(self.monitor, (self.squared_error / max(1, self.values)) ** 0.5, prog_bar=True)
        self.squared_error, self.values = 0.0, 0


def _log(error: Tensor) -> Tensor:
    return torch.log(error + LOG_FLOOR)
