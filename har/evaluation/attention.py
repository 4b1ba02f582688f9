"""What attention weights say about a prediction, and whether the prediction listens to them."""

import numpy as np


def effective_samples(weights: np.ndarray) -> np.ndarray:
    """How many samples a window's weights are spread over: the exponential of their entropy, 1 to time.

    Args:
        weights: (window, time), summing to 1 over time.

    Returns:
        (window,).
    """
    return np.exp(-(weights * np.log(np.maximum(weights, np.finfo(float).tiny))).sum(axis=1))


def movement(x: np.ndarray) -> np.ndarray:
    """How far the total acceleration is from its mean over the window: (window, time, 6) raw6 -> (window, time), g."""
    acceleration = x[:, :, :3]
    return np.linalg.norm(acceleration - acceleration.mean(axis=1, keepdims=True), axis=2)


def mean_correlation(weights: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation over the samples of a window (Spearman), mean over windows.

    Args:
        weights: (window, time).
        other: (window, time).
    """
    ranks = [values.argsort(axis=1).argsort(axis=1).astype(float) for values in (weights, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    return float(((a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))).mean())


def without(x: np.ndarray, order: np.ndarray, share: float) -> np.ndarray:
    """Windows with some samples replaced by the line between their neighbours that are left, as if they had never been recorded.

    Args:
        x: (window, time, channel).
        order: (window, time) samples, those to take away first.
        share: of the samples that are taken away.

    Returns:
        (window, time, channel) float32.
    """
    time = x.shape[1]
    gone = order[:, : round(share * time)]
    made = np.empty_like(x, dtype=np.float32)
    for number, window in enumerate(x):
        left = np.setdiff1d(np.arange(time), gone[number])
        for channel in range(x.shape[2]):
            made[number, :, channel] = np.interp(np.arange(time), left, window[left, channel])
    return made
