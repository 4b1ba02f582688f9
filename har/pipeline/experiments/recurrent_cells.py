"""The recurrent networks whose memory the experiments look at: one layer of each kind, of which only the last state is read out."""

from typing import Any

from torch import nn

from har.models.registry import build_network

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
    return build_network(model, in_channels, length, num_classes, fixed | options)
