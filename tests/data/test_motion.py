"""The physics of the virtual people."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import welch
from scipy.spatial.transform import Rotation

from har.contract import LABELS, SAMPLE_RATE_HZ
from har.data import synthetic as body
from har.data.synthetic import Motion, Sensor, decaying_rings, measure, shaped_noise, simulate

PERFECT = Sensor(full_scale=(100.0, 100.0), step=(1e-9, 1e-9), noise=(0.0,) * 6, slow_noise=(0.0, 0.0), bias=(0.0, 0.0), gain=0.0)


def person(seed: int = 0, **changes: float) -> body.Person:
    return replace(body.draw_person(np.random.default_rng(seed)), **changes)


def move(*activities: str, who: body.Person | None = None, seed: int = 1, bout: int = 1000, transition: int = 75) -> Motion:
    labels = [LABELS.index(activity) for activity in activities]
    return simulate(who or person(), list(activities), labels, np.random.default_rng(seed), bout=bout, transition=transition)


def density(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return welch(signal, fs=SAMPLE_RATE_HZ, nperseg=500, axis=0)


@pytest.mark.parametrize("activity", body.POSTURE)
def test_at_rest_a_sensor_feels_one_g_whatever_the_mounting(activity: str) -> None:
    motion = move(activity)
    for mounting in Rotation.random(5, rng=np.random.default_rng(2)):
        samples = measure(motion, mounting, PERFECT, np.random.default_rng(3))
        length = np.linalg.norm(samples[:, :3], axis=1)
        assert abs(length.mean() - 1.0) < 0.005
        assert length.std() < 0.01


@pytest.mark.parametrize(("before", "after"), [("STANDING", "LAYING"), ("SITTING", "STANDING"), ("LAYING", "SITTING")])
def test_angular_velocity_is_the_turning_of_gravity(before: str, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the axes of the body a fixed vector changes by -ω × g; nothing else may move gravity in a transition."""
    monkeypatch.setattr(body, "RISE_G", 0.0)  # what accelerates is not gravity
    for name, posture in body.POSTURE.items():
        monkeypatch.setitem(body.POSTURE, name, posture._replace(heartbeat=1e-12))
    motion = move(before, after, bout=200)
    gravity, middle = motion.acc, motion.rate[:-1]
    turned = Rotation.from_rotvec(-middle / SAMPLE_RATE_HZ).apply(gravity[:-1])
    np.testing.assert_allclose(turned, gravity[1:], atol=1e-9)
    in_transition = motion.labels[:-1] == -1
    angle = np.arccos(np.clip(gravity[199] @ gravity[275], -1, 1))
    swept = np.linalg.norm(middle[in_transition], axis=1).sum() / SAMPLE_RATE_HZ
    assert swept >= 0.95 * angle > 0.1


def test_lying_gravity_is_across_the_body_and_upright_along_it() -> None:
    for activity, low, high in (("STANDING", 0.9, 1.01), ("SITTING", 0.8, 1.01), ("LAYING", -0.4, 0.5)):
        assert low < move(activity).acc[:, 0].mean() < high


@pytest.mark.parametrize("cadence_hz", [1.5, 1.9])
def test_the_cadence_is_as_asked(cadence_hz: float) -> None:
    frequency, power = density(move("WALKING", who=person(cadence_hz=cadence_hz)).acc[:, 0])
    inside = (frequency > 1.2) & (frequency < 2.6)
    # A bout is within three spreads of 2.5 % of the person's cadence, and a bin is 0.1 Hz wide.
    assert abs(frequency[inside][power[inside].argmax()] - cadence_hz) < 0.1 + 0.075 * cadence_hz


def test_gait_scales_with_the_person() -> None:
    small, large = (move("WALKING", who=person(amplitude=a)).acc[:, 0].std() for a in (0.6, 1.4))
    assert 1.6 < large / small < 14 / 6


def test_heel_strikes_ring_more_downstairs_than_in_walking() -> None:
    """Between 8.5 and 14 Hz, above the harmonics; what a person without impacts shows there is less."""

    def ringing(activity: str, impact: float) -> float:
        frequency, power = density(move(activity, who=person(impact=impact)).acc[:, 0])
        return float(power[(frequency >= 8.5) & (frequency <= 14)].mean())

    assert ringing("WALKING_DOWNSTAIRS", 1.0) > 1.3 * ringing("WALKING", 1.0)
    for activity in body.GAIT:
        assert ringing(activity, 2.0) > 1.5 * ringing(activity, 0.0)


