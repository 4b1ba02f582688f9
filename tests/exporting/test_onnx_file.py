"""The exported graph computes what was trained, for every model, and holds nothing it should not."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from har.config import RunConfig
from har.contract import LABELS, OPSET
from har.data.windowset import WindowSet
from har.errors import HarError
from har.exporting import onnx_file
from har.exporting.bundle_folder import as_metadata, signal_entries
from har.exporting.onnx_file import GRAVITY_ERROR, DeviceGraph, export_onnx, graph_difference, parity, refusal, thin_factors, write_graph
from har.models import registry
from har.models.classifier import WindowClassifier
from har.models.frontend import asinh
from har.models.layers import Ensemble
from har.models.registry import ModelEntry, find_model, model_names
from har.runtime.session import open_session, run_windows
from har.training.fit import build_classifier
from tests.helpers import assert_nan_in_nan_out
from tests.models.test_models import SMALL
from tests.refusal import refused

OPERATORS = {  # how many of which
    "lstm": {"LSTM": 2},
    "gru": {"GRU": 1},
    "cnn_lstm": {"LSTM": 1, "Conv": 3},
    "cnn1d": {"Conv": 2},
    "dilated_cnn": {"Conv": 3},
    "mlp": {"Gemm": 3},
    "rnn": {"RNN": 2},
    "peephole_lstm": {"LSTM": 2},
    "deep_conv_lstm": {"Conv": 4, "LSTM": 2},
    "transformer": {"Conv": 1, "Softmax": 3},  # two layers and the probabilities
}
UNROLLED = 256  # a loop that is written out has two nodes a sample and more


def classifier(name: str, parts: dict[str, WindowSet], config: RunConfig, options: dict[str, Any] | None = None) -> WindowClassifier:
    config = config.with_overrides(model__name=name, model__options=SMALL.get(name, {}) | (options or {}))
    made = build_classifier(config, parts["train"].spec(config.windowing.step))
    made.frontend.fit(torch.from_numpy(np.array(parts["train"].x[:300])))
    with torch.no_grad():  # batch statistics that differ from their start, as after training
        made(torch.from_numpy(np.array(parts["train"].x[:64])))
    return made.eval()


@pytest.mark.parametrize("name", model_names())
def test_every_model_exports_with_parity(name: str, parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made = classifier(name, parts, config)
    path = tmp_path / "model.onnx"
    export_onnx(made, path, as_metadata(signal_entries(made) | {"model": name}))
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]  # one file, no external data
    assert parity(made, path, parts["validation"].x) <= 1e-5

    assert_nan_in_nan_out(path)

    model = onnx.load(path)
    assert [(o.domain, o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")] == [("", OPSET)]
    operators = [node.op_type for node in model.graph.node]
    expected = OPERATORS.get(name, {})
    assert {operator: operators.count(operator) for operator in expected} == expected
    assert getattr(find_model(name).network, "onnx", "operator") == "operator"
    assert len(operators) < UNROLLED
    assert {p.key for p in model.metadata_props} >= {"spec", "input", "outputs", "opset", "model"}
    content = path.read_bytes()
    for leak in (b"/har/", b".py", str(Path.home()).encode(), b"site-packages"):
        assert leak not in content

    session = open_session(path)
    assert session.get_inputs()[0].shape[1:] == [128, 6]
    assert session.get_outputs()[0].shape[1:] == [len(LABELS)]
    for count in (1, 2, 7, 33):
        probabilities = run_windows(session, parts["test"].x[:count], batch_size=count)
        assert probabilities.shape == (count, len(LABELS))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


VARIANTS: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
    "steep LSTM": ("lstm", {"gate_slope": 2.0}, {"LSTM": 2}),
    "steep GRU": ("gru", {"gate_slope": 2.0, "num_layers": 1}, {"GRU": 1}),
    "stack": ("lstm", {"skip": True, "layer_norm": True, "num_layers": 3}, {"LSTM": 3, "LayerNormalization": 3}),
    "attention, both directions": ("peephole_lstm", {"pooling": "attention", "bidirectional": True}, {"LSTM": 2, "Softmax": 2}),
    "last state, both directions": ("rnn", {"pooling": "last", "bidirectional": True, "nonlinearity": "relu"}, {"RNN": 2}),
    "attention over tokens": ("transformer", {"pooling": "attention"}, {"Softmax": 4}),
    "no peepholes": ("deep_conv_lstm", {"peepholes": False}, {"LSTM": 2}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_options_export_with_parity_and_as_operators(variant: str, parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    name, options, expected = VARIANTS[variant]
    made = classifier(name, parts, config, options)
    with torch.no_grad():  # what starts at 0 or alike must not hide a mistake
        for parameter in made.network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    export_onnx(made, tmp_path / "model.onnx", {})
    assert parity(made, tmp_path / "model.onnx", parts["validation"].x) <= 1e-5
    operators = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert {operator: operators.count(operator) for operator in expected} == expected
    assert len(operators) < UNROLLED


def test_the_exported_peepholes_are_those_of_their_gates(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    """Large peepholes, so that two that change places would be seen; without them the answer is another."""
    made = classifier("peephole_lstm", parts, config)
    x = parts["validation"].x
    with torch.no_grad():
        without = made.predict_proba(torch.from_numpy(np.array(x[:20])))
        for name, parameter in made.network.named_parameters():
            if "peephole" in name:
                parameter.copy_(torch.linspace(-2, 3, len(parameter)))
        assert (made.predict_proba(torch.from_numpy(np.array(x[:20]))) - without).abs().max() > 1e-3
    export_onnx(made, tmp_path / "model.onnx", {})
    assert parity(made, tmp_path / "model.onnx", x) <= 1e-5
    for node in onnx.load(tmp_path / "model.onnx").graph.node:
        if node.op_type == "LSTM":
            assert len(node.input) == 8  # the last is the peepholes
            assert node.input[7]


class Unexportable(nn.Module):
    """A network that says ONNX cannot hold it."""

    onnx = "refused"
    onnx_refusal = "its layer has no operator in ONNX"

    def __init__(self, in_channels: int, window_size: int, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.mean(dim=1))


class WrittenOut(Unexportable):
    """A network whose layer is exported sample by sample."""

    onnx = "loop"

    def __init__(self, in_channels: int, window_size: int, num_classes: int) -> None:
        super().__init__(8, window_size, num_classes)
        self.recurrent = nn.RNN(in_channels, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.recurrent(x)[0])


def test_a_network_that_cannot_be_exported_is_refused_with_its_reason(
    parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.MODELS, "unexportable", ModelEntry("unexportable", Unexportable, "test"))
    for members in (1, 2):
        made = classifier("unexportable", parts, config.with_overrides(model__members=members))
        with refused("not-exportable", "unexportable cannot be exported: its layer has no operator in ONNX"):
            export_onnx(made, tmp_path / "model.onnx", {})
    assert list(tmp_path.iterdir()) == []
    assert refusal(Unexportable) == "its layer has no operator in ONNX"
    assert refusal(Ensemble([Unexportable(9, 128, 6)])) == "its layer has no operator in ONNX"
    assert [refusal(find_model(name).network) for name in model_names() if name != "unexportable"] == [None] * len(SMALL)


def test_a_network_that_is_written_out_says_so_and_is_exported(
    parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.MODELS, "written_out", ModelEntry("written_out", WrittenOut, "test"))
    made = classifier("written_out", parts, config)
    assert refusal(made.network) is None
    export_onnx(made, tmp_path / "model.onnx", {})
    assert parity(made, tmp_path / "model.onnx", parts["validation"].x) <= 1e-5
    assert len(onnx.load(tmp_path / "model.onnx").graph.node) > UNROLLED


def test_two_exports_are_equal_to_the_byte(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made = classifier("cnn1d", parts, config)
    for folder in ("a", "b"):
        export_onnx(made, tmp_path / folder / "model.onnx", {"model": '"cnn1d"'})
    assert (tmp_path / "a/model.onnx").read_bytes() == (tmp_path / "b/model.onnx").read_bytes()


def test_another_model_fails_parity(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made = classifier("cnn1d", parts, config)
    export_onnx(made, tmp_path / "model.onnx", {})
    with torch.no_grad():
        next(iter(made.network.parameters())).mul_(1.5)
    with refused("export-parity"):
        parity(made, tmp_path / "model.onnx", parts["validation"].x)
    with refused("export-parity", "parity needs at least 256 windows, found 255"):
        parity(made, tmp_path / "model.onnx", parts["validation"].x[:255])


def test_a_gru_that_computes_something_else_is_refused(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made = classifier("gru", parts, config)
    export_onnx(made, tmp_path / "model.onnx", {})
    model = onnx.load(tmp_path / "model.onnx")
    onnx_file.check_graph(model)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "linear_before_reset":
                attribute.i = 0
    with refused("not-exportable", "linear_before_reset = 0"):
        onnx_file.check_graph(model)


def test_another_opset_is_refused(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made = classifier("cnn1d", parts, config)
    export_onnx(made, tmp_path / "model.onnx", {})
    model = onnx.load(tmp_path / "model.onnx")
    model.opset_import[0].version = 17
    with pytest.raises((HarError, onnx.checker.ValidationError)):
        onnx_file.check_graph(model)


def test_a_full_disk_leaves_nothing(
    parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with refused("file", r"model\.onnx"):
        export_onnx(classifier("cnn1d", parts, config), tmp_path / "model.onnx", {})
    assert list(tmp_path.iterdir()) == []


def test_the_gravity_filter_is_written_as_two_thin_matrices(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made = classifier("cnn1d", parts, config)
    export_onnx(made, tmp_path / "model.onnx", {})
    graph = onnx.load(tmp_path / "model.onnx").graph
    thin = {t.name: onnx.numpy_helper.to_array(t).astype(np.float64) for t in graph.initializer if "gravity" in t.name}
    first, second = (thin[node.input[1]] for node in graph.node if node.op_type == "MatMul")  # of windows (batch, channel, time)
    assert first.shape == second.shape[::-1]
    assert first.shape[0] == 128
    assert first.shape[1] <= 24
    matrix = made.frontend.gravity.double().numpy()
    np.testing.assert_allclose((first @ second).T, matrix, atol=2 * GRAVITY_ERROR)
    factors = thin_factors(matrix)
    assert factors is not None
    np.testing.assert_allclose(factors[0] @ factors[1], matrix, atol=GRAVITY_ERROR)
    assert thin_factors(np.eye(8)) is None


class Compressed(nn.Module):
    """The frontend's compression alone."""

    def forward(self, x: Tensor) -> Tensor:
        return asinh(x)


