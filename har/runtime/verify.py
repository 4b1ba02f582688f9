"""Does a bundle compute, here, what it computed where it was made?"""

import json
from pathlib import Path

import numpy as np

from har.contract import HarError
from har.runtime.bundle import VECTORS
from har.runtime.recognizer import Recognizer


def verify(folder: Path | str) -> tuple[int, float]:
    """Check a bundle's files, its metadata against the manifest, and its golden windows at batch 1 and all at once.

    Returns:
        Number of golden windows and the largest difference of a probability.

    Raises:
        HarError: anything differs by more than the manifest's tolerance.
    """
    recognizer = Recognizer.load(folder)
    manifest, path = recognizer.bundle.manifest, recognizer.bundle.model_path
    vectors = json.loads((Path(folder) / VECTORS).read_text(encoding="utf-8"))
    windows = np.array(vectors["windows"], dtype=np.float32)
    expected = np.array(vectors["probabilities"], dtype=np.float32)
    if not len(windows) or expected.shape != (len(windows), len(manifest["labels"])):
        raise HarError(f"{Path(folder) / VECTORS} holds {len(windows)} windows and probabilities of shape {expected.shape}; export again")
    single = np.concatenate([recognizer.predict(window) for window in windows])
    largest = float(max(np.abs(single - expected).max(), np.abs(recognizer.predict(windows) - expected).max()))
    if not largest <= manifest["tolerance"]:
        raise HarError(
            f"{path}: a golden window differs by {largest:.2e}, allowed {manifest['tolerance']:.0e}; this runtime computes something else"
        )
    return len(windows), largest
