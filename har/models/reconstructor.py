"""Autoencoders of windows, the LightningModule around any of them, and the novelty score that is made of its errors."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from har.models.frontend import SensorFrontend
from har.models.module import ErrorModule
from har.models.recurrent import set_forget_bias
from har.models.registry import create_model


class Autoencoder(nn.Module, ABC):
    """What every registered network of the task ``reconstruct`` is.

    Attributes:
        code_size: numbers that a window is reduced to.
    """

    code_size: int

    @abstractmethod
    def encode(self, features: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, code_size)."""

    @abstractmethod
    def decode(self, code: Tensor) -> Tensor:
        """(batch, code_size) -> (batch, time, out_channels)."""

    def forward(self, features: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, time, out_channels), the window again."""
        return self.decode(self.encode(features))


class LSTMAutoencoder(Autoencoder):
    """An LSTM reads the window, its last state is squeezed into a code, another LSTM tells the window from it, last sample first.

    Backwards, because the decoder then begins with what the encoder saw last (Srivastava, Mansimov and Salakhutdinov 2015; for
    anomalies: Malhotra et al. 2016). The decoder starts in a state made of the code and sees the code again at every step, and never
    its own answer, so that both directions are one call of ``nn.LSTM``, in training as on the device.

    Args:
        in_channels: features a sample.
        window_size: samples in a window.
        out_channels: features that are reconstructed.
        hidden_size: units of encoder and decoder.
        code_size: numbers between them.
        samples_per_step: samples that are read, and told, in one step; a window takes as many steps less.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        out_channels: int,
        *,
        hidden_size: int = 64,
        code_size: int = 16,
        samples_per_step: int = 4,
    ) -> None:
        super().__init__()
        self.code_size, self.window_size = code_size, window_size
        self.samples_per_step = samples_per_step
        self.steps = -(-window_size // samples_per_step)
        self.encoder = nn.LSTM(samples_per_step * in_channels, hidden_size, batch_first=True)
        self.squeeze = nn.Linear(hidden_size, code_size)
        self.begin = nn.Linear(code_size, 2 * hidden_size)
        self.decoder = nn.LSTM(code_size, hidden_size, batch_first=True)
        self.tell = nn.Linear(hidden_size, samples_per_step * out_channels)
        for layers in (self.encoder, self.decoder):
            set_forget_bias(layers, 1.0)  # as in har.models.recurrent

    def encode(self, features: Tensor) -> Tensor:
        missing = self.steps * self.samples_per_step - self.window_size
        if missing:  # in front, so that the newest sample is the last that is read
            features = nn.functional.pad(features, (0, 0, missing, 0))
        steps = features.reshape(features.shape[0], self.steps, -1)  # (B, step, samples * F)
        _, (hidden, _) = self.encoder(steps)
        return self.squeeze(hidden[-1])

    def decode(self, code: Tensor) -> Tensor:
        hidden, cell = torch.tanh(self.begin(code)).unsqueeze(0).chunk(2, dim=2)  # (1, B, hidden) each
        seen = code.unsqueeze(1).expand(-1, self.steps, -1)
        states, _ = self.decoder(seen, (hidden.contiguous(), cell.contiguous()))  # the window's last step first
        told = self.tell(states).flip(1).reshape(code.shape[0], self.steps * self.samples_per_step, -1)
        return told[:, -self.window_size :]


class ConvAutoencoder(Autoencoder):
    """Strided convolutions halve the window three times, a dense layer makes the code, and the same backwards (Masci et al. 2011).

    Args:
        in_channels: features a sample.
        window_size: samples in a window.
        out_channels: features that are reconstructed.
        width: filters of a layer.
        code_size: numbers that the window is reduced to.
        kernel_size: samples a filter spans, odd.
    """

    HALVINGS = 3

    def __init__(
        self, in_channels: int, window_size: int, out_channels: int, *, width: int = 32, code_size: int = 16, kernel_size: int = 5
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, expected an odd number")
        self.code_size, self.window_size, self.width = code_size, window_size, width
        self.length = -(-window_size // 2**self.HALVINGS)  # samples that are left
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for number in range(self.HALVINGS):
            inputs = in_channels if number == 0 else width
            down += [nn.Conv1d(inputs, width, kernel_size, stride=2, padding=kernel_size // 2, bias=False)]
            down += [nn.BatchNorm1d(width), nn.ReLU()]
            up += [nn.Upsample(scale_factor=2), nn.Conv1d(width, width, kernel_size, padding="same", bias=False)]
            up += [nn.BatchNorm1d(width), nn.ReLU()]
        self.down, self.up = nn.Sequential(*down), nn.Sequential(*up)
        self.squeeze = nn.Linear(width * self.length, code_size)
        self.widen = nn.Linear(code_size, width * self.length)
        self.tell = nn.Conv1d(width, out_channels, kernel_size, padding="same")

    def encode(self, features: Tensor) -> Tensor:
        return self.squeeze(self.down(features.transpose(1, 2)).flatten(1))

    def decode(self, code: Tensor) -> Tensor:
        coarse = self.widen(code).reshape(code.shape[0], self.width, self.length)
        told = self.tell(self.up(coarse)).transpose(1, 2)  # (B, length * 2^3, F)
        return told[:, : self.window_size]


PROTOTYPES = 32  # codes that the windows of training subjects gather around
PRIOR = 3.0  # windows of the whole training part that are added to those of each prototype, so that a rare one is not trusted
LOG_FLOOR = 1e-6  # of a mean squared error, squared deviations; keeps a constant channel finite
LEAST_SPREAD = 0.1  # of a log error; below it, differences between people weigh too much


class Reconstructor(ErrorModule):
    """Tells a window again from a few numbers, and how unusual it is that this went so badly.

    The error alone is no score: walking is never told as well as lying, so that lying on one side would hide behind it. What counts is the
    error of each channel beside what is usual for windows with about the same code: mean and deviation of the logarithm of
    the error at `PROTOTYPES` codes (k-means, MacQueen 1967), weighted by nearness as in kernel regression (Nadaraya 1964; Watson 1964).
    The score is the root mean square over the channels of what lies above the usual, in deviations. `fit_usual` and `fit_threshold` set
    both; they are buffers, so that a checkpoint and an exported file carry them.

    Args:
        model: name of a registered network of the task ``reconstruct``.
        options: options of its constructor.
        channels: a key of ``contract.CHANNEL_SETS``.
        window_size: samples in a window.
        compression, differences: see `SensorFrontend`; all its features are reconstructed.
        rates: see `TaskModule`.
    """

    monitor = "val/rmse"
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
        **rates: float,
    ) -> None:
        super().__init__(**rates)
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

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, channel) sensor windows in g and rad/s -> (batch,) novelty score, from 0."""
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
        code, error = map(torch.cat, zip(*self.in_parts(self.code_and_error, x), strict=True))
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

    def squared_errors(self, x: Tensor) -> Tensor:
        """(window, time, channel) -> (window,) mean squared error of the reconstruction, in squared standard deviations."""
        return torch.cat([error for _, error in self.in_parts(self.code_and_error, x)]).mean(dim=1).cpu()

    def batch_loss(self, x: Tensor, y: Tensor) -> Tensor:
        features = self.frontend(x)
        return nn.functional.mse_loss(self.network(features), features)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        self.count(self.code_and_error(batch[0])[1])


def _log(error: Tensor) -> Tensor:
    return torch.log(error + LOG_FLOOR)
