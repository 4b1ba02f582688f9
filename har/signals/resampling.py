"""Resampling to a uniform rate with an anti-alias filter, in pieces of any length. Needs numpy only."""

import numpy as np

HALF_WIDTH_S = 0.32  # of the filter's kernel, at least: 16 samples at 50 Hz on each side
HALF_WIDTH_CYCLES = 5.76  # of the cut-off, at least, so that the filter of a low rate is as steep
CUTOFF_SHARE = 0.45  # of the lower of both rates: 22.5 Hz for 50 Hz, above the 20 Hz that people's movements reach
KAISER_BETA = 8.0  # stop band about -80 dB


def sinc_resample(time_s: np.ndarray, values: np.ndarray, grid_s: np.ndarray, *, cutoff_hz: float) -> np.ndarray:
    """Values at the times of a grid: windowed-sinc interpolation, which is a low-pass filter as well.

    The weights of a grid point sum to one, so that a constant stays exactly constant, at the edges too.

    Args:
        time_s: (time,) uniform, increasing.
        values: (time, channel).
        grid_s: (grid,) within the range of `time_s`.
        cutoff_hz: of the low-pass filter; at most half the lower of both rates.

    Returns:
        (grid, channel) float64.

    Raises:
        ValueError: fewer than two samples.
    """
    if len(time_s) < 2:
        raise ValueError(f"resampling needs two samples, found {len(time_s)}")
    period = (time_s[-1] - time_s[0]) / (len(time_s) - 1)
    half_width_s = _half_width_s(cutoff_hz)
    reach = int(np.ceil(half_width_s / period))
    result = np.empty((len(grid_s), values.shape[1]))
    offsets = np.arange(-reach, reach + 1)
    for first in range(0, len(grid_s), 4096):  # bounds the memory of the gathered samples
        at = grid_s[first : first + 4096]
        centre = np.rint((at - time_s[0]) / period).astype(np.int64)
        index = centre[:, None] + offsets  # (grid, kernel)
        inside = (index >= 0) & (index < len(time_s))
        index = index.clip(0, len(time_s) - 1)
        distance = at[:, None] - (time_s[0] + index * period)
        weight = _kernel(distance, cutoff_hz, half_width_s) * inside
        weight /= weight.sum(axis=1, keepdims=True)
        result[first : first + 4096] = np.einsum("gk,gkc->gc", weight, values[index])
    return result


def _half_width_s(cutoff_hz: float) -> float:
    return max(HALF_WIDTH_S, HALF_WIDTH_CYCLES / cutoff_hz)


def _kernel(distance_s: np.ndarray, cutoff_hz: float, half_width_s: float) -> np.ndarray:
    # Less one, so that the window is zero at its edge: whether a sample there is inside must not depend on rounding.
    window = np.i0(KAISER_BETA * np.sqrt((1 - (distance_s / half_width_s) ** 2).clip(0))) - 1.0
    return np.sinc(2 * cutoff_hz * distance_s) * window * (np.abs(distance_s) <= half_width_s)


class StreamResampler:
    """Uniform samples from one continuous stretch that arrives in pieces with irregular times.

    Irregular times are first brought to a uniform grid at the source's own rate (linear), then to the target's rate
    (`sinc_resample`). The result does not depend on how the stretch was cut, to rounding.

    Args:
        source_hz: mean rate of the stretch, gaps left out.
        target_hz: rate of the result.
        aligned: whether the result's times are whole periods from 0 on, so that those of several sensors meet, in place of from the first
            sample on.
    """

    def __init__(self, source_hz: float, target_hz: float, *, aligned: bool = False) -> None:
        self.source_period = 1.0 / source_hz
        self.target_period = 1.0 / target_hz
        self.cutoff_hz = CUTOFF_SHARE * min(source_hz, target_hz)
        self.reach = int(np.ceil(_half_width_s(self.cutoff_hz) * source_hz)) + 1
        self.start_s: float | None = None
        self.aligned, self.offset_s = aligned, 0.0  # of the first time of the result, behind the first sample
        self.pending = (np.empty(0), np.empty((0, 0)))  # irregular samples not yet on the uniform grid
        self.uniform = np.empty((0, 0))  # values on the source grid that later results still need
        self.uniform_first = 0  # index of uniform[0] on the source grid
        self.uniform_next = 0  # first index that is not made yet
        self.target_next = 0

    def push(self, time_s: np.ndarray, values: np.ndarray, *, last: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Take (time,) increasing times and (time, channel) values; give (grid,) times and (grid, channel) values.

        With `last`, everything that is left comes out.
        """
        if self.start_s is None:
            if not len(time_s):
                return np.empty(0), np.empty((0, values.shape[1]))
            self.start_s = float(time_s[0])
            if self.aligned:
                self.offset_s = np.ceil(self.start_s / self.target_period - 1e-6) * self.target_period - self.start_s
            self.pending = (np.empty(0), np.empty((0, values.shape[1])))
            self.uniform = np.empty((0, values.shape[1]))
        pending_s, pending = np.concatenate((self.pending[0], time_s)), np.concatenate((self.pending[1], values))
        end_s = pending_s[-1] - self.start_s
        stop = int(np.floor(end_s / self.source_period + 1e-6)) + 1
        grid_s = self.start_s + np.arange(self.uniform_next, stop) * self.source_period
        if len(grid_s):
            linear = np.stack([np.interp(grid_s, pending_s, column) for column in pending.T], axis=1)
            self.uniform = np.concatenate((self.uniform, linear))
            self.uniform_next = stop
        keep = max(0, len(pending_s) - 2)  # the next piece interpolates from the last sample
        self.pending = (pending_s[keep:], pending[keep:])
        return self._emit(last)

    def _emit(self, last: bool) -> tuple[np.ndarray, np.ndarray]:
        assert self.start_s is not None
        ready = self.uniform_next - 1 if last else self.uniform_next - 1 - self.reach
        stop = int(np.floor((max(ready, -1) * self.source_period - self.offset_s) / self.target_period + 1e-6)) + 1 if ready >= 0 else 0
        grid_s = self.offset_s + np.arange(self.target_next, stop) * self.target_period
        if not len(grid_s) or len(self.uniform) < 2:
            return np.empty(0), np.empty((0, self.uniform.shape[1]))
        uniform_s = (self.uniform_first + np.arange(len(self.uniform))) * self.source_period
        values = sinc_resample(uniform_s, self.uniform, grid_s, cutoff_hz=self.cutoff_hz)
        self.target_next = stop
        needed = int(np.floor((self.offset_s + stop * self.target_period) / self.source_period)) - self.reach - 1
        drop = max(0, needed - self.uniform_first)
        self.uniform, self.uniform_first = self.uniform[drop:], self.uniform_first + drop
        return self.start_s + grid_s, values
