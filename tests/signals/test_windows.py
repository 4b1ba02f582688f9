import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from har.signals.windows import chain_windows, cut_windows, window_starts


@given(st.integers(0, 500), st.integers(1, 200), st.integers(1, 200))
def test_starts_are_all_whole_windows(num_samples: int, window_size: int, stride: int) -> None:
    starts = window_starts(num_samples, window_size, stride)
    assert starts.tolist() == [s for s in range(0, num_samples, stride) if s + window_size <= num_samples]


@pytest.mark.parametrize(("window_size", "stride"), [(0, 1), (1, 0), (-3, 2)])
def test_senseless_windows_are_refused(window_size: int, stride: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        window_starts(10, window_size, stride)


def test_cut_windows_copies_the_samples() -> None:
    samples = np.arange(60.0).reshape(20, 3)
    windows = cut_windows(samples, np.array([0, 5, 12]), 8)
    assert windows.shape == (3, 8, 3)
    for window, start in zip(windows, (0, 5, 12), strict=True):
        np.testing.assert_array_equal(window, samples[start : start + 8])
    samples[:] = -1
    assert (windows >= 0).all()


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_chains_are_found_again(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [cut_windows(rng.normal(size=(16 + 8 * (n - 1), 2)), np.arange(n) * 8, 16) for n in lengths]
    chain, start = chain_windows(np.concatenate(parts), np.zeros(sum(lengths), dtype=int), 8)
    assert chain.tolist() == [i for i, n in enumerate(lengths) for _ in range(n)]
    assert start.tolist() == [8 * k for n in lengths for k in range(n)]


def test_another_group_starts_another_chain() -> None:
    windows = cut_windows(np.random.default_rng(0).normal(size=(48, 1)), np.arange(5) * 8, 16)
    chain, start = chain_windows(windows, np.array([0, 0, 1, 1, 1]), 8)
    assert chain.tolist() == [0, 0, 1, 1, 1]
    assert start.tolist() == [0, 8, 0, 8, 16]
