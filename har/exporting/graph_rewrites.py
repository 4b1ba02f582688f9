"""Rewrites of exported graphs: convolutions as planes, and NaN in, NaN out."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BLOCK = 4  # onnxruntime lays out channels in blocks only where their number is a multiple of it
POOLS = ("MaxPool", "AveragePool")
ELEMENTWISE = ("Relu", "Add")
ALONG_TIME = {"kernel_shape": [1], "strides": [1], "dilations": [1]}  # what stands before an attribute's own entry


def to_planes(model: onnx.ModelProto) -> None:
    """Rewrite every convolution with (out, in, time) weights, and what lies between two of them, in place.

    The numbers stay the same, computed by the faster kernels of onnxruntime: it lays out channels in blocks, which processors multiply
    fastest, for convolutions over planes alone; one over time becomes a matrix product of copies of its input.

    Tensors (batch, channel, time) become (batch, channel, 1, time) before the first convolution of a chain and go back behind the last.
    A convolution at the start of a chain whose channels are no multiple of `BLOCK` reads additional channels of zeros with weights of
    zero, which change no sum. Only convolutions read these.
    """
    writer = _Writer(model.graph)
    if not any(writer.is_over_time(node) for node in model.graph.node):
        return
    axis = helper.make_tensor("planes_axis", onnx.TensorProto.INT64, [1], [2])
    nodes = [new for node in model.graph.node for new in writer.rewrite(node)]
    nodes += [new for output in model.graph.output for new in writer.back(output.name)]
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend([axis, *writer.added])


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the tensors that a node reads, also from inside its branches and loop bodies."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _reads(inner)
            yield from (output.name for output in graph.output)


class _Writer:
    """Takes the nodes in their order and remembers which tensors there are as planes."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.weights = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 3}
        self.values = {name: numpy_helper.to_array(tensor) for name, tensor in self.weights.items()}
        self.planes: dict[str, str] = {}  # tensor that is computed as planes -> its name
        self.flat: set[str] = set()  # tensors of `planes` that were written back
        self.entered: dict[str, dict[int, str]] = defaultdict(dict)  # other tensor -> channels of zeros behind its own -> name as planes
        self.kernels: dict[tuple[str, int], str] = {}  # weights and channels of zeros behind their own -> name as planes
        self.added: list[onnx.TensorProto] = []
        self.own = set(self.weights) - {value.name for value in (*graph.input, *graph.output)}  # weights of convolutions alone
        for node in graph.node:
            names = list(_reads(node))
            if self.is_over_time(node):
                del names[1]
            self.own.difference_update(names)

    def is_over_time(self, node: onnx.NodeProto) -> bool:
        return node.op_type == "Conv" and node.input[1] in self.weights

    def rewrite(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The nodes that stand for one."""
        known = [self._known(name) for name in node.input]
        if self.is_over_time(node):
            yield from self._convolution(node)
        elif (node.op_type in POOLS and known[0] and len(node.output) == 1) or (node.op_type in ELEMENTWISE and all(known)):
            yield self._as_planes(node, [name for name in known if name is not None])
        else:
            for name in _reads(node):
                yield from self.back(name)
            yield node

    def back(self, name: str) -> Iterator[onnx.NodeProto]:
        """(batch, channel, time) again, once, where somebody asks for it."""
        if name in self.planes and name not in self.flat:
            self.flat.add(name)
            yield helper.make_node("Squeeze", [self.planes[name], "planes_axis"], [name], name=f"{name}_from_planes")

    def _known(self, name: str) -> str | None:
        """The tensor as planes with its own channels alone, where there is one: a pool or a sum of more would have more, too."""
        return self.planes.get(name) or self.entered[name].get(0)

    def _convolution(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        source, weights = node.input[0], node.input[1]
        group = next((a.i for a in node.attribute if a.name == "group"), 1)
        missing = -self.values[weights].shape[1] % BLOCK if group == 1 and source not in self.planes else 0
        if source not in self.planes and missing not in self.entered[source]:
            yield from self._enter(source, missing)
        inner = self.planes.get(source) or self.entered[source][missing]
        yield self._as_planes(node, [inner, self._kernel(weights, missing), *node.input[2:]])

    def _enter(self, source: str, missing: int) -> Iterator[onnx.NodeProto]:
        inner, name = source, f"{source}_exact" if self.entered[source] else source
        if missing:
            inner, pads = f"{source}_padded", f"{source}_pads"
            name = inner if self.entered[source] else source
            self.added.append(helper.make_tensor(pads, onnx.TensorProto.INT64, [6], [0, 0, 0, 0, missing, 0]))
            yield helper.make_node("Pad", [source, pads], [inner], name=inner)
        self.entered[source][missing] = f"{name}_planes"
        yield helper.make_node("Unsqueeze", [inner, "planes_axis"], [f"{name}_planes"], name=f"{name}_to_planes")

    def _kernel(self, weights: str, missing: int) -> str:
        """Name of weights as planes: their own, unless something else reads them otherwise."""
        if (weights, missing) not in self.kernels:
            name = weights if weights in self.own else f"{weights}_planes{missing}"
            values = np.pad(self.values[weights], ((0, 0), (0, missing), (0, 0)))[:, :, None]
            made = numpy_helper.from_array(np.ascontiguousarray(values), name)
            if weights in self.own:
                self.own.remove(weights)
                self.weights[weights].CopyFrom(made)
            else:
                self.added.append(made)
            self.kernels[weights, missing] = name
        return self.kernels[weights, missing]

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


NAME = "not_finite"


def carry_not_finite(model: onnx.ModelProto) -> None:
    """Make every float output of a window NaN where a value of the window is not finite, in place.

    Kernels of runtimes turn NaN into numbers: quantisation rounds it, a maximum or a clipped activation drops it. So each output gets the
    sum of ``x - x`` over the inputs that it depends on: exactly 0 where they are finite, which changes no bit of a probability, and NaN
    where one of them is NaN or infinite.

    A graph that has this already stays as it is.

    Args:
        model: with one input, (batch, time, channel), and outputs with the batch first.
    """
    if _has_it(model):
        return
    graph = _Graph(model)
    nothing = graph.start("Sub", [model.graph.input[0].name] * 2, "difference")
    for rank in sorted({len(output.type.tensor_type.shape.dim) for output in _float_outputs(model)}):
        if rank == 2:
            flat = graph.start("Flatten", [nothing], "flat", axis=1)
            zeros = graph.start("ReduceSum", [flat, graph.axes([1])], "of_rank_2", keepdims=1)  # (batch, 1)
        else:  # (batch,) or (batch, 1, 1)
            zeros = graph.start("ReduceSum", [nothing, graph.axes([1, 2])], f"of_rank_{rank}", keepdims=int(rank == 3))
        for output in _float_outputs(model):
            if len(output.type.tensor_type.shape.dim) == rank:
                graph.add_to(output.name, zeros)
    graph.write()


def carry_not_finite_along(model: onnx.ModelProto) -> None:
    """Make the probabilities of a sample NaN where it, a sample before it or the state is not finite, and then the next state, in place.

    Args:
        model: takes samples (batch, time, channel) and a state (batch, size), and gives (batch, time, num_classes) and the next state.
    """
    if _has_it(model):
        return
    graph = _Graph(model)
    samples, state = (value.name for value in model.graph.input)
    probabilities, next_state = (value.name for value in model.graph.output)
    of_state = graph.start("ReduceSum", [graph.start("Sub", [state, state], "state"), graph.axes([1])], "of_state", keepdims=1)
    of_samples = graph.start("ReduceSum", [graph.start("Sub", [samples, samples], "samples"), graph.axes([2])], "of_samples", keepdims=0)
    # One after the other, so that a chunk's answers are those of its samples in any other chunks.
    so_far = graph.start("Add", [graph.start("CumSum", [of_samples, graph.axes([1], scalar=True)], "up_to_here"), of_state], "so_far")
    graph.add_to(probabilities, graph.start("Unsqueeze", [so_far, graph.axes([2])], "of_each"))
    graph.add_to(next_state, graph.start("ReduceSum", [so_far, graph.axes([1])], "of_all", keepdims=1))
    graph.write()


def _has_it(model: onnx.ModelProto) -> bool:
    return any(node.name.startswith(NAME) for node in model.graph.node)


def _float_outputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    return [output for output in model.graph.output if output.type.tensor_type.elem_type == TensorProto.FLOAT]


class _Graph:
    """Nodes to be written in front of a graph's own, and sums after the nodes that give its outputs."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.first: list[onnx.NodeProto] = []
        self.sums: dict[str, str] = {}  # output -> what is added to it

    def start(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """A node that depends on inputs alone; the name of what it gives."""
        output = f"{NAME}_{name}"
        self.first.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def axes(self, numbers: Sequence[int], *, scalar: bool = False) -> str:
        """A constant."""
        name = f"{NAME}_axes_{'_'.join(map(str, numbers))}" + ("_scalar" if scalar else "")
        if all(tensor.name != name for tensor in self.graph.initializer):
            self.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [] if scalar else [len(numbers)], numbers))
        return name

    def add_to(self, output: str, zeros: str) -> None:
        self.sums[output] = zeros

    def write(self) -> None:
        nodes = list(self.first)
        for node in self.graph.node:
            nodes.append(node)
            for i, name in enumerate(node.output):
                if name in self.sums:
                    node.output[i] = f"{name}_before_{NAME}"
                    nodes.append(helper.make_node("Add", [node.output[i], self.sums[name]], [name], name=f"{NAME}_{name}"))
        del self.graph.node[:]
        self.graph.node.extend(nodes)
