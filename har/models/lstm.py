"""Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000)."""

import torch
from torch import nn

from har.models.recurrent import RecurrentNetwork


class LSTM(RecurrentNetwork):
    """Stacked LSTM; see `RecurrentNetwork` for the options.

    The forget gate's bias starts at 1, so that early in training the cell remembers (Jozefowicz et al. 2015).
    """

    cell = nn.LSTM

    def __init__(self, *args: int, **options: float) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        with torch.no_grad():
            for name, bias in self.recurrent.named_parameters():
                if name.startswith("bias_ih"):
                    bias[self.recurrent.hidden_size : 2 * self.recurrent.hidden_size] = 1.0  # gates: input, forget, cell, output
