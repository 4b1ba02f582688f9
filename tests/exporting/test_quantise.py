"""Smaller files answer as the float file does, or are not shipped; nothing is left float in silence."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from har.config import RunConfig
from har.data.windowset import WindowSet
from har.exporting.onnx_file import export_onnx
from har.exporting.quantise import INT8, RECIPES, SMALL, Judgement, judge, quantise_int8, quantise_weights
from har.runtime.session import open_session, run_windows
from tests.exporting.test_onnx_file import classifier
from tests.refusal import refused

WHAT = '"a model"'


@pytest.fixture
def exported(request: pytest.FixtureRequest, parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    export_onnx(classifier(request.param, parts, config), path, {"what": WHAT})
    return path


def operators(path: Path) -> Counter:
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("exported", ["cnn1d", "cnn_lstm", "lstm"], indirect=True)
@pytest.mark.parametrize("name", [INT8, SMALL])
def test_a_smaller_file_is_smaller_and_answers_alike(exported: Path, name: str, parts: dict[str, WindowSet]) -> None:
    smaller, x = exported.with_name(name), parts["validation"].x
    RECIPES[name][1](exported, smaller, x)
    judgement = judge(exported, smaller, x, parts["validation"].y)
    assert judgement.agreement >= 0.95  # untrained: many windows lie between two activities
    assert judgement.windows == len(x)
    if name == SMALL:  # of a network as small as these, int8 arithmetic has more to say than it saves
        assert smaller.stat().st_size < exported.stat().st_size
    assert {entry.key: entry.value for entry in onnx.load(smaller).metadata_props}["what"] == WHAT
    content = smaller.read_bytes()
    for leak in (b"/tmp", b".py", str(Path.home()).encode()):
        assert leak not in content
    single = run_windows(open_session(smaller), x[:7], batch_size=1)
    np.testing.assert_allclose(single.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("exported", ["cnn_lstm"], indirect=True)
def test_every_convolution_and_lstm_is_int8(exported: Path, parts: dict[str, WindowSet]) -> None:
    smaller = exported.with_name(INT8)
    quantise_int8(exported, smaller, parts["train"].x)
    before, after = operators(exported), operators(smaller)
    assert before["LSTM"] == after["DynamicQuantizeLSTM"] == 1
    assert after["LSTM"] == 0
    assert after["Conv"] == before["Conv"]  # between a DequantizeLinear of its weights and a QuantizeLinear
    assert after["DequantizeLinear"] >= 2 * before["Conv"]


def test_between_convolutions_nothing_is_float(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    """An activation goes into the convolution before it, and a sum has int8 on both sides; sums of the statistics stay as they are."""
    path, smaller, run = tmp_path / "model.onnx", tmp_path / INT8, tmp_path / "run.onnx"
    export_onnx(classifier("dilated_cnn", parts, config), path, {})
    quantise_int8(path, smaller, parts["train"].x)
    options = ort.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(run), 3
    ort.InferenceSession(str(smaller), options, providers=["CPUExecutionProvider"])
    before, after = operators(path), operators(run)
    assert after["QLinearConv"] == before["Conv"] >= 3
    assert after["Conv"] == after["FusedConv"] == after["Relu"] == 0
    # Of the sums one is the last block's, whose statistics are float, and one the small number under the root.
    assert after["Add"] + after["QLinearAdd"] == before["Add"]
    assert after["QLinearAdd"] >= before["Relu"] // 2


@pytest.mark.parametrize("exported", ["cnn1d"], indirect=True)
def test_a_window_beyond_all_others_changes_little(exported: Path, parts: dict[str, WindowSet]) -> None:
    """The steps of an activation follow the usual window; one that is a hundred times as large does not make them coarse."""
    x, beyond = parts["train"].x[:64], parts["train"].x[:64].copy()
    beyond[0] *= 100
    expected = run_windows(open_session(exported), x[1:])
    differences = []
    for calibration in (x, beyond):
        quantise_int8(exported, exported.with_name(INT8), calibration)
        differences.append(float(np.abs(run_windows(open_session(exported.with_name(INT8)), x[1:]) - expected).max()))
    assert differences[1] <= 3 * differences[0]


@pytest.mark.parametrize("exported", ["cnn1d"], indirect=True)
def test_weights_become_int8_but_the_gravity_filter(exported: Path) -> None:
    smaller = exported.with_name(SMALL)
    quantise_weights(exported, smaller)
    kinds = {t.name: t.data_type for t in onnx.load(smaller).graph.initializer}
    assert sum(kind == onnx.TensorProto.INT8 for kind in kinds.values()) >= 2
    assert [kind for name, kind in kinds.items() if "gravity" in name] == [onnx.TensorProto.FLOAT] * 2


@pytest.mark.parametrize(("exported", "reason"), [("gru", "GRU"), ("mlp", "neither")], indirect=["exported"])
def test_what_onnxruntime_cannot_quantise_is_said(exported: Path, reason: str, parts: dict[str, WindowSet]) -> None:
    with refused("not-exportable", match=reason):
        quantise_int8(exported, exported.with_name(INT8), parts["train"].x)
    assert not exported.with_name(INT8).exists()


@pytest.mark.parametrize("exported", ["cnn1d"], indirect=True)
def test_two_quantisations_are_equal_to_the_byte(exported: Path, parts: dict[str, WindowSet], tmp_path: Path) -> None:
    for name, (_, recipe) in RECIPES.items():
        for folder in ("a", "b"):
            recipe(exported, tmp_path / folder / name, parts["train"].x)
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_file_that_answers_otherwise_is_refused() -> None:
    assert Judgement(0.995, -0.001, 1000).refusal() is None
    assert "98.00 % of 1000 windows" in str(Judgement(0.98, 0.0, 1000).refusal())
    assert "-0.30 points" in str(Judgement(0.995, -0.003, 1000).refusal())
