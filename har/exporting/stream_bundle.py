"""The bundle of a network that labels every sample and carries a state: ``streaming.onnx``, its manifest and a golden stream."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from har.data import synthetic
from har.errors import HarError
from har.exporting.bundle_folder import GOLDEN_SEED, GOLDEN_UNIT, as_metadata, finish, rounded, staged
from har.exporting.bundle_writer import Answering, BundleResult, what_is_said
from har.exporting.graph_rewrites import carry_not_finite_along
from har.exporting.onnx_file import check_graph, trace, write_model
from har.models.labeller import StreamLabeller
from har.runtime.bundle import golden_values
from har.runtime.manifest import STREAMING, VECTORS
from har.runtime.session import open_session

INPUTS, OUTPUTS = ("samples", "state"), ("probabilities", "next_state")
CHUNKS = (1, 7, 50, 128)  # samples at a time; one, some, a second, and what trainings take
TOLERANCE = 1e-4  # of a probability; rounding adds up along a stream, where a window starts anew
HOP = 25  # samples of an answer, half a second
EVERY = 10  # samples; the probabilities of one in so many are kept
GOLDEN_SAMPLES = 1500  # half a minute, with several activities
NOBODY = "nobody: each sample's probability is as the network gives it"


class StreamGraph(nn.Module):
    """What a device computes with each chunk of a stream."""

    def __init__(self, labeller: StreamLabeller) -> None:
        super().__init__()
        self.labeller = labeller
        self.eval()

    def forward(self, samples: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, time, 6) in g and rad/s, (batch, state_size) -> (batch, time, num_classes) probabilities, and the next state."""
        logits, state = self.labeller(samples, state)
        return torch.softmax(logits, dim=-1), state


def export_stream(labeller: StreamLabeller, path: Path, metadata: dict[str, str]) -> None:
    """Write the graph of a streaming network to `path`, whole or not at all; batch and chunk length stay free.

    Args:
        labeller: trained.
        path: of the ONNX file.
        metadata: written into the file.

    Raises:
        HarError: the network looks ahead, or the exporter gave another opset, a second file, or another GRU.
    """
    if not labeller.streams:
        name = labeller.hparams["model"]
        raise HarError(
            "not-exportable",
            f"model {name!r} looks ahead, which no device can: it is not exported; take one that carries a state: stream_gru",
        )
    example = {INPUTS[0]: torch.zeros(2, 5, labeller.frontend.in_channels), INPUTS[1]: torch.zeros(2, labeller.state_size)}
    model = trace(StreamGraph(labeller), example, OUTPUTS)
    _free_time(model)
    carry_not_finite_along(model)
    check_graph(model)
    write_model(model, path, metadata)


def _free_time(model: onnx.ModelProto) -> None:
    """Declare the time of samples and probabilities free.

    No operator depends on it, which `stream_parity` proves with other lengths. The exporter cannot know that: it unrolls a recurrent layer
    over the example, or, in a process that has exported another before, takes its length for fixed. What it declares in between is
    left out, and inferred anew by every reader.
    """
    del model.graph.value_info[:]
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[1].dim_param = "time"


def run_stream(session: object, samples: np.ndarray, chunk: int, state_size: int) -> np.ndarray:
    """Feed a recording to an onnxruntime session chunk by chunk, as a device does: (time, 6) -> (time, num_classes) probabilities."""
    state = np.zeros((1, state_size), dtype=np.float32)
    found = []
    for first in range(0, len(samples), chunk):
        piece = np.ascontiguousarray(samples[None, first : first + chunk], dtype=np.float32)
        probabilities, state = session.run(list(OUTPUTS), {INPUTS[0]: piece, INPUTS[1]: state})  # type: ignore[attr-defined]
        found.append(probabilities[0])
    return np.concatenate(found)


def stream_parity(labeller: StreamLabeller, path: Path, samples: np.ndarray) -> float:
    """Largest difference of a probability between torch, which reads the recording at once, and onnxruntime, in chunks of several lengths.

    Args:
        labeller: that was exported.
        path: of the ONNX file.
        samples: (time, 6) of a recording from its first sample.

    Raises:
        HarError: the difference is above `TOLERANCE`.
    """
    expected = labeller.predict([torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))])[0].numpy()
    session = open_session(path)
    largest = 0.0
    for chunk in CHUNKS:
        difference = float(np.abs(run_stream(session, samples, chunk, labeller.state_size) - expected).max())
        if not difference <= TOLERANCE:  # also refuses NaN
            raise HarError(
                "export-parity",
                f"{path}: in chunks of {chunk} samples a probability differs from torch by {difference:.2e}, "
                f"allowed {TOLERANCE:.0e}; do not ship it",
            )
        largest = max(largest, difference)
    return largest


def write_stream_bundle(
    labeller: StreamLabeller,
    folder: Path,
    *,
    facts: dict[str, Any],
    samples: np.ndarray,
    metrics: dict[str, Any],
) -> BundleResult:
    """Export, check and write a bundle; `folder` is replaced only after everything held.

    Args:
        labeller: trained.
        folder: of the bundle.
        facts: as of `har.exporting.bundle_writer.write_bundle`.
        samples: (time, 6) of a real recording, for the parity check against torch.
        metrics: scores of the saved weights, by split.

    Raises:
        HarError: the network looks ahead, or a check failed; nothing is written then.
    """
    stream = {
        "kind": "state",
        "hop": HOP,
        "state_size": labeller.state_size,
        "input": {"name": INPUTS[1], "shape": ["batch", labeller.state_size]},
        "output": {"name": OUTPUTS[1], "shape": ["batch", labeller.state_size]},
        "start": "zeros, with each recording and behind each gap",
    }
    said = what_is_said(labeller, facts, Answering(fitted_on=NOBODY), stream, metrics)
    with staged(folder) as temporary:
        export_stream(labeller, temporary / STREAMING, as_metadata(said))
        difference = stream_parity(labeller, temporary / STREAMING, samples)
        (temporary / VECTORS).write_text(json.dumps(golden_stream(labeller), separators=(",", ":")), encoding="utf-8")
        manifest = {
            **said,
            "files": {STREAMING: {"kind": "float32"}, VECTORS: {}},
            "tolerance": TOLERANCE,
            "parity": {"samples": len(samples), "largest_difference": difference},
            "tested": [],
            "robustness": [],
        }
        finish(temporary, manifest)
    return BundleResult(folder, difference, len(samples), GOLDEN_SAMPLES, manifest["files"], {})


def golden_stream(labeller: StreamLabeller) -> dict[str, Any]:
    """A synthetic stream of several activities with the probabilities torch gives one sample in `EVERY`, read at once from its start."""
    made = synthetic.generate(1, GOLDEN_SEED, bout_seconds=4.0).samples[:GOLDEN_SAMPLES]
    content: dict[str, Any] = {"origin": "synthetic", "unit": GOLDEN_UNIT, "every": EVERY}
    content["samples"] = np.rint(made / GOLDEN_UNIT).astype(int).tolist()
    probabilities = labeller.predict([torch.from_numpy(golden_values(content))])[0].numpy()
    return content | {"probabilities": rounded(probabilities[EVERY - 1 :: EVERY])}
