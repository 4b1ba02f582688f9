"""What the windows of a stream tell of the mounting adds up to a rotation, or to nothing."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from har.runtime.mounted import Mounting, remounted

MOUNTINGS = Rotation.random(20, random_state=0).as_matrix()  # from the axes of the training data to the phone's


def told(mounting: np.ndarray, worth: float = 0.9, noise: np.ndarray | float = 0.0) -> np.ndarray:
    """What a window of walking tells: where x and y of the training data point in the phone's axes."""
    return worth * (mounting[:, :2].T + noise)


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(a @ b.T).magnitude()))


@pytest.mark.parametrize("mounting", MOUNTINGS)
def test_it_undoes_the_mounting(mounting: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    found = Mounting()
    for number in range(20):
        found.add(told(mounting, noise=rng.normal(0, 0.1, (2, 3))))
        assert (found.matrix() is None) == (number < 3)  # three windows are not worth 3 yet
    matrix = found.matrix()
    assert matrix is not None
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert angle_deg(matrix, mounting.T) < 6


def test_turned_windows_come_back_as_they_were() -> None:
    windows = np.random.default_rng(2).normal(size=(len(MOUNTINGS), 128, 6)).astype(np.float32)
    turned = np.concatenate([windows[..., i : i + 3] @ MOUNTINGS.transpose(0, 2, 1) for i in (0, 3)], axis=-1)
    back = remounted(turned, MOUNTINGS.transpose(0, 2, 1))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, windows, atol=1e-5)


def test_rest_tells_nothing_and_forgets_nothing() -> None:
    found = Mounting()
    for _ in range(1000):
        found.add(told(MOUNTINGS[0], worth=1e-3))
    assert found.matrix() is None
    found.reset()
    for _ in range(10):
        found.add(told(MOUNTINGS[0]))
    before = found.matrix()
    for _ in range(10_000):
        found.add(np.zeros((2, 3)))
    assert before is not None
    np.testing.assert_array_equal(found.matrix(), before)


def test_what_contradicts_itself_tells_nothing_and_a_new_mounting_is_followed() -> None:
    found, other = Mounting(), MOUNTINGS[0] @ Rotation.from_euler("x", 180, degrees=True).as_matrix()
    for _ in range(30):
        found.add(told(MOUNTINGS[0]))
    states = []
    for _ in range(120):
        found.add(told(other))
        matrix = found.matrix()
        states.append("none" if matrix is None else "new" if angle_deg(matrix, other.T) < 20 else "old")
    changes = [state for state, before in zip(states, ["old", *states], strict=False) if state != before]
    assert changes == ["none", "new"]
    assert states.index("new") < 100  # windows, two minutes of walking


def test_nothing_at_all_is_no_mounting() -> None:
    found = Mounting(enough=0.0, agreement=0.0)
    assert found.matrix() is None
    found.add(np.array([[1.0, 0, 0], [1.0, 0, 0]]))  # front cannot be up
    assert found.matrix() is None
