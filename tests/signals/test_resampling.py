import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from har.signals.resampling import StreamResampler, sinc_resample


def stream(time_s: np.ndarray, values: np.ndarray, source_hz: float, cuts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    resampler = StreamResampler(source_hz, 50.0)
    edges = [0, *sorted(cuts), len(time_s)]
    parts = [resampler.push(time_s[a:b], values[a:b]) for a, b in itertools.pairwise(edges)]
    parts.append(resampler.push(np.empty(0), np.empty((0, values.shape[1])), last=True))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


@pytest.mark.parametrize("source_hz", [45.0, 52.0, 100.0, 200.0])
@pytest.mark.parametrize("frequency", [0.5, 2.0, 10.0])
def test_what_people_move_passes(source_hz: float, frequency: float) -> None:
    time_s = np.arange(int(20 * source_hz)) / source_hz
    grid_s, found = stream(time_s, np.sin(2 * np.pi * frequency * time_s)[:, None], source_hz, [])
    np.testing.assert_allclose(np.diff(grid_s), 0.02, atol=1e-9)
    middle = (grid_s > 1) & (grid_s < 19)
    assert np.abs(found[middle, 0] - np.sin(2 * np.pi * frequency * grid_s[middle])).max() < 0.01


@pytest.mark.parametrize(("source_hz", "target_hz"), [(10.0, 50.0), (25.0, 20.0), (100.0, 10.0), (20.0, 25.0)])
def test_low_rates_pass_and_stop_as_high_ones(source_hz: float, target_hz: float) -> None:
    """In shares of the lower rate: 0.2 passes, 0.7 of it or more is gone where the source holds it."""
    low_hz, time_s = min(source_hz, target_hz), np.arange(int(40 * source_hz)) / source_hz

    def found(frequency: float) -> tuple[np.ndarray, np.ndarray]:
        resampler = StreamResampler(source_hz, target_hz)
        grid_s, values = resampler.push(time_s, np.sin(2 * np.pi * frequency * time_s)[:, None], last=True)
        middle = (grid_s > 3) & (grid_s < 37)
        return grid_s[middle], values[middle, 0]

    grid_s, values = found(0.2 * low_hz)
    assert np.abs(values - np.sin(2 * np.pi * 0.2 * low_hz * grid_s)).max() < 0.01
    if 0.7 * low_hz < source_hz / 2:
        assert np.abs(found(0.7 * low_hz)[1]).max() < 0.01


@pytest.mark.parametrize("frequency", [30.0, 45.0, 70.0, 95.0])
def test_what_would_be_folded_into_the_band_is_removed(frequency: float) -> None:
    time_s = np.arange(4000) / 200.0
    grid_s, found = stream(time_s, np.sin(2 * np.pi * frequency * time_s)[:, None], 200.0, [])
    middle = (grid_s > 1) & (grid_s < 19)
    assert np.abs(found[middle]).max() < 0.01
    assert np.abs(np.sin(2 * np.pi * frequency * grid_s[middle] + 0.3)).max() > 0.1  # taking every fourth would show it


def test_a_constant_stays_exactly_constant_at_the_edges_too() -> None:
    time_s = np.arange(300) / 104.0
    grid_s, found = stream(time_s, np.full((300, 6), 0.7), 104.0, [])
    np.testing.assert_allclose(found, 0.7, atol=1e-12)
    assert len(grid_s) == int(time_s[-1] * 50 + 1e-6) + 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 900), max_size=8), st.sampled_from([44.0, 52.5, 98.0, 120.0]))
def test_where_the_stream_is_cut_changes_nothing(seed: int, cuts: list[int], source_hz: float) -> None:
    rng = np.random.default_rng(seed)
    time_s = 1000.0 + np.cumsum(rng.uniform(0.7, 1.3, size=900)) / source_hz
    values = rng.normal(size=(900, 2))
    whole_s, whole = stream(time_s, values, source_hz, [])
    cut_s, cut = stream(time_s, values, source_hz, cuts)
    np.testing.assert_allclose(cut_s, whole_s, atol=1e-9)
    np.testing.assert_allclose(cut, whole, atol=1e-8)


def test_one_sample_is_not_enough() -> None:
    with pytest.raises(ValueError, match="two samples"):
        sinc_resample(np.zeros(1), np.zeros((1, 1)), np.zeros(1), cutoff_hz=20.0)
