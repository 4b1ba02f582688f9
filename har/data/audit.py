"""The leakage audit: proves that no person and no stretch of signal stands on both sides of a split."""

from itertools import combinations

import numpy as np

from har.data.windowset import WindowSet
from har.errors import HarError

RUN_LENGTH = 16  # samples; equal runs this long do not happen by chance at 6 channels and float precision


def audit(splits: dict[str, WindowSet]) -> dict[str, int]:
    """Check that the splits are disjoint in subjects, in recorded samples and in signal content.

    The content check finds a run of `RUN_LENGTH` consecutive samples that appears in two splits at any offset, also
    under another subject's number or another recording's name. A constant run (a sensor at rest or saturated on every
    channel) is not counted.

    Returns:
        Windows per split.

    Raises:
        HarError: what is shared, and between which splits.
    """
    runs = {name: _run_hashes(windows.x) for name, windows in splits.items()}
    for (name_a, a), (name_b, b) in combinations(splits.items(), 2):
        shared = np.intersect1d(a.subject, b.subject)
        if len(shared):
            raise HarError(
                "leak",
                f"leak: subject {shared[0]} is in {name_a} and in {name_b} ({len(shared)} shared subjects); "
                "training refused; split by subject",
            )
        overlap = _shared_samples(a, b)
        if overlap:
            raise HarError(
                "leak", f"leak: samples of recording {overlap} are in {name_a} and in {name_b}; training refused; split whole recordings"
            )
        equal = np.intersect1d(runs[name_a], runs[name_b])
        if len(equal):
            window_a, window_b = (_window_with(splits[name].x, equal[0]) for name in (name_a, name_b))
            raise HarError(
                "leak",
                f"leak: window {window_a} of {name_a} and window {window_b} of {name_b} hold the same {RUN_LENGTH} samples "
                f"({len(equal)} shared runs); training refused; remove the copies",
            )
    return {name: len(windows) for name, windows in splits.items()}


def _shared_samples(a: WindowSet, b: WindowSet) -> str | None:
    """Name of a recording of which both sets hold the same sample, by the windows' positions."""
    for recording in np.intersect1d(a.recording, b.recording):
        starts_a, starts_b = (np.sort(w.start[w.recording == recording]) for w in (a, b))
        following = np.searchsorted(starts_b, starts_a)
        distance_after = np.abs(starts_b[np.minimum(following, len(starts_b) - 1)] - starts_a)
        distance_before = np.abs(starts_a - starts_b[np.maximum(following - 1, 0)])
        if (np.minimum(distance_after, distance_before) < max(a.window_size, b.window_size)).any():
            return str(recording)
    return None


def _hash_windows(x: np.ndarray) -> np.ndarray:
    """(window, time, channel) float32 -> (window, time - RUN_LENGTH + 1) uint64, one hash a run; 0 for a constant run."""
    rng = np.random.default_rng(0)
    odd = rng.integers(1, 2**63, size=x.shape[2] + RUN_LENGTH, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32).astype(np.uint64)
    sample = (bits * odd[: x.shape[2]]).sum(axis=2, dtype=np.uint64)
    sample ^= sample >> np.uint64(29)
    sample *= np.uint64(0xBF58476D1CE4E5B9)  # the mixing constant of splitmix64
    length = x.shape[1] - RUN_LENGTH + 1
    run = np.zeros((len(x), length), dtype=np.uint64)
    constant = np.ones((len(x), length), dtype=bool)
    for offset in range(RUN_LENGTH):
        part = sample[:, offset : offset + length]
        run += part * odd[x.shape[2] + offset]
        constant &= part == sample[:, :length]
    run[constant] = 0
    return run


def _run_hashes(x: np.ndarray) -> np.ndarray:
    if x.shape[1] < RUN_LENGTH:
        raise HarError("windows", f"windows have {x.shape[1]} samples; the leakage audit needs at least {RUN_LENGTH}")
    hashes = np.concatenate([np.unique(_hash_windows(x[i : i + 1024])) for i in range(0, len(x), 1024)])
    hashes = np.unique(hashes)
    return hashes[hashes != 0]


def _window_with(x: np.ndarray, value: np.uint64) -> int:
    return int(np.argmax((_hash_windows(x) == value).any(axis=1)))
