"""What the recurrent networks have in common: the networks that were published stay as they are, and every option does what it says."""

import pytest
import torch
from torch import Tensor, nn

from har.models.layers import StatisticsPooling
from har.models.recurrent import RecurrentStack
from har.models.registry import create_model

IN, TIME, HIDDEN, CLASSES = 9, 40, 8, 6
RECURRENT = ("rnn", "lstm", "gru", "peephole_lstm")
FUSED = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU, "peephole_lstm": nn.LSTM}
every_cell = pytest.mark.parametrize("name", RECURRENT)


def network(name: str, seed: int = 0, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    return create_model(name, IN, TIME, CLASSES, {"hidden_size": HIDDEN, **options})


def windows(count: int = 3) -> Tensor:
    torch.manual_seed(99)
    return torch.randn(count, TIME, IN)


@pytest.mark.parametrize("name", ["lstm", "gru"])
@pytest.mark.parametrize("training", [False, True])
def test_the_default_network_is_torchs_stack_read_out_by_statistics(name: str, training: bool) -> None:
    """Names, values for a seed, and outputs: what was trained before the options came is what is built now."""
    made = network(name, seed=7).train(training)
    torch.manual_seed(7)
    recurrent = FUSED[name](IN, HIDDEN, 2, batch_first=True, dropout=0.3).train(training)
    head = nn.Sequential(nn.Dropout(0.3), nn.Linear(4 * HIDDEN, CLASSES)).train(training)
    if name == "lstm":
        with torch.no_grad():
            for bias in (recurrent.bias_ih_l0, recurrent.bias_ih_l1):
                bias[HIDDEN : 2 * HIDDEN] = 1.0
    weights = {f"recurrent.{key}": value for key, value in recurrent.state_dict().items()}
    weights |= {f"head.{key}": value for key, value in head.state_dict().items()}
    assert list(made.state_dict()) == list(weights)
    assert all(torch.equal(value, weights[key]) for key, value in made.state_dict().items())
    assert type(made.recurrent) is FUSED[name]  # one fused module for all layers
    x = windows()
    torch.manual_seed(1)
    found = made(x)
    torch.manual_seed(1)
    states = recurrent(x)[0]
    expected = head(torch.cat((StatisticsPooling()(states), states[:, -1]), dim=1))
    assert torch.equal(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    for ours, theirs in zip(made.recurrent.parameters(), recurrent.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)  # to the last digit: the same training


def test_cnn_lstm_ends_in_the_same_lstm() -> None:
    names = [name for name in create_model("cnn_lstm", IN, 64, CLASSES, {}).state_dict() if name.startswith("lstm.")]
    assert names == [f"lstm.recurrent.{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")] + [
        "lstm.head.1.weight",
        "lstm.head.1.bias",
    ]


@every_cell
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_a_stack_without_its_extras_is_torchs_own(name: str, bidirectional: bool, num_layers: int) -> None:
    cell = FUSED[name]
    torch.manual_seed(0)
    fused = cell(IN, HIDDEN, num_layers, batch_first=True, bidirectional=bidirectional)
    torch.manual_seed(0)
    stack = RecurrentStack(cell, IN, HIDDEN, num_layers, bidirectional=bidirectional, dropout=0.0, skip=False, layer_norm=False)
    torch.testing.assert_close(stack(windows())[0], fused(windows())[0], atol=1e-6, rtol=0)


@every_cell
def test_skip_adds_what_went_into_a_layer(name: str) -> None:
    made = network(name, num_layers=3, skip=True).eval().recurrent
    first, second, third = (lambda z, layer=layer: layer(z)[0] for layer in made.layers)
    h1 = first(windows())
    h2 = h1 + second(h1)
    torch.testing.assert_close(made(windows())[0], h2 + third(h2))


@every_cell
def test_layer_norm_stands_off_the_residual_path(name: str) -> None:
    made = network(name, num_layers=2, skip=True, layer_norm=True).eval().recurrent
    for norm in made.norms:
        nn.init.normal_(norm.weight)
    h1 = made.layers[0](windows())[0]
    expected = made.norms[1](made.layers[1](made.norms[0](h1))[0] + h1)
    torch.testing.assert_close(made(windows())[0], expected)


@every_cell
def test_layer_norm_without_skip_normalises_what_is_read_out(name: str) -> None:
    states, _ = network(name, layer_norm=True).eval().recurrent(windows())
    torch.testing.assert_close(states.mean(dim=2), torch.zeros(3, TIME), atol=1e-6, rtol=0)
    torch.testing.assert_close(states.var(dim=2, correction=0), torch.ones(3, TIME), atol=1e-2, rtol=0)


def test_dropout_stands_between_the_layers_of_a_stack() -> None:
    x = windows()
    made = network("lstm", skip=True, dropout=0.5).recurrent
    assert not torch.equal(made(x)[0], made(x)[0])
    alone = network("lstm", skip=True, num_layers=1, dropout=0.5).recurrent
    assert torch.equal(alone(x)[0], alone(x)[0])


@every_cell
def test_the_last_state_is_that_of_each_direction_behind_the_whole_window(name: str) -> None:
    made = network(name, bidirectional=True, pooling="last", num_layers=1).eval()
    states, last = made.recurrent(windows())
    hidden = last[0] if isinstance(last, tuple) else last  # (direction, B, hidden)
    torch.testing.assert_close(made.last_state(states), torch.cat(tuple(hidden), dim=1))
    torch.testing.assert_close(made(windows()), made.head(torch.cat(tuple(hidden), dim=1)))


@pytest.mark.parametrize("pooling", ["statistics", "last", "attention"])
@every_cell
def test_every_weight_learns_with_every_extra(name: str, pooling: str) -> None:
    made = network(name, bidirectional=True, skip=True, layer_norm=True, pooling=pooling, num_layers=2)
    nn.functional.cross_entropy(made(windows(5)), torch.tensor([0, 1, 2, 3, 4])).backward()
    for parameter_name, parameter in made.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm"])
@pytest.mark.parametrize("extras", [{}, {"skip": True, "bidirectional": True}])
@pytest.mark.parametrize("bias", [0.0, 1.0, 2.5])
def test_forget_gates_start_as_asked(name: str, extras: dict, bias: float) -> None:
    asked, plain = network(name, forget_bias=bias, **extras), network(name, **extras)
    found = 0
    for (parameter_name, parameter), other in zip(asked.named_parameters(), plain.parameters(), strict=True):
        if parameter_name.rpartition(".")[2].startswith("bias_ih"):
            found += 1
            assert (parameter[HIDDEN : 2 * HIDDEN] == bias).all()
            kept = torch.cat((parameter[:HIDDEN] - other[:HIDDEN], parameter[2 * HIDDEN :] - other[2 * HIDDEN :]))
            assert not kept.any()
        else:
            assert torch.equal(parameter, other)
    assert found == (4 if extras else 2)
