"""Recurrent networks: RNN (Elman 1990), LSTM (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000), GRU (Cho et al. 2014)
and LSTM with peepholes (Gers et al. 2002).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from har.models.layers import AdditiveAttention, StatisticsPooling, check_choice, read_out, recurrent_operator


class SteepGates(nn.RNNBase):
    """Base of the recurrent layers of torch with steeper gates.

    Because ``slope * (W x + U h + b)`` is what a plain layer computes from scaled rows of W, U and b, torch's own kernel runs on scaled
    weights; the parameters that learn, and their names, are those of torch's layer.

    Args:
        sizes: ``input_size, hidden_size, num_layers`` of torch's layer.
        gate_slope: of the gates, above 0.
        options: further options of torch's layer.

    Raises:
        ValueError: the slope is not above 0.
    """

    kernel: ClassVar[Callable[..., tuple[Tensor, ...]]]
    states: ClassVar[int]  # tensors that a layer's state has
    row_scale: Tensor

    def __init__(self, *sizes: int, gate_slope: float, **options: Any) -> None:
        super().__init__(*sizes, **options)  # type: ignore[arg-type]
        if not gate_slope > 0:
            raise ValueError(f"gate_slope is {gate_slope!r}, expected a number above 0")
        rows = torch.full((len(self.all_weights[0][1]) // self.hidden_size,), float(gate_slope))
        rows[2] = 1.0  # the LSTM's cell, the GRU's candidate
        self.register_buffer("row_scale", rows.repeat_interleave(self.hidden_size), persistent=False)

    def forward(self, x: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        """(batch, time, input_size) -> (batch, time, width) states, and the last states as torch's layer gives them."""
        if hx is None:
            layers = self.num_layers * (2 if self.bidirectional else 1)
            zeros = x.new_zeros(layers, x.shape[0 if self.batch_first else 1], self.hidden_size)
            hx = zeros if self.states == 1 else (zeros, zeros)
        rows = self.row_scale
        weights = [w * (rows.unsqueeze(1) if w.ndim > 1 else rows) for layer in self.all_weights for w in layer]
        how = (self.bias, self.num_layers, self.dropout, self.training, self.bidirectional, self.batch_first)
        states, *last = self.kernel(x, hx, weights, *how)
        return states, last[0] if self.states == 1 else tuple(last)


class SteepLSTM(SteepGates, nn.LSTM):  # type: ignore[misc]
    """`torch.nn.LSTM` with steeper gates: i, f, o = sigmoid(slope * (W x_t + U h_(t-1) + b)); the cell's tanh stays.

    With a slope above 1 the gates are nearer to open or shut. Chung, Ahn and Bengio 2017 (Hierarchical multiscale recurrent neural
    networks) let the slope of a hard sigmoid grow during training, until their boundary detector is all but a step ("slope
    annealing"); here the slope is fixed, the sigmoid smooth, and the gates are those of the cell.
    """

    kernel = staticmethod(torch.lstm)
    states = 2


class SteepGRU(SteepGates, nn.GRU):  # type: ignore[misc]
    """`torch.nn.GRU` with steeper gates: r, z = sigmoid(slope * (W x_t + U h_(t-1) + b)).

    The candidate ``tanh(W x + b + r * (U h + b'))`` keeps its weights: the reset gate multiplies them, no slope does.
    """

    kernel = staticmethod(torch.gru)
    states = 1


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
        check_choice("pooling", pooling, Pooling)
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
        self.head = read_out(factor * width, num_classes, dropout)

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
        check_choice("nonlinearity", nonlinearity, Nonlinearity)
        check_choice("initialisation", initialisation, Initialisation)
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


class PeepholeLSTM(RecurrentNetwork):
    """Stacked LSTM with peepholes, see `PeepholeLayers`, and `RecurrentNetwork` for the other options.

    The peepholes start at 0, so that with the same seed it starts as the very network that ``lstm`` is.

    Args:
        in_channels: features a sample.
        window_size: samples in a window; any length works.
        num_classes: activities.
        forget_bias: where the forget gate's bias starts.
        options: of `RecurrentNetwork`.
    """

    def __init__(self, in_channels: int, window_size: int, num_classes: int, *, forget_bias: float = 1.0, **options: Any) -> None:
        super().__init__(PeepholeLayers, in_channels, window_size, num_classes, **options)
        set_forget_bias(self.recurrent, forget_bias)


