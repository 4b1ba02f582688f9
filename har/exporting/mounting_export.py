"""The part of a bundle that estimates how the phone is mounted, and its ONNX file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from har.errors import HarError
from har.exporting.golden import rounded
from har.exporting.onnx_file import BATCH_SIZES, DeviceGraph, export_onnx, parity, write_graph
from har.models.classifier import WindowClassifier
from har.models.mounting_estimator import MountingEstimator
from har.runtime.bundle import golden_values
from har.runtime.recognizer import TOLD_TOLERANCE
from har.runtime.session import open_session
from har.signals.mounting import AGREEMENT, ENOUGH, KEEP

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
            raise HarError(
                "export-parity", f"{path}: at batch {size} a direction differs from torch by {difference:.2e}, allowed {TOLD_TOLERANCE:.0e}"
            )
        largest = max(largest, difference)
    return largest


ESTIMATOR, MOUNTED = "mounting.onnx", "mounted.onnx"
DIRECTIONS = "x up along the body, y to its front: the axes of the training data"


@dataclass(frozen=True)
class MountingPart:
    """Two trained models and what is known of them.

    Attributes:
        estimator: tells the mounting.
        estimator_run: its run.
        classifier: for phones in their place, of the same classes as the bundle's model.
        classifier_run: its run.
        temperature: of the classifier.
        unknown: of the classifier, as in a manifest.
    """

    estimator: MountingEstimator
    estimator_run: str
    classifier: WindowClassifier
    classifier_run: str
    temperature: dict[str, Any]
    unknown: dict[str, Any]

    def said(self) -> dict[str, Any]:
        """The entry ``mounting`` of the manifest."""
        return {
            "estimator": ESTIMATOR,
            "estimator_run": self.estimator_run,
            "model": MOUNTED,
            "model_run": self.classifier_run,
            "directions": DIRECTIONS,
            "keep": KEEP,
            "enough": ENOUGH,
            "agreement": AGREEMENT,
            "temperature": self.temperature,
            "unknown": self.unknown,
        }

    def check(self, classifier: WindowClassifier) -> None:
        """Refuse to stand beside a model that reads or names something else.

        Raises:
            HarError: windows, channels or classes differ.
        """
        for name in ("window_size", "channels", "num_classes"):
            own, other = self.classifier.hparams[name], classifier.hparams[name]
            if own != other:
                raise HarError(
                    "run-kind", f"{self.classifier_run} has {name} {own}, the bundle's model {other}; name a run like it with --mounted"
                )
        if self.estimator.hparams["window_size"] != classifier.hparams["window_size"]:
            raise HarError(
                "run-kind",
                f"{self.estimator_run} reads windows of {self.estimator.hparams['window_size']} samples, the bundle's model others",
            )

    def write(self, folder: Path, said: dict[str, Any], windows: np.ndarray, golden: dict[str, Any]) -> tuple[str, ...]:
        """Write both files, after parity with torch, and their golden answers into `golden`.

        Args:
            folder: of the bundle.
            said: what the manifest says, for the files' metadata.
            windows: (window, time, 6) real windows for parity.
            golden: content of the golden windows' file; gets an entry ``mounting``.

        Returns:
            Names of the files.
        """
        temperature = float(self.temperature["value"])
        export_mounting(self.estimator, folder / ESTIMATOR, {name: json.dumps(value) for name, value in said.items()})
        own = said | {"temperature": self.temperature, "unknown": self.unknown}
        export_onnx(self.classifier, folder / MOUNTED, {name: json.dumps(value) for name, value in own.items()}, temperature)
        mounting_parity(self.estimator, folder / ESTIMATOR, windows)
        parity(self.classifier, folder / MOUNTED, windows, temperature)
        made = torch.from_numpy(golden_values(golden))
        with torch.no_grad():
            probabilities = DeviceGraph(self.classifier, temperature)(made).numpy()
        told = self.estimator.predict(made).numpy()
        golden["mounting"] = {"told": [rounded(pair) for pair in told], "probabilities": rounded(probabilities)}
        return ESTIMATOR, MOUNTED
