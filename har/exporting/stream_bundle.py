"""The bundle of a network that carries a state: ``streaming.onnx``, its manifest, a golden stream and the model card."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from har.data import synthetic
from har.exporting.bundle_folder import as_metadata, finish, made_with, signal_entries, staged, trained_on
from har.exporting.bundle_writer import BundleResult
from har.exporting.golden import GOLDEN_SEED, GOLDEN_UNIT, rounded
from har.exporting.stream_file import INPUTS, OUTPUTS, TOLERANCE, export_stream, stream_parity
from har.models.labeller import StreamLabeller
from har.runtime.bundle import golden_values
from har.runtime.manifest import STREAMING, VECTORS

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
    said = {
        **trained_on(facts),
        **signal_entries(labeller),
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
    }
    with staged(folder) as temporary:
        export_stream(labeller, temporary / STREAMING, as_metadata(said))
        difference = stream_parity(labeller, temporary / STREAMING, samples)
        (temporary / VECTORS).write_text(json.dumps(golden_stream(labeller), separators=(",", ":")), encoding="utf-8")
        manifest = {
            **said,
            "files": {STREAMING: {"kind": "float32"}, VECTORS: {}},
            "tolerance": TOLERANCE,
            "parity": {"samples": len(samples), "largest_difference": difference},
            "versions": made_with(),
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
