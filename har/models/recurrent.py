"""Recurrent networks: RNN (Elman 1990), LSTM (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000), GRU (Cho et al. 2014)."""

import functools
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from har.models.attention import AdditiveAttention
from har.models.layers import StatisticsPooling
from har.models.onnx_operators import recurrent_operator
from har.models.steep_gates import SteepGRU, SteepLSTM

Pooling = Literal["statistics", "last", "attention"]


class RecurrentNetwork(nn.Module):
    """Stacked recurrent layers over the window, and a linear layer over what is read out of their states.

    Args:
        cell: a recurrent layer with the constructor and the results of `torch.nn.LSTM`.
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        hidden_size: units of a layer and direction.
        num_layers: stacked layers.
        bidirectional: read the window in both directions (Schuster and Paliwal 1997).
        dropout: share dropped between layers and of the pooled features in training.
        skip: add to the states of each layer after the first what went into it (residual connections, He et al. 2016).
        layer_norm: normalise every sample of the sequence that goes into each layer after the first, and of the states that are
            read out (Ba, Kiros and Hinton 2016, here between the layers and not inside the cell).
        pooling: what is read out: ``statistics`` of all states and the last state, the ``last`` state alone, or ``attention``, the
            states weighted by `AdditiveAttention` for the last state as query, and the last state.

    Raises:
        ValueError: there is no such pooling.
    """

    def __init__(
        self,
        cell: Callable[..., nn.RNNBase],
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        hidden_size: int = 64,
        num_layers: int = 2,
        bidirectional: bool = False,
        dropout: float = 0.3,
        skip: bool = False,
        layer_norm: bool = False,
        pooling: Pooling = "statistics",
    ) -> None:
        super().__init__()
        if pooling not in get_args(Pooling):
            raise ValueError(f"pooling is {pooling!r}, expected {', '.join(get_args(Pooling))}")
        between = dropout if num_layers > 1 else 0.0
        if skip or layer_norm:
            self.recurrent: nn.Module = RecurrentStack(
                cell, in_channels, hidden_size, num_layers, bidirectional=bidirectional, dropout=between, skip=skip, layer_norm=layer_norm
            )
        else:  # one module for all layers, which torch computes at once
            self.recurrent = cell(in_channels, hidden_size, num_layers, batch_first=True, bidirectional=bidirectional, dropout=between)
        self.directions = 2 if bidirectional else 1
        width = hidden_size * self.directions
        self.pool: nn.Module | None = None
        if pooling != "last":
            self.pool = AdditiveAttention(width, width) if pooling == "attention" else StatisticsPooling()
        factor = {"statistics": StatisticsPooling.factor + 1, "last": 1, "attention": 2}[pooling]
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(factor * width, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, num_classes) logits."""
        states, _ = self.recurrent(x)  # (B, T, width)
        return self.head(self._read_out(states))

    def _read_out(self, states: Tensor) -> Tensor:
        if isinstance(self.pool, AdditiveAttention):
            last = self.last_state(states)
            return torch.cat((self.pool(states, last), last), dim=1)
        if self.pool is None:
            return self.last_state(states)
        # In this order: gradients are summed in the order of use, and their last digit, so a training, depends on it.
        return torch.cat((self.pool(states), self.last_state(states)), dim=1)

    def last_state(self, states: Tensor) -> Tensor:
        """(batch, time, width) -> (batch, width): the state behind the whole window, for the way back that at the first sample."""
        if self.directions == 1:
            return states[:, -1]
        forth, back = states.chunk(2, dim=2)
        return torch.cat((forth[:, -1], back[:, 0]), dim=1)

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each sample counts, (batch, time, in_channels) -> (batch, time), summing to 1 over time.

        Raises:
            ValueError: the network has no attention.
        """
        if not isinstance(self.pool, AdditiveAttention):
            raise ValueError("this network has no attention weights; build it with pooling: attention")
        states, _ = self.recurrent(x)
        return self.pool.weights(states, self.last_state(states))


class RecurrentStack(nn.Module):
    """Recurrent layers one by one, with residual connections or layer normalisation, which torch's stacked layers have not.

    With ``z_1 = x`` and ``y_l`` the states that layer l makes of ``z_l`` (the normalisation stands where it does in pre-norm
    Transformers, off the residual path)::

        h_1 = y_1,    z_(l+1) = dropout(norm_l(h_l)),    h_(l+1) = y_(l+1) + h_l,    states = norm_L(h_L)

    Args:
        cell: a recurrent layer with the constructor and the results of `torch.nn.LSTM`.
        in_channels: features a sample.
        hidden_size: units of a layer and direction.
        num_layers: stacked layers.
        bidirectional: both directions.
        dropout: share of what goes into each layer after the first that is dropped in training.
        skip: with ``h_l`` added as above; else ``h_(l+1) = y_(l+1)``.
        layer_norm: with the normalisations; else they do nothing.
    """

    def __init__(
        self,
        cell: Callable[..., nn.RNNBase],
        in_channels: int,
        hidden_size: int,
        num_layers: int,
        *,
        bidirectional: bool,
        dropout: float,
        skip: bool,
        layer_norm: bool,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers is {num_layers}, expected at least 1")
        width = hidden_size * (2 if bidirectional else 1)
        self.layers = nn.ModuleList(
            cell(in_channels if number == 0 else width, hidden_size, 1, batch_first=True, bidirectional=bidirectional)
            for number in range(num_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) if layer_norm else nn.Identity() for _ in range(num_layers))
        self.dropout = nn.Dropout(dropout)
        self.skip = skip

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor | tuple[Tensor, Tensor]]]:
        """(batch, time, in_channels) -> (batch, time, width) states, and the last states of each layer as it gives them."""
        last, normed = [], x
        carried: Tensor | None = None
        for layer, norm in zip(self.layers, self.norms, strict=True):
            states, end = layer(normed if carried is None else self.dropout(normed))  # (B, T, width)
            carried = states + carried if self.skip and carried is not None else states
            normed = norm(carried)
            last.append(end)
        return normed, last


