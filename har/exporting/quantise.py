"""Smaller ONNX files: int8 arithmetic where onnxruntime has it, int8 weights where it has not; and whether they are good enough.

What can go wrong does so in silence: an operator that is not quantised, a file that one runtime reads otherwise. So operators are
counted after every step, and a file is only shipped where its answers on real windows are those of the float file.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from har.errors import HarError
from har.exporting.onnx_file import check_graph, quiet, write_model
from har.runtime.session import open_session, run_windows

INT8, SMALL = "model.int8.onnx", "model.small.onnx"
MIN_AGREEMENT = 0.99  # share of windows that get the activity of the float file
MAX_LOSS = 0.002  # of accuracy, on people whom the weights have not seen
CALIBRATION_WINDOWS = 256  # from which the ranges of activations are measured
GROUP = 4  # of them have a range together
MIN_WEIGHTS = 64  # a smaller tensor is left as it is: its scales would need as much room
BETWEEN = ("Relu", "Add", "MaxPool")  # of convolutions; computed with int8 where all they get comes from these
LEFT_AS_IT_IS = ("gravity",)  # the filter's matrices: what is subtracted from 1 g has to be right to 1e-3 g


@dataclass(frozen=True)
class Judgement:
    """How a smaller file compares with the float file.

    Attributes:
        agreement: share of windows that get the same activity.
        accuracy_change: accuracy less that of the float file, from -1 to 1.
        windows: how many were compared.
    """

    agreement: float
    accuracy_change: float
    windows: int

    def refusal(self) -> str | None:
        """Why it is not shipped, or None."""
        if self.agreement < MIN_AGREEMENT:
            return f"{100 * self.agreement:.2f} % of {self.windows} windows get the same activity, asked are {100 * MIN_AGREEMENT:g} %"
        if self.accuracy_change < -MAX_LOSS:
            return (
                f"accuracy changes by {100 * self.accuracy_change:+.2f} points on {self.windows} windows, allowed are -{100 * MAX_LOSS:g}"
            )
        return None


def judge(model: Path, smaller: Path, windows: np.ndarray, y: np.ndarray) -> Judgement:
    """Compare the answers of two ONNX files.

    Args:
        model: the float file.
        smaller: made from it.
        windows: (window, time, channel).
        y: (window,) index of the true activity.
    """
    expected, found = (run_windows(open_session(path), windows).argmax(axis=1) for path in (model, smaller))
    return Judgement(float((expected == found).mean()), float((found == y).mean() - (expected == y).mean()), len(windows))


def quantise_int8(model: Path, path: Path, windows: np.ndarray) -> None:
    """Write a file that computes with int8: convolutions and what lies between them (static, with the ranges of `windows`), LSTM layers
    (dynamic).

    Args:
        model: the float file.
        path: of the new file.
        windows: (window, time, channel) of training subjects.

    Raises:
        HarError: there is nothing in it that onnxruntime quantises.
        HarError: the quantiser left an operator as it was.
    """
    counts = _operators(onnx.load(model))
    if counts["GRU"]:
        raise HarError("not-exportable", "onnxruntime does not quantise GRU layers")
    if not counts["Conv"] and not counts["LSTM"]:
        raise HarError("not-exportable", "it has neither convolutions nor LSTM layers, which are what onnxruntime quantises well")
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as name, quiet(""):  # onnxruntime's quantiser advises on the root logger
        current = Path(name) / "prepared.onnx"
        quant_pre_process(str(model), str(current), skip_symbolic_shape=True)  # without it LSTM layers stay float, in silence
        if counts["LSTM"]:  # before the convolutions: the other order aborts runtimes up to 1.30
            _forget_shapes(current)
            quantize_dynamic(str(current), str(Path(name) / "lstm.onnx"), op_types_to_quantize=["LSTM"], weight_type=QuantType.QInt8)
            current = Path(name) / "lstm.onnx"
        if counts["Conv"]:
            _forget_shapes(current)
            quantize_static(
                str(current),
                str(Path(name) / "conv.onnx"),
                _Groups(windows[:: max(1, len(windows) // CALIBRATION_WINDOWS)]),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", *BETWEEN],
                nodes_to_quantize=_with_convolutions(onnx.load(current)),
                # The range of an activation is the mean of its range in small groups of windows. Few windows reach the range of all,
                # and the steps would be too coarse for the others. Tried on held-out training subjects (cnn1d, cnn_lstm, dilated_cnn):
                # the smaller the groups, the closer to the float file (single windows aside), but the worse with twice the motion.
                extra_options={"CalibMovingAverage": True},
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            current = Path(name) / "conv.onnx"
        made = onnx.load(current)
    found = _operators(made)
    if found["DynamicQuantizeLSTM"] != counts["LSTM"] or found["LSTM"]:
        made_int8 = f"{found['DynamicQuantizeLSTM']} of {counts['LSTM']} LSTM layers"
        raise HarError("not-exportable", f"the quantiser made {made_int8} int8; install the versions of constraints.txt")
    weights = {tensor.name: tensor.data_type for tensor in made.graph.initializer}
    producer = {output: node for node in made.graph.node for output in node.output}
    for node in made.graph.node:
        if node.op_type == "Conv":
            source = producer.get(node.input[1])
            if source is None or source.op_type != "DequantizeLinear" or weights.get(source.input[0]) != TensorProto.INT8:
                raise HarError(
                    "not-exportable", f"the quantiser left the convolution {node.name!r} as it was; install the versions of constraints.txt"
                )
    _write(made, model, path)


def quantise_weights(model: Path, path: Path) -> None:
    """Write a file whose weights are int8 with a scale a row, and are made float again when it is loaded or run.

    Smaller, not faster, and readable by every runtime: a ``Cast`` and a ``Mul`` before each weight.

    Raises:
        HarError: it has no large weights.
    """
    made = onnx.load(model)
    used = Counter(name for node in made.graph.node for name in node.input)
    changed, nodes = {}, []
    for tensor in made.graph.initializer:
        values = numpy_helper.to_array(tensor)
        large = values.dtype == np.float32 and values.ndim >= 2 and values.size >= MIN_WEIGHTS
        if not large or not used[tensor.name] or any(word in tensor.name for word in LEFT_AS_IT_IS):
            continue
        axes = tuple(range(1, values.ndim)) if values.ndim < 3 or values.shape[0] > 2 else tuple(range(2, values.ndim))
        scale = np.maximum(np.abs(values).max(axis=axes, keepdims=True), 1e-12).astype(np.float32) / 127
        changed[tensor.name] = (np.rint(values / scale).astype(np.int8), scale)
    if not changed:
        raise HarError("not-exportable", f"it has no weights of {MIN_WEIGHTS} numbers and more")
    kept = [tensor for tensor in made.graph.initializer if tensor.name not in changed]
    for name, (values, scale) in changed.items():
        kept += [numpy_helper.from_array(values, f"{name}_int8"), numpy_helper.from_array(scale, f"{name}_scale")]
        nodes.append(helper.make_node("Cast", [f"{name}_int8"], [f"{name}_rounded"], f"{name}_cast", to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}_rounded", f"{name}_scale"], [name], f"{name}_mul"))
    del made.graph.initializer[:]
    made.graph.initializer.extend(kept)
    others = list(made.graph.node)
    del made.graph.node[:]
    made.graph.node.extend([*nodes, *others])
    _write(made, model, path)


Recipe = Callable[[Path, Path, np.ndarray], None]
RECIPES: Mapping[str, tuple[str, Recipe]] = {
    INT8: ("int8 arithmetic in convolutions and LSTM layers", quantise_int8),
    SMALL: ("int8 weights, float arithmetic", lambda model, path, windows: quantise_weights(model, path)),
}


class _Groups:
    """Calibration windows, as onnxruntime's quantiser asks for them: a few at a time, from all over the recordings."""

    def __init__(self, windows: np.ndarray) -> None:
        count = max(1, len(windows) // GROUP)
        self.groups = iter([windows[first::count] for first in range(count)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        group = next(self.groups, None)
        return None if group is None else {"windows": np.ascontiguousarray(group, dtype=np.float32)}


def _with_convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions and of what lies between them: an activation or a sum that stayed float costs three operators more."""
    chain: set[str] = set()  # outputs
    names = []
    for node in model.graph.node:  # in the order of the calculation
        if node.op_type == "Conv" or (node.op_type in BETWEEN and chain.issuperset(node.input)):
            chain.update(node.output)
            names.append(node.name)
    return names


def _forget_shapes(path: Path) -> None:
    """Leave shapes between operators to be inferred anew: after rewriting, the quantisers trip over what stands there."""
    model = onnx.load(path)
    del model.graph.value_info[:]
    onnx.save(model, path)


def _operators(model: onnx.ModelProto) -> Counter:
    return Counter(node.op_type for node in model.graph.node)


def _write(made: onnx.ModelProto, model: Path, path: Path) -> None:
    """With the metadata of the float file, which the quantisers drop."""
    metadata = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    used = {node.domain for node in made.graph.node} | {""}
    kept = [entry for entry in made.opset_import if entry.domain in used]  # the quantisers declare what their own runtime knows
    del made.opset_import[:]
    made.opset_import.extend(kept)
    check_graph(made)
    write_model(made, path, metadata)
