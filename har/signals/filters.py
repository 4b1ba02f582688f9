"""Filters: the separation of gravity and body acceleration."""

import numpy as np

from har.contract import GRAVITY_CUTOFF_HZ, GRAVITY_ORDER, SAMPLE_RATE_HZ


def gravity_lowpass(total_acc: np.ndarray, sample_rate_hz: float = SAMPLE_RATE_HZ) -> np.ndarray:
    """Zero-phase gravity of a continuous recording.

    3rd-order Butterworth low-pass at 0.3 Hz, forward and backward (Anguita et al. 2013). Offline only: it looks ahead.

    Args:
        total_acc: (time, axis) total acceleration in g.
        sample_rate_hz: samples per second.

    Returns:
        (time, axis) gravity in g, float64.
    """
    from scipy.signal import butter, sosfiltfilt

    sos = butter(GRAVITY_ORDER, GRAVITY_CUTOFF_HZ, fs=sample_rate_hz, output="sos")
    return sosfiltfilt(sos, np.asarray(total_acc, dtype=np.float64), axis=0)


def gravity_matrix(window_size: int, sample_rate_hz: float = SAMPLE_RATE_HZ) -> np.ndarray:
    """The zero-phase gravity filter of one window as a matrix.

    Inside a fixed window the filter, its edge padding included, is linear in the samples, so one matrix product
    reproduces it exactly. That makes it a layer of the network, in the exported graph as well.

    Args:
        window_size: samples in a window; the filter's edge padding needs at least 13.
        sample_rate_hz: samples per second.

    Returns:
        (window_size, window_size) float64; ``gravity = matrix @ total_acc`` for total_acc (window_size, axis) in g.
    """
    return np.ascontiguousarray(gravity_lowpass(np.eye(window_size), sample_rate_hz))
