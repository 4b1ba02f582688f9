"""First weights of the vanilla RNN."""

import pytest
import torch
from torch import nn

from har.models.recurrent import INPUT_STD, ElmanLayers
from har.models.registry import create_model

IN, TIME, HIDDEN = 9, 40, 16
EXTRAS = ({}, {"skip": True, "layer_norm": True, "bidirectional": True})


def network(**options: object) -> nn.Module:
    torch.manual_seed(0)
    return create_model("rnn", IN, TIME, 6, {"hidden_size": HIDDEN, **options})


def recurrent_weights(made: nn.Module) -> list[torch.Tensor]:
    return [p.detach() for name, p in made.named_parameters() if "weight_hh" in name]


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_states_are_those_of_elmans_equation(nonlinearity: str) -> None:
    made = network(nonlinearity=nonlinearity, num_layers=1).eval()
    layer, x = made.recurrent, torch.randn(3, TIME, IN)
    h = torch.zeros(3, HIDDEN)
    function = getattr(torch, nonlinearity)
    for t in range(TIME):
        h = function(x[:, t] @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0)
        torch.testing.assert_close(layer(x)[0][:, t], h, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("extras", EXTRAS)
def test_orthogonal_weights_keep_the_length_of_a_state(extras: dict) -> None:
    weights = recurrent_weights(network(initialisation="orthogonal", **extras))
    assert len(weights) == (4 if extras else 2)
    for weight in weights:
        torch.testing.assert_close(weight.T @ weight, torch.eye(HIDDEN), atol=1e-5, rtol=0)
    assert not any(torch.allclose(w.T @ w, torch.eye(HIDDEN), atol=1e-2) for w in recurrent_weights(network(**extras)))


@pytest.mark.parametrize("extras", EXTRAS)
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_an_irnn_starts_as_the_identity(extras: dict, scale: float) -> None:
    made = network(initialisation="identity", nonlinearity="relu", identity_scale=scale, **extras)
    for weight in recurrent_weights(made):
        assert torch.equal(weight, scale * torch.eye(HIDDEN))
    for name, parameter in made.recurrent.named_parameters():
        if name.rpartition(".")[2].startswith("bias_"):
            assert not parameter.any()
        elif "weight_ih" in name:
            assert parameter.std().item() == pytest.approx(INPUT_STD, rel=0.3)
    if extras:
        assert all((norm.weight == 1).all() for norm in made.recurrent.norms)  # of the normalisation, not of a cell


def test_the_state_of_an_irnn_outlives_a_window_and_that_of_a_default_network_does_not() -> None:
    """A push at the first sample, then nothing: what is left of it in the last state."""
    x = torch.zeros(1, TIME, IN)
    x[:, 0] = 1.0

    def left(**options: object) -> float:
        layer = network(num_layers=1, nonlinearity="relu", **options).recurrent
        pushed, rest = layer(x)[0], layer(torch.zeros_like(x))[0]
        return ((pushed - rest)[0, -1].norm() / (pushed - rest)[0, 0].norm()).item()

    assert left(initialisation="identity") == pytest.approx(1.0, abs=1e-5)
    assert left(initialisation="identity", identity_scale=0.9) == pytest.approx(0.9 ** (TIME - 1), rel=1e-3)
    assert left() < 1e-3


def test_the_layers_are_torchs() -> None:
    torch.manual_seed(0)
    ours = ElmanLayers(IN, HIDDEN, 2, batch_first=True)
    theirs = nn.RNN(IN, HIDDEN, 2, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, TIME, IN)
    assert torch.equal(ours(x)[0], theirs(x)[0])


@pytest.mark.parametrize(("option", "value"), [("nonlinearity", "sigmoid"), ("initialisation", "eye")])
def test_unknown_words_are_refused(option: str, value: str) -> None:
    with pytest.raises(Exception, match=f"{option} is '{value}', expected"):
        network(**{option: value})
