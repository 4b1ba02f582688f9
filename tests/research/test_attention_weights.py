"""What attention weights say: spread, correlation with movement, and windows without some samples."""

import numpy as np
import pytest

from research.attention import correlations, effective_samples, movement, without


def test_weights_on_a_few_samples_spread_over_as_many() -> None:
    weights = np.zeros((3, 8))
    weights[0] = 1 / 8
    weights[1, 3] = 1
    weights[2, [1, 5]] = 0.5
    np.testing.assert_allclose(effective_samples(weights), [8, 1, 2])


def test_movement_is_measured_without_gravity() -> None:
    x = np.zeros((2, 4, 6))
    x[..., 0] = 1.0
    x[1, 2, 1] = 0.4  # its mean is 0.1
    found = movement(x)
    assert (found[0] == 0).all()
    np.testing.assert_allclose(found[1], [0.1, 0.1, 0.3, 0.1])


@pytest.mark.parametrize("sign", [1, -1])
def test_the_correlation_is_of_ranks(sign: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.random((5, 20))
    assert correlations(values, sign * values**3) == pytest.approx(sign)
    assert abs(correlations(rng.random((200, 20)), rng.random((200, 20))).mean()) < 0.05


def test_samples_that_are_taken_away_leave_a_line_between_their_neighbours() -> None:
    x = np.arange(10.0)[None, :, None] ** 2
    order = np.array([[4, 9, 0, 1, 2, 3, 5, 6, 7, 8]])
    made = without(x, order, 0.2)
    assert made[0, 4, 0] == (9 + 25) / 2
    assert made[0, 9, 0] == 64  # behind the last there is no neighbour: the value stays
    kept = [0, 1, 2, 3, 5, 6, 7, 8]
    assert (made[0, kept, 0] == x[0, kept, 0]).all()