def test_a_ring_begins_at_its_time_and_decays() -> None:
    ring = decaying_rings(100, np.array([0.5]), np.array([2.0]), 8.0, 0.05)
    assert not ring[:25].any()
    assert 1.0 < np.abs(ring[25:30]).max() <= 2.0
    assert np.abs(ring[50:]).max() < 0.02


def test_feet_differ_on_stairs() -> None:
    """By the table more than in walking; left against right shows at the frequency of the stride, half that of the steps."""

    def asymmetry(activity: str) -> float:
        return body.GAIT[activity].asymmetry

    assert min(asymmetry("WALKING_UPSTAIRS"), asymmetry("WALKING_DOWNSTAIRS")) > 2 * asymmetry("WALKING")
    who = person(cadence_hz=1.8)
    first, second = (move("WALKING_DOWNSTAIRS", who=who, seed=seed).acc[:, 0] for seed in (1, 2))
    frequency, power = density(first)
    stride = (frequency > 0.7) & (frequency < 1.2)
    quiet = (frequency > 0.2) & (frequency < 0.6)
    assert power[stride].max() > 2 * power[quiet].max()
    assert np.abs(first - second).max() > 0.1


def test_nothing_jumps_where_an_activity_begins() -> None:
    motion = move("LAYING", "STANDING", "SITTING", bout=200)
    assert np.abs(np.diff(motion.acc, axis=0)).max() < 0.05
    assert np.abs(motion.rate).max() < 6.0


def test_shaped_noise_has_the_density_asked_for() -> None:
    noise = shaped_noise(20000, 2, np.random.default_rng(0), lambda f: 1e-4 / f)
    frequency, power = density(noise)
    inside = (frequency > 0.5) & (frequency < 3)
    np.testing.assert_allclose((power[inside].mean(axis=1) * frequency[inside]), 1e-4, rtol=0.5)
    assert abs(noise.mean()) < 1e-9


def test_saturation_and_quantisation_show_when_provoked() -> None:
    motion = move("WALKING_DOWNSTAIRS")
    samples = measure(motion, Rotation.identity(), replace(PERFECT, full_scale=(1.2, 0.5), step=(0.1, 0.05)), np.random.default_rng(0))
    assert samples[:, 0].max() == pytest.approx(1.2)
    assert np.abs(samples[:, 3:]).max() == pytest.approx(0.5)
    assert (samples[:, 0] == samples[:, 0].max()).sum() > 20
    np.testing.assert_allclose(samples[:, :3] / 0.1, np.round(samples[:, :3] / 0.1), atol=1e-5)
    assert len(np.unique(samples[:, 3])) <= 21
    fine = measure(motion, Rotation.identity(), PERFECT, np.random.default_rng(0))
    assert np.abs(fine[:, 0]).max() > 1.3
    np.testing.assert_allclose(fine, np.concatenate((motion.acc, motion.rate), axis=1), atol=1e-5)


def test_bias_gain_drift_and_noise_are_each_there() -> None:
    motion = Motion(np.tile([1.0, 0.0, 0.0], (6000, 1)), np.zeros((6000, 3)), np.zeros(6000, dtype=np.int64))

    def of(**faults: object) -> np.ndarray:
        return measure(motion, Rotation.identity(), replace(PERFECT, **faults), np.random.default_rng(0))  # type: ignore[arg-type]

    still = of()
    for fault in (of(bias=(0.1, 0.1)), of(gain=0.1)):
        assert 0.001 < np.abs(fault - still).max() < 0.5
        assert np.ptp(fault, axis=0).max() < 1e-6
    drift = of(slow_noise=(0.1, 0.1)) - still
    assert drift.std() > 0.02
    assert np.abs(np.diff(drift, axis=0)).max() < 1e-3
    noise = of(noise=(1e-4,) * 6) - still
    assert noise.std() == pytest.approx(np.sqrt(1e-4 * body.ROLL_OFF_HZ * 1.11), rel=0.1)  # noise bandwidth of the roll-off


def test_contrast_zero_makes_gaits_one_and_sitting_upright() -> None:
    gaits = [body.blended_gait(name, 0.0) for name in body.GAIT]
    for values in zip(*gaits, strict=True):
        for value in values[1:]:
            np.testing.assert_allclose(value, values[0])
    np.testing.assert_allclose(body.blended_posture("SITTING", 0.0).centre, body.POSTURE["STANDING"].centre)
    for name, gait in body.GAIT.items():
        for value, own in zip(body.blended_gait(name, 1.0), gait, strict=True):
            np.testing.assert_allclose(np.exp(1j * np.array(value)), np.exp(1j * np.array(own)))
