"""The bundle of a network that carries a state: ``streaming.onnx``, its manifest, a golden stream and the model card."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from har.contract import AXES_CONVENTION, LABELS, MANIFEST_SCHEMA_VERSION, OPSET, RAW6, SAMPLE_RATE_HZ, UNITS
from har.data import synthetic
from har.export.bundle_folder import about_data, finish, made_with, staged
from har.export.bundle_writer import BundleResult
from har.export.golden import GOLDEN_SEED, GOLDEN_UNIT, rounded
from har.export.stream_file import INPUTS, OUTPUTS, TOLERANCE, export_stream, stream_parity
from har.models.labeller import StreamLabeller
from har.runtime.bundle import STREAMING, VECTORS, golden_values

HOP = 25  # samples of an answer, half a second
EVERY = 10  # samples; the probabilities of one in so many are kept
GOLDEN_SAMPLES = 1500  # half a minute, with several activities
NOBODY = "nobody: each sample's probability is as the network gives it"


def write_stream_bundle(
    labeller: StreamLabeller,
    folder: Path,
    *,
    facts: dict[str, Any],
    samples: np.ndarray,
    metrics: dict[str, Any],
    labels: Sequence[str] = LABELS,
) -> BundleResult:
    """Export, check and write a bundle; `folder` is replaced only after everything held.

    Args:
        labeller: trained.
        folder: of the bundle.
        facts: as of `har.export.bundle_writer.write_bundle`.
        samples: (time, 6) of a real recording, for the parity check against torch.
        metrics: scores of the saved weights, by split.
        labels: names of the classes, in the order of the probabilities.

    Raises:
        HarError: the network looks ahead, or a check failed; nothing is written then.
    """
    said = {
        **facts,
        "labels": list(labels),
        "input": {
            "name": INPUTS[0],
            "layout": "(batch, time, channel), float32, oldest sample first, any length",
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "channels": [{"name": name, "unit": UNITS[name]} for name in RAW6],
            "axes": AXES_CONVENTION,
        },
        "output": {"name": OUTPUTS[0], "layout": "(batch, time, label), float32, rows sum to 1"},
        "opset": OPSET,
        "parameters": labeller.num_parameters,
        "temperature": {"value": 1.0, "fitted_on": NOBODY},
        "unknown": {"below": None, "answered": 1.0, "right": None, "fitted_on": NOBODY},
        "stream": {
            "kind": "state",
            "hop": HOP,
            "state_size": labeller.state_size,
            "input": {"name": INPUTS[1], "shape": ["batch", labeller.state_size]},
            "output": {"name": OUTPUTS[1], "shape": ["batch", labeller.state_size]},
            "start": "zeros, with each recording and behind each gap",
        },
        "metrics": metrics,
        **about_data(facts["dataset"]),
    }
    with staged(folder) as temporary:
        export_stream(labeller, temporary / STREAMING, {name: json.dumps(value) for name, value in said.items()})
        difference = stream_parity(labeller, temporary / STREAMING, samples)
        (temporary / VECTORS).write_text(json.dumps(golden_stream(labeller), separators=(",", ":")), encoding="utf-8")
        manifest = {
            "schema_version": MANIFEST_SCHEMA_VERSION,
            **said,
            "models": {STREAMING: {"kind": "float32", "bytes": (temporary / STREAMING).stat().st_size}},
            "tolerance": TOLERANCE,
            "parity": {"samples": len(samples), "largest_difference": difference},
            "versions": made_with(),
            "tested": [],
            "robustness": [],
        }
        finish(temporary, manifest, (STREAMING, VECTORS))
    size = sum(path.stat().st_size for path in folder.iterdir())
    return BundleResult(folder, difference, len(samples), GOLDEN_SAMPLES, size, manifest["models"])


def golden_stream(labeller: StreamLabeller) -> dict[str, Any]:
    """A synthetic stream of several activities with the probabilities torch gives one sample in `EVERY`, read at once from its start."""
    made = synthetic.generate(1, GOLDEN_SEED, bout_seconds=4.0).samples[:GOLDEN_SAMPLES]
    content: dict[str, Any] = {"origin": "synthetic", "unit": GOLDEN_UNIT, "every": EVERY}
    content["samples"] = np.rint(made / GOLDEN_UNIT).astype(int).tolist()
    probabilities = labeller.predict([torch.from_numpy(golden_values(content))])[0].numpy()
    return content | {"probabilities": rounded(probabilities[EVERY - 1 :: EVERY])}
