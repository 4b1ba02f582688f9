"""Convolutions over planes give the numbers of those over time, whatever stands before, between and behind them."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from har.contract import OPSET
from har.exporting.graph_rewrites import BLOCK, to_planes

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


def test_pools_and_sums_read_no_channels_of_zeros() -> None:
    """The pooling branch of InceptionTime: a pool next to convolutions that read the same input, which has six channels."""
    parts = [
        conv("x", "a", 6, 8, pads=[1, 1]),
        helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[3], strides=[1], pads=[1, 1]),
        conv("p", "b", 6, 8, 1),
        helper.make_node("Concat", ["a", "b"], ["c"], axis=1),
        helper.make_node("Relu", ["x"], ["r"]),
        conv("r", "d", 6, 8, 1),
        helper.make_node("Add", ["x", "r"], ["s"]),
        conv("c", "y", 16, 4, pads=[1, 1]),
    ]
    rewritten(model_of(parts, 6, ("y", "d", "s")))


def test_weights_that_others_read_too_stay_as_they_are() -> None:
    first, tensors = conv("x", "a", 6, 6, pads=[1, 1])
    again = helper.make_node("Conv", ["a", "a_w", "a_b"], ["b"], kernel_shape=[3], pads=[1, 1])  # no zeros behind its six channels
    grouped = helper.make_node("Conv", ["x2", "a_w", "a_b"], ["g"], kernel_shape=[3], pads=[1, 1], group=2)
    parts = [
        helper.make_node("Concat", ["x", "x"], ["x2"], axis=1),
        (first, tensors),
        again,
        grouped,
        helper.make_node("ReduceSum", ["a_w"], ["sum"], keepdims=0),
        helper.make_node("Add", ["b", "sum"], ["y"]),
    ]
    rewritten(model_of(parts, 6, ("y", "g")))


def test_tensors_that_a_branch_reads_are_written_back_before_it() -> None:
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    branches = [helper.make_graph([helper.make_node(kind, ["a"], ["inner"])], kind, [], [value]) for kind in ("Relu", "Neg")]
    parts = [
        conv("x", "a", 6, 8),
        helper.make_node("Constant", [], ["which"], value=helper.make_tensor("w", TensorProto.BOOL, [], [True])),
        helper.make_node("If", ["which"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    rewritten(model_of(parts, 6))


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    """Convolutions, pools, activations, sums and concatenations of the same time in any order, each of what was made before."""
    channels = draw(st.integers(1, 9))
    made, parts = [("x", channels)], []
    for i in range(draw(st.integers(1, 9))):
        name, (source, width) = f"t{i}", draw(st.sampled_from(made))
        kind = draw(st.sampled_from(["conv", "conv", "max", "average", "relu", "tanh", "sum", "concat", "same weights"]))
        alike = [other for other in made if other[1] == width]
        if kind == "conv":
            group = draw(st.sampled_from([g for g in (1, 2, 3, width) if width % g == 0]))
            out, size = group * draw(st.integers(1, 5)), draw(st.sampled_from([1, 3, 5]))
            spread = draw(st.sampled_from([1, 2]))
            edge = spread * (size - 1) // 2
            parts.append(conv(source, name, width, out, size, group=group, pads=[edge, edge], dilations=[spread]))
            width = out
        elif kind in ("max", "average"):
            pool = {"max": "MaxPool", "average": "AveragePool"}[kind]
            size = draw(st.sampled_from([1, 3]))
            parts.append(helper.make_node(pool, [source], [name], kernel_shape=[size], strides=[1], pads=[size // 2, size // 2]))
        elif kind in ("relu", "tanh"):
            parts.append(helper.make_node(kind.capitalize(), [source], [name]))
        elif kind == "sum":
            parts.append(helper.make_node("Add", [source, draw(st.sampled_from(alike))[0]], [name]))
        elif kind == "concat":
            other, more = draw(st.sampled_from(made))
            parts.append(helper.make_node("Concat", [source, other], [name], axis=1))
            width += more
        else:  # of an earlier convolution of as many channels, where there is one
            same = [part for part in parts if isinstance(part, tuple) and part[1][0].dims[1] == width and not group_of(part[0])]
            if not same:
                continue
            node = onnx.NodeProto()
            node.CopyFrom(draw(st.sampled_from(same))[0])
            width = next(part for part in same if part[0].input[1] == node.input[1])[1][0].dims[0]
            node.input[0], node.output[0] = source, name
            parts.append(node)
        made.append((name, width))
    parts.append(helper.make_node("Neg", [made[-1][0]], ["y"]))
    outputs = draw(st.lists(st.sampled_from([name for name, _ in made[1:]]), max_size=3, unique=True)) if len(made) > 1 else []
    return model_of(parts, channels, ["y", *outputs])


def group_of(node: onnx.NodeProto) -> bool:
    return any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_any_graph_gives_the_same_answers(model: onnx.ModelProto) -> None:
    rewritten(model)
