"""The ONNX file of a training: tried before the first epoch, written and compared with torch after the last."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from har.config import RunConfig
from har.contract import HarError
from har.data.windowset import WindowSet
from har.evaluation.predictions import Origin
from har.export.bundle import onnx_metadata, signal_contract
from har.export.onnx_file import MIN_PARITY_WINDOWS, export_onnx, parity, refusal
from har.files import CannotWriteError
from har.models.classifier import ActivityClassifier
from har.models.registry import find_model
from har.pipeline.run_folder import ONNX
from har.pipeline.train_common import device_facts
from har.training.fit import build_classifier


def parity_windows(parts: Mapping[str, WindowSet]) -> np.ndarray:
    """Windows on which an export is compared with torch.

    Those of the validation subjects, or of the training subjects where those are too few. Where both are, copies shifted in time are added.

    Returns:
        (window, time, channel), at least `MIN_PARITY_WINDOWS` and fewer than three times as many, spread over all subjects.
    """
    found = [parts[name].x for name in ("validation", "train") if name in parts]
    windows = next((one for one in found if len(one) >= MIN_PARITY_WINDOWS), found[-1])
    copies = -(-MIN_PARITY_WINDOWS // len(windows))
    if copies > 1:
        shifts = np.arange(copies) * windows.shape[1] // copies
        windows = np.concatenate([np.roll(windows, shift, axis=1) for shift in shifts])
    return windows[:: max(1, len(windows) // (2 * MIN_PARITY_WINDOWS))]


def try_export(config: RunConfig, train: WindowSet, checked: np.ndarray, who: str) -> None:
    """Export the network of a config with fresh weights, so that one that ONNX cannot hold is found before it is trained.

    It takes 2 to 5 s and leaves nothing behind. Not tried are channels that no device delivers, networks that refuse the export themselves,
    and this package's own networks of torch's recurrent layers: they take 8 to 36 s to trace, and the package's tests export them.

    Args:
        config: the run.
        train: windows of the training subjects.
        checked: windows on which the file is compared with torch, of `parity_windows`.
        who: the run, for the message.

    Raises:
        HarError: the export fails.
    """
    if config.data.channels != "raw6":
        return
    classifier = build_classifier(config, train).eval()
    own = find_model(config.model.name).network.__module__.startswith("har.models.")
    if refusal(classifier.network) is not None or (own and any(isinstance(layer, nn.RNNBase) for layer in classifier.modules())):
        return
    classifier.frontend.fit(torch.from_numpy(np.array(checked, dtype=np.float32)))
    try:
        with tempfile.TemporaryDirectory() as folder:
            export_onnx(classifier, Path(folder) / ONNX, {})
            parity(classifier, Path(folder) / ONNX, checked[:MIN_PARITY_WINDOWS])
    except HarError as error:
        if isinstance(error, CannotWriteError):
            raise
        raise HarError(
            f"{who}: nothing was trained, since the export fails on fresh weights: {error}; change the network, or, to train it "
            'without an ONNX file, set onnx = "refused" and onnx_refusal on its class'
        ) from error


def export_weights(
    classifier: ActivityClassifier, checked: np.ndarray, labels: tuple[str, ...], origin: Origin, folder: Path, stride: int
) -> float:
    """Write the ONNX file of a training into its folder, and return the largest difference to torch.

    Raises:
        HarError: the export fails.
    """
    export_onnx(classifier, folder / ONNX, onnx_metadata(signal_contract(classifier, labels, stride), device_facts(origin)))
    return parity(classifier, folder / ONNX, checked)
