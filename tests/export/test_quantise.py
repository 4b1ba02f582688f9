"""Smaller files answer as the float file does, or are not shipped; nothing is left float in silence."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from har.config import RunConfig
from har.data.windowset import WindowSet
from har.export.onnx_file import export_onnx
from har.export.quantise import INT8, RECIPES, SMALL, Judgement, NotQuantisable, judge, quantise_int8, quantise_weights
from har.runtime.session import open_session, run_windows
from tests.export.test_onnx_file import classifier

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


@pytest.mark.parametrize("exported", ["cnn1d"], indirect=True)
def test_weights_become_int8_but_the_gravity_filter(exported: Path) -> None:
    smaller = exported.with_name(SMALL)
    quantise_weights(exported, smaller)
    kinds = {t.name: t.data_type for t in onnx.load(smaller).graph.initializer}
    assert sum(kind == onnx.TensorProto.INT8 for kind in kinds.values()) >= 2
    assert [kind for name, kind in kinds.items() if "gravity" in name] == [onnx.TensorProto.FLOAT] * 2


@pytest.mark.parametrize(("exported", "reason"), [("gru", "GRU"), ("mlp", "neither")], indirect=["exported"])
def test_what_onnxruntime_cannot_quantise_is_said(exported: Path, reason: str, parts: dict[str, WindowSet]) -> None:
    with pytest.raises(NotQuantisable, match=reason):
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
