"""The recurrent networks whose memory the experiments look at: one layer of each kind, of which only the last state is read out."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from har.models.module import one_cycle
from har.models.registry import create_model

HIDDEN_SIZE = 64
CELLS: dict[str, tuple[str, dict[str, Any]]] = {
    "RNN": ("rnn", {}),
    "RNN, orthogonal": ("rnn", {"initialisation": "orthogonal"}),
    "IRNN": ("rnn", {"nonlinearity": "relu", "initialisation": "identity"}),
    "LSTM, forget bias 0": ("lstm", {"forget_bias": 0.0}),
    "LSTM": ("lstm", {}),
    "LSTM, forget bias 5": ("lstm", {"forget_bias": 5.0}),
    "GRU": ("gru", {}),
}
# A forget gate at sigmoid(5) = 0.993 keeps half of the cell's content for 103 samples, one at sigmoid(1) = 0.73 for two.


def build_cell(name: str, in_channels: int, length: int, num_classes: int, hidden_size: int = HIDDEN_SIZE) -> nn.Module:
    """The network `name` of `CELLS` with the weights that the seed, set before, gives it."""
    model, options = CELLS[name]
    fixed = {"hidden_size": hidden_size, "num_layers": 1, "dropout": 0.0, "pooling": "last"}
    return create_model(model, in_channels, length, num_classes, fixed | options)


class Clipping(NamedTuple):
    """What is done to gradients before a step.

    Attributes:
        kind: ``none``; ``norm``: all are scaled down together where their norm is above `limit` (Pascanu, Mikolov and Bengio 2013);
            ``value``: each number is cut to `limit`.
        limit: largest norm or value.
    """

    kind: Literal["none", "norm", "value"] = "norm"
    limit: float = 1.0

    def apply(self, network: nn.Module) -> None:
        """Clip the gradients of `network` in place."""
        if self.kind == "norm":
            nn.utils.clip_grad_norm_(network.parameters(), self.limit)
        elif self.kind == "value":
            nn.utils.clip_grad_value_(network.parameters(), self.limit)


class Steps(NamedTuple):
    """What was seen during a training.

    Attributes:
        loss: of every step.
        norm: of the gradients of the recurrent weights at every step, before clipping.
    """

    loss: list[float]
    norm: list[float]


def recurrent_norm(network: nn.Module) -> float:
    """Norm of the gradients of all recurrent weights (names that hold ``weight_hh``)."""
    found = [p.grad.double().square().sum() for name, p in network.named_parameters() if "weight_hh" in name and p.grad is not None]
    return float(torch.stack(found).sum().sqrt()) if found else 0.0


def train_steps(
    network: nn.Module, draw: Callable[[], tuple[Tensor, Tensor]], *, steps: int, learning_rate: float, clipping: Clipping
) -> Steps:
    """Train a classifier with AdamW under a one-cycle schedule, as `TaskModule` does.

    A loss that is not finite is kept in the record, and its step is left out, so that an exploded training is visible.

    Args:
        network: ``(batch, time, feature) -> (batch, num_classes)`` logits.
        draw: gives a batch ``(x, y)``.
        steps: of the optimiser.
        learning_rate: peak.
        clipping: of the gradients.
    """
    optimizer = torch.optim.AdamW(network.parameters(), learning_rate)
    schedule = one_cycle(optimizer, learning_rate, steps)
    network.train()
    seen = Steps([], [])
    for _ in range(steps):
        x, y = draw()
        loss = nn.functional.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        seen.loss.append(loss.item())
        seen.norm.append(recurrent_norm(network))
        if torch.isfinite(torch.tensor([seen.loss[-1], seen.norm[-1]])).all():
            clipping.apply(network)
            optimizer.step()
            schedule.step()
    return seen
