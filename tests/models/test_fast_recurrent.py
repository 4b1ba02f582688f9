"""The faster layers are torch's own: same parameters, same answers, same gradients."""

import io

import pytest
import torch
from torch import Tensor, nn

from har.models import fast_recurrent
from har.models.fast_recurrent import FastGRU, FastLSTM, quick_products
from har.models.registry import build_network

IN, HIDDEN, BATCH, TIME = 5, 8, 7, 11
SHAPES = [
    {},
    {"bidirectional": True},
    {"num_layers": 2, "dropout": 0.4},
    {"num_layers": 3, "bidirectional": True, "dropout": 0.4},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
]
shapes = pytest.mark.parametrize("options", SHAPES, ids=str)


def pair(kind: type[nn.RNNBase], plain: type[nn.RNNBase], dtype: torch.dtype, options: dict, **more: bool) -> tuple[nn.RNNBase, nn.RNNBase]:
    torch.manual_seed(0)
    theirs = plain(IN, HIDDEN, dtype=dtype, **options)
    ours = kind(IN, HIDDEN, dtype=dtype, **options, **more)
    ours.load_state_dict(theirs.state_dict())  # strict: same names and shapes
    return ours, theirs


def start(layers: nn.RNNBase, batch: int, dtype: torch.dtype) -> Tensor:
    made = layers.num_layers * (2 if layers.bidirectional else 1)
    return torch.randn(made, batch, HIDDEN, dtype=dtype, generator=torch.Generator().manual_seed(2))


def answers(layers: nn.RNNBase, x: Tensor, hx: Tensor | None) -> list[Tensor]:
    """States, last states, and the gradients of everything there is, of a loss that needs both."""
    torch.manual_seed(1)  # of the dropout between the layers
    x = x.clone().requires_grad_()
    hx = None if hx is None else hx.clone().requires_grad_()
    given: object = (hx, hx * 0.5) if hx is not None and isinstance(layers, nn.LSTM) else hx
    states, end = layers(x, given)
    ends = end if isinstance(end, tuple) else (end,)
    layers.zero_grad()
    (states * torch.linspace(-1, 1, states.numel(), dtype=states.dtype).view(states.shape)).sum().backward(retain_graph=True)
    sum(part.square().sum() for part in ends).backward()
    grads = [x.grad, *([] if hx is None else [hx.grad]), *(parameter.grad for parameter in layers.parameters())]
    return [states.detach(), *(part.detach() for part in ends), *(grad for grad in grads if grad is not None)]


def worst(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Largest difference, as a share of the largest number of its tensor."""
    assert [a.shape for a in ours] == [a.shape for a in theirs]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs, strict=True))


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the layers that ran through the loop written by hand."""
    calls: list[int] = []
    real = fast_recurrent._GRULayer.apply

    def counted(*given: object) -> object:
        calls.append(1)
        return real(*given)

    monkeypatch.setattr(fast_recurrent._GRULayer, "apply", counted)
    return calls


@shapes
@pytest.mark.parametrize("given", [False, True], ids=["from zero", "from a state"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)], ids=["float64", "float32"])
def test_a_gru_is_torchs_gru(options: dict, given: bool, dtype: torch.dtype, tolerance: float, by_hand: list[int]) -> None:
    ours, theirs = pair(FastGRU, nn.GRU, dtype, options)
    first, second = (BATCH, TIME) if options.get("batch_first") else (TIME, BATCH)
    x = torch.randn(first, second, IN, dtype=dtype)
    hx = start(ours, BATCH, dtype) if given else None
    assert worst(answers(ours, x, hx), answers(theirs, x, hx)) < tolerance
    assert len(by_hand) == options.get("num_layers", 1)


