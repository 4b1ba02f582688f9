"""A sequence out of one vector: windows of an activity from a conditional recurrent variational autoencoder."""

import torch
from torch import Tensor, nn

from har.models.seq2seq import gru_step


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