def set_forget_bias(recurrent: nn.Module, value: float) -> None:
    """Let the forget gates of all LSTM layers in `recurrent` start with this bias."""
    with torch.no_grad():
        for name, bias in recurrent.named_parameters():
            if name.rpartition(".")[2].startswith("bias_ih"):
                size = len(bias) // 4
                bias[size : 2 * size] = value  # gates: input, forget, cell, output


Nonlinearity = Literal["tanh", "relu"]
Initialisation = Literal["default", "orthogonal", "identity"]
INPUT_STD = 0.001  # of the input weights of an IRNN (Le, Jaitly and Hinton 2015)


class RNN(RecurrentNetwork):
    """Stacked Elman network, h_t = f(W x_t + b + U h_(t-1) + b'); see `RecurrentNetwork` for the other options.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        nonlinearity: f, ``tanh`` or ``relu``.
        initialisation: ``default``: as torch does. ``orthogonal``: U keeps the length of the state (Saxe, McClelland and Ganguli
            2014). ``identity``: U is the identity, W small and the biases 0, so that with ``relu`` the state of a sample is that
            of the sample before (IRNN; Le, Jaitly and Hinton 2015).
        identity_scale: of that identity; below 1 it forgets.
        options: of `RecurrentNetwork`.

    Raises:
        ValueError: there is no such nonlinearity or initialisation.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        nonlinearity: Nonlinearity = "tanh",
        initialisation: Initialisation = "default",
        identity_scale: float = 1.0,
        **options: Any,
    ) -> None:
        for name, value, valid in (
            ("nonlinearity", nonlinearity, get_args(Nonlinearity)),
            ("initialisation", initialisation, get_args(Initialisation)),
        ):
            if value not in valid:
                raise ValueError(f"{name} is {value!r}, expected {', '.join(valid)}")
        super().__init__(functools.partial(ElmanLayers, nonlinearity=nonlinearity), in_channels, window_size, num_classes, **options)
        if initialisation != "default":
            initialise(self.recurrent, initialisation, identity_scale)


class ElmanLayers(nn.RNN):
    """`torch.nn.RNN`, which is exported as ONNX's own operator."""

    def forward(self, x: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """(batch, time, input_size) -> (batch, time, width) states, and the last states."""
        if not torch.onnx.is_in_onnx_export():
            return super().forward(x, hx)
        directions = 2 if self.bidirectional else 1
        x = x.transpose(0, 1)  # (T, B, feature)
        ends: list[Tensor] = []
        for first in range(0, self.num_layers * directions, directions):
            own = slice(first, first + directions)
            weights = [(w, u, torch.cat((b, c))) for w, u, b, c in self.all_weights[own]]
            start = None if hx is None else [hx[own]]
            x, end = recurrent_operator("RNN", x, weights, start=start, activation=self.nonlinearity.capitalize())
            ends += end
        return x.transpose(0, 1), torch.cat(ends)


def initialise(recurrent: nn.Module, initialisation: Initialisation, identity_scale: float = 1.0) -> None:
    """Give all Elman layers in `recurrent` other first weights, see `RNN`."""
    with torch.no_grad():
        for name, parameter in recurrent.named_parameters():
            kind = name.rpartition(".")[2]
            if kind.startswith("weight_hh") and initialisation == "orthogonal":
                nn.init.orthogonal_(parameter)
            elif initialisation == "identity":
                if kind.startswith("weight_hh"):
                    nn.init.eye_(parameter).mul_(identity_scale)
                elif kind.startswith("weight_ih"):
                    nn.init.normal_(parameter, std=INPUT_STD)
                elif kind.startswith("bias_"):
                    nn.init.zeros_(parameter)


class LSTM(RecurrentNetwork):
    """Stacked LSTM; see `RecurrentNetwork` for the other options.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        forget_bias: where the forget gate's bias starts: at 1, so that early in training the cell remembers (Jozefowicz et al. 2015).
        gate_slope: of the gates' sigmoids, see `SteepLSTM`.
        options: of `RecurrentNetwork`.
    """

    def __init__(
        self, in_channels: int, window_size: int, num_classes: int, *, forget_bias: float = 1.0, gate_slope: float = 1.0, **options: Any
    ) -> None:
        cell = nn.LSTM if gate_slope == 1 else functools.partial(SteepLSTM, gate_slope=gate_slope)
        super().__init__(cell, in_channels, window_size, num_classes, **options)
        set_forget_bias(self.recurrent, forget_bias)


class GRU(RecurrentNetwork):
    """Stacked GRU; see `RecurrentNetwork` for the other options.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        gate_slope: of the gates' sigmoids, see `SteepGRU`.
        options: of `RecurrentNetwork`.
    """

    def __init__(self, in_channels: int, window_size: int, num_classes: int, *, gate_slope: float = 1.0, **options: Any) -> None:
        cell = nn.GRU if gate_slope == 1 else functools.partial(SteepGRU, gate_slope=gate_slope)
        super().__init__(cell, in_channels, window_size, num_classes, **options)
