"""How a virtual person moves a waist: gait, posture, sway and the transitions between them. It is never evidence about people.

The numbers and the people; `har.data.motion` moves them. Axes of the body: x up, y sideways, z forward.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

HARMONICS = np.arange(1, 7)  # of the stride (two steps); above them come impacts and broadband shaking


class Gait(NamedTuple):
    """How an activity moves a waist; a person varies each of these.

    `acc` (axis, harmonic) in g and `rate` (axis, harmonic) in rad/s are medians over windows of UCI HAR's 21 training
    subjects, fitted by least squares to the harmonics of the stride that each window shows.
    """

    cadence: float  # steps, relative to the person's walking
    lean: float  # of the trunk, forward, rad
    acc: tuple[tuple[float, ...], ...]
    rate: tuple[tuple[float, ...], ...]
    impact: float  # first swing at heel strike, g
    asymmetry: float  # of the impacts of left and right foot
    shaking: float  # broadband acceleration at 5 Hz, g^2/Hz
    turns: float  # a minute: corners of a corridor, landings of a staircase


class Posture(NamedTuple):
    """How an activity holds a waist: centre and spread between bouts of lean, list and twist in rad, then movement."""

    centre: tuple[float, float, float]
    spread: tuple[float, float, float]
    sway: float  # angular velocity at 1 Hz, (rad/s)^2/Hz
    slope: float  # of its spectrum
    heartbeat: float  # first swing in g


GAIT = {
    "WALKING": Gait(
        1.0,
        0.0,
        (
            (0.025, 0.225, 0.101, 0.073, 0.039, 0.086),
            (0.063, 0.134, 0.042, 0.062, 0.067, 0.051),
            (0.067, 0.100, 0.023, 0.045, 0.026, 0.039),
        ),
        (
            (0.403, 0.091, 0.162, 0.066, 0.217, 0.059),
            (0.274, 0.148, 0.329, 0.087, 0.120, 0.085),
            (0.174, 0.147, 0.304, 0.056, 0.068, 0.072),
        ),
        impact=0.22,
        asymmetry=0.08,
        shaking=3e-4,
        turns=2.0,
    ),
    "WALKING_UPSTAIRS": Gait(
        0.92,
        0.09,
        (
            (0.052, 0.287, 0.039, 0.081, 0.032, 0.067),
            (0.091, 0.150, 0.033, 0.059, 0.036, 0.029),
            (0.105, 0.089, 0.034, 0.042, 0.022, 0.021),
        ),
        (
            (0.288, 0.140, 0.116, 0.073, 0.101, 0.067),
            (0.377, 0.163, 0.134, 0.077, 0.080, 0.074),
            (0.324, 0.143, 0.084, 0.080, 0.054, 0.054),
        ),
        impact=0.14,
        asymmetry=0.18,
        shaking=4e-4,
        turns=6.0,
    ),
    "WALKING_DOWNSTAIRS": Gait(
        1.04,
        -0.02,
        (
            (0.034, 0.400, 0.095, 0.151, 0.053, 0.077),
            (0.066, 0.110, 0.066, 0.077, 0.049, 0.056),
            (0.071, 0.057, 0.034, 0.049, 0.036, 0.039),
        ),
        (
            (0.299, 0.139, 0.194, 0.117, 0.116, 0.078),
            (0.224, 0.156, 0.227, 0.159, 0.115, 0.107),
            (0.109, 0.171, 0.156, 0.141, 0.082, 0.078),
        ),
        impact=0.38,
        asymmetry=0.22,
        shaking=8e-4,
        turns=6.0,
    ),
}
POSTURE = {
    "SITTING": Posture((0.16, 0.05, 0.0), (0.12, 0.08, 0.05), sway=1.2e-5, slope=1.0, heartbeat=0.004),
    "STANDING": Posture((-0.02, 0.0, 0.0), (0.06, 0.04, 0.03), sway=3.5e-5, slope=1.4, heartbeat=0.004),
    "LAYING": Posture((1.50, 0.0, 0.6), (0.08, 0.08, 0.35), sway=1.6e-5, slope=1.3, heartbeat=0.006),
}

CADENCE_HZ = (1.74, 0.11)  # steps a second, mean and spread between the 21 training subjects
CADENCE_WANDER = 0.02  # rms within a bout; stride times of healthy adults vary by 1 to 3 % (Hausdorff et al. 1996)
AMPLITUDE_SPREAD = 0.18  # log, between people, of all gait amplitudes; the next is of each harmonic, activity by activity
HARMONIC_SPREAD = 0.25
STEP_SPREAD = 0.25  # log, from heel strike to heel strike
IMPACT_HZ = (9.0, 1.0)  # ringing of soft tissue and belt; mean and spread
IMPACT_DECAY_S = 0.05
IMPACT_DIRECTION = (1.0, 0.3, 0.5)  # up, sideways (to the foot), forward
IMPACT_TURN = 1.0  # rad/s of angular velocity for each g of impact
HEART_HZ = (1.15, 0.12)
HEART_RING_HZ = 4.5  # ballistocardiogram at the waist; the bump that UCI HAR's resting windows show there
HEART_DECAY_S = 0.12
TURN_SECONDS = 1.8
FIDGETS_PER_MINUTE = 3.0  # small changes of posture at rest
FIDGET_RAD = 0.03
RISE_G = 0.12  # largest vertical acceleration of sitting down and standing up
ROLL_OFF_HZ = 8.0  # the published windows are median-filtered and low-passed: above it what is not gait falls fast


@dataclass(frozen=True)
class Person:
    """What stays the same for one virtual subject.

    Attributes:
        cadence_hz: steps a second in level walking.
        amplitude: of gait, relative to the population.
        impact: of heel strikes, relative to the population.
        impact_hz: ringing after a heel strike.
        sway: at rest, relative to the population, in amplitude.
        heart_hz: heartbeats a second.
        harmonics: (gait, 6, harmonic) factors on the rows of `Gait.acc` and `Gait.rate`.
        phases: (gait, 6, harmonic) in rad.
        posture: (posture, 3) habitual lean, list and twist in rad.
    """

    cadence_hz: float
    amplitude: float
    impact: float
    impact_hz: float
    sway: float
    heart_hz: float
    harmonics: np.ndarray
    phases: np.ndarray
    posture: np.ndarray


def draw_person(rng: np.random.Generator, *, spread: float = 1.0, contrast: float = 1.0) -> Person:
    """A virtual person.

    Args:
        rng: decides who it is.
        spread: how much people differ; 1 is the default population.
        contrast: how much activities differ; 1 is as tabulated, 0 makes all gaits one and sitting as upright as standing.
    """
    shape = (len(GAIT), 6, len(HARMONICS))
    shared = rng.normal(0.0, 1.0, shape[1:])  # a person's own style, the same in every gait
    postures = [blended_posture(name, contrast).centre for name in POSTURE]
    slouch = rng.normal(0.0, [0.06, 0.04, 0.0])
    own = rng.normal(0.0, [POSTURE[name].spread for name in POSTURE])
    return Person(
        cadence_hz=CADENCE_HZ[0] + spread * CADENCE_HZ[1] * rng.normal(),
        amplitude=float(np.exp(spread * AMPLITUDE_SPREAD * rng.normal())),
        impact=float(np.exp(spread * 0.3 * rng.normal())),
        impact_hz=IMPACT_HZ[0] + IMPACT_HZ[1] * rng.normal(),
        sway=float(np.exp(spread * 0.3 * rng.normal())),
        heart_hz=HEART_HZ[0] + HEART_HZ[1] * rng.normal(),
        harmonics=np.exp(spread * HARMONIC_SPREAD * (shared + rng.normal(0.0, 1.0, shape))),
        phases=rng.uniform(-np.pi, np.pi, shape[1:]) + spread * 0.4 * rng.normal(0.0, 1.0, shape),
        posture=np.array(postures) + spread * (slouch + 0.7 * own),
    )


def blended_posture(name: str, contrast: float) -> Posture:
    """The posture `name`; sitting moves towards standing as `contrast` falls."""
    if name != "SITTING":
        return POSTURE[name]
    own, upright = POSTURE[name], POSTURE["STANDING"]
    return Posture(*(_blend(np.array(b), np.array(a), contrast, log=f in ("sway", "heartbeat")) for f, a, b in zip(own._fields, own, upright, strict=True)))


def blended_gait(name: str, contrast: float) -> Gait:
    """The gait `name`, moved towards the mean of all gaits as `contrast` falls (in logarithms where values are positive)."""
    values = []
    for field in Gait._fields:
        every = np.array([getattr(gait, field) for gait in GAIT.values()])
        log = field != "lean"
        centre = np.exp(np.log(every).mean(axis=0)) if log else every.mean(axis=0)
        values.append(_blend(centre, np.array(getattr(GAIT[name], field)), contrast, log=log))
    return Gait(*values)


def _blend(centre: np.ndarray, own: np.ndarray, contrast: float, *, log: bool) -> np.ndarray:
    return centre * (own / centre) ** contrast if log else centre + contrast * (own - centre)
