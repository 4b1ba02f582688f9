"""A conditional recurrent variational autoencoder of windows, and the LightningModule that trains it."""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from har.contract import channel_names
from har.models.layers import gru_step
from har.models.module import ErrorModule
from har.models.registry import create_model


class WindowGenerator(nn.Module):
    """A GRU reads a window and its activity into a normal distribution of a latent vector; another GRU draws a window from both.

    Variational autoencoder (Kingma and Welling 2014) with encoder, decoder and prior given the label (Sohn, Lee and Yan 2015), recurrent
    as in Bowman et al. 2016. Every sample is drawn from a normal distribution whose mean and width the decoder says, given the sample
    before (Graves 2013, section 4, with one component), so that noise is fed back and has a spectrum. A GRU's answers are bounded, and so
    is what is fed back.

    Args:
        channels: sensor channels, standardised.
        window_size: samples of a window that is drawn; any length can be read.
        num_classes: activities.
        hidden_size: units of encoder and decoder.
        latent_size: length of the latent vector.
        num_layers: stacked layers of both.
        input_dropout: share of the samples before that the decoder does not see in training, so that it needs the latent vector and
            does not lean on a truth that it will not have (word dropout; Bowman et al. 2016, section 3.1).
    """

    onnx = "refused"
    onnx_refusal = "every sample of a window is drawn from the one before; windows are made here, where they are judged, not on a device"

    def __init__(
        self,
        channels: int,
        window_size: int,
        num_classes: int,
        *,
        hidden_size: int = 96,
        latent_size: int = 16,
        num_layers: int = 1,
        input_dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.input_dropout = input_dropout
        self.window_size, self.channels, self.latent_size = window_size, channels, latent_size
        self.encoder = nn.GRU(channels + num_classes, hidden_size, num_layers, batch_first=True, bidirectional=True)
        self.posterior = nn.Linear(2 * hidden_size, 2 * latent_size)
        self.expected = nn.Linear(num_classes, 2 * latent_size, bias=False)
        nn.init.zeros_(self.expected.weight)  # at first every activity has the standard normal prior
        self.start = nn.Linear(latent_size + num_classes, num_layers * hidden_size)
        self.decoder = nn.GRU(channels + latent_size + num_classes, hidden_size, num_layers, batch_first=True)
        self.sample = nn.Linear(hidden_size, 2 * channels)

    def encode(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, time, channel) and one-hot (batch, num_classes) -> mean and log variance of q(z | x, y), (batch, latent) each."""
        repeated = label.unsqueeze(1).expand(-1, x.shape[1], -1)
        states, _ = self.encoder(torch.cat((x, repeated), dim=2))  # (B, T, 2 * hidden)
        mean, log_variance = self.posterior(states.mean(dim=1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)

    def prior(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """One-hot (batch, num_classes) -> mean and log variance of p(z | y), (batch, latent) each."""
        mean, log_variance = self.expected(label).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)

    def decode(self, x: Tensor, latent: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log deviation of p(x_t | x_<t, z, y), both (batch, time, channel), of all samples at once.

        Args:
            x: (batch, time, channel) that is judged.
            latent: (batch, latent).
            label: one-hot (batch, num_classes).
        """
        given = torch.cat((latent, label), dim=1)  # (B, latent + class)
        before = torch.cat((torch.zeros_like(x[:, :1]), x[:, :-1]), dim=1)  # (B, T, C); nothing is before the first
        if self.training and self.input_dropout:
            before = before * (torch.rand_like(before[..., :1]) >= self.input_dropout)
        inputs = torch.cat((before, given.unsqueeze(1).expand(-1, x.shape[1], -1)), dim=2)
        states, _ = self.decoder(inputs, torch.stack(self._first(given)))
        return self._distribution(states)

    def draw(self, latent: Tensor, label: Tensor, noise: Tensor) -> Tensor:
        """(batch, latent), one-hot (batch, num_classes), standard normal (batch, time, channel) -> the window (batch, time, channel)."""
        given = torch.cat((latent, label), dim=1)
        last, layers, found = torch.zeros_like(noise[:, 0]), self._first(given), []
        for step in noise.unbind(1):
            layers = gru_step(self.decoder, torch.cat((last, given), dim=1), layers)
            mean, log_deviation = self._distribution(layers[-1])
            last = mean + torch.exp(log_deviation) * step
            found.append(last)
        return torch.stack(found, dim=1)

    def _first(self, given: Tensor) -> list[Tensor]:
        """States of the decoder's layers before the first sample, (batch, hidden) each."""
        return list(torch.tanh(self.start(given)).chunk(self.decoder.num_layers, dim=1))

    def _distribution(self, states: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_deviation = self.sample(states).chunk(2, dim=-1)
        return mean, log_deviation.clamp(-7, 0)  # from the sensors' last digit to what a channel varies by at all

    def forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean and log deviation of p(x | z, y), mean and log variance of q(z | x, y); z is drawn in training, else the mean of q."""
        mean, log_variance = self.encode(x, label)
        latent = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean) if self.training else mean
        return *self.decode(x, latent, label), mean, log_variance


ANNEALED = 0.3  # share of the training in which the divergence's weight rises from 0 to 1; Bowman et al. 2016, section 3.1
DRAWS = 4  # latent vectors, in pairs of opposite sign, over which the bound is averaged


class Synthesiser(ErrorModule):
    """Learns windows of activities by the evidence lower bound, and makes new ones.

    Kingma and Welling 2014, equation 3, with the label given as in Sohn, Lee and Yan 2015, equation 4. All scores are in nats a value (a
    channel of a sample), of values in the training subjects' standard deviations. What is made is synthetic, whatever it was trained on.

    Args:
        model: name of a registered network of the task ``generate``.
        options: options of its constructor.
        channels: ``raw6`` or ``uci9``.
        window_size: samples in a window.
        num_classes: activities.
        rates: see `TaskModule`.
    """

    monitor = "val/negative_elbo"
    power = 1.0
    mean: Tensor
    std: Tensor
    draws: Tensor

    def __init__(
        self,
        *,
        model: str,
        options: dict[str, Any],
        channels: str,
        window_size: int,
        num_classes: int,
        **rates: float,
    ) -> None:
        super().__init__(**rates)
        count = len(channel_names(channels))
        self.network = cast(WindowGenerator, create_model(model, count, window_size, num_classes, options))
        self.num_classes, self.window_size = num_classes, window_size
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("std", torch.ones(count))
        noise = torch.randn(DRAWS // 2, self.latent_size, generator=torch.Generator().manual_seed(0))
        self.register_buffer("draws", torch.cat((noise, -noise)), persistent=False)  # the same at every scoring

    @property
    def latent_size(self) -> int:
        """Length of the latent vector."""
        return self.network.latent_size

    @torch.no_grad()
    def fit_scaling(self, x: Tensor) -> None:
        """Set mean and deviation of the channels from windows of the training subjects, (window, time, channel)."""
        self.mean.copy_(x.mean(dim=(0, 1)))
        self.std.copy_(x.std(dim=(0, 1)).clamp_min(1e-6))

    def one_hot(self, y: Tensor) -> Tensor:
        """(batch,) index of the activity, or (batch, num_classes) shares of it -> (batch, num_classes) float32."""
        return y.float() if y.ndim == 2 else nn.functional.one_hot(y, self.num_classes).float()

    def batch_loss(self, x: Tensor, y: Tensor) -> Tensor:
        x, label = (x - self.mean) / self.std, self.one_hot(y)
        found, log_deviation, mean, log_variance = self.network(x, label)
        rising = self.global_step / max(1.0, ANNEALED * int(self.trainer.estimated_stepping_batches))
        far = divergence(mean, log_variance, *self.network.prior(label)) / x[0].numel()
        return (surprise(x, found, log_deviation) + min(1.0, rising) * far).mean()

    def negative_elbo(self, x: Tensor, y: Tensor) -> Tensor:
        """(batch, time, channel) in g and rad/s -> (batch,) nats a value; over `DRAWS` fixed draws, so the same every time."""
        x, label = (x - self.mean) / self.std, self.one_hot(y)
        mean, log_variance = self.network.encode(x, label)
        total = torch.zeros(len(x), device=x.device)
        for noise in self.draws:
            found, log_deviation = self.network.decode(x, mean + torch.exp(0.5 * log_variance) * noise, label)
            total = total + surprise(x, found, log_deviation)
        return total / DRAWS + divergence(mean, log_variance, *self.network.prior(label)) / x[0].numel()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        self.count(self.negative_elbo(*batch))

    def score(self, x: Tensor, y: Tensor, batch_size: int = 512) -> Tensor:
        """`negative_elbo` of (window, time, channel) on the CPU, in evaluation mode."""
        return torch.cat(self.in_parts(self.negative_elbo, x, y, size=batch_size)).cpu()

    def forward(self, label: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
        """One-hot (batch, num_classes), (batch, latent), (batch, time, channel) of noise -> (batch, time, channel) in g and rad/s."""
        return self.network.draw(latent, label, noise) * self.std + self.mean

    def generate(self, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a window of each of (window,) activities: (window, time, channel) in g and rad/s, synthetic.

        Latent vector and noise are drawn on the CPU, so that the same generator gives the same windows on any device.
        """

        def draw(part: Tensor) -> Tensor:
            label = self.one_hot(part)
            mean, log_variance = self.network.prior(label)
            latent = mean + torch.exp(0.5 * log_variance) * torch.randn(mean.shape, generator=generator).to(self.device)
            noise = torch.randn(len(part), self.window_size, len(self.mean), generator=generator).to(self.device)
            return self(label, latent, noise)

        return torch.cat(self.in_parts(draw, labels)).cpu()


def surprise(x: Tensor, found: Tensor, log_deviation: Tensor) -> Tensor:
    """-log p(x | z, y) of a normal distribution: (batch, time, channel) three times, or what broadcasts to it -> (batch,) nats a value."""
    wrong = (x - found) * torch.exp(-log_deviation)
    return (0.5 * wrong.square() + log_deviation + 0.5 * math.log(2 * math.pi)).mean(dim=(1, 2))


def divergence(mean: Tensor, log_variance: Tensor, prior_mean: Tensor, prior_log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of q(z | x, y) from p(z | y), both normal: (batch, latent) four times -> (batch,) nats a window."""
    ratio = log_variance - prior_log_variance
    return 0.5 * ((mean - prior_mean).square() * torch.exp(-prior_log_variance) + ratio.exp() - 1 - ratio).sum(dim=1)
