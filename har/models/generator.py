"""A sequence out of one vector: windows of an activity from a conditional recurrent variational autoencoder."""

import torch
from torch import Tensor, nn


class WindowGenerator(nn.Module):
    """A GRU reads a window and its activity into a normal distribution of a latent vector; another GRU writes a window from both.

    Variational autoencoder (Kingma and Welling 2014) with encoder and decoder given the label (Sohn, Lee and Yan 2015), recurrent in both
    as in Bowman et al. 2016. The decoder is given latent vector, label and a clock at every sample, never the sample before, so
    that it cannot do without the latent vector. Beside each sample it says how far the truth may be from it.

    Args:
        channels: sensor channels, standardised.
        window_size: samples of a window; the clock counts them, any length works.
        num_classes: activities.
        hidden_size: units of encoder and decoder.
        latent_size: length of the latent vector.
        num_layers: stacked layers of both.
    """

    onnx = "operator"

    def __init__(
        self,
        channels: int,
        window_size: int,
        num_classes: int,
        *,
        hidden_size: int = 96,
        latent_size: int = 24,
        num_layers: int = 1,
    ) -> None:
        super().__init__()
        self.window_size, self.num_classes, self.latent_size = window_size, num_classes, latent_size
        self.encoder = nn.GRU(channels + num_classes, hidden_size, num_layers, batch_first=True, bidirectional=True)
        self.posterior = nn.Linear(2 * hidden_size, 2 * latent_size)
        self.start = nn.Linear(latent_size + num_classes, num_layers * hidden_size)
        self.decoder = nn.GRU(latent_size + num_classes + 1, hidden_size, num_layers, batch_first=True)
        self.value = nn.Linear(hidden_size, channels)
        self.spread = nn.Linear(latent_size + num_classes, channels)
        self.num_layers = num_layers

    def encode(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, time, channel) and one-hot (batch, num_classes) -> mean and log variance of q(z | x, y), (batch, latent) each."""
        repeated = label.unsqueeze(1).expand(-1, x.shape[1], -1)
        states, _ = self.encoder(torch.cat((x, repeated), dim=2))  # (B, T, 2 * hidden)
        mean, log_variance = self.posterior(states.mean(dim=1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 10)

    def decode(self, latent: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, latent), one-hot (batch, num_classes) -> p(x | z, y): mean (batch, time, channel), log deviation (batch, 1, channel)."""
        given = torch.cat((latent, label), dim=1)  # (B, latent + class)
        clock = torch.linspace(-1, 1, self.window_size, dtype=latent.dtype, device=latent.device)
        clock = clock.reshape(1, -1, 1) + torch.zeros_like(given[:, :1]).unsqueeze(1)  # (B, T, 1)
        inputs = torch.cat((given.unsqueeze(1) + torch.zeros_like(clock), clock), dim=2)
        state = torch.tanh(self.start(given)).reshape(len(given), self.num_layers, -1).transpose(0, 1)
        states, _ = self.decoder(inputs, state.contiguous())  # (B, T, hidden)
        return self.value(states), self.spread(given).clamp(-4, 2).unsqueeze(1)

    def forward(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean and log deviation of p(x | z, y), mean and log variance of q(z | x, y); z is drawn in training, else the mean of q."""
        mean, log_variance = self.encode(x, label)
        latent = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean) if self.training else mean
        return *self.decode(latent, label), mean, log_variance
