"""Causal Butterworth low-passes with explicit state: the form a device runs. Needs numpy only.

The zero-phase filters in ``filters.py`` look ahead and belong to recordings that have ended; these see the past alone.
What that costs in delay and amplitude is measured in ``phase.py``.
"""

from functools import lru_cache

import numpy as np

from har.contract import (
    GRAVITY_CUTOFF_HZ,
    GRAVITY_ORDER,
    NOISE_CUTOFF_HZ,
    NOISE_ORDER,
    SAMPLE_RATE_HZ,
    HarError,
)

BLOCK = 64  # samples filtered by one matrix product; from 32 to 128 the speed is about the same


def butterworth_lowpass(order: int, cutoff_hz: float, sample_rate_hz: float) -> np.ndarray:
    """Second-order sections of a digital Butterworth low-pass.

    Poles on a circle in the s-plane, frequency prewarped, bilinear transform (Oppenheim and Schafer, Discrete-Time Signal
    Processing, 7.1). An odd order opens with a first-order section; each section has a gain of 1 at 0 Hz.

    Args:
        order: number of poles, at least 1.
        cutoff_hz: frequency of half power.
        sample_rate_hz: samples per second.

    Returns:
        (section, 6) float64, rows b0, b1, b2, 1, a1, a2.

    Raises:
        HarError: the cutoff is not between 0 and half the sampling rate.
    """
    if not 0 < cutoff_hz < sample_rate_hz / 2:
        raise HarError(
            f"a low-pass at {cutoff_hz:g} Hz needs more than {2 * cutoff_hz:g} samples per second, found {sample_rate_hz:g}; "
            "resample the recording or lower the cutoff"
        )
    warped = np.tan(np.pi * cutoff_hz / sample_rate_hz)  # analogue cutoff, in units of twice the sampling rate
    sections = []
    if order % 2:
        pole = (1 - warped) / (1 + warped)
        sections.append([(1 - pole) / 2, (1 - pole) / 2, 0.0, 1.0, -pole, 0.0])
    for pair in reversed(range(order // 2)):  # the pair nearest the unit circle comes last: it rings, and nothing amplifies it
        analogue = warped * np.exp(1j * np.pi * (0.5 + (2 * pair + 1) / (2 * order)))
        pole = (1 + analogue) / (1 - analogue)
        a1, a2 = -2 * pole.real, abs(pole) ** 2
        # 1 + a1 + a2 loses five digits at 0.3 Hz of 50; |1 - pole|^2 is the same and loses none.
        gain = abs(1 - pole) ** 2 / 4
        sections.append([gain, 2 * gain, gain, 1.0, a1, a2])
    return np.array(sections, dtype=np.float64)


class CausalFilter:
    """A cascade of second-order sections over a stream that comes in chunks of any length.

    Equal to ``scipy.signal.sosfilt`` to rounding (transposed direct form II, and the state is laid out as there), but in
    numpy alone: a block of 64 samples is one product with the impulse response and one with the state, so that Python
    runs once a block instead of once a sample. The object holds coefficients only; the state is passed in and out, so
    that one filter serves many streams.

    Args:
        sos: (section, 6) second-order sections, as from `butterworth_lowpass`.
    """

    def __init__(self, sos: np.ndarray) -> None:
        self.sos = np.array(sos, dtype=np.float64)
        if self.sos.ndim != 2 or self.sos.shape[1] != 6 or not (self.sos[:, 3] == 1).all():
            raise ValueError(f"sections have shape {self.sos.shape}, expected (section, 6) with a fourth column of ones")
        move, feed, read, direct = _state_space(self.sos)
        powers = [np.eye(len(move))]
        for _ in range(BLOCK):
            powers.append(move @ powers[-1])
        self._powers = np.stack(powers)  # (BLOCK + 1, S, S): the state after n samples of silence
        self._from_state = np.stack([read @ power for power in powers[:-1]])  # (BLOCK, S): output of a state, without input
        response = np.concatenate(([direct], self._from_state[:-1] @ feed))  # (BLOCK,) impulse response
        lag = np.arange(BLOCK)[:, None] - np.arange(BLOCK)
        self._from_input = np.where(lag >= 0, response[np.maximum(lag, 0)], 0.0)  # (BLOCK, BLOCK), lower triangular
        self._into_state = np.stack([power @ feed for power in reversed(powers[:-1])], axis=1)  # (S, BLOCK)

    def at_rest(self, num_channels: int) -> np.ndarray:
        """The state before any sample, as after a long silence at zero: (section, 2, channel)."""
        return np.zeros((len(self.sos), 2, num_channels))

    def settled_on(self, sample: np.ndarray) -> np.ndarray:
        """The state after a long time at the constant value `sample` (channel,): (section, 2, channel).

        A gravity filter started here, on the first sample of a stream, does not take seconds to rise from 0 to 1 g.
        """
        level, state = 1.0, []
        for b0, b1, b2, _, a1, a2 in self.sos:
            out = level * (b0 + b1 + b2) / (1 + a1 + a2)
            state.append([b1 * level - a1 * out + b2 * level - a2 * out, b2 * level - a2 * out])
            level = out
        return np.array(state)[:, :, None] * np.asarray(sample, dtype=np.float64)

    def __call__(self, samples: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Filter the next chunk of a stream.

        Args:
            samples: (time, channel), of any length, none included.
            state: (section, 2, channel) from `at_rest`, `settled_on` or the chunk before; it is not changed.

        Returns:
            (time, channel) float64 filtered samples, and the state after them.

        Raises:
            ValueError: the shapes do not fit.
            HarError: a sample is not finite; it would stay in the state for ever.
        """
        samples = np.asarray(samples, dtype=np.float64)
        if samples.ndim != 2 or state.shape != (len(self.sos), 2, samples.shape[1]):
            raise ValueError(
                f"samples have shape {samples.shape} and the state {state.shape}; "
                f"expected (time, channel) and ({len(self.sos)}, 2, channel)"
            )
        if not np.isfinite(samples).all():
            row, column = np.argwhere(~np.isfinite(samples))[0]
            raise HarError(f"sample {row} of channel {column} is {samples[row, column]}; interpolate missing samples before filtering")
        flat = state.reshape(-1, samples.shape[1])  # (S, channel)
        whole = len(samples) // BLOCK * BLOCK
        blocks = samples[:whole].reshape(-1, BLOCK, samples.shape[1])
        gained = self._into_state @ blocks  # (block, S, channel)
        before = np.empty_like(gained)  # the state each block starts from
        for index, gain in enumerate(gained):
            before[index] = flat
            flat = self._powers[BLOCK] @ flat + gain
        filtered = (self._from_input @ blocks + self._from_state @ before).reshape(whole, samples.shape[1])
        rest, count = samples[whole:], len(samples) - whole
        tail = self._from_input[:count, :count] @ rest + self._from_state[:count] @ flat
        flat = self._powers[count] @ flat + self._into_state[:, BLOCK - count :] @ rest
        return np.concatenate((filtered, tail)), flat.reshape(state.shape)


def _state_space(sos: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The cascade as ``s' = move s + feed x``, ``y = read s + direct x``: (S, S), (S,), (S,) and a number; S = 2 sections."""
    size = 2 * len(sos)
    basis = np.eye(size + 1)  # every state alone, then the input alone
    signal, after = basis[size], np.empty((size, size + 1))
    for index, (b0, b1, b2, _, a1, a2) in enumerate(sos):
        first, second = basis[2 * index], basis[2 * index + 1]
        out = b0 * signal + first
        after[2 * index] = b1 * signal - a1 * out + second
        after[2 * index + 1] = b2 * signal - a2 * out
        signal = out
    return after[:, :size], after[:, size], signal[:size], float(signal[size])


@lru_cache(maxsize=8)
def noise_filter(sample_rate_hz: float = SAMPLE_RATE_HZ) -> CausalFilter:
    """The 20 Hz low-pass against sensor noise, 3rd order (Anguita et al. 2013), in its causal form."""
    return CausalFilter(butterworth_lowpass(NOISE_ORDER, NOISE_CUTOFF_HZ, sample_rate_hz))


@lru_cache(maxsize=8)
def gravity_filter(sample_rate_hz: float = SAMPLE_RATE_HZ) -> CausalFilter:
    """The 0.3 Hz low-pass that leaves gravity in total acceleration, 3rd order (Anguita et al. 2013), in its causal form."""
    return CausalFilter(butterworth_lowpass(GRAVITY_ORDER, GRAVITY_CUTOFF_HZ, sample_rate_hz))
