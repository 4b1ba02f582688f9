"""The part of a bundle that estimates how the phone is mounted, and its ONNX file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from har.errors import HarError
from har.exporting.bundle_folder import as_metadata, rounded
from har.exporting.onnx_file import DeviceGraph, export_onnx, graph_difference, parity, write_graph
from har.models.classifier import WindowClassifier
from har.models.mounting_estimator import MountingEstimator
from har.runtime.bundle import golden_values
from har.runtime.mounted import AGREEMENT, ENOUGH, KEEP, TOLD_TOLERANCE

ESTIMATOR, MOUNTED = "mounting.onnx", "mounted.onnx"
DIRECTIONS = "x up along the body, y to its front: the axes of the training data"


class MountingGraph(nn.Module):
    """Raw sensor windows in; where up and front are in the phone's axes, as far as each window tells."""

    def __init__(self, module: MountingEstimator) -> None:
        super().__init__()
        self.module = module
        self.eval()

    def forward(self, windows: Tensor) -> Tensor:
        """(batch, time, 6) in g and rad/s -> (batch, 2, 3)."""
        return self.module(windows)


def export_mounting(module: MountingEstimator, path: Path, metadata: dict[str, str], windows: np.ndarray) -> float:
    """Write `module` to `path`, whole or not at all.

    Args:
        module: trained.
        path: of the ONNX file.
        metadata: written into the file.
        windows: (window, time, 6) real windows for parity.

    Returns:
        Largest difference of a component of a direction between torch and onnxruntime at batch sizes 1, 2 and 7.

    Raises:
        HarError: the exporter gave what no device can read, or the difference is above `TOLD_TOLERANCE`.
    """
    graph, inputs = MountingGraph(module.cpu()), {"windows": torch.from_numpy(np.ascontiguousarray(windows, dtype=np.float32))}
    write_graph(graph, {"windows": torch.zeros_like(inputs["windows"][:2])}, ["told"], path, metadata)
    return graph_difference(graph, path, inputs, TOLD_TOLERANCE, "direction")


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
            HarError: it has no gyroscope, or windows, channels or classes differ.
        """
        if classifier.hparams["channels"] != "raw6":
            raise HarError(
                "run-kind",
                f"the mounting is estimated from both sensors of raw6, and the bundle's model reads {classifier.hparams['channels']}; "
                "leave --mounting out, or export a model of raw6",
            )
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
        export_mounting(self.estimator, folder / ESTIMATOR, as_metadata(said), windows)
        own = said | {"temperature": self.temperature, "unknown": self.unknown}
        export_onnx(self.classifier, folder / MOUNTED, as_metadata(own), temperature)
        parity(self.classifier, folder / MOUNTED, windows, temperature)
        made = torch.from_numpy(golden_values(golden))
        with torch.no_grad():
            probabilities = DeviceGraph(self.classifier, temperature)(made).numpy()
        told = self.estimator.predict(made).numpy()
        golden["mounting"] = {"told": [rounded(pair) for pair in told], "probabilities": rounded(probabilities)}
        return ESTIMATOR, MOUNTED
