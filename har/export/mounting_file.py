"""One ONNX file that tells a device how the phone is mounted, and its parity with torch."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from har.contract import HarError
from har.export.onnx_file import BATCH_SIZES, write_graph
from har.models.mounting import MountingEstimator
from har.runtime.mounted import TOLD_TOLERANCE
from har.runtime.session import open_session

OUTPUT = "told"


class MountingGraph(nn.Module):
    """Raw sensor windows in; where up and front are in the phone's axes, as far as each window tells."""

    def __init__(self, module: MountingEstimator) -> None:
        super().__init__()
        self.module = module
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        """(batch, time, 6) in g and rad/s -> (batch, 2, 3)."""
        return self.module(windows)


def export_mounting(module: MountingEstimator, path: Path, metadata: dict[str, str]) -> None:
    """Write `module` to `path`, whole or not at all.

    Raises:
        HarError: the exporter gave what no device can read.
    """
    size, channels = module.frontend.window_size, module.frontend.in_channels
    write_graph(MountingGraph(module), {"windows": torch.zeros(2, size, channels)}, OUTPUT, path, metadata)


def mounting_parity(module: MountingEstimator, path: Path, windows: np.ndarray) -> float:
    """Largest difference of a component between torch and onnxruntime over all windows at batch sizes 1, 2 and 7.

    Raises:
        HarError: it is above `TOLD_TOLERANCE`.
    """
    windows = np.ascontiguousarray(windows, dtype=np.float32)
    expected = module.predict(torch.from_numpy(windows)).numpy()
    session, largest = open_session(path), 0.0
    for size in BATCH_SIZES:
        found = np.concatenate([session.run([OUTPUT], {"windows": windows[i : i + size]})[0] for i in range(0, len(windows), size)])
        difference = float(np.abs(found - expected).max())
        if not difference <= TOLD_TOLERANCE:  # also refuses NaN
            raise HarError(f"{path}: at batch {size} a direction differs from torch by {difference:.2e}, allowed {TOLD_TOLERANCE:.0e}")
        largest = max(largest, difference)
    return largest
