"""How a virtual person moves a waist: gait, posture, sway and the transitions between them. It is never evidence about people.

The numbers and the people; `har.data.motion` moves them. Axes of the body: x up, y sideways, z forward.

Gait as harmonics of the stride, left and right apart in the odd ones, and heel strikes that ring: see Kavanagh and Menz
2008, Gait & Posture 28, 1-15. What has no source of its own beside it was set so that the spectra of UCI HAR's 21 training
subjects come out (`python -m research.spectra`), or, for spreads between people, so that networks confuse what they confuse there.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

HARMONICS = np.arange(1, 9)  # of the stride (two steps); above them come impacts and broadband shaking


class Gait(NamedTuple):
    """How an activity moves a waist; a person varies each of these.

    `harmonics` (6, harmonic) are amplitudes of acceleration up, sideways and forward in g and of angular velocity about
    these axes in rad/s, `phases` belong to them. Both are those of UCI HAR's 21 training subjects: medians and circular
    means over windows, each fitted by least squares to the stride that it shows. A stride begins where the acceleration
    upwards rises through its mean.
    """

    cadence: float  # steps, relative to the person's walking
    lean: float  # of the trunk, forward, rad
    harmonics: tuple[tuple[float, ...], ...]
    phases: tuple[tuple[float, ...], ...]  # rad
    vigour: float  # factor on `harmonics`: what the medians of the parts lose against the whole; from the spectra of the same subjects
    impact: float  # first swing at heel strike, g
    asymmetry: float  # of the impacts of left and right foot
    shaking: float  # broadband acceleration, g^2/Hz
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
        cadence=1.0,
        lean=0.0,
        harmonics=(
            (0.025, 0.225, 0.101, 0.072, 0.038, 0.086, 0.036, 0.059),
            (0.063, 0.134, 0.042, 0.062, 0.067, 0.051, 0.054, 0.043),
            (0.068, 0.100, 0.023, 0.045, 0.027, 0.040, 0.027, 0.035),
            (0.403, 0.092, 0.162, 0.067, 0.215, 0.058, 0.114, 0.056),
            (0.274, 0.148, 0.330, 0.087, 0.122, 0.086, 0.130, 0.103),
            (0.175, 0.147, 0.304, 0.056, 0.068, 0.072, 0.054, 0.063),
        ),
        phases=(
            (-2.4, 0.0, 0.0, -0.4, -2.1, -2.3, -1.5, 0.8),
            (-2.0, 2.0, -1.0, 0.1, 1.0, -2.2, -2.3, 2.5),
            (1.5, 1.7, -3.1, 0.0, -2.4, -2.2, 0.8, 2.8),
            (-0.7, 1.2, 0.3, 0.8, 2.9, -1.3, -0.1, 1.6),
            (2.3, -1.4, -1.3, -3.1, -3.1, -0.4, 1.7, -0.9),
            (1.1, 2.2, -1.4, -1.1, 2.6, -3.1, -2.8, 1.1),
        ),
        vigour=1.1,
        impact=0.45,
        asymmetry=0.08,
        shaking=1.3e-4,
        turns=2.0,
    ),
    "WALKING_UPSTAIRS": Gait(
        cadence=0.92,
        lean=0.09,
        harmonics=(
            (0.052, 0.287, 0.039, 0.081, 0.032, 0.068, 0.029, 0.037),
            (0.091, 0.150, 0.034, 0.059, 0.036, 0.029, 0.039, 0.021),
            (0.105, 0.089, 0.034, 0.042, 0.022, 0.021, 0.017, 0.015),
            (0.289, 0.141, 0.117, 0.072, 0.100, 0.066, 0.085, 0.042),
            (0.377, 0.163, 0.135, 0.076, 0.082, 0.076, 0.070, 0.064),
            (0.325, 0.144, 0.083, 0.080, 0.054, 0.054, 0.044, 0.044),
        ),
        phases=(
            (-2.0, 0.0, 1.0, -0.7, -0.1, -2.7, -2.1, 1.2),
            (-2.2, 2.3, -1.7, 0.4, -2.1, -0.7, 0.7, -1.5),
            (2.1, 1.8, 0.1, 0.5, -2.5, -0.8, 1.4, -1.3),
            (-0.3, -2.9, 2.6, -0.7, 0.7, 3.1, -3.0, 3.0),
            (-2.9, -2.4, -0.7, 1.8, -1.4, 0.1, 2.2, -1.7),
            (2.2, 0.4, -0.6, -2.1, -0.5, 3.0, -1.7, 2.9),
        ),
        vigour=1.3,
        impact=0.38,
        asymmetry=0.18,
        shaking=1.2e-4,
        turns=9.0,
    ),
    "WALKING_DOWNSTAIRS": Gait(
        cadence=1.04,
        lean=-0.02,
        harmonics=(
            (0.035, 0.400, 0.095, 0.150, 0.054, 0.077, 0.043, 0.041),
            (0.066, 0.109, 0.066, 0.077, 0.049, 0.057, 0.040, 0.035),
            (0.072, 0.057, 0.034, 0.048, 0.036, 0.039, 0.033, 0.025),
            (0.297, 0.140, 0.193, 0.118, 0.117, 0.078, 0.091, 0.054),
            (0.223, 0.158, 0.227, 0.161, 0.114, 0.106, 0.100, 0.090),
            (0.110, 0.171, 0.156, 0.142, 0.082, 0.077, 0.069, 0.061),
        ),
        phases=(
            (-0.2, 0.0, 1.5, -1.9, 0.1, 2.9, -1.5, 2.8),
            (-0.5, -2.8, -0.9, 2.5, -3.0, 1.4, -0.4, 0.6),
            (3.1, -2.4, 3.0, 3.0, 1.6, 1.7, 0.6, 1.0),
            (0.1, 0.5, 0.6, -1.5, -1.6, 2.9, 2.2, 2.5),
            (-1.8, 1.1, -0.3, -1.4, -2.3, 0.9, 2.4, -3.0),
            (-0.5, -2.2, 0.1, 1.4, -0.9, -1.3, -1.7, -1.4),
        ),
        vigour=1.3,
        impact=0.75,
        asymmetry=0.22,
        shaking=3e-4,
        turns=9.0,
    ),
}
POSTURE = {
    "SITTING": Posture((0.20, 0.11, 0.0), (0.10, 0.08, 0.05), sway=2.4e-5, slope=1.6, heartbeat=0.006),
    "STANDING": Posture((-0.02, 0.0, 0.0), (0.06, 0.04, 0.03), sway=6.5e-5, slope=1.6, heartbeat=0.006),
    "LAYING": Posture((1.50, 0.0, 0.6), (0.08, 0.08, 0.35), sway=3.6e-5, slope=1.7, heartbeat=0.009),
}

CADENCE_HZ = (1.74, 0.11)  # steps a second, mean and spread between the 21 training subjects of UCI HAR
CADENCE_WANDER = 0.02  # rms within a bout; stride times of healthy adults vary by 1 to 3 % (Hausdorff et al. 1996, J. Appl. Physiol. 80)
AMPLITUDE_SPREAD = 0.18  # log, between people, of all gait amplitudes; the next is of each harmonic, activity by activity
HARMONIC_SPREAD = 0.26
PHASE_SPREAD = 0.55  # rad, likewise
BOUT_HARMONIC_SPREAD = 0.20  # log, from bout to bout of the same person and activity
BOUT_PHASE_SPREAD = 0.35  # rad, likewise
STEP_SPREAD = 0.25  # log, from heel strike to heel strike
IMPACT_HZ = (9.5, 0.8)  # ringing of soft tissue and belt; mean and spread
IMPACT_DECAY_S = 0.04
IMPACT_DIRECTION = (1.0, 0.3, 0.5)  # up, sideways (to the foot), forward
IMPACT_TURN = (1.2, 0.8, 0.8)  # rad/s of angular velocity for each g of impact
SHAKING_TURN = 35.0  # (rad/s)^2/Hz for each g^2/Hz of shaking, at 1 Hz
HEART_HZ = (1.15, 0.12)  # beats a second at rest, mean and spread
HEART_RING_HZ = 4.5  # ballistocardiogram (Inan et al. 2015, IEEE JBHI 19), where UCI HAR's resting windows show a bump
HEART_DECAY_S = 0.12
TURN_SECONDS = 1.8  # for about 90 degrees
FIDGETS_PER_MINUTE = 3.0  # small changes of posture at rest
FIDGET_RAD = 0.03  # rms about each axis
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
        harmonics: (gait, 6, harmonic) factors on `Gait.harmonics`.
        phases: (gait, 6, harmonic) rad on top of `Gait.phases`.
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
    style, phase_style = rng.normal(0.0, 1.0, (2, *shape[1:]))  # a person's own, the same in every gait
    postures = [blended_posture(name, contrast).centre for name in POSTURE]
    slouch = rng.normal(0.0, [0.06, 0.04, 0.0])
    own = rng.normal(0.0, [POSTURE[name].spread for name in POSTURE])
    return Person(
        cadence_hz=CADENCE_HZ[0] + spread * CADENCE_HZ[1] * rng.normal(),
        amplitude=float(np.exp(spread * AMPLITUDE_SPREAD * rng.normal())),
        impact=float(np.exp(spread * 0.3 * rng.normal())),
        impact_hz=IMPACT_HZ[0] + IMPACT_HZ[1] * rng.normal(),
        sway=float(np.exp(spread * 0.25 * rng.normal())),
        heart_hz=HEART_HZ[0] + HEART_HZ[1] * rng.normal(),
        harmonics=np.exp(spread * HARMONIC_SPREAD * (style + rng.normal(0.0, 1.0, shape))),
        phases=spread * PHASE_SPREAD * (phase_style + rng.normal(0.0, 1.0, shape)),
        posture=np.array(postures) + spread * (slouch + 0.7 * own),
    )


def blended_posture(name: str, contrast: float) -> Posture:
    """The posture `name`; sitting moves towards standing as `contrast` falls."""
    if name != "SITTING":
        return POSTURE[name]
    values = []
    for field, own, upright in zip(Posture._fields, POSTURE[name], POSTURE["STANDING"], strict=True):
        values.append(_blend(np.array(upright), np.array(own), contrast, log=field in ("sway", "heartbeat")))
    return Posture._make(values)


def blended_gait(name: str, contrast: float) -> Gait:
    """The gait `name`, moved towards the mean of all gaits as `contrast` falls (in logarithms where values are positive)."""
    values = []
    for field in Gait._fields:
        every = np.array([getattr(gait, field) for gait in GAIT.values()])
        own = np.array(getattr(GAIT[name], field))
        if field == "phases":
            centre = np.angle(np.exp(1j * every).mean(axis=0))
            values.append(centre + contrast * np.angle(np.exp(1j * (own - centre))))
        elif field == "lean":
            values.append(_blend(every.mean(axis=0), own, contrast, log=False))
        else:
            values.append(_blend(np.exp(np.log(every).mean(axis=0)), own, contrast, log=True))
    return Gait._make(values)


def _blend(centre: np.ndarray, own: np.ndarray, contrast: float, *, log: bool) -> np.ndarray:
    return centre * (own / centre) ** contrast if log else centre + contrast * (own - centre)
