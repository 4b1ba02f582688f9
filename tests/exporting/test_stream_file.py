"""The exported stream: samples and state in, probabilities and state out, the same in chunks of any length."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from har.contract import LABELS, RAW6, SignalSpec
from har.data import synthetic
from har.exporting.bundle_folder import as_metadata, signal_entries
from har.exporting.stream_bundle import export_stream, run_stream, stream_parity
from har.models.labeller import StreamLabeller
from har.runtime.session import open_session
from tests.models.test_sequence_models import LOOKING_AHEAD, SMALL, STREAMING
from tests.refusal import refused

OPERATOR = {"stream_gru": "GRU", "stream_lstm": "LSTM"}


def labeller(name: str) -> StreamLabeller:
    torch.manual_seed(0)
    options = SMALL[name] | ({"num_layers": 1} if name in STREAMING else {})  # its export takes seconds a layer
    made = StreamLabeller(model=name, options=options, num_classes=6, chunk=64, carry_state=name in STREAMING).eval()
    made.spec = SignalSpec.of(RAW6, LABELS)
    made.frontend.fit([torch.from_numpy(synthetic.generate(1, 0, bout_seconds=4.0).samples)])
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMING)
def test_a_stream_exports_with_its_state(name: str, tmp_path: Path) -> None:
    made, path = labeller(name), tmp_path / "model.onnx"
    export_stream(made, path, as_metadata(signal_entries(made) | {"model": name}))
    samples = synthetic.generate(2, 0, bout_seconds=8.0).samples  # two minutes
    assert len(samples) > 5000
    assert stream_parity(made, path, samples) <= 1e-4

    model = onnx.load(path)
    assert OPERATOR[name] in [node.op_type for node in model.graph.node]
    inside = {item.key: json.loads(item.value) for item in model.metadata_props}
    assert SignalSpec.from_json(inside["spec"]) == made.spec
    assert inside["input"]["name"] == "samples"
    content = path.read_bytes()
    for leak in (b"/har/", b".py", str(Path.home()).encode(), b"site-packages"):
        assert leak not in content

    session = open_session(path)
    assert [item.name for item in session.get_inputs()] == ["samples", "state"]
    assert [item.shape for item in session.get_inputs()] == [["batch", "time", 6], ["batch", made.state_size]]
    assert [item.shape for item in session.get_outputs()] == [["batch", "time", 6], ["batch", made.state_size]]
    pair = np.stack((samples[:300], samples[300:600]))  # two phones at once
    found, _ = session.run(None, {"samples": pair, "state": np.zeros((2, made.state_size), dtype=np.float32)})
    for row, one in zip(found, pair, strict=True):
        np.testing.assert_allclose(row, run_stream(session, one, 100, made.state_size), atol=1e-5)

    kept = np.zeros((2, made.state_size), dtype=np.float32)
    clean, clean_state = session.run(None, {"samples": pair, "state": kept})
    for value in (np.nan, np.inf):
        for sample in (0, 150, 299):
            for channel in range(6):
                changed = pair.copy()
                changed[1, sample, channel] = value
                found, after = session.run(None, {"samples": changed, "state": kept})
                np.testing.assert_allclose(found[0], clean[0], atol=1e-6)
                np.testing.assert_allclose(after[0], clean_state[0], atol=1e-6)
                np.testing.assert_allclose(found[1, :sample], clean[1, :sample], atol=1e-6)  # nothing is known of it yet
                assert np.isnan(found[1, sample:]).all()
                assert np.isnan(after[1]).all()
    kept[1, -1] = np.nan
    found, after = session.run(None, {"samples": pair, "state": kept})
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()
    assert np.isnan(after[1]).all()

    with torch.no_grad():
        next(iter(made.network.parameters())).mul_(1.5)
    with refused("export-parity"):
        stream_parity(made, path, samples[:500])


@pytest.mark.slow
def test_what_was_exported_before_in_the_same_process_changes_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "a.onnx", tmp_path / "b.onnx"):
        export_stream(labeller("stream_gru"), path, {})
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.parametrize("name", LOOKING_AHEAD)
def test_what_looks_ahead_is_not_exported(name: str, tmp_path: Path) -> None:
    with refused("not-exportable", f"model '{name}' looks ahead, which no device can: it is not exported"):
        export_stream(labeller(name), tmp_path / "model.onnx", {})
    assert list(tmp_path.iterdir()) == []
