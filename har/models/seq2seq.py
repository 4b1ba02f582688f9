"""Encoder and decoder: a sequence in, another out (Sutskever, Vinyals and Le 2014; Cho et al. 2014)."""

import torch
from torch import Tensor, nn


def gru_step(gru: nn.GRU, given: Tensor, layers: list[Tensor]) -> list[Tensor]:
    """One step of a GRU, (batch, feature) and a state (batch, hidden) of each layer -> the next states.

    The weights and the numbers of `gru` on a sequence of one sample, but exported without an operator for whole sequences.
    """
    found = []
    for layer, state in enumerate(layers):
        names = (f"weight_ih_l{layer}", f"weight_hh_l{layer}", f"bias_ih_l{layer}", f"bias_hh_l{layer}")
        given = torch.gru_cell(given, state, *(getattr(gru, name) for name in names))
        found.append(given)
    return found


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
            (Williams and Zipser 1989). None by default: a decoder that only ever saw the truth drifts away from it on its own.
    """

    onnx = "loop"  # the decoder's steps are written out one after the other

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
        self.decoder = nn.GRU(out_channels + self.context_features(hidden_size), hidden_size, num_layers, batch_first=True)
        self.step = nn.Linear(hidden_size, out_channels)
        nn.init.zeros_(self.step.weight)
        nn.init.zeros_(self.step.bias)
        self.teacher_forcing = teacher_forcing

    @staticmethod
    def context_features(hidden_size: int) -> int:
        """How much the decoder is given at every step beside the sample before."""
        return 0

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
        in_channels, window_size, out_channels, hidden_size, num_layers, teacher_forcing: see `Seq2Seq`.
        attention_size: length of v.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        out_channels: int,
        *,
        hidden_size: int = 64,
        num_layers: int = 1,
        teacher_forcing: float = 0.0,
        attention_size: int = 32,
    ) -> None:
        sizes = {"hidden_size": hidden_size, "num_layers": num_layers}
        super().__init__(in_channels, window_size, out_channels, **sizes, teacher_forcing=teacher_forcing)
        self.query = nn.Linear(hidden_size, attention_size)
        self.key = nn.Linear(hidden_size, attention_size, bias=False)
        self.energy = nn.Linear(attention_size, 1, bias=False)

    @staticmethod
    def context_features(hidden_size: int) -> int:
        return hidden_size

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
