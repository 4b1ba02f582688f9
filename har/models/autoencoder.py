"""Autoencoders of windows: all of a window in a few numbers, and the window again from them."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from har.models.recurrent import set_forget_bias


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
