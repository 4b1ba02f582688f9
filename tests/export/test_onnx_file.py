"""The exported graph computes what was trained, for every model, and holds nothing it should not."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from har.config import RunConfig
from har.contract import LABELS, OPSET, HarError
from har.data.windowset import WindowSet
from har.export import onnx_file
from har.export.bundle import onnx_metadata, signal_contract
from har.export.onnx_file import export_onnx, parity
from har.models.classifier import ActivityClassifier
from har.models.registry import MODELS
from har.runtime.session import open_session, run_windows
from har.training.fit import build_classifier
from tests.models.test_models import SMALL

OPERATOR = {"lstm": "LSTM", "gru": "GRU", "cnn_lstm": "LSTM", "cnn1d": "Conv", "dilated_cnn": "Conv"}


def classifier(name: str, parts: dict[str, WindowSet], config: RunConfig) -> ActivityClassifier:
    config = config.with_overrides(model__name=name, model__options=SMALL[name])
    made = build_classifier(config, parts["train"])
    made.frontend.fit(torch.from_numpy(np.array(parts["train"].x[:300])))
    with torch.no_grad():  # batch statistics that differ from their start, as after training
        made(torch.from_numpy(np.array(parts["train"].x[:64])))
    return made.eval()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_exports_with_parity(name: str, parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made = classifier(name, parts, config)
    path = tmp_path / "model.onnx"
    export_onnx(made, path, onnx_metadata(signal_contract(made), {"model": name}))
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]  # one file, no external data
    assert parity(made, path, parts["validation"].x) <= 1e-5

    model = onnx.load(path)
    assert [(o.domain, o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")] == [("", OPSET)]
    operators = [node.op_type for node in model.graph.node]
    assert OPERATOR[name] in operators
    assert {p.key for p in model.metadata_props} >= {"labels", "input", "output", "opset", "model"}
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
    with pytest.raises(HarError, match="differs from torch by"):
        parity(made, tmp_path / "model.onnx", parts["validation"].x)
    with pytest.raises(HarError, match="parity needs at least 256 windows, found 255"):
        parity(made, tmp_path / "model.onnx", parts["validation"].x[:255])


def test_a_gru_that_computes_something_else_is_refused(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made = classifier("gru", parts, config)
    export_onnx(made, tmp_path / "model.onnx", {})
    model = onnx.load(tmp_path / "model.onnx")
    onnx_file._check(model, (128, 6))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "linear_before_reset":
                attribute.i = 0
    with pytest.raises(HarError, match="linear_before_reset = 0"):
        onnx_file._check(model, (128, 6))


def test_a_frozen_batch_and_another_opset_are_refused(parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path) -> None:
    made = classifier("cnn1d", parts, config)
    export_onnx(made, tmp_path / "model.onnx", {})
    model = onnx.load(tmp_path / "model.onnx")
    with pytest.raises(HarError, match="declared the input"):
        onnx_file._check(model, (64, 6))
    model.opset_import[0].version = 17
    with pytest.raises((HarError, onnx.checker.ValidationError)):
        onnx_file._check(model, (128, 6))


def test_a_full_disk_leaves_nothing(
    parts: dict[str, WindowSet], config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_file.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        export_onnx(classifier("cnn1d", parts, config), tmp_path / "model.onnx", {})
    assert list(tmp_path.iterdir()) == []
