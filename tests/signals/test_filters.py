import numpy as np
import pytest

from har.signals.filters import gravity_lowpass, gravity_matrix


@pytest.mark.parametrize("window_size", [32, 64, 128, 250])
def test_matrix_is_the_filter(window_size: int) -> None:
    window = np.random.default_rng(0).normal(size=(window_size, 3))
    np.testing.assert_allclose(gravity_matrix(window_size) @ window, gravity_lowpass(window), atol=1e-9)


def test_constant_gravity_passes_unchanged() -> None:
    still = np.tile([0.6, 0.0, 0.8], (128, 1))
    np.testing.assert_allclose(gravity_matrix(128) @ still, still, atol=1e-6)


def test_gait_is_removed_and_gravity_kept() -> None:
    time_s = np.arange(3000) / 50.0
    gait = 0.3 * np.sin(2 * np.pi * 1.8 * time_s)
    gravity = gravity_lowpass((1.0 + gait)[:, None])[200:-200, 0]
    assert np.abs(gravity - 1.0).max() < 1e-3
