"""Steeper gates: torch's kernels on scaled weights against cells written out in Python."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from har.models.recurrent import SteepGRU, SteepLSTM
from har.models.registry import create_model

IN, HIDDEN, TIME = 5, 4, 12
Cell = Callable[[nn.RNNBase, Tensor, float], Tensor]


def lstm_cell(layer: nn.RNNBase, x: Tensor, slope: float) -> Tensor:
    h, c = torch.zeros(2, x.shape[0], HIDDEN, dtype=x.dtype)
    states = []
    for sample in x.unbind(1):
        z = sample @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
        i, f, g, o = z.chunk(4, dim=1)
        c = torch.sigmoid(slope * f) * c + torch.sigmoid(slope * i) * torch.tanh(g)
        h = torch.sigmoid(slope * o) * torch.tanh(c)
        states.append(h)
    return torch.stack(states, dim=1)


def gru_cell(layer: nn.RNNBase, x: Tensor, slope: float) -> Tensor:
    h = torch.zeros(x.shape[0], HIDDEN, dtype=x.dtype)
    states = []
    for sample in x.unbind(1):
        from_x = (sample @ layer.weight_ih_l0.T + layer.bias_ih_l0).chunk(3, dim=1)
        from_h = (h @ layer.weight_hh_l0.T + layer.bias_hh_l0).chunk(3, dim=1)
        r, z = (torch.sigmoid(slope * (from_x[n] + from_h[n])) for n in (0, 1))
        h = (1 - z) * torch.tanh(from_x[2] + r * from_h[2]) + z * h
        states.append(h)
    return torch.stack(states, dim=1)


kinds = pytest.mark.parametrize(("steep", "plain", "cell"), [(SteepLSTM, nn.LSTM, lstm_cell), (SteepGRU, nn.GRU, gru_cell)])


@kinds
@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0, 5.0])
def test_a_steep_layer_is_the_cell_with_a_slope(steep: type, plain: type, cell: Cell, slope: float) -> None:
    """States, and gradients of the weights as they are named and learned: those without the slope."""
    torch.manual_seed(0)
    layer = steep(IN, HIDDEN, batch_first=True, gate_slope=slope)
    x = torch.randn(3, TIME, IN)
    expected, found = cell(layer, x, slope), layer(x)[0]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    weight = torch.randn_like(found)
    parameters = list(layer.parameters())
    ours, theirs = (torch.autograd.grad((states * weight).sum(), parameters) for states in (found, expected))
    for ours_one, theirs_one in zip(ours, theirs, strict=True):
        torch.testing.assert_close(ours_one, theirs_one, atol=1e-5, rtol=1e-5)


@kinds
@pytest.mark.parametrize("bidirectional", [False, True])
def test_slope_1_is_torchs_layer_and_its_weights_are_named_alike(steep: type, plain: type, cell: Cell, bidirectional: bool) -> None:
    torch.manual_seed(0)
    layer = steep(IN, HIDDEN, 2, batch_first=True, bidirectional=bidirectional, gate_slope=1.0)
    other = plain(IN, HIDDEN, 2, batch_first=True, bidirectional=bidirectional)
    other.load_state_dict(layer.state_dict())  # the same names, and nothing besides
    x = torch.randn(3, TIME, IN)
    assert torch.equal(layer(x)[0], other(x)[0])
    _, last = other(x)
    assert torch.equal(layer(x, last)[0], other(x, last)[0])


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_the_option_is_one_of_the_network(name: str) -> None:
    def logits(slope: float) -> Tensor:
        torch.manual_seed(0)
        made = create_model(name, IN, TIME, 6, {"hidden_size": HIDDEN, "gate_slope": slope}).eval()
        torch.manual_seed(1)
        return made(torch.randn(2, TIME, IN))

    torch.manual_seed(0)
    default = create_model(name, IN, TIME, 6, {"hidden_size": HIDDEN})
    assert isinstance(default.recurrent, nn.LSTM | nn.GRU)
    assert not isinstance(default.recurrent, SteepLSTM | SteepGRU)
    assert (logits(1.0) - logits(2.0)).abs().max() > 1e-4
    torch.testing.assert_close(logits(1.0), logits(1.0 + 1e-7))  # the scaled kernel beside the plain one


@kinds
@pytest.mark.parametrize("slope", [0.0, -1.0, float("nan")])
def test_a_slope_that_opens_nothing_is_refused(steep: type, plain: type, cell: Cell, slope: float) -> None:
    with pytest.raises(ValueError, match=r"gate_slope is .*, expected a number above 0"):
        steep(IN, HIDDEN, gate_slope=slope)
