"""A small bundle of any sensors and any rate, as another maker would write it."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from har.contract import SignalSpec, channels_of
from har.runtime.bundle import sha256
from har.runtime.manifest import MANIFEST, MODEL, VECTORS

LABELS = ("UPRIGHT", "TILTED")


def bundle(folder: Path, sensors: tuple[str, ...], rate_hz: float, window: int) -> Path:
    """A bundle of another maker: upright is gravity along x of the first sensor."""
    channels = [channel for sensor in sensors for channel in channels_of(sensor)]
    spec = SignalSpec.of(channels, LABELS, sample_rate_hz=rate_hz, window_size=window, stride=window // 2).to_json()
    weight = np.zeros((len(channels), 2), dtype=np.float32)
    weight[0] = (8.0, -8.0)
    nodes = [
        helper.make_node("ReduceMean", ["windows", "axis"], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    fixed = [onnx.numpy_helper.from_array(np.array([1]), "axis"), onnx.numpy_helper.from_array(weight, "weight")]
    fixed.append(onnx.numpy_helper.from_array(np.float32([-4.0, 4.0]), "bias"))
    graph = helper.make_graph(
        nodes,
        "upright",
        [helper.make_tensor_value_info("windows", TensorProto.FLOAT, ["N", window, len(channels)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2])],
        fixed,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"spec": json.dumps(spec)})
    folder.mkdir()
    onnx.save(model, folder / MODEL)
    rng = np.random.default_rng(0)
    windows = rng.integers(-200, 200, (64, window, len(channels)))
    windows[:, :, 0] += 1000 * rng.integers(0, 2, (64, 1))
    windows[:, :, 1] += 1000 - windows[:, :, 0].clip(0, 1000)
    logits = (windows * 0.001).mean(axis=1) @ weight + np.float32([-4.0, 4.0])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    vectors = {"unit": 0.001, "windows": windows.tolist(), "probabilities": p.tolist()}
    (folder / VECTORS).write_text(json.dumps(vectors))
    files = {name: {"sha256": sha256(folder / name)} for name in (MODEL, VECTORS)}
    (folder / MANIFEST).write_text(json.dumps({"schema_version": 3, "spec": spec, "files": files}))
    return folder
