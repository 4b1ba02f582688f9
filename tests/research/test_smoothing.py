"""The smoother against sums over all paths, on streams short enough for that."""

from itertools import product

import numpy as np
import pytest

from research.smooth import FLOOR, StreamSmoother, estimate_transitions, smooth

CLASSES = 3


@pytest.fixture
def model() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    transitions = rng.dirichlet([1, 1, 1], size=CLASSES)
    return transitions, rng.dirichlet([3, 3, 3])


def by_all_paths(p: np.ndarray, transitions: np.ndarray, shares: np.ndarray, weight: float, known: int, asked: int) -> np.ndarray:
    """Posterior of window `asked` given the first `known` windows, by summing over every path."""
    likelihood = (np.maximum(p, FLOOR) / shares) ** weight
    result = np.zeros(CLASSES)
    for path in product(range(CLASSES), repeat=known):
        value = shares[path[0]] * likelihood[0, path[0]]
        for time in range(1, known):
            value *= transitions[path[time - 1], path[time]] * likelihood[time, path[time]]
        result[path[asked]] += value
    return result / result.sum()


@pytest.mark.parametrize("lag", [0, 1, 3])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_smoother_sums_over_all_paths(model: tuple[np.ndarray, np.ndarray], lag: int, weight: float) -> None:
    transitions, shares = model
    p = np.random.default_rng(1).dirichlet([1, 1, 1], size=6)
    found = smooth(p, StreamSmoother(transitions, shares, weight=weight, lag=lag))
    assert found.shape == p.shape
    for time in range(len(p)):
        expected = by_all_paths(p, transitions, shares, weight, min(time + lag + 1, len(p)), time)
        np.testing.assert_allclose(found[time], expected, atol=1e-12)


def test_an_answer_does_not_depend_on_what_comes_after_its_lag(model: tuple[np.ndarray, np.ndarray]) -> None:
    p = np.random.default_rng(2).dirichlet([1, 1, 1], size=20)
    other = p.copy()
    other[12:] = other[12:, ::-1]
    first, second = (smooth(x, StreamSmoother(*model, lag=2)) for x in (p, other))
    np.testing.assert_array_equal(first[:10], second[:10])
    assert not np.array_equal(first[10:], second[10:])


def test_answers_come_as_late_as_the_lag(model: tuple[np.ndarray, np.ndarray]) -> None:
    smoother = StreamSmoother(*model, lag=2)
    p = np.full(CLASSES, 1 / CLASSES)
    assert [smoother.push(p) is None for _ in range(4)] == [True, True, False, False]
    assert len(smoother.finish()) == 2
    smoother.reset()
    smoother.push(p)
    assert len(smoother.finish()) == 1  # a stream shorter than its lag


def test_a_single_slip_is_mended_and_a_lasting_change_is_told() -> None:
    transitions, shares = np.full((2, 2), 0.02) + 0.96 * np.eye(2), np.array([0.5, 0.5])
    sure, slip = [0.9, 0.1], [0.2, 0.8]
    p = np.array([sure] * 5 + [slip] + [sure] * 5 + [slip] * 10)
    found = smooth(p, StreamSmoother(transitions, shares, weight=0.7)).argmax(axis=1)
    assert (found[:11] == 0).all()
    assert (found[15:] == 1).all()


def test_an_impossible_probability_does_not_break_the_stream() -> None:
    p = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    assert np.isfinite(smooth(p, StreamSmoother(np.eye(2), np.array([0.5, 0.5]), lag=1))).all()


def test_transitions_are_counted_over_what_is_not_labelled() -> None:
    transitions, shares = estimate_transitions([np.array([0, 0, -1, 1]), np.array([1, 1])], 2, pseudo_count=1.0)
    np.testing.assert_allclose(transitions, [[2 / 4, 2 / 4], [1 / 3, 2 / 3]])
    np.testing.assert_allclose(shares, [3 / 7, 4 / 7])


@pytest.mark.parametrize(("weight", "lag"), [(0.0, 0), (1.0, -1), (float("nan"), 0)])
def test_settings_without_sense_are_refused(model: tuple[np.ndarray, np.ndarray], weight: float, lag: int) -> None:
    with pytest.raises(ValueError, match="expected a weight above 0"):
        StreamSmoother(*model, weight=weight, lag=lag)
    with pytest.raises(ValueError, match="rows that sum to one"):
        StreamSmoother(2 * model[0], model[1])
