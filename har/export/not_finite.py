"""NaN in, NaN out: an exported graph never answers a window that is not finite.

Kernels of runtimes turn NaN into numbers: quantisation rounds it, a maximum or a clipped activation drops it. So each output gets the sum
of ``x - x`` over the inputs that it depends on: exactly 0 where they are finite, which changes no bit of a probability, and NaN where one
of them is NaN or infinite.
"""

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

NAME = "not_finite"


def carry_not_finite(model: onnx.ModelProto) -> None:
    """Make every float output of a window NaN where a value of the window is not finite, in place.

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
        copies = []
        for node in nodes:  # the list below is cleared first
            copies.append(onnx.NodeProto())
            copies[-1].CopyFrom(node)
        del self.graph.node[:]
        self.graph.node.extend(copies)
