"""The filters that made UCI HAR's windows: what each does, and that nothing looks ahead."""

import numpy as np
import pytest

from har.contract import UCI9
from har.signals.filters import PUBLISHED, SensorChain, lowpass, median_filter


@pytest.fixture
def raw6() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2000, 6))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_median_of_neighbours_with_zeros_beyond_the_ends(size: int, raw6: np.ndarray) -> None:
    padded = np.pad(raw6, ((size // 2, size // 2), (0, 0)))
    expected = np.median(np.lib.stride_tricks.sliding_window_view(padded, size, axis=0), axis=2)
    np.testing.assert_array_equal(median_filter(raw6, size), expected)


@pytest.mark.parametrize("size", [0, 2, -1])
def test_an_even_median_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="must be odd and positive"):
        median_filter(np.zeros((5, 1)), size)


@pytest.mark.parametrize(("order", "cutoff_hz"), [(10, 20.0), (3, 0.3), (2, 0.1)])
def test_half_the_power_passes_at_the_cutoff(order: int, cutoff_hz: float) -> None:
    wave = np.sin(2 * np.pi * cutoff_hz * np.arange(20_000) / 50.0 + 0.3)[:, None]
    for zero_phase, expected in ((False, np.sqrt(0.5)), (True, 0.5)):
        passed = lowpass(wave, order=order, cutoff_hz=cutoff_hz, zero_phase=zero_phase)[8000:12_000]
        assert np.sqrt(2 * np.mean(passed**2)) == pytest.approx(expected, rel=2e-3)


def test_the_channels_are_total_less_slow(raw6: np.ndarray) -> None:
    uci9 = PUBLISHED.apply(raw6)
    assert uci9.shape == (len(raw6), len(UCI9))
    body_acc, gyro, total_acc = uci9[:, :3], uci9[:, 3:6], uci9[:, 6:]
    np.testing.assert_allclose(total_acc - body_acc, lowpass(total_acc, order=3, cutoff_hz=0.3), atol=1e-12)
    measured = SensorChain(drift_order=0).apply(raw6)[:, 3:6]
    np.testing.assert_allclose(measured - gyro, lowpass(measured, order=2, cutoff_hz=0.1), atol=1e-12)


def test_nothing_looks_ahead_but_the_median_by_one_sample(raw6: np.ndarray) -> None:
    changed = raw6.copy()
    changed[1000:] += 5.0
    before, after = PUBLISHED.apply(raw6), PUBLISHED.apply(changed)
    np.testing.assert_array_equal(before[:999], after[:999])
    assert not np.array_equal(before[999], after[999])
    ahead = SensorChain(zero_phase=("gravity",))
    assert not np.array_equal(ahead.apply(raw6)[900, :3], ahead.apply(changed)[900, :3])


def test_a_settled_start_has_no_transient() -> None:
    still = np.tile([0.6, 0.0, 0.8, 0.02, -0.01, 0.0], (500, 1))
    settled = SensorChain(median_size=1, settled=True).apply(still)
    np.testing.assert_allclose(settled[:, 6:], still[:, :3], atol=1e-9)
    np.testing.assert_allclose(settled[:, :6], 0.0, atol=1e-9)
    assert np.abs(PUBLISHED.apply(still)[:50, :3]).max() > 0.1
