"""Golden windows: what every client runs before it trusts a model."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from har.contract import LABELS, SAMPLE_RATE_HZ, STRIDE
from har.data import synthetic
from har.data.windowset import windows_of
from har.exporting.onnx_file import DeviceGraph
from har.models.classifier import WindowClassifier
from har.runtime.bundle import golden_values
from har.runtime.session import open_session, run_windows

GOLDEN_PER_LABEL = 10
GOLDEN_SEED = 2013
GOLDEN_UNIT = 0.001  # 1 mg and 1 mrad/s, as fine as a phone's sensors; whole numbers of it keep the file small
PHONE_FULL_SCALE = (8.0, 35.0)  # g and rad/s, of the sensors in phones: +-8 g, +-2000 deg/s


def golden_windows(classifier: WindowClassifier, temperature: float = 1.0) -> dict[str, Any]:
    """Windows with the probabilities torch gives them: synthetic ones of each activity, and edge values.

    They are synthetic whatever the model was trained on, because data sets are not redistributed, and of the six activities
    whatever classes it has: the generator makes no postural transitions of its own.
    """
    window_size = classifier.frontend.window_size
    seconds = max(6.0, 2 * window_size / SAMPLE_RATE_HZ)  # long enough for a window of each activity
    subjects = (1, 2, 3, 4, 5, 6)
    recordings = [synthetic.generate(subject, GOLDEN_SEED, bout_seconds=seconds) for subject in subjects]
    made = windows_of(recordings, window_size=window_size, stride=STRIDE, dataset="golden", synthetic=True)
    chosen = np.concatenate([np.flatnonzero(made.y == label)[:GOLDEN_PER_LABEL] for label in range(len(LABELS))])
    whole = np.rint(np.concatenate((made.x[chosen], edge_windows(window_size))) / GOLDEN_UNIT).astype(int)
    windows = golden_values({"unit": GOLDEN_UNIT, "windows": whole})
    with torch.no_grad():
        probabilities = DeviceGraph(classifier, temperature)(torch.from_numpy(windows)).numpy()
    return {"origin": "synthetic", "unit": GOLDEN_UNIT, "windows": whole.tolist(), "probabilities": rounded(probabilities)}


def edge_windows(window_size: int) -> np.ndarray:
    """(8, window_size, 6): nothing at all, gravity alone on an axis and against it, full scale, one step, one sample, clipped motion."""
    still = np.zeros((window_size, 6))
    upright = still.copy()
    upright[:, 0] = 1.0
    flat = still.copy()
    flat[:, 2] = 1.0
    turn = np.sign(np.sin(np.arange(window_size)))[:, None]
    full = turn * np.repeat(PHONE_FULL_SCALE, 3)
    step = upright.copy()
    step[window_size // 2 :, :3] = (0.0, 0.0, 1.0)  # turned over at once
    knock = upright.copy()
    knock[window_size // 2] = np.repeat(PHONE_FULL_SCALE, 3)
    clipped = upright + turn * 2.0
    return np.stack((still, upright, -upright, flat, full, step, knock, np.clip(clipped, -2.0, 2.0)))


def golden_answers(path: Path, golden: dict[str, Any]) -> tuple[list[list[float]], float]:
    """Probabilities that an ONNX file gives golden windows here, one by one, and their largest difference to those of all at once."""
    session, windows = open_session(path), golden_values(golden)
    alone = rounded(run_windows(session, windows, batch_size=1))
    together = run_windows(session, windows, batch_size=len(windows))
    return alone, float(np.abs(together - np.array(alone, dtype=np.float32)).max())


def rounded(probabilities: np.ndarray) -> list[list[float]]:
    """For JSON, with digits enough for the tolerance of any bundle."""
    return [[float(f"{p:.8f}") for p in row] for row in probabilities]
