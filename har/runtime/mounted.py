"""Answers along a stream of a phone that may be mounted in any way: the mounting is told by what came before."""

import numpy as np
import onnxruntime as ort

from har.runtime.bundle import Bundle, golden_values
from har.runtime.session import check_difference, open_checked, run_windows

KEEP = 0.97  # of what was told before, behind a window that is wholly worth it; 1 / (1 - KEEP) windows count
ENOUGH = 3.0  # windows; less worth tells no mounting
AGREEMENT = 0.8  # length of the sum beside the sum of lengths; below it, the windows contradict each other
TOLD_TOLERANCE = 1e-4  # of a component of two directions whose length is at most about 1


class Mounting:
    """Adds up the directions that windows tell (`har.models.mounting_estimator.MountingEstimator`), and makes a rotation of them.

    The exported numbers of windows at rest are near zero and change nothing, so that nothing is forgotten while a person sits. A phone
    that is put on otherwise is noticed as the person walks: at first the windows contradict each other, then the new ones outweigh.

    Args:
        keep, enough, agreement: see `KEEP`, `ENOUGH` and `AGREEMENT`.
    """

    def __init__(self, keep: float = KEEP, enough: float = ENOUGH, agreement: float = AGREEMENT) -> None:
        self.keep, self.enough, self.agreement = keep, enough, agreement
        self.reset()

    def reset(self) -> None:
        """Forget everything, as where another phone begins."""
        self._told = np.zeros((2, 3))
        self._worth = 0.0

    def add(self, told: np.ndarray) -> None:
        """Take what the next window tells, (2, 3): directions of x and y in the phone's axes, as long as they are worth."""
        told = np.asarray(told, dtype=np.float64)
        worth = float(np.linalg.norm(told[1]))
        share = self.keep ** min(1.0, worth)
        self._told = share * self._told + told
        self._worth = share * self._worth + worth

    def matrix(self) -> np.ndarray | None:
        """(3, 3) rotation from the phone's axes to those of the training data; None while too little, or nothing consistent, was told."""
        x, y = self._told
        length = float(np.linalg.norm(x))
        if self._worth < self.enough or length <= 0 or float(np.linalg.norm(y)) < self.agreement * self._worth:
            return None
        x = x / length
        y = y - (y @ x) * x
        length = float(np.linalg.norm(y))
        if length < 1e-6 * self._worth:
            return None
        y = y / length
        return np.stack((x, y, np.cross(x, y)))


def remounted(windows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """(window, time, 6) samples turned by (window, 3, 3) rotations, both sensors alike; float32."""
    turn = matrices.astype(np.float32)[:, np.newaxis]
    parts = [(turn @ windows[..., i : i + 3, np.newaxis])[..., 0] for i in (0, 3)]
    return np.concatenate(parts, axis=-1).astype(np.float32)


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