@pytest.mark.parametrize(("time", "batch"), [(1, 1), (1, 6), (9, 1), (130, 65)])
def test_any_length_and_batch(time: int, batch: int) -> None:
    ours, theirs = pair(FastGRU, nn.GRU, torch.float64, {"bidirectional": True})
    x = torch.randn(time, batch, IN, dtype=torch.float64)
    assert worst(answers(ours, x, None), answers(theirs, x, None)) < 1e-11


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_gradient_written_by_hand_is_the_gradient(bidirectional: bool, by_hand: list[int]) -> None:
    torch.manual_seed(0)
    layers = FastGRU(3, 4, 2, bidirectional=bidirectional, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    hx = torch.randn(4 if bidirectional else 2, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *given: layers(*given[:2]), (x, hx, *layers.parameters()))
    assert by_hand


def test_inputs_that_need_no_gradient_cost_none() -> None:
    ours, theirs = pair(FastGRU, nn.GRU, torch.float64, {})
    x = torch.randn(TIME, BATCH, IN, dtype=torch.float64)
    for layers in (ours, theirs):
        layers(x)[0].sum().backward()
    assert x.grad is None
    assert worst([p.grad for p in ours.parameters()], [p.grad for p in theirs.parameters()]) < 1e-12  # type: ignore[misc]


def test_the_same_batch_gives_the_same_gradient_twice() -> None:
    ours, _ = pair(FastGRU, nn.GRU, torch.float32, {"num_layers": 2, "bidirectional": True, "dropout": 0.3})
    x = torch.randn(TIME, BATCH, IN)
    assert all(torch.equal(a, b) for a, b in zip(answers(ours, x, None), answers(ours, x, None), strict=True))


@pytest.mark.parametrize("kind", ["evaluation", "no gradients", "no bias", "packed", "one sequence", "half"])
def test_what_is_no_plain_training_is_torchs(kind: str, by_hand: list[int]) -> None:
    options = {"bias": False} if kind == "no bias" else {}
    ours, theirs = pair(FastGRU, nn.GRU, torch.bfloat16 if kind == "half" else torch.float32, options)
    x = torch.randn(TIME, BATCH, IN, dtype=ours.weight_ih_l0.dtype)
    given = nn.utils.rnn.pack_padded_sequence(x, [TIME] * BATCH) if kind == "packed" else x[:, 0] if kind == "one sequence" else x
    if kind == "evaluation":
        ours.eval()
    with torch.set_grad_enabled(kind != "no gradients"):
        mine, other = ours(given)[0], theirs(given)[0]
    if kind == "packed":
        mine, other = mine.data, other.data
    assert torch.equal(mine, other)
    assert not by_hand


@pytest.mark.parametrize("hx", [torch.zeros(1, 3, HIDDEN), torch.zeros(2, BATCH, HIDDEN)], ids=["batch", "layers"])
def test_a_wrong_state_is_refused_as_by_torch(hx: Tensor) -> None:
    with pytest.raises(RuntimeError, match="Expected hidden size"):
        FastGRU(IN, HIDDEN)(torch.zeros(TIME, BATCH, IN), hx)


@shapes
@pytest.mark.parametrize("given", [False, True], ids=["from zero", "from a state"])
def test_an_lstm_is_torchs_lstm_but_for_bfloat16(options: dict, given: bool) -> None:
    first, second = (BATCH, TIME) if options.get("batch_first") else (TIME, BATCH)
    x = torch.randn(first, second, IN)
    exact, theirs = pair(FastLSTM, nn.LSTM, torch.float32, options, bfloat16=False)
    hx = start(exact, BATCH, torch.float32) if given else None
    expected = answers(theirs, x, hx)
    assert all(torch.equal(a, b) for a, b in zip(answers(exact, x, hx), expected, strict=True))
    rounded = answers(pair(FastLSTM, nn.LSTM, torch.float32, options)[0], x, hx)
    assert {part.dtype for part in rounded} == {torch.float32}
    if not fast_recurrent.multiplies_bfloat16():
        assert worst(rounded, expected) == 0
    elif not options.get("dropout"):  # whose random numbers are others in another type
        assert 1e-5 < worst(rounded, expected) < 0.05


def test_an_lstm_is_evaluated_in_float32() -> None:
    ours, theirs = pair(FastLSTM, nn.LSTM, torch.float32, {"num_layers": 2})
    x = torch.randn(TIME, BATCH, IN)
    assert torch.equal(ours.eval()(x)[0], theirs(x)[0])
    with torch.no_grad():
        assert torch.equal(ours.train()(x)[0], theirs(x)[0])


@pytest.mark.parametrize(("name", "kind"), [("lstm", FastLSTM), ("gru", FastGRU)])
def test_networks_use_them_and_old_weights_load(name: str, kind: type[nn.RNNBase]) -> None:
    network = build_network(name, IN, 32, 6, {})
    assert type(network.recurrent) is kind
    plain = (nn.LSTM if name == "lstm" else nn.GRU)(IN, 64, 2, batch_first=True)
    buffer = io.BytesIO()
    torch.save({f"recurrent.{key}": value for key, value in plain.state_dict().items()}, buffer)
    buffer.seek(0)
    missing = network.load_state_dict(torch.load(buffer, weights_only=True), strict=False)
    assert not missing.unexpected_keys
    assert all(key.startswith("head.") for key in missing.missing_keys)


def test_bfloat16_can_be_turned_off_in_a_config() -> None:
    assert build_network("lstm", IN, 32, 6, {"bfloat16": False}).recurrent.bfloat16 is False
    assert build_network("lstm", IN, 32, 6, {}).recurrent.bfloat16 is True


def test_quick_products_are_as_exact_as_float32_and_leave_the_setting_as_it_was() -> None:
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    torch.manual_seed(0)
    for rows, inner, columns in ((64, 64, 192), (1024, 36, 192), (192, 2048, 64), (300, 301, 302)):
        a, b = torch.randn(rows, inner), torch.randn(inner, columns)
        exact = a.double() @ b.double()
        with quick_products():
            product = a @ b
        assert matmul.fp32_precision == before
        assert float((product - exact).abs().max()) < 2e-6 * inner**0.5 * 4  # bfloat16 is a thousand times worse
