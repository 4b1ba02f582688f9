"""Filters of continuous recordings: median, Butterworth low-pass, gravity, and the chain that made the windows of UCI HAR."""

from dataclasses import dataclass
from typing import Literal

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
    UCI HAR itself was filtered forward alone, over whole recordings: `SensorChain`.

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


@dataclass(frozen=True)
class SensorChain:
    """From raw samples to the nine published channels: median, noise low-pass, less the slow part (gravity, drift of the gyroscope).

    The defaults are the published chain; other values are there to show what each choice is worth. The data set's description names a
    median filter, a 3rd-order Butterworth low-pass at 20 Hz and gravity by a 0.3 Hz low-pass (Anguita et al. 2013). The size of the
    median, both other orders, the direction and the treatment of the gyroscope were identified: with them the raw recordings of HAPT give
    the published windows to the last printed digit (`python -m research.reproduce`, results/hapt/reproduction.md). All steps are causal but
    for the one sample that the median needs, so a device can run the chain.

    Attributes:
        median_size: samples, odd; 1 leaves the median filter out.
        noise_order: of the Butterworth low-pass on every channel; 0 leaves it out.
        noise_cutoff_hz: its cutoff.
        gravity_order: of the low-pass whose output body acceleration lacks.
        gravity_cutoff_hz: its cutoff.
        drift_order: of the low-pass whose output is taken from the gyroscope; 0 leaves the gyroscope as measured.
        drift_cutoff_hz: its cutoff.
        zero_phase: stages filtered forward and backward, which looks ahead.
        settled: start as if the first sample had lasted for ever, instead of at zero.
    """

    median_size: int = 3
    noise_order: int = 10
    noise_cutoff_hz: float = 20.0
    gravity_order: int = GRAVITY_ORDER
    gravity_cutoff_hz: float = GRAVITY_CUTOFF_HZ
    drift_order: int = 2
    drift_cutoff_hz: float = 0.1
    zero_phase: tuple[Literal["noise", "gravity", "drift"], ...] = ()
    settled: bool = False

    def apply(self, raw6: np.ndarray) -> np.ndarray:
        """Nine channels of a continuous recording.

        Args:
            raw6: (time, 6) total acceleration in g and angular velocity in rad/s at 50 Hz, as measured, without a gap.

        Returns:
            (time, 9) float64 in the order of ``contract.UCI9``. The low-pass delays the signal by about two samples at
            the frequencies of gait; the windows of UCI HAR carry the same delay. The start at zero shows above 0.01 (g or
            rad/s) for 0.6 s in total acceleration, 5 s in body acceleration and up to 10 s in the gyroscope.
        """
        clean = self.clean(raw6)
        total_acc, gyro = clean[:, :3], clean[:, 3:]
        body_acc = total_acc - self._lowpass("gravity", total_acc, self.gravity_order, self.gravity_cutoff_hz)
        return np.concatenate((body_acc, gyro, total_acc), axis=1)

    def clean(self, raw6: np.ndarray) -> np.ndarray:
        """The six raw channels among those of `apply`: (time, 6) float64 in the order of ``contract.RAW6``."""
        clean = median_filter(raw6, self.median_size)
        if self.noise_order:
            clean = self._lowpass("noise", clean, self.noise_order, self.noise_cutoff_hz)
        if self.drift_order:
            clean[:, 3:] -= self._lowpass("drift", clean[:, 3:], self.drift_order, self.drift_cutoff_hz)
        return clean

    def _lowpass(self, stage: str, samples: np.ndarray, order: int, cutoff_hz: float) -> np.ndarray:
        return lowpass(samples, order=order, cutoff_hz=cutoff_hz, zero_phase=stage in self.zero_phase, settled=self.settled)


PUBLISHED = SensorChain()
