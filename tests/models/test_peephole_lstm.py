"""The hand-written cell: torch's LSTM where the peepholes are 0, the paper's equations where they are not."""

import pytest
import torch
from torch import Tensor, nn

from har.models.recurrent import PeepholeLayers
from har.models.registry import create_model

IN, HIDDEN, TIME = 5, 4, 30


def layers(
    num_layers: int = 1, *, bidirectional: bool = False, peepholes: float = 1.0, dtype: torch.dtype = torch.float32
) -> PeepholeLayers:
    torch.manual_seed(0)
    made = PeepholeLayers(IN, HIDDEN, num_layers, batch_first=True, bidirectional=bidirectional).to(dtype)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.startswith("peephole"):
                parameter.normal_().mul_(peepholes)
    return made


def reference(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Gers, Schraudolph and Schmidhuber 2002 unit by unit: every window, unit and gate by itself."""
    result = torch.empty(*x.shape[:2], HIDDEN, dtype=x.dtype)
    rows = {gate: slice(n * HIDDEN, (n + 1) * HIDDEN) for n, gate in enumerate("ifco")}
    peephole = dict(zip("ifo", weights["peephole_l0"].chunk(3), strict=True))
    for number, window in enumerate(x):
        h = c = torch.zeros(HIDDEN, dtype=x.dtype)
        for t, sample in enumerate(window):
            z = {
                gate: weights["weight_ih_l0"][r] @ sample
                + weights["bias_ih_l0"][r]
                + weights["weight_hh_l0"][r] @ h
                + weights["bias_hh_l0"][r]
                for gate, r in rows.items()
            }
            i = 1 / (1 + torch.exp(-(z["i"] + peephole["i"] * c)))
            f = 1 / (1 + torch.exp(-(z["f"] + peephole["f"] * c)))
            c = f * c + i * torch.tanh(z["c"])
            o = 1 / (1 + torch.exp(-(z["o"] + peephole["o"] * c)))
            h = o * torch.tanh(c)
            result[number, t] = h
    return result


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_without_peepholes_it_is_torchs_lstm(num_layers: int, bidirectional: bool, dtype: torch.dtype, tolerance: float) -> None:
    """States, last states, and the gradients of the inputs and of every weight, relative to the largest."""
    ours = layers(num_layers, bidirectional=bidirectional, peepholes=0.0, dtype=dtype)
    theirs = nn.LSTM(IN, HIDDEN, num_layers, batch_first=True, bidirectional=bidirectional, dtype=dtype)
    assert theirs.load_state_dict(ours.state_dict(), strict=False).missing_keys == []
    x = torch.randn(3, TIME, IN, dtype=dtype, requires_grad=True)
    (found, (h, c)), (expected, (h_expected, c_expected)) = ours(x), theirs(x)
    for ours_one, theirs_one in ((found, expected), (h, h_expected), (c, c_expected)):
        torch.testing.assert_close(ours_one, theirs_one, atol=tolerance, rtol=0)
    weight = torch.randn_like(found)
    names = [name for name, _ in theirs.named_parameters()]
    gradients = [
        torch.autograd.grad((states * weight).sum(), [x, *(getattr(layer, name) for name in names)])
        for layer, states in ((ours, found), (theirs, expected))
    ]
    for ours_one, theirs_one in zip(*gradients, strict=True):
        torch.testing.assert_close(ours_one, theirs_one, atol=2 * tolerance * theirs_one.abs().max().item(), rtol=0)


def test_with_peepholes_it_is_the_papers_cell() -> None:
    made = layers(peepholes=1.0, dtype=torch.float64)
    x = torch.randn(3, TIME, IN, dtype=torch.float64)
    torch.testing.assert_close(made(x)[0], reference(made.state_dict(), x), atol=1e-12, rtol=0)


def test_its_gradients_are_those_of_the_equations() -> None:
    made = layers(2, bidirectional=True, dtype=torch.float64)
    names = [name for name, _ in made.named_parameters()]

    def states(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(made, dict(zip(names, parameters, strict=True)), (x,))[0]

    x = torch.randn(2, 4, IN, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(states, (x, *made.parameters()))


def test_the_way_back_reads_the_window_from_its_end() -> None:
    made = layers(bidirectional=True)
    x = torch.randn(3, TIME, IN)
    one_way = PeepholeLayers(IN, HIDDEN, batch_first=True)
    one_way.load_state_dict({name.removesuffix("_reverse"): p for name, p in made.state_dict().items() if name.endswith("_reverse")})
    torch.testing.assert_close(made(x)[0][..., HIDDEN:], one_way(x.flip(1))[0].flip(1))


def test_a_window_in_two_parts_is_the_window() -> None:
    made = layers(2)
    x = torch.randn(3, TIME, IN)
    first, state = made(x[:, :11])
    second, last = made(x[:, 11:], state)
    states, expected = made(x)
    torch.testing.assert_close(torch.cat((first, second), dim=1), states)
    torch.testing.assert_close(last, expected)


def test_layers_are_dropped_out_between_in_training_alone() -> None:
    made = PeepholeLayers(IN, HIDDEN, 2, batch_first=True, dropout=0.5)
    x = torch.randn(3, TIME, IN)
    assert not torch.equal(made(x)[0], made(x)[0])
    assert torch.equal(made.eval()(x)[0], made(x)[0])


@pytest.mark.parametrize("extras", [{}, {"bidirectional": True, "num_layers": 1}, {"skip": True}])
def test_with_the_same_seed_it_starts_as_lstm(extras: dict) -> None:
    logits = []
    for name in ("lstm", "peephole_lstm"):
        torch.manual_seed(0)
        made = create_model(name, 9, TIME, 6, {"hidden_size": 8, **extras}).eval()
        torch.manual_seed(1)
        logits.append(made(torch.randn(2, TIME, 9)))
    torch.testing.assert_close(*logits, atol=1e-6, rtol=1e-5)
