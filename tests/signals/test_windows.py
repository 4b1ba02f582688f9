import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from har.signals.windows import chain_windows, cut_windows, join_windows, label_runs, window_starts


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


@pytest.mark.parametrize("starts", [[40, 44, 52, 59], [3, 11, 19], [7], [2, 3, 4]])
def test_windows_are_joined_to_the_stretch_they_were_cut_from(starts: list[int]) -> None:
    """Overlapping, touching, or alone; wherever the stretch begins."""
    samples = np.random.default_rng(1).normal(size=(80, 3)).astype(np.float32)
    at = np.array(starts)
    joined = join_windows(cut_windows(samples, at, 8), at)
    np.testing.assert_array_equal(joined, samples[starts[0] : starts[-1] + 8])
    assert joined.dtype == np.float32


def test_missing_samples_are_equal_to_themselves() -> None:
    samples = np.full((12, 1), np.nan)
    assert np.isnan(join_windows(cut_windows(samples, np.array([0, 4]), 8), np.array([0, 4]))).all()
    whole = np.arange(12).reshape(12, 1)  # integers, which have no NaN
    np.testing.assert_array_equal(join_windows(cut_windows(whole, np.array([0, 4]), 8), np.array([0, 4])), whole)


@pytest.mark.parametrize(
    ("starts", "message"),
    [
        ([0, 8, 17], "^windows are 9 samples apart, expected 1 to 8: by increasing start and without a hole$"),
        ([0, 1, 10], "^windows are 9 samples apart"),
        ([5, 5], "^windows are 0 samples apart, expected 1 to 8"),
        ([8, 4], "^windows are -4 samples apart"),
        ([20, 24], "^windows disagree on the samples from 24 to 27; they are not of one stretch$"),
    ],
)
def test_windows_that_are_not_of_one_stretch_are_refused(starts: list[int], message: str) -> None:
    windows = np.random.default_rng(2).normal(size=(len(starts), 8, 2))
    with pytest.raises(ValueError, match=message):
        join_windows(windows, np.array(starts))


def test_nothing_is_no_stretch() -> None:
    with pytest.raises(ValueError, match=r"^no window to join$"):
        join_windows(np.empty((0, 8, 2)), np.empty(0, dtype=int))


@pytest.mark.parametrize(("size", "stride"), [(16, 4), (16, 12), (10, 3)])
def test_chains_are_found_whatever_the_overlap(size: int, stride: int) -> None:
    rng = np.random.default_rng(3)
    parts = [cut_windows(rng.normal(size=(size + stride * (n - 1), 2)), np.arange(n) * stride, size) for n in (3, 1, 4)]
    chain, start = chain_windows(np.concatenate(parts), np.zeros(8, dtype=int), stride)
    assert chain.tolist() == [0, 0, 0, 1, 2, 2, 2, 2]
    assert start.tolist() == [stride * k for n in (3, 1, 4) for k in range(n)]


def test_no_windows_are_no_chain() -> None:
    chain, start = chain_windows(np.empty((0, 8, 2)), np.empty(0, dtype=int), 4)
    assert chain.dtype == start.dtype == np.int64
    assert len(chain) == len(start) == 0


def test_runs_of_labels() -> None:
    assert list(label_runs(np.array([2, 2, -1, 0, 0, 0, 2]))) == [(2, 0, 2), (-1, 2, 3), (0, 3, 6), (2, 6, 7)]
    assert list(label_runs(np.empty(0, dtype=int))) == []
