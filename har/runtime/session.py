"""Open an ONNX file and run windows through it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

# A recogniser of people's movements tells nobody anything: the runtime's own telemetry is off before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from har.errors import HarError
from har.runtime.bundle import Bundle
from har.runtime.manifest import MALFORMED, completed, convert
from har.runtime.onnx_guard import check_self_contained

DECIDING = ("needs", "outputs", "opset", "temperature", "unknown", "activities", "domain", "smoothing", "stream", "mounting")


def open_session(path: Path, expected_sha256: str | None = None) -> ort.InferenceSession:
    """An onnxruntime session on the CPU with one thread, as on a watch.

    The file is read once; what is checked is what is opened.

    Args:
        path: of the ONNX file.
        expected_sha256: of its content, in hexadecimal; None where nothing is known of it.

    Raises:
        HarError: the file is missing, is not an ONNX model, is another one than expected, or takes weights from other files.
    """
    if hasattr(ort, "disable_telemetry_events"):
        ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the guard does not know onnxruntime's own format
    if not path.is_file():
        raise HarError("bundle-missing", f"no ONNX file at {path}; export first: har export")
    content = path.read_bytes()
    if expected_sha256 is not None and hashlib.sha256(content).hexdigest() != expected_sha256:
        raise HarError(
            "bundle-changed",
            f"{path} is not the file that was exported (its SHA-256 differs from the manifest); do not use it, export again",
        )
    check_self_contained(content, path)
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception classes share no public base
        reason = str(error).split("\n")[0][:160]
        raise HarError("model-file", f"{path} is not a readable ONNX model ({reason}); export again: har export") from None


def open_checked(bundle: Bundle, path: Path, own: dict[str, Any] | None = None) -> ort.InferenceSession:
    """One of a bundle's models, proved to be whole and to be the one of its manifest.

    The manifest is not covered by a checksum, so what decides an answer must also stand in the model, which is.

    Args:
        bundle: read and checked.
        path: of its file.
        own: entries of which this file says something else than the manifest's first level.

    Raises:
        HarError: it is not the manifest's file, names other files, cannot be read, or says something else than the manifest.
    """
    session = open_session(path, bundle.manifest["files"][path.name]["sha256"])
    expected = bundle.manifest | (own or {})
    try:
        metadata = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
        inside, outside = _deciding(completed(convert(metadata))), _deciding(expected)
    except MALFORMED as error:
        raise HarError("model-file", f"{path} has metadata of another structure ({type(error).__name__}: {error}); export again") from None
    for name in {**inside, **outside}:
        found, said = inside.get(name), outside.get(name)
        if found != said:
            raise HarError(
                "bundle-changed", f"{path} says {name} = {json.dumps(found)}, the manifest says {json.dumps(said)}; export again"
            )
    return session


def _deciding(said: dict[str, Any]) -> dict[str, Any]:
    """Of a manifest or a model's metadata, what decides an answer, by its place."""
    spec = {f"spec.{name}": value for name, value in said["spec"].items()}
    trained_on = [(data.get("name"), data.get("synthetic")) for data in said["datasets"]]
    return spec | {name: said.get(name) for name in DECIDING} | {"datasets": trained_on}


def run_windows(session: ort.InferenceSession, windows: np.ndarray, *, batch_size: int = 64) -> np.ndarray:
    """(window, time, channel) float32 -> (window, num_classes) probabilities, `batch_size` windows at a time.

    Raises:
        HarError: a value that the model gives is not finite.
    """
    windows = np.ascontiguousarray(windows, dtype=np.float32)
    name = session.get_inputs()[0].name
    if 0 < len(windows) <= batch_size:  # a device's single window: nothing to join, which would take a twentieth of its time
        found = session.run(None, {name: windows})[0]
    else:
        parts = [session.run(None, {name: windows[i : i + batch_size]})[0] for i in range(0, len(windows), batch_size)]
        found = np.concatenate(parts) if parts else np.empty((0, session.get_outputs()[0].shape[1]), dtype=np.float32)
    check_finite(found, "window")
    return found


def check_finite(found: np.ndarray, unit: str) -> None:
    """Refuse answers that are not finite: the largest of NaN values would name an activity.

    Args:
        found: what a model gave; its first axis counts `unit`.
        unit: "window" or "sample", for the message.

    Raises:
        HarError: a value is NaN or infinite.
    """
    if np.isfinite(found).all():
        return
    first = int(np.flatnonzero(~np.isfinite(found).all(axis=tuple(range(1, found.ndim))))[0])
    raise HarError(
        "not-finite",
        f"the model gives no finite answer for {unit} {first}: its input is not finite or far out of range, or the model is damaged; "
        "leave such samples out, or check the model with har verify",
    )


def check_difference(what: str, difference: np.ndarray, tolerance: float) -> float:
    """The largest absolute difference to golden values.

    Raises:
        HarError: it is above the tolerance, or no number: here, a file computes something else than where it was made.
    """
    largest = float(np.abs(difference).max())
    if not largest <= tolerance:
        raise HarError("bundle-differs", f"{what} differs by {largest:.2e}, allowed {tolerance:.0e}; this runtime computes something else")
    return largest
