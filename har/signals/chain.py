"""From raw sensor samples to the nine published channels: the chain that made the windows of UCI HAR.

The data set's description names a median filter, a 3rd-order Butterworth low-pass at 20 Hz and gravity by a 0.3 Hz low-pass
(Anguita et al. 2013). The orders, the direction and the treatment of the gyroscope below were identified: with them the raw
recordings of HAPT give the published windows to the last printed digit (`python -m research.reproduce`, results/hapt/reproduction.md).
All steps are causal but for the one sample that the median needs, so a device can run the chain.
"""

from dataclasses import dataclass

import numpy as np

from har.contract import GRAVITY_CUTOFF_HZ, GRAVITY_ORDER, SAMPLE_RATE_HZ
from har.signals.filters import lowpass, median_filter

MEDIAN_SIZE = 3  # samples; "a median filter", Anguita et al. 2013; the size is identified
NOISE_CUTOFF_HZ = 20.0  # Anguita et al. 2013
NOISE_ORDER = 10  # identified; the description says 3rd order
DRIFT_CUTOFF_HZ = 0.1  # what is taken from the gyroscope; identified, not in the description
DRIFT_ORDER = 2  # identified
STAGES = ("noise", "gravity", "drift")


@dataclass(frozen=True)
class SensorChain:
    """Median filter, noise low-pass, and the slow part subtracted: gravity of the acceleration, drift of the gyroscope.

    The defaults are the published chain; other values are there to show what each choice is worth.

    Attributes:
        median_size: samples, odd; 1 leaves the median filter out.
        noise_order: of the Butterworth low-pass on every channel; 0 leaves it out.
        noise_cutoff_hz: its cutoff.
        gravity_order: of the low-pass whose output body acceleration lacks.
        gravity_cutoff_hz: its cutoff.
        drift_order: of the low-pass whose output is taken from the gyroscope; 0 leaves the gyroscope as measured.
        drift_cutoff_hz: its cutoff.
        zero_phase: stages filtered forward and backward, which looks ahead: of ``noise``, ``gravity``, ``drift``.
        settled: start as if the first sample had lasted for ever, instead of at zero.
    """

    median_size: int = MEDIAN_SIZE
    noise_order: int = NOISE_ORDER
    noise_cutoff_hz: float = NOISE_CUTOFF_HZ
    gravity_order: int = GRAVITY_ORDER
    gravity_cutoff_hz: float = GRAVITY_CUTOFF_HZ
    drift_order: int = DRIFT_ORDER
    drift_cutoff_hz: float = DRIFT_CUTOFF_HZ
    zero_phase: tuple[str, ...] = ()
    settled: bool = False

    def __post_init__(self) -> None:
        unknown = set(self.zero_phase) - set(STAGES)
        if unknown:
            raise ValueError(f"zero_phase names {', '.join(sorted(unknown))}; expected some of {', '.join(STAGES)}")

    def apply(self, raw6: np.ndarray, sample_rate_hz: float = SAMPLE_RATE_HZ) -> np.ndarray:
        """Nine channels of a continuous recording.

        Args:
            raw6: (time, 6) total acceleration in g and angular velocity in rad/s, as measured, without a gap.
            sample_rate_hz: samples per second.

        Returns:
            (time, 9) float64 in the order of ``contract.UCI9``. The low-pass delays the signal by about two samples at
            the frequencies of gait; the windows of UCI HAR carry the same delay. The start at zero shows above 0.01 (g or
            rad/s) for 0.6 s in total acceleration, 5 s in body acceleration and up to 10 s in the gyroscope.
        """
        clean = self.clean(raw6, sample_rate_hz)
        total_acc, gyro = clean[:, :3], clean[:, 3:]
        body_acc = total_acc - self._stage("gravity", total_acc, self.gravity_order, self.gravity_cutoff_hz, sample_rate_hz)
        return np.concatenate((body_acc, gyro, total_acc), axis=1)

    def clean(self, raw6: np.ndarray, sample_rate_hz: float = SAMPLE_RATE_HZ) -> np.ndarray:
        """The six raw channels among those of `apply`: (time, 6) float64 in the order of ``contract.RAW6``."""
        clean = self._stage("noise", median_filter(raw6, self.median_size), self.noise_order, self.noise_cutoff_hz, sample_rate_hz)
        if self.drift_order:
            clean[:, 3:] -= self._stage("drift", clean[:, 3:], self.drift_order, self.drift_cutoff_hz, sample_rate_hz)
        return clean

    def _stage(self, name: str, samples: np.ndarray, order: int, cutoff_hz: float, sample_rate_hz: float) -> np.ndarray:
        if order == 0:
            return samples
        return lowpass(
            samples,
            order=order,
            cutoff_hz=cutoff_hz,
            sample_rate_hz=sample_rate_hz,
            zero_phase=name in self.zero_phase,
            settled=self.settled,
        )


PUBLISHED = SensorChain()
