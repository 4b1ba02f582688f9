"""Self-contained ONNX files: of classifiers, of any graph with one input, and of novelty scores; and their parity with torch."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from har.contract import OPSET, PARITY_TOLERANCE
from har.errors import HarError
from har.exporting.graph_rewrites import carry_not_finite, to_planes
from har.exporting.gru_tracing import TRANSLATIONS, OpaqueGRU
from har.files import write_whole
from har.models.classifier import WindowClassifier
from har.models.layers import Ensemble
from har.models.reconstructor import Reconstructor
from har.runtime.session import open_session


class DeviceGraph(nn.Module):
    """Raw sensor windows in, probabilities out: the very frontend and network that were trained.

    Args:
        classifier: trained.
        temperature: by which logits are divided (Guo et al. 2017); 1 leaves them as they are, and the most probable activity stays
            the same at any.
    """

    def __init__(self, classifier: WindowClassifier, temperature: float = 1.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"the temperature is {temperature}, expected a number above 0")
        self.frontend = classifier.frontend
        self.network = classifier.network
        self.temperature = temperature
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        """(batch, time, channel) in g and rad/s -> (batch, num_classes) probabilities."""
        logits = self.network(self.frontend(windows))
        if self.temperature != 1.0:  # no operator on the device that does nothing
            logits = logits / self.temperature
        return torch.softmax(logits, dim=1)


BATCH_SIZES = (1, 2, 7)  # one, a pair, and a number that no trace used
MIN_PARITY_WINDOWS = 256
GRAVITY_ERROR = 5e-7  # g per g; float32 itself rounds 1 g to 6e-8


def refusal(network: nn.Module | type[nn.Module]) -> str | None:
    """Why a network cannot become an ONNX file, or None where it can.

    A network says it on its class: ``onnx`` is ``operator`` (the default: every layer is an operator of ONNX or a few), ``loop``
    (a layer is written out sample by sample: larger and slower) or ``refused``, for the reason in ``onnx_refusal``.
    """
    if isinstance(network, Ensemble):
        return refusal(network.members[0])
    return str(getattr(network, "onnx_refusal", "")) if getattr(network, "onnx", "operator") == "refused" else None


def export_onnx(classifier: WindowClassifier, path: Path, metadata: dict[str, str], temperature: float = 1.0) -> None:
    """Write the device graph of `classifier` to `path`, whole or not at all.

    Args:
        classifier: trained.
        path: of the ONNX file.
        metadata: written into the file.
        temperature: see `DeviceGraph`.

    Raises:
        HarError: the network cannot be exported, or the exporter gave another opset, a second file, or a GRU that computes
            something else.
    """
    reason = refusal(classifier.network)
    if reason is not None:
        raise HarError("not-exportable", f"{classifier.hparams['model']} cannot be exported: {reason}")
    size, channels = classifier.frontend.window_size, classifier.frontend.in_channels
    with one_line(f"{classifier.hparams['model']} cannot be exported to ONNX"):
        write_graph(DeviceGraph(classifier, temperature), {"windows": torch.zeros(2, size, channels)}, ["probabilities"], path, metadata)


@contextlib.contextmanager
def one_line(what: str) -> Iterator[None]:
    """Report what torch, onnx or onnxruntime raise about a network as one `HarError`; they share no class of exceptions.

    Args:
        what: failed, for the message.

    Raises:
        HarError: anything else than an `OSError` was raised.
    """
    try:
        yield
    except (HarError, OSError):
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # torch names the step that failed, and only in the cause why
            cause = cause.__cause__
        lines = str(cause).strip().splitlines() or [""]
        raise HarError("not-exportable", f"{what}: {type(cause).__name__}: {lines[0][:200]}") from error


def write_graph(graph: nn.Module, example: Mapping[str, Tensor], outputs: Sequence[str], path: Path, metadata: Mapping[str, str]) -> None:
    """Write a module in evaluation mode to `path`, whole or not at all; the first axis is the batch, of any size.

    The file answers NaN where a value of the input is not finite.

    Args:
        graph: takes one input.
        example: two of the input, (2, time, channel), by its name: with one, recurrent layers silently freeze the batch to 1.
        outputs: names of what it gives.
        path: of the ONNX file.
        metadata: written into the file.

    Raises:
        HarError: the exporter gave another opset, a second file, or a GRU that computes something else.
    """
    model = trace(graph, example, outputs)
    carry_not_finite(model)
    check_graph(model)
    write_model(model, path, metadata)


def trace(graph: nn.Module, example: Mapping[str, Tensor], outputs: Sequence[str]) -> onnx.ModelProto:
    """A module as an ONNX graph, without source paths and code lines; the first axis of its inputs may have any length.

    Args:
        graph: in evaluation mode.
        example: its inputs by name.
        outputs: names of its outputs.
    """
    batch = torch.export.Dim("batch")
    with quiet("onnxscript", "onnx_ir", "torch.onnx"), OpaqueGRU():
        program = torch.onnx.export(
            graph,
            tuple(example.values()),
            input_names=list(example),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in example),
            custom_translation_table=TRANSLATIONS,
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    _strip(model)
    _factorise_gravity(model, [values.detach().numpy() for name, values in graph.named_buffers() if name.split(".")[-1] == "gravity"])
    to_planes(model)
    return model


def write_model(model: onnx.ModelProto, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a checked graph with its metadata, whole or not at all."""
    onnx.helper.set_model_props(model, dict(metadata) | {"opset": str(OPSET)})
    write_whole(path, model.SerializeToString(deterministic=True))


