"""Convolutions over planes give the numbers of those over time, whatever stands before, between and behind them."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from har.contract import OPSET
from har.export.planes import BLOCK, to_planes

RNG = np.random.default_rng(0)
TIME = 24


def conv(source: str, name: str, into: int, out: int, size: int = 3, **options: object) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """A convolution over time with random weights, and the weights."""
    group = options.get("group", 1)
    shape = (out, into // group, size)  # type: ignore[operator]
    weights = (RNG.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)  # answers of about 1
    bias = RNG.normal(size=out).astype(np.float32)
    node = helper.make_node("Conv", [source, f"{name}_w", f"{name}_b"], [name], kernel_shape=[size], **options)
    return node, [numpy_helper.from_array(weights, f"{name}_w"), numpy_helper.from_array(bias, f"{name}_b")]


def model_of(parts: Sequence[object], channels: int, outputs: Sequence[str] = ("y",)) -> onnx.ModelProto:
    """A graph that takes x, (batch, channel, time); `parts` are nodes, or nodes with their weights."""
    nodes, tensors = [], []
    for part in parts:
        node, own = part if isinstance(part, tuple) else (part, [])
        nodes.append(node)
        tensors += own
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", channels, TIME])]
    wanted = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "test", given, wanted, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def answers(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


def rewritten(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Counter]:
    """The graph as planes after the same answers were seen at batches of 1, 2 and 7, and how many nodes of each kind it has."""
    new = onnx.ModelProto()
    new.CopyFrom(model)
    to_planes(new)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(new, strict_mode=True))
    for batch in (1, 2, 7):
        x = RNG.normal(size=(batch, model.graph.input[0].type.tensor_type.shape.dim[1].dim_value, TIME)).astype(np.float32)
        for expected, found in zip(answers(model, x), answers(new, x), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    return new, Counter(node.op_type for node in new.graph.node)


@pytest.mark.parametrize("channels", [4, 8, 6, 21])
@pytest.mark.parametrize("options", [{}, {"pads": [2, 1]}, {"strides": [2], "pads": [3, 3]}, {"dilations": [4], "pads": [4, 4]}])
def test_any_convolution(channels: int, options: dict) -> None:
    new, count = rewritten(model_of([conv("x", "y", channels, 5, **options)], channels))
    assert count["Unsqueeze"] == count["Squeeze"] == count["Conv"] == 1
    assert count["Pad"] == (channels % BLOCK > 0)
    weights = next(tensor for tensor in new.graph.initializer if tensor.name == "y_w")
    assert tuple(weights.dims) == (5, channels + -channels % BLOCK, 1, 3)


def test_a_residual_network_is_planes_from_end_to_end() -> None:
    parts = [
        conv("x", "a", 6, 8, pads=[1, 1]),
        helper.make_node("Relu", ["a"], ["r"]),
        conv("r", "b", 8, 8, pads=[2, 2], dilations=[2]),
        helper.make_node("Relu", ["b"], ["s"]),
        helper.make_node("Add", ["r", "s"], ["t"]),
        helper.make_node("MaxPool", ["t"], ["p"], kernel_shape=[2], strides=[2]),
        conv("p", "y", 8, 4, pads=[1, 1]),
    ]
    _, count = rewritten(model_of(parts, 6))
    assert (count["Unsqueeze"], count["Squeeze"]) == (1, 1)


def test_two_that_read_the_same_and_one_that_reads_it_as_it_is() -> None:
    parts = [
        conv("x", "a", 6, 8),
        conv("x", "b", 6, 8),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("ReduceMax", ["x"], ["highest"], keepdims=0),
        helper.make_node("Transpose", ["c"], ["y"], perm=[0, 2, 1]),
    ]
    _, count = rewritten(model_of(parts, 6, ("y", "highest", "c")))
    assert (count["Unsqueeze"], count["Pad"], count["Squeeze"]) == (1, 1, 1)


def test_groups_get_no_zeros_and_other_sums_stay_as_they_are() -> None:
    parts = [conv("x", "a", 6, 6, group=3), helper.make_node("Add", ["a", "offset"], ["y"])]
    model = model_of(parts, 6)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((6, 1), np.float32), "offset"))
    _, count = rewritten(model)
    assert (count["Pad"], count["Unsqueeze"], count["Squeeze"]) == (0, 1, 1)


def test_a_graph_without_convolutions_over_time_stays_as_it_is() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], 6)
    before = model.SerializeToString()
    to_planes(model)
    assert model.SerializeToString() == before
