"""Which activity probabilities stand for, or UNKNOWN: the one rule that every client uses."""

from collections.abc import Sequence

import numpy as np

from har.contract import UNKNOWN
from har.errors import HarError


def outcomes(labels: Sequence[str]) -> list[str]:
    """Names that a decision may have: the labels, and UNKNOWN at the end unless it is one of them."""
    return [*labels] if UNKNOWN in labels else [*labels, UNKNOWN]


def decide(labels: Sequence[str], probabilities: np.ndarray, below: np.ndarray | float) -> np.ndarray:
    """Decide for the highest probability, the first of equals, or for UNKNOWN where that is below the threshold.

    The comparison is in double precision, as in JavaScript: a single-precision 0.77 is below a threshold of 0.77.

    Args:
        labels: names of the activities, in the order of the probabilities.
        probabilities: (window, num_classes).
        below: threshold of all windows, or (window,) one each.

    Returns:
        (window,) index into `outcomes`.

    Raises:
        HarError: a probability is not finite.
    """
    rows = np.asarray(probabilities)
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise HarError(
            "not-finite",
            f"the model's probability of {labels[column]} is {rows[row, column]} in answer {row + 1} of {len(rows)}, "
            "expected a finite number; check the bundle with har verify",
        )
    unknown = outcomes(labels).index(UNKNOWN)
    return np.where(rows.max(axis=1).astype(np.float64) >= np.asarray(below, dtype=np.float64), rows.argmax(axis=1), unknown)