@contextlib.contextmanager
def quiet(*names: str) -> Iterator[None]:
    """No output to stdout, no warnings, and nothing but errors from the loggers of these names; "" is the root logger."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _strip(model: onnx.ModelProto) -> None:
    """Remove source paths and code lines, so that exports from two folders are equal to the byte."""
    model.doc_string = ""
    del model.graph.metadata_props[:]
    model.graph.doc_string = ""
    for item in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]


def _factorise_gravity(model: onnx.ModelProto, matrices: Sequence[np.ndarray]) -> None:
    """Write the gravity filter's matrix as a product of two thin ones: 0.3 Hz over a window has few degrees of freedom.

    A third of the size of a small int8 file would be that matrix.

    Args:
        model: whose graph multiplies windows (batch, channel, time) with the transposed matrices.
        matrices: of the filter, (time, time).
    """
    for matrix in matrices:
        factors = thin_factors(matrix.astype(np.float64))
        tensor = next((t for t in model.graph.initializer if np.array_equal(numpy_helper.to_array(t), matrix.T)), None)
        if factors is None or tensor is None:
            continue
        names = ["gravity_right", "gravity_left"]
        at, node = next((i, node) for i, node in enumerate(model.graph.node) if node.op_type == "MatMul" and node.input[1] == tensor.name)
        inner = onnx.helper.make_node("MatMul", [node.input[0], names[0]], [f"{node.output[0]}_slow"], f"{node.name}_slow")
        node.input[0], node.input[1] = inner.output[0], names[1]
        model.graph.node.insert(at, inner)
        model.graph.initializer.remove(tensor)
        pairs = zip(names, reversed(factors), strict=True)  # (left @ right).T is right.T @ left.T
        thin = [numpy_helper.from_array(np.ascontiguousarray(factor.T, dtype=np.float32), name) for name, factor in pairs]
        model.graph.initializer.extend(thin)


def thin_factors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(n, rank) and (rank, n) whose product is `matrix` to `GRAVITY_ERROR`, of the least rank; None where they would not be smaller.

    The error is that of a sample, as a share of the largest value in the window.
    """
    left, values, right = np.linalg.svd(matrix)
    for rank in range(1, len(matrix) // 2):
        thin = left[:, :rank] * values[:rank], right[:rank]
        if np.abs(matrix - thin[0] @ thin[1]).sum(axis=1).max() <= GRAVITY_ERROR:
            return thin
    return None


def check_graph(model: onnx.ModelProto) -> None:
    """Refuse what a device could not read, or would compute otherwise.

    Raises:
        HarError: another opset, a second file, or a GRU that computes something else.
    """
    onnx.checker.check_model(model, full_check=True)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if opset != OPSET:
        raise HarError("not-exportable", f"the exporter wrote opset {opset}, expected {OPSET}; install the versions of constraints.txt")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise HarError("not-exportable", "the exporter put weights into a second file; install the versions of constraints.txt")
    for node in model.graph.node:
        reset = {a.name: a.i for a in node.attribute}.get("linear_before_reset", 0)
        if node.op_type == "GRU" and reset != 1:
            raise HarError(
                "not-exportable",
                "the exporter wrote a GRU with linear_before_reset = 0, which differs from torch; install the versions of constraints.txt",
            )


def parity(classifier: WindowClassifier, path: Path, windows: np.ndarray, temperature: float = 1.0) -> float:
    """Largest difference of a probability between torch and onnxruntime, over all windows at batch sizes 1, 2 and 7.

    Args:
        classifier: that was exported.
        path: of the ONNX file.
        windows: (window, time, channel) float32, at least 256.
        temperature: with which it was exported.

    Raises:
        HarError: too few windows, or the difference is above `contract.PARITY_TOLERANCE`.
    """
    if len(windows) < MIN_PARITY_WINDOWS:
        raise HarError("export-parity", f"parity needs at least {MIN_PARITY_WINDOWS} windows, found {len(windows)}")
    inputs = {"windows": torch.from_numpy(np.ascontiguousarray(windows, dtype=np.float32))}
    with one_line(f"{path}: onnxruntime cannot run it"):
        return graph_difference(DeviceGraph(classifier, temperature), path, inputs, PARITY_TOLERANCE, "probability")


def graph_difference(
    graph: nn.Module, path: Path, inputs: Mapping[str, Tensor], tolerance: float, what: str = "value", *, relative: bool = False
) -> float:
    """Largest difference of a value between torch and onnxruntime, over all inputs at batch sizes 1, 2 and 7.

    Args:
        graph: that `write_graph` wrote.
        path: of the ONNX file.
        inputs: by name, the batch first.
        tolerance: in the unit of what the graph gives.
        what: that is, for the message.
        relative: take the difference as a share of the value where that is above 1.

    Raises:
        HarError: the difference is above `tolerance`.
    """
    with torch.no_grad():
        expected = graph(*inputs.values()).numpy()
    scale, largest = np.maximum(1, np.abs(expected)) if relative else 1, 0.0
    for size, (found, *_) in answers(path, {name: values.numpy() for name, values in inputs.items()}):
        difference = float((np.abs(found - expected) / scale).max())
        if not difference <= tolerance:  # also refuses NaN
            raise HarError(
                "export-parity",
                f"{path}: at batch {size} a {what} differs from torch by {difference:.2e}, allowed {tolerance:.0e}; do not ship it",
            )
        largest = max(largest, difference)
    return largest


def answers(path: Path, inputs: Mapping[str, np.ndarray]) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Batch sizes 1, 2 and 7, and all outputs of an ONNX file for the inputs, which have the batch first, so many at a time."""
    session, count = open_session(path), len(next(iter(inputs.values())))
    for size in BATCH_SIZES:
        parts = [session.run(None, {name: values[i : i + size] for name, values in inputs.items()}) for i in range(0, count, size)]
        yield size, [np.concatenate(found) for found in zip(*parts, strict=True)]


SCORE_TOLERANCE = 1e-4  # largest accepted difference of a score, deviations of what is usual; scores are some 0 to 100


class NoveltyGraph(nn.Module):
    """Raw sensor windows in; how unusual each is, and whether that is above the threshold."""

    def __init__(self, module: Reconstructor) -> None:
        super().__init__()
        self.module = module
        self.eval()

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, time, channel) in g and rad/s -> (batch,) score and (batch,) bool, true where the window is unknown."""
        score = self.module(windows)
        return score, ~(score <= self.module.threshold)  # unknown also where the score is NaN


def export_novelty(module: Reconstructor, path: Path, metadata: dict[str, str]) -> None:
    """Write the scores of `module` and its threshold to `path`, whole or not at all.

    Raises:
        HarError: no threshold was fitted, or the exporter gave what no device can read.
    """
    if not torch.isfinite(module.threshold):
        raise HarError("not-exportable", "the module has no threshold, so that nothing would be unknown; train with validation subjects")
    example = torch.zeros(2, module.frontend.window_size, module.frontend.in_channels)
    write_graph(NoveltyGraph(module), {"windows": example}, ["score", "unknown"], path, metadata)


def novelty_parity(module: Reconstructor, path: Path, windows: np.ndarray) -> float:
    """Largest difference of a score between torch and onnxruntime over all windows at batch sizes 1, 2 and 7.

    Args:
        module: that was exported.
        path: of the ONNX file.
        windows: (window, time, channel) float32.

    Returns:
        The difference, as a share of the score where that is above 1.

    Raises:
        HarError: it is above `SCORE_TOLERANCE`, or a window is unknown to one of the two alone though its score is not at the threshold.
    """
    inputs = {"windows": torch.from_numpy(np.ascontiguousarray(windows, dtype=np.float32))}
    largest = graph_difference(module.cpu().eval(), path, inputs, SCORE_TOLERANCE, "score", relative=True)
    score, threshold = module.predict(inputs["windows"]).numpy(), float(module.threshold)
    clear = np.abs(score - threshold) > SCORE_TOLERANCE * max(1.0, threshold)
    for size, (_, unknown) in answers(path, {"windows": inputs["windows"].numpy()}):
        if (unknown != (score > threshold))[clear].any():
            raise HarError("export-parity", f"{path}: at batch {size} a window is unknown to torch or to the file alone; do not ship it")
    return largest
