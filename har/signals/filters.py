"""Filters of continuous recordings: median, Butterworth low-pass, and the separation of gravity and body acceleration."""

import numpy as np

from har.contract import GRAVITY_CUTOFF_HZ, GRAVITY_ORDER, SAMPLE_RATE_HZ

GRAVITY_MIN_SAMPLES = 13  # what the zero-phase gravity filter needs for its edge padding


def median_filter(samples: np.ndarray, size: int) -> np.ndarray:
    """Median over `size` neighbouring samples, each channel for itself; beyond the ends stands zero.

    Args:
        samples: (time, channel).
        size: samples, odd; 1 changes nothing. The output at a sample needs the next ``size // 2`` samples.

    Returns:
        (time, channel) float64.

    Raises:
        ValueError: the size is not a positive odd number.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the size of a median filter must be odd and positive, found {size}")
    from scipy.ndimage import median_filter as ndimage_median

    return ndimage_median(np.asarray(samples, dtype=np.float64), size=(size, 1), mode="constant", cval=0.0)


def lowpass(
    samples: np.ndarray,
    *,
    order: int,
    cutoff_hz: float,
    sample_rate_hz: float = SAMPLE_RATE_HZ,
    zero_phase: bool = False,
    settled: bool = False,
) -> np.ndarray:
    """Butterworth low-pass over time, as second-order sections, whose rounding errors stay small.

    Args:
        samples: (time, channel).
        order: of the filter.
        cutoff_hz: where it passes 0.707 of the amplitude.
        sample_rate_hz: samples per second.
        zero_phase: filter forward and backward: no delay, but it looks ahead. Otherwise causal, as on a device.
        settled: a causal filter starts as if the first sample had lasted for ever, instead of at zero.

    Returns:
        (time, channel) float64.
    """
    from scipy.signal import butter, sosfilt, sosfilt_zi, sosfiltfilt

    samples = np.asarray(samples, dtype=np.float64)
    sos = butter(order, cutoff_hz, fs=sample_rate_hz, output="sos")
    if zero_phase:
        return sosfiltfilt(sos, samples, axis=0)
    if settled and len(samples):
        return sosfilt(sos, samples, axis=0, zi=sosfilt_zi(sos)[:, :, None] * samples[0])[0]
    return sosfilt(sos, samples, axis=0)


def gravity_lowpass(total_acc: np.ndarray, sample_rate_hz: float = SAMPLE_RATE_HZ) -> np.ndarray:
    """Zero-phase gravity of a continuous recording.

    3rd-order Butterworth low-pass at 0.3 Hz (Anguita et al. 2013), here forward and backward. Offline only: it looks ahead.
    UCI HAR itself was filtered forward alone, over whole recordings: `har.signals.chain`.

    Args:
        total_acc: (time, axis) total acceleration in g.
        sample_rate_hz: samples per second.

    Returns:
        (time, axis) gravity in g, float64.
    """
    return lowpass(total_acc, order=GRAVITY_ORDER, cutoff_hz=GRAVITY_CUTOFF_HZ, sample_rate_hz=sample_rate_hz, zero_phase=True)


def gravity_matrix(window_size: int, sample_rate_hz: float = SAMPLE_RATE_HZ) -> np.ndarray:
    """The zero-phase gravity filter of one window as a matrix.

    Inside a fixed window the filter, its edge padding included, is linear in the samples, so one matrix product
    reproduces it exactly. That makes it a layer of the network, in the exported graph as well.

    Args:
        window_size: samples in a window; the filter's edge padding needs at least `GRAVITY_MIN_SAMPLES`.
        sample_rate_hz: samples per second.

    Returns:
        (window_size, window_size) float64; ``gravity = matrix @ total_acc`` for total_acc (window_size, axis) in g.
    """
    return np.ascontiguousarray(gravity_lowpass(np.eye(window_size), sample_rate_hz))
