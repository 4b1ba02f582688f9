"""Convolutions over time, written as convolutions over planes of height 1: the same numbers, by the faster kernels of onnxruntime.

onnxruntime lays out channels in blocks, which processors multiply fastest, for convolutions over planes alone; one over time becomes a
matrix product of copies of its input.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

BLOCK = 4  # onnxruntime lays out channels in blocks only where their number is a multiple of it
POOLS = ("MaxPool", "AveragePool")
ELEMENTWISE = ("Relu", "Add")
ALONG_TIME = {"kernel_shape": [1], "strides": [1], "dilations": [1]}  # what stands before an attribute's own entry


def to_planes(model: onnx.ModelProto) -> None:
    """Rewrite every convolution with (out, in, time) weights, and what lies between two of them, in place.

    Tensors (batch, channel, time) become (batch, channel, 1, time) before the first convolution of a chain and go back behind the last.
    Inputs whose channels are no multiple of `BLOCK` get channels of zeros with weights of zero, which change no sum.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    if not any(_is_over_time(node, weights) for node in model.graph.node):
        return
    axis = helper.make_tensor("planes_axis", onnx.TensorProto.INT64, [1], [2])
    writer = _Writer(weights)
    nodes = [new for node in model.graph.node for new in writer.rewrite(node)]
    nodes += [new for output in model.graph.output for new in writer.back(output.name)]
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend([axis, *writer.added])


def _is_over_time(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    return node.op_type == "Conv" and node.input[1] in weights and len(weights[node.input[1]].dims) == 3


class _Writer:
    """Takes the nodes in their order and remembers which tensors there are as planes."""

    def __init__(self, weights: dict[str, onnx.TensorProto]) -> None:
        self.weights = weights
        self.planes: dict[str, str] = {}  # tensor -> its name as planes
        self.zeros: dict[str, int] = {}  # tensor -> channels of zeros behind its own
        self.flat: set[str] = set()  # tensors of `planes` that were written back
        self.done: set[str] = set()  # weights that are rewritten already
        self.added: list[onnx.TensorProto] = []

    def rewrite(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The nodes that stand for one."""
        known = [name in self.planes for name in node.input]
        if _is_over_time(node, self.weights):
            yield from self._convolution(node)
        elif (node.op_type in POOLS and known[0] and len(node.output) == 1) or (node.op_type in ELEMENTWISE and all(known)):
            yield self._as_planes(node, [self.planes[name] for name in node.input])
        else:
            for name in node.input:
                yield from self.back(name)
            yield node

    def back(self, name: str) -> Iterator[onnx.NodeProto]:
        """(batch, channel, time) again, once, where somebody asks for it."""
        if name in self.planes and name not in self.flat:
            self.flat.add(name)
            yield helper.make_node("Squeeze", [self.planes[name], "planes_axis"], [name], name=f"{name}_from_planes")

    def _convolution(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        source, tensor = node.input[0], self.weights[node.input[1]]
        group = next((a.i for a in node.attribute if a.name == "group"), 1)
        if source not in self.planes:
            self.zeros[source] = -tensor.dims[1] % BLOCK if group == 1 else 0
        missing = self.zeros.get(source, 0)
        if tensor.name not in self.done:
            self.done.add(tensor.name)
            values = np.pad(numpy_helper.to_array(tensor), ((0, 0), (0, missing), (0, 0)))
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values[:, :, None]), tensor.name))
        if source not in self.planes:
            inner = source
            if missing:
                inner, pads = f"{source}_padded", f"{source}_pads"
                self.added.append(helper.make_tensor(pads, onnx.TensorProto.INT64, [6], [0, 0, 0, 0, missing, 0]))
                yield helper.make_node("Pad", [source, pads], [inner], name=inner)
            self.planes[source] = f"{source}_planes"
            self.flat.add(source)
            yield helper.make_node("Unsqueeze", [inner, "planes_axis"], [self.planes[source]], name=f"{source}_to_planes")
        yield self._as_planes(node, [self.planes[source], *node.input[1:]])

    def _as_planes(self, node: onnx.NodeProto, inputs: list[str]) -> onnx.NodeProto:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        del new.input[:], new.output[:]
        new.input.extend(inputs)
        new.output.append(f"{node.output[0]}_planes")
        self.planes[node.output[0]] = new.output[0]
        for attribute in new.attribute:
            if attribute.name in ALONG_TIME:
                attribute.ints[:] = [1, *attribute.ints]
            elif attribute.name == "pads":
                before, behind = attribute.ints
                attribute.ints[:] = [0, before, 0, behind]
        return new
