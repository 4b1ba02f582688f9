"""The measurement itself, on signals whose delay and amplitude are known."""

import numpy as np
import pytest

from har.contract import GRAVITY_CUTOFF_HZ, GRAVITY_ORDER, NOISE_CUTOFF_HZ, NOISE_ORDER
from research.filter_report import both_forms, designed_response, distance, measured_response

RATE = 50.0
FREQUENCIES = np.array([0.5, 1.0, 5.0, 20.0])


def noise(samples: int = 60_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(samples, 3))


@pytest.mark.parametrize("lag", [0, 1, 7, 40])
@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_a_known_delay_and_gain_are_found(lag: int, gain: float) -> None:
    x = noise()
    pairs = [(x[lag:], gain * x[: len(x) - lag])]
    found = measured_response(pairs, FREQUENCIES)
    np.testing.assert_allclose(found.delay_s, lag / RATE, atol=0.004)
    np.testing.assert_allclose(found.amplitude_ratio, gain, rtol=0.02)
    assert found.coherence.min() > 0.97
    best, rms = distance([(x[lag:], x[: len(x) - lag])])
    assert best == lag
    assert rms[lag] < 1e-12
    assert (rms[0] > 1) == bool(lag)


def test_unrelated_signals_do_not_cohere() -> None:
    found = measured_response([(noise(seed=1), noise(seed=2))], FREQUENCIES)
    assert found.coherence.max() < 0.2


@pytest.mark.parametrize("design", [(GRAVITY_ORDER, GRAVITY_CUTOFF_HZ), (NOISE_ORDER, NOISE_CUTOFF_HZ)])
def test_what_is_measured_is_what_the_coefficients_say(design: tuple[int, float]) -> None:
    frequencies = design[1] * np.array([0.25, 0.5, 0.75, 1.0])
    pairs = [both_forms(noise(seed=seed), *design) for seed in range(2)]
    found = measured_response(pairs, frequencies)
    delay_s, ratio = designed_response(*design, frequencies)
    np.testing.assert_allclose(found.delay_s, delay_s, rtol=0.03, atol=2e-4)
    np.testing.assert_allclose(found.amplitude_ratio, ratio, rtol=0.05)
    assert ratio[-1] == pytest.approx(np.sqrt(2), abs=1e-9)  # at the cutoff one pass leaves half of the power, two a quarter


def test_gravity_comes_about_a_second_late_and_noise_filtering_a_third_of_a_sample() -> None:
    delay_s, _ = designed_response(GRAVITY_ORDER, GRAVITY_CUTOFF_HZ, np.array([0.01, GRAVITY_CUTOFF_HZ]))
    # An analogue 3rd-order Butterworth delays slow changes by 2 / (2 pi f) and turns its cutoff by 135 degrees.
    np.testing.assert_allclose(delay_s, [1 / (np.pi * GRAVITY_CUTOFF_HZ), 0.375 / GRAVITY_CUTOFF_HZ], rtol=1e-3)
    delay_s, _ = designed_response(NOISE_ORDER, NOISE_CUTOFF_HZ, np.array([2.0]))
    assert delay_s[0] * RATE == pytest.approx(0.33, abs=0.01)


def test_recordings_that_are_too_short_are_named() -> None:
    with pytest.raises(ValueError, match="no steady part; expected more than 1000"):
        both_forms(noise(900), NOISE_ORDER, NOISE_CUTOFF_HZ)
    with pytest.raises(ValueError, match=r"no recording has 4000 samples for one segment of 80 s"):
        measured_response([(noise(900), noise(900))], FREQUENCIES)
