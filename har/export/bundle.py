"""Write the bundle: the model, its manifest and golden windows, in one folder; `export/README.md` specifies it."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import har
from har.contract import (
    LABELS,
    MANIFEST_SCHEMA_VERSION,
    OPSET,
    PARITY_TOLERANCE,
    SAMPLE_RATE_HZ,
    STRIDE,
    UNITS,
    HarError,
    channel_names,
)
from har.data import synthetic
from har.data.windowset import windows_of
from har.export.device_graph import DeviceGraph
from har.export.onnx_file import export_onnx, parity
from har.models.classifier import ActivityClassifier
from har.runtime.bundle import MANIFEST, MODEL, VECTORS, replace_folder, sha256
from har.runtime.verify import verify

GOLDEN_PER_LABEL = 3
GOLDEN_SEED = 2013


@dataclass(frozen=True)
class BundleResult:
    """What an export proved."""

    folder: Path
    parity: float
    parity_windows: int
    golden: int
    bytes: int


def signal_contract(classifier: ActivityClassifier, labels: Sequence[str] = LABELS, stride: int = STRIDE) -> dict[str, Any]:
    """What the model takes and gives: the part of the manifest that also stands in the ONNX file.

    Args:
        classifier: the model; it knows its window size.
        labels: names of its classes, those of the windows it was trained on.
        stride: samples between two windows, as in training; what the device uses too.

    Raises:
        ValueError: the model has another number of classes.
    """
    if len(labels) != classifier.hparams["num_classes"]:
        raise ValueError(f"{len(labels)} labels for a model of {classifier.hparams['num_classes']} classes: {', '.join(labels)}")
    channels = channel_names(classifier.hparams["channels"])
    return {
        "labels": list(labels),
        "input": {
            "name": "windows",
            "layout": "(batch, time, channel), float32, oldest sample first",
            "window_size": classifier.frontend.window_size,
            "stride": stride,
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "channels": [{"name": name, "unit": UNITS[name]} for name in channels],
        },
        "output": {"name": "probabilities", "layout": "(batch, label), float32, rows sum to 1"},
        "opset": OPSET,
    }


def onnx_metadata(contract: dict[str, Any], facts: dict[str, Any]) -> dict[str, str]:
    """Contract and facts as ONNX metadata: every value is JSON."""
    return {name: json.dumps(value) for name, value in (contract | facts).items()}


def write_bundle(
    classifier: ActivityClassifier,
    folder: Path,
    *,
    facts: dict[str, Any],
    metrics: dict[str, Any],
    windows: np.ndarray,
    labels: Sequence[str] = LABELS,
    stride: int = STRIDE,
) -> BundleResult:
    """Export, check and write a bundle; `folder` is replaced only after everything held.

    Args:
        classifier: trained on ``raw6``.
        folder: of the bundle.
        facts: ``model``, ``run``, ``seed``, ``dataset``, ``synthetic``, ``data_digest``, ``commit``; they also go into the ONNX file.
        metrics: scores of the saved weights, by split.
        windows: (window, time, channel) real windows for the parity check against torch, at least 256.
        labels: names of the classes, in the order of the probabilities.
        stride: samples between two windows on the device.

    Raises:
        HarError: the model needs channels that no phone delivers, or a check failed; nothing is written then.
    """
    if classifier.hparams["channels"] != "raw6":
        raise HarError(
            f"{facts['run']} was trained on {classifier.hparams['channels']}, whose body acceleration a phone does not deliver; "
            "train with data.channels: raw6 to export"
        )
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise HarError(f"{folder} exists and is not a bundle; name another folder with --output")
    contract = signal_contract(classifier, labels, stride)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    temporary.chmod(0o755)
    try:
        export_onnx(classifier, temporary / MODEL, onnx_metadata(contract, facts))
        difference = parity(classifier, temporary / MODEL, windows)
        vectors = golden_windows(classifier)
        (temporary / VECTORS).write_text(json.dumps(vectors, separators=(",", ":")))
        manifest = {
            "schema_version": MANIFEST_SCHEMA_VERSION,
            **facts,
            **contract,
            "parameters": classifier.num_parameters,
            "metrics": metrics,
            "tolerance": PARITY_TOLERANCE,
            "parity": {"windows": len(windows), "largest_difference": difference},
            "versions": {"wearable-har": har.__version__, "torch": torch.__version__},
            "files": {name: sha256(temporary / name) for name in (MODEL, VECTORS)},
        }
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        golden, _ = verify(temporary)
        size = (temporary / MODEL).stat().st_size
        replace_folder(temporary, folder)
    except OSError as error:
        raise HarError(
            f"cannot write the bundle {folder} ({error.strerror}); free some space or name another folder with --output"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return BundleResult(folder, difference, len(windows), golden, size)


def golden_windows(classifier: ActivityClassifier) -> dict[str, Any]:
    """Windows with the probabilities torch gives them: synthetic ones of each activity, and edge values.

    They are synthetic whatever the model was trained on, because data sets are not redistributed, and of the six activities
    whatever classes it has: the generator makes no postural transitions of its own.
    """
    window_size = classifier.frontend.window_size
    seconds = max(6.0, 2 * window_size / SAMPLE_RATE_HZ)  # long enough for a window of each activity
    recordings = [synthetic.generate(subject, GOLDEN_SEED, bout_seconds=seconds) for subject in (1, 2)]
    made = windows_of(recordings, window_size=window_size, stride=STRIDE, dataset="golden", synthetic=True).select_channels("raw6")
    chosen = np.concatenate([np.flatnonzero(made.y == label)[:GOLDEN_PER_LABEL] for label in range(len(LABELS))])
    upright = np.zeros((1, window_size, 6), dtype=np.float32)
    upright[..., 0] = 1.0
    edges = np.concatenate(
        (np.zeros_like(upright), upright, -upright, np.sign(np.sin(np.arange(window_size)))[None, :, None] * np.full(6, 2.0))
    )
    windows = np.concatenate((made.x[chosen], edges)).astype(np.float32).round(6)
    with torch.no_grad():
        probabilities = DeviceGraph(classifier)(torch.from_numpy(windows)).numpy()
    listed = [[[float(f"{value:.6f}") for value in sample] for sample in window] for window in windows]
    return {"origin": "synthetic", "windows": listed, "probabilities": [[float(f"{p:.9g}") for p in row] for row in probabilities]}