def test_the_compression_is_asinh_from_rest_to_far_beyond_any_sensor(tmp_path: Path) -> None:
    write_graph(Compressed().eval(), {"x": torch.zeros(2, 1)}, ["y"], tmp_path / "m.onnx", {})
    assert "Asinh" not in {node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node}
    sizes = np.concatenate(([0.0], np.logspace(-8, 8, 2001)))
    x = np.concatenate((-sizes, sizes)).astype(np.float32)[:, None]
    found = open_session(tmp_path / "m.onnx").run(None, {"x": x})[0]
    np.testing.assert_allclose(found, np.arcsinh(x.astype(np.float64)), atol=2e-7, rtol=1e-6)


class Doubled(nn.Module):
    """Twice its input, and as much more as `flaw` says where that is above 10."""

    def __init__(self, flaw: float = 0.0) -> None:
        super().__init__()
        self.flaw = flaw

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x + self.flaw * (x > 10)


@pytest.mark.parametrize("row", [0, 1, 6, 7, 13, 14, 29])
def test_one_wrong_answer_among_many_is_found(row: int, tmp_path: Path) -> None:
    x = torch.randn(30, 4)
    x[row, 3] = 11.0
    write_graph(Doubled().eval(), {"x": torch.zeros(2, 4)}, ["y"], tmp_path / "m.onnx", {})
    assert graph_difference(Doubled(), tmp_path / "m.onnx", {"x": x}, 1e-6) == 0.0
    with refused("export-parity", r"at batch 1 a value differs from torch by 5.00e-01, allowed 1e-01"):
        graph_difference(Doubled(0.5), tmp_path / "m.onnx", {"x": x}, 0.1)
    assert graph_difference(Doubled(0.5), tmp_path / "m.onnx", {"x": x}, 0.6) == 0.5
    with refused("export-parity"):
        graph_difference(Doubled(float("nan")), tmp_path / "m.onnx", {"x": x}, 1.0)


