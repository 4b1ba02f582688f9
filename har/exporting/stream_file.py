"""One ONNX file of a network that labels every sample: samples and state in, probabilities and state out."""

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from har.errors import HarError
from har.exporting.graph_rewrites import carry_not_finite_along
from har.exporting.onnx_file import check_graph, trace, write_model
from har.models.labeller import StreamLabeller
from har.runtime.session import open_session

INPUTS, OUTPUTS = ("samples", "state"), ("probabilities", "next_state")
CHUNKS = (1, 7, 50, 128)  # samples at a time; one, some, a second, and what trainings take
TOLERANCE = 1e-4  # of a probability; rounding adds up along a stream, where a window starts anew


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
    batch = torch.export.Dim("batch")
    example = (torch.zeros(2, 5, labeller.frontend.in_channels), torch.zeros(2, labeller.state_size))
    model = trace(StreamGraph(labeller), example, list(INPUTS), list(OUTPUTS), {"samples": {0: batch}, "state": {0: batch}})
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
