"""How a phone is mounted, from what the windows of a stream have told of it so far."""

import numpy as np

KEEP = 0.97  # of what was told before, behind a window that is wholly worth it; 1 / (1 - KEEP) windows count
ENOUGH = 3.0  # windows; less worth tells no mounting
AGREEMENT = 0.8  # length of the sum beside the sum of lengths; below it, the windows contradict each other


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
