"""One ONNX file that tells a device which windows are unlike everything it was taught, and its parity with torch."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from har.errors import HarError
from har.exporting.graph_rewrites import carry_not_finite
from har.exporting.onnx_file import answers, check_graph, trace, write_model
from har.models.reconstructor import Reconstructor

OUTPUTS = ("score", "unknown")
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
    # Traced with two windows: with one, recurrent layers silently freeze the batch to 1.
    example = torch.zeros(2, module.frontend.window_size, module.frontend.in_channels)
    model = trace(NoveltyGraph(module), (example,), ["windows"], list(OUTPUTS), {"windows": {0: torch.export.Dim("batch")}})
    carry_not_finite(model)
    check_graph(model)
    write_model(model, path, metadata)


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
    windows = np.ascontiguousarray(windows, dtype=np.float32)
    expected = module.predict(torch.from_numpy(windows)).numpy()
    threshold = float(module.threshold)
    largest = 0.0
    for size, (score, unknown) in answers(path, {"windows": windows}):
        difference = float((np.abs(score - expected) / np.maximum(1, expected)).max())
        if not difference <= SCORE_TOLERANCE:  # also refuses NaN
            raise HarError(
                "export-parity",
                f"{path}: at batch {size} a score differs from torch by {difference:.2e}, allowed {SCORE_TOLERANCE:.0e}; do not ship it",
            )
        clear = np.abs(expected - threshold) > SCORE_TOLERANCE * max(1.0, threshold)
        if (unknown != (expected > threshold))[clear].any():
            raise HarError("export-parity", f"{path}: at batch {size} a window is unknown to torch or to the file alone; do not ship it")
        largest = max(largest, difference)
    return largest
