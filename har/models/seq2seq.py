"""Encoder and decoder: a sequence in, another out (Sutskever, Vinyals and Le 2014; Cho et al. 2014)."""

import torch
from torch import Tensor, nn


class Seq2Seq(nn.Module):
    """A GRU reads the context; another, started in its last state, foretells sample after sample from its own last answer.

    What the decoder adds to the sample before is learnt, not the sample itself, so that an untrained network repeats the last value.

    Args:
        in_channels: features a sample of the context.
        window_size: samples of the context; any length works.
        out_channels: channels that are foretold.
        hidden_size: units of encoder and decoder.
        num_layers: stacked layers of both.
        teacher_forcing: share of training batches in which the decoder sees the true sample before instead of its own answer
            (Williams and Zipser 1989).
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        out_channels: int,
        *,
        hidden_size: int = 64,
        num_layers: int = 1,
        teacher_forcing: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = nn.GRU(in_channels, hidden_size, num_layers, batch_first=True)
        self.decoder = nn.GRU(out_channels, hidden_size, num_layers, batch_first=True)
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
        _, state = self.encoder(features)  # (layer, B, hidden)
        if target is not None and self.training and float(torch.rand(())) < self.teacher_forcing:
            seen = torch.cat((last.unsqueeze(1), target[:, :-1]), dim=1)  # (B, steps, C)
            states, _ = self.decoder(seen, state)
            return seen + self.step(states)
        found = []
        for _ in range(steps):
            states, state = self.decoder(last.unsqueeze(1), state)
            last = last + self.step(states[:, 0])
            found.append(last)
        return torch.stack(found, dim=1)