class PeepholeLayers(nn.LSTM):
    """`torch.nn.LSTM` with weights p from the cell state to the gates (Gers, Schraudolph and Schmidhuber 2002, section 3)::

        i_t = sigmoid(W_i x_t + U_i h_(t-1) + p_i * c_(t-1) + b_i)
        f_t = sigmoid(W_f x_t + U_f h_(t-1) + p_f * c_(t-1) + b_f)
        c_t = f_t * c_(t-1) + i_t * tanh(W_c x_t + U_c h_(t-1) + b_c)
        o_t = sigmoid(W_o x_t + U_o h_(t-1) + p_o * c_t + b_o)
        h_t = o_t * tanh(c_t)

    with * unit by unit. What goes into the cell and out of it is squashed by tanh as in `torch.nn.LSTM`, and the gradient is whole,
    where the paper truncates it. Parameters are named as in `torch.nn.LSTM`, whose weights can be loaded; ``peephole_l0`` and so on
    hold p_i, p_f, p_o of a layer, 3 * hidden_size numbers that start at 0. torch has no kernel for it: a loop over the samples, with
    the projection of all inputs before it (`benchmarks/cells.py` measures what that costs); ONNX has one, which is exported.
    """

    def __init__(self, *sizes: int, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.names = [name.replace("weight_ih", "peephole") for name, *_ in self._all_weights]  # a layer and direction each
        for name in self.names:
            self.register_parameter(name, nn.Parameter(torch.zeros(3 * self.hidden_size)))

    def forward(  # type: ignore[override]
        self, x: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(batch, time, input_size), if `batch_first`, -> states (batch, time, width), and the last h and c as `torch.nn.LSTM`."""
        x = x.transpose(0, 1) if self.batch_first else x  # (T, B, feature)
        weights: list[list[Tensor]] = [[*four, getattr(self, name)] for four, name in zip(self.all_weights, self.names, strict=True)]
        run = _as_operator if torch.onnx.is_in_onnx_export() else _as_loop
        directions, ends = len(weights) // self.num_layers, []
        for first in range(0, len(weights), directions):
            if first > 0:
                x = nn.functional.dropout(x, self.dropout, self.training)
            own = slice(first, first + directions)
            x, end = run(x, weights[own], None if hx is None else [part[own] for part in hx])
            ends.append(end)
        hidden, cell = (torch.cat(parts) for parts in zip(*ends, strict=True))
        return x.transpose(0, 1) if self.batch_first else x, (hidden, cell)


def _as_loop(x: Tensor, directions: list[list[Tensor]], start: Sequence[Tensor] | None) -> tuple[Tensor, Sequence[Tensor]]:
    """One layer, sample by sample: (time, batch, feature) -> (time, batch, width); h and c are (direction, batch, hidden).

    Args:
        x: what goes into the layer.
        directions: of each W, U, the biases of input and state, and the peepholes; rows as in torch: input, forget, cell, output.
        start: h and c before the first sample; None: zeros.
    """
    h, c = start or (x.new_zeros(len(directions), x.shape[1], directions[0][1].shape[1]),) * 2
    made = [_one_way(x if n == 0 else x.flip(0), weights, h[n], c[n]) for n, weights in enumerate(directions)]
    states = torch.cat([states if n == 0 else states.flip(0) for n, (states, _, _) in enumerate(made)], dim=2)
    return states, (torch.stack([h for _, h, _ in made]), torch.stack([c for _, _, c in made]))


def _one_way(x: Tensor, weights: list[Tensor], h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    w, u, input_bias, state_bias, peephole = weights
    p_i, p_f, p_o = peephole.chunk(3)
    u, states = u.t(), []
    for projected in nn.functional.linear(x, w, input_bias + state_bias).unbind(0):  # (B, 4 * hidden)
        i, f, g, o = torch.addmm(projected, h, u).chunk(4, dim=1)
        i = torch.sigmoid(torch.addcmul(i, c, p_i))
        f = torch.sigmoid(torch.addcmul(f, c, p_f))
        c = torch.addcmul(f * c, i, torch.tanh(g))
        o = torch.sigmoid(torch.addcmul(o, c, p_o))
        h = o * torch.tanh(c)
        states.append(h)
    return torch.stack(states), h, c


def _as_operator(x: Tensor, directions: list[list[Tensor]], start: Sequence[Tensor] | None) -> tuple[Tensor, Sequence[Tensor]]:
    """One layer as ONNX's LSTM operator, which has peepholes, with its order of the gates."""

    def reordered(rows: Tensor) -> Tensor:
        return rows.unflatten(0, (4, -1))[[0, 3, 1, 2]].flatten(0, 1)  # input, forget, cell, output -> input, output, forget, cell

    weights = [(reordered(w), reordered(u), torch.cat((reordered(b), reordered(c)))) for w, u, b, c, _ in directions]
    peepholes = [peephole.unflatten(0, (3, -1))[[0, 2, 1]].flatten() for *_, peephole in directions]
    return recurrent_operator("LSTM", x, weights, start=start, peepholes=peepholes)
