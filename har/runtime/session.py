"""Open an ONNX file and run windows through it."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

# A recogniser of people's movements tells nobody anything: the runtime's own telemetry is off before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from har.contract import HarError
from har.runtime.bundle import Bundle
from har.runtime.onnx_guard import check_self_contained

DECIDING = ("labels", "input", "opset", "dataset", "synthetic", "temperature", "unknown", "stream", "mounting")


def open_session(path: Path) -> ort.InferenceSession:
    """An onnxruntime session on the CPU with one thread, as on a watch.

    Raises:
        HarError: the file is missing or is not an ONNX model.
    """
    if hasattr(ort, "disable_telemetry_events"):
        ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    if not path.is_file():
        raise HarError(f"no ONNX file at {path}; export first: har export")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exception classes share no public base
        reason = str(error).split("\n")[0][:160]
        raise HarError(f"{path} is not a readable ONNX model ({reason}); export again: har export") from None


def open_checked(bundle: Bundle, path: Path, own: dict[str, Any] | None = None) -> ort.InferenceSession:
    """One of a bundle's models, proved to be whole and to be the one of its manifest.

    The manifest is not covered by a checksum, so what decides an answer must also stand in the model, which is.

    Args:
        bundle: read and checked.
        path: of its file.
        own: entries of which this file says something else than the manifest's first level.

    Raises:
        HarError: it names other files, cannot be read, or says something else than the manifest.
    """
    check_self_contained(path)
    session = open_session(path)
    inside = session.get_modelmeta().custom_metadata_map
    expected = bundle.manifest | (own or {})
    for name in DECIDING:
        if json.loads(inside.get(name, "null")) != expected.get(name):
            raise HarError(f"{path} says {name} = {inside.get(name)}, the manifest says {json.dumps(expected.get(name))}; export again")
    return session


def run_windows(session: ort.InferenceSession, windows: np.ndarray, *, batch_size: int = 64) -> np.ndarray:
    """(window, time, channel) float32 -> (window, num_classes) probabilities, `batch_size` windows at a time."""
    windows = np.ascontiguousarray(windows, dtype=np.float32)
    name = session.get_inputs()[0].name
    if 0 < len(windows) <= batch_size:  # a device's single window: nothing to join, which would take a twentieth of its time
        return session.run(None, {name: windows})[0]
    parts = [session.run(None, {name: windows[i : i + batch_size]})[0] for i in range(0, len(windows), batch_size)]
    return np.concatenate(parts) if parts else np.empty((0, session.get_outputs()[0].shape[1]), dtype=np.float32)
