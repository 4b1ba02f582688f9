"""The LightningModule around any network that makes windows of an activity."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from har.contract import channel_names
from har.models.module import TaskModule
from har.models.registry import create_model

ANNEALED = 0.3  # share of the training in which the divergence's weight rises from 0 to 1; Bowman et al. 2016, section 3.1
DRAWS = 4  # latent vectors, in pairs of opposite sign, over which the bound is averaged


class Synthesiser(TaskModule):
    """Learns windows of activities by the evidence lower bound, and makes new ones.

    Kingma and Welling 2014, equation 3, with the label given as in Sohn, Lee and Yan 2015, equation 4. All scores are in nats a value (a
    channel of a sample), of values in the training subjects' standard deviations. What is made is synthetic, whatever it was trained on.

    Args:
        model: name of a registered network of the task ``generate``.
        options: options of its constructor.
        channels: ``raw6`` or ``uci9``.
        window_size: samples in a window.
        num_classes: activities.
        learning_rate, weight_decay: see `TaskModule`.
    """

    monitor = "val/negative_elbo"
    mode = "min"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        model: str,
        options: dict[str, Any],
        channels: str,
        window_size: int,
        num_classes: int,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        count = len(channel_names(channels))
        self.network = create_model(model, count, window_size, num_classes, options)
        self.num_classes, self.window_size = num_classes, window_size
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("std", torch.ones(count))
        noise = torch.randn(DRAWS // 2, self.latent_size, generator=torch.Generator().manual_seed(0))
        self.register_buffer("draws", torch.cat((noise, -noise)), persistent=False)  # the same at every scoring
        self.total, self.windows = 0.0, 0

    @property
    def latent_size(self) -> int:
        """Length of the latent vector."""
        return int(self.network.latent_size)  # type: ignore[arg-type]

    @torch.no_grad()
    def fit_scaling(self, x: Tensor) -> None:
        """Set mean and deviation of the channels from windows of the training subjects, (window, time, channel)."""
        self.mean.copy_(x.mean(dim=(0, 1)))
        self.std.copy_(x.std(dim=(0, 1)).clamp_min(1e-6))

    def one_hot(self, y: Tensor) -> Tensor:
        """(batch,) index of the activity, or (batch, num_classes) shares of it -> (batch, num_classes) float32."""
        return y.float() if y.ndim == 2 else nn.functional.one_hot(y, self.num_classes).float()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        x, label = (batch[0] - self.mean) / self.std, self.one_hot(batch[1])
        found, log_deviation, mean, log_variance = self.network(x, label)
        rising = self.global_step / max(1.0, ANNEALED * int(self.trainer.estimated_stepping_batches))
        far = divergence(mean, log_variance, *self.network.prior(label)) / x[0].numel()  # type: ignore[operator]
        loss = (surprise(x, found, log_deviation) + min(1.0, rising) * far).mean()
        self.log_loss(loss, len(x))
        return loss

    def negative_elbo(self, x: Tensor, y: Tensor) -> Tensor:
        """(batch, time, channel) in g and rad/s -> (batch,) nats a value; over `DRAWS` fixed draws, so the same every time."""
        x, label = (x - self.mean) / self.std, self.one_hot(y)
        mean, log_variance = self.network.encode(x, label)  # type: ignore[operator]
        total = torch.zeros(len(x), device=x.device)
        for noise in self.draws:  # type: ignore[union-attr]
            found, log_deviation = self.network.decode(x, mean + torch.exp(0.5 * log_variance) * noise, label)  # type: ignore[operator]
            total = total + surprise(x, found, log_deviation)
        return total / DRAWS + divergence(mean, log_variance, *self.network.prior(label)) / x[0].numel()  # type: ignore[operator]

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        self.total += float(self.negative_elbo(*batch).double().sum())
        self.windows += len(batch[0])

    def on_validation_epoch_end(self) -> None:
        self.log(self.monitor, self.total / max(1, self.windows), prog_bar=True)
        self.total, self.windows = 0.0, 0

    @torch.no_grad()
    def score(self, x: Tensor, y: Tensor, batch_size: int = 512) -> Tensor:
        """`negative_elbo` of (window, time, channel) on the CPU, in evaluation mode."""
        training = self.training
        self.eval()
        pairs = zip(x.split(batch_size), y.split(batch_size), strict=True)
        found = [self.negative_elbo(part.to(self.device), label.to(self.device)).cpu() for part, label in pairs]
        self.train(training)
        return torch.cat(found)

    def forward(self, label: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
        """One-hot (batch, num_classes), (batch, latent), (batch, time, channel) of noise -> (batch, time, channel) in g and rad/s."""
        return self.network.draw(latent, label, noise) * self.std + self.mean  # type: ignore[operator]

    @torch.no_grad()
    def generate(self, labels: Tensor, generator: torch.Generator, batch_size: int = 512) -> Tensor:
        """Draw a window of each of (window,) activities: (window, time, channel) in g and rad/s, synthetic.

        Latent vector and noise are drawn on the CPU, so that the same generator gives the same windows on any device.
        """
        training, found = self.training, []
        self.eval()
        for part in labels.split(batch_size):
            label = self.one_hot(part.to(self.device))
            mean, log_variance = self.network.prior(label)  # type: ignore[operator]
            latent = mean + torch.exp(0.5 * log_variance) * torch.randn(mean.shape, generator=generator).to(self.device)
            noise = torch.randn(len(part), self.window_size, len(self.mean), generator=generator).to(self.device)
            found.append(self(label, latent, noise).cpu())
        self.train(training)
        return torch.cat(found)


def surprise(x: Tensor, found: Tensor, log_deviation: Tensor) -> Tensor:
    """-log p(x | z, y) of a normal distribution: (batch, time, channel) three times, or what broadcasts to it -> (batch,) nats a value."""
    wrong = (x - found) * torch.exp(-log_deviation)
    return (0.5 * wrong.square() + log_deviation + 0.5 * math.log(2 * math.pi)).mean(dim=(1, 2))


def divergence(mean: Tensor, log_variance: Tensor, prior_mean: Tensor, prior_log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of q(z | x, y) from p(z | y), both normal: (batch, latent) four times -> (batch,) nats a window."""
    ratio = log_variance - prior_log_variance
    return 0.5 * ((mean - prior_mean).square() * torch.exp(-prior_log_variance) + ratio.exp() - 1 - ratio).sum(dim=1)
