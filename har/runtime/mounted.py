"""Answers along a stream of a phone that may be mounted in any way: the mounting is told by what came before."""

import numpy as np
import onnxruntime as ort

from har.runtime.bundle import Bundle, golden_values
from har.runtime.session import check_difference, open_checked, run_windows
from har.signals.mounting import Mounting, remounted

TOLD_TOLERANCE = 1e-4  # of a component of two directions whose length is at most about 1


class MountedModels:
    """The two files that a bundle of any mounting may hold beside its model: one tells the mounting, one answers where it is known.

    Args:
        bundle: whose manifest has an entry ``mounting``.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.said = bundle, bundle.manifest["mounting"]
        own = {name: self.said[name] for name in ("temperature", "unknown")}
        self.estimator = open_checked(bundle, bundle.folder / self.said["estimator"])
        self.model = open_checked(bundle, bundle.folder / self.said["model"], own)
        self.unknown_below = self.said["unknown"]["below"] or 0.0

    def start(self) -> Mounting:
        """Nothing is known of the mounting yet."""
        return Mounting(*(float(self.said[name]) for name in ("keep", "enough", "agreement")))

    def check_golden(self) -> float:
        """Largest difference of a probability to the golden ones.

        Raises:
            HarError: it, or one of a direction, is above what is allowed.
        """
        vectors, manifest = self.bundle.vectors(), self.bundle.manifest
        told, probabilities = (np.array(vectors["mounting"][name], dtype=np.float32) for name in ("told", "probabilities"))
        where = f"{self.bundle.folder}: mounting, {{}}: a golden window"
        windows = golden_values(vectors)
        check_difference(where.format("told"), run_windows(self.estimator, windows) - told, TOLD_TOLERANCE)
        return check_difference(where.format("probabilities"), run_windows(self.model, windows) - probabilities, manifest["tolerance"])


def remount(estimator: ort.InferenceSession, windows: np.ndarray, mounting: Mounting) -> tuple[np.ndarray, np.ndarray]:
    """Learn the mounting from windows in the order of a stream.

    Args:
        estimator: session of the file that tells the mounting.
        windows: (window, time, 6), checked.
        mounting: what the stream has told so far; it learns.

    Returns:
        (window,) whether the mounting is known, and the (known, time, 6) windows among them as a phone in its place would have
        delivered them.
    """
    matrices = []
    for told in run_windows(estimator, windows):
        mounting.add(told)
        matrices.append(mounting.matrix())
    known = np.array([matrix is not None for matrix in matrices], dtype=bool)
    turns = np.array([matrix for matrix in matrices if matrix is not None]).reshape(-1, 3, 3)
    return known, remounted(windows[known], turns)