def test_the_file_has_the_names_and_the_facts_that_it_was_given(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made, path = classifier("cnn1d", parts, config), tmp_path / "m.onnx"
    export_onnx(made, path, {"who": "me"})
    session = open_session(path)
    assert [given.name for given in session.get_inputs()] == ["windows"]
    assert [found.name for found in session.get_outputs()] == ["probabilities"]
    assert {p.key: p.value for p in onnx.load(path).metadata_props} == {"who": "me", "opset": str(OPSET)}


def test_a_network_that_says_nothing_of_onnx_is_exported() -> None:
    class Silent(nn.Module):
        """No word of ONNX."""

    class Refused(nn.Module):
        onnx = "refused"
        onnx_refusal = "it has a loop"

    assert refusal(Silent) is None
    assert refusal(Refused) == "it has a loop"
    assert refusal(Ensemble([Refused(), Refused()])) == "it has a loop"


@pytest.mark.parametrize("temperature", [None, 1.0, 2.0])
def test_the_temperature_divides_the_logits(temperature: float | None, parts: dict[str, WindowSet], config: RunConfig) -> None:
    made = classifier("cnn1d", parts, config).eval()
    x = torch.from_numpy(np.array(parts["test"].x[:9]))
    graph = DeviceGraph(made) if temperature is None else DeviceGraph(made, temperature)
    with torch.no_grad():
        torch.testing.assert_close(graph(x), torch.softmax(made(x) / (temperature or 1.0), dim=1))
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="expected a number above 0"):
            DeviceGraph(made, wrong)


def test_nothing_is_printed_while_a_graph_is_traced(
    parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export_onnx(classifier("cnn1d", parts, config), tmp_path / "m.onnx", {})
    assert capsys.readouterr().out == ""
