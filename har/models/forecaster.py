"""Encoders and decoders that forecast sensor values, and the LightningModule around any of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from har.models.frontend import SensorFrontend
from har.models.layers import gru_step
from har.models.module import ErrorModule
from har.models.registry import create_model


class Seq2Seq(nn.Module):
    """A GRU reads the context; another, started in its last state, foretells sample after sample from its own last answer.

    Encoder and decoder as in Sutskever, Vinyals and Le 2014 and Cho et al. 2014.
    What the decoder adds to the sample before is learnt, not the sample itself, so that an untrained network repeats the last value.

    Args:
        in_channels: features a sample of the context.
        window_size: samples of the context; any length works.
        out_channels: channels that are foretold.
        hidden_size: units of encoder and decoder.
        num_layers: stacked layers of both.
        teacher_forcing: share of training batches in which the decoder sees the true sample before instead of its own answer
            (Williams and Zipser 1989). None by default: a decoder that only ever saw the truth drifts away from it on its own.
    """

    onnx = "loop"  # the decoder's steps are written out one after the other
    attends = False  # whether the decoder is given a state of the encoder at every step, next to the previous sample

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        out_channels: int,
        *,
        hidden_size: int = 64,
        num_layers: int = 1,
        teacher_forcing: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= teacher_forcing <= 1:
            raise ValueError(f"teacher_forcing is {teacher_forcing}, expected a share from 0 to 1")
        self.encoder = nn.GRU(in_channels, hidden_size, num_layers, batch_first=True)
        self.decoder = nn.GRU(out_channels + hidden_size * self.attends, hidden_size, num_layers, batch_first=True)
        self.step = nn.Linear(hidden_size, out_channels)
        nn.init.zeros_(self.step.weight)
        nn.init.zeros_(self.step.bias)
        self.teacher_forcing = teacher_forcing

    def forward(self, features: Tensor, last: Tensor, steps: int, target: Tensor | None = None) -> Tensor:
        """Foretell `steps` samples.

        Args:
            features: (batch, time, in_channels) of the context.
            last: (batch, out_channels) its last sample.
            steps: how many samples.
            target: (batch, steps, out_channels) what came; used in training alone.

        Returns:
            (batch, steps, out_channels).
        """
        memory, state = self.encoder(features)  # (B, T, hidden), (layer, B, hidden)
        seen = None
        if target is not None and self.training and float(torch.rand(())) < self.teacher_forcing:
            seen = torch.cat((last.unsqueeze(1), target[:, :-1]), dim=1)  # (B, steps, C)
        return self.decode(memory, state, last, steps, seen)

    def decode(self, memory: Tensor, state: Tensor, last: Tensor, steps: int, seen: Tensor | None) -> Tensor:
        """Foretell from the encoder's states; `seen` are the true samples before, where the teacher forces them."""
        if seen is not None:
            states, _ = self.decoder(seen, state)
            return seen + self.step(states)
        layers, found = list(state.unbind(0)), []
        for _ in range(steps):
            layers = gru_step(self.decoder, last, layers)
            last = last + self.step(layers[-1])
            found.append(last)
        return torch.stack(found, dim=1)


class Seq2SeqAttention(Seq2Seq):
    """The same, but at every step the decoder looks at all states of the encoder (Bahdanau, Cho and Bengio 2015).

    The weight of the encoder's state h_i at a step is the softmax over i of v . tanh(W s + U h_i), s the decoder's state before the step
    (their equations 5 and 6 and appendix A.1.2); the weighted sum of the states is given to the decoder beside the sample before.

    Args:
        in_channels, window_size, out_channels: see `Seq2Seq`.
        attention_size: length of v.
        options: of `Seq2Seq`.
    """

    attends = True

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        out_channels: int,
        *,
        attention_size: int = 32,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, window_size, out_channels, **options)
        hidden_size = self.encoder.hidden_size
        self.query = nn.Linear(hidden_size, attention_size)
        self.key = nn.Linear(hidden_size, attention_size, bias=False)
        self.energy = nn.Linear(attention_size, 1, bias=False)

    def decode(self, memory: Tensor, state: Tensor, last: Tensor, steps: int, seen: Tensor | None) -> Tensor:
        return self._decode(memory, state, last, steps, seen)[0]

    def attention(self, features: Tensor, last: Tensor, steps: int) -> Tensor:
        """Weights (batch, steps, time) that each foretold sample gives to those of the context; each row sums to 1."""
        memory, state = self.encoder(features)
        return self._decode(memory, state, last, steps, None)[1]

    def _decode(self, memory: Tensor, state: Tensor, last: Tensor, steps: int, seen: Tensor | None) -> tuple[Tensor, Tensor]:
        keys = self.key(memory)  # (B, T, attention)
        layers, found, looked = list(state.unbind(0)), [], []
        for step in range(steps):
            before = last if seen is None else seen[:, step]
            energy = self.energy(torch.tanh(keys + self.query(layers[-1]).unsqueeze(1))).squeeze(2)  # (B, T)
            weights = torch.softmax(energy, dim=1)
            context = torch.matmul(weights.unsqueeze(1), memory).squeeze(1)  # (B, hidden)
            layers = gru_step(self.decoder, torch.cat((before, context), dim=1), layers)
            last = before + self.step(layers[-1])
            found.append(last)
            looked.append(weights)
        return torch.stack(found, dim=1), torch.stack(looked, dim=1)


class Forecaster(ErrorModule):
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
        rates: see `TaskModule`.
    """

    monitor = "val/rmse"
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
        **rates: float,
    ) -> None:
        super().__init__(**rates)
        self.horizon, self.context = horizon, window_size - horizon
        self.frontend = SensorFrontend(channels, self.context, compression=compression, differences=differences)
        count = self.frontend.in_channels
        self.network = create_model(model, self.frontend.out_channels, self.context, count, options)
        self.register_buffer("target_mean", torch.zeros(count))
        self.register_buffer("target_std", torch.ones(count))

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
        return self.foretell(context) * self.target_std + self.target_mean

    def batch_loss(self, x: Tensor, y: Tensor) -> Tensor:
        target = self.standardise(x[:, self.context :])
        return nn.functional.mse_loss(self.foretell(x[:, : self.context], target), target)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        x = batch[0]
        error = self.foretell(x[:, : self.context]) - self.standardise(x[:, self.context :])
        self.count(error.double().square())

    def predict(self, x: Tensor) -> Tensor:
        """(window, context + horizon, channel) -> (window, horizon, channel) on the CPU, in evaluation mode, in sensor units."""
        return super().predict(x[:, : self.context])
