"""Each disturbance does what its name says, at the level it says."""

import numpy as np
import pytest

from har.runs import robustness as d

RNG = np.random.default_rng(0)
SAMPLES = RNG.normal(size=(1000, 6)) * 0.1 + np.array([1.0, 0, 0, 0, 0, 0])
SAMPLES[500, 0] = 5.0  # a knock


def test_every_curve_has_its_own_levels_and_the_first_changes_nothing() -> None:
    found = list(d.disturbances())
    assert found[0].name == "none"
    assert found[0].change(SAMPLES, RNG) is SAMPLES
    assert len({(item.name, item.level) for item in found}) == len(found) > 70
    for item in found[1:]:
        changed = item.change(SAMPLES, np.random.default_rng(1))
        assert changed.shape[1] == 6
        assert np.isfinite(changed).all()
        assert changed.shape != SAMPLES.shape or np.abs(changed - SAMPLES).max() > 1e-6, item.name


@pytest.mark.parametrize(("axis", "given", "expected"), [(0, (0, 1, 0), (0, 0, 1)), (1, (0, 0, 1), (1, 0, 0)), (2, (1, 0, 0), (0, 1, 0))])
def test_a_quarter_turn_is_right_handed_and_exact(axis: int, given: tuple, expected: tuple) -> None:
    turned = d.turned(np.array([[*given, *given]], dtype=float), axis, 90)
    np.testing.assert_array_equal(turned, [[*expected, *expected]])
    np.testing.assert_allclose(d.turned(SAMPLES, axis, 180), d.turned(d.turned(SAMPLES, axis, 60), axis, 120), atol=1e-12)


def test_another_rate_keeps_slow_movement_and_the_clients_time() -> None:
    time_s = np.arange(1000) / 50
    slow = np.sin(2 * np.pi * 2 * time_s)[:, None] * np.ones(6)
    for rate in (20, 25, 80, 100):
        grid_s, values = d.sampled_at(slow, rate)
        assert np.allclose(np.diff(grid_s), 1 / rate)
        inside = (grid_s > 1) & (grid_s < 18)
        np.testing.assert_allclose(values[inside], np.sin(2 * np.pi * 2 * grid_s[inside])[:, None] * np.ones(6), atol=2e-3)
        assert len(values) == pytest.approx(1000 * rate / 50, abs=2)
        back = d.resampled(slow, rate)
        assert len(back) == pytest.approx(1000, abs=3)
        np.testing.assert_allclose(back[50:900], slow[50:900], atol=5e-3)


def test_losses() -> None:
    repaired = d.lost(SAMPLES, np.random.default_rng(2), 0.2, interpolated=True)
    assert repaired.shape == SAMPLES.shape
    assert (repaired == SAMPLES).all(axis=1).mean() == pytest.approx(0.8, abs=0.05)
    closed = d.lost(SAMPLES, np.random.default_rng(2), 0.2, interpolated=False)
    assert len(closed) == pytest.approx(800, abs=50)


def test_errors_of_the_sensors_have_the_stated_size() -> None:
    difference = d.shifted(SAMPLES, np.random.default_rng(3), 0.1, 0.2) - SAMPLES
    assert np.ptp(difference, axis=0).max() < 1e-12
    assert np.linalg.norm(difference[0, :3]) == pytest.approx(0.1)
    assert np.linalg.norm(difference[0, 3:]) == pytest.approx(0.2)
    noise = d.noisy(SAMPLES, np.random.default_rng(4), 0.03, 0.1) - SAMPLES
    np.testing.assert_allclose(noise.std(axis=0), np.repeat((0.03, 0.1), 3), rtol=0.1)
    changes = {(item.name, item.level): item.change for item in d.disturbances()}
    clipped = changes["clipped accelerometer", 2.0](SAMPLES * 5, RNG)
    assert np.abs(clipped[:, :3]).max() == 2.0
    np.testing.assert_array_equal(clipped[:, 3:], SAMPLES[:, 3:] * 5)
    np.testing.assert_array_equal(changes["windows that start later", 8](SAMPLES, RNG), SAMPLES[8:])
