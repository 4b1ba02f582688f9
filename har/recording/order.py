"""The order of samples in time: small lateness is sorted, a larger step back begins a new stretch."""

import numpy as np

from har.recording.rate import BLOCK

LATE_S = 0.1  # a sample that is later by more was not delayed: the clock was set back
ROUNDING_S = 1e-9


def number_stretches(time_s: np.ndarray, newest_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Number the stretches of samples in the order in which they were written or arrived.

    A sample more than `LATE_S` earlier than the newest of its stretch begins the next one. Numbering stops where more than
    `most_restarts` stretches have begun.

    Args:
        time_s: (time,) in s, finite.
        newest_s: largest time of the stretch so far, s; -inf before the first sample.

    Returns:
        (time,) int, 0 in the stretch so far, then 1, 2, ...; and (time,) by how much a sample is late, s; not positive where it is not.
    """
    number, late_s = np.zeros(len(time_s), dtype=np.int64), np.empty(len(time_s))
    most, first = most_restarts(len(time_s)), 0
    while first < len(time_s) and (not first or number[-1] <= most):
        newest = np.maximum.accumulate(np.concatenate(([newest_s], time_s[first:])))
        late_s[first:] = newest[:-1] - time_s[first:]
        over = late_s[first:] > LATE_S + ROUNDING_S
        if not over.any():
            break
        first += int(over.argmax())
        number[first:] += 1
        newest_s, first = float(time_s[first]), first + 1
    return number, late_s


def most_restarts(count: int) -> float:
    """How many of `count` samples may begin a new stretch; with more, they are in no order at all."""
    return 1 + count / BLOCK
