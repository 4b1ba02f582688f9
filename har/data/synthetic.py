"""The embedded synthetic data set: thirty virtual subjects with a phone at the waist. It is never evidence about people.

A subject moves a waist through a list of activities (gait, posture, sway and the transitions between them), a phone is fastened to
it and measures with the faults of a real one, and the recordings are written and read. Axes of the body: x up, y sideways, z forward.
Orientation is one continuous path over the whole recording. Gravity is seen through it and angular velocity is its derivative, so
that the two always agree, in transitions as well.

Gait as harmonics of the stride, left and right apart in the odd ones, and heel strikes that ring: see Kavanagh and Menz
2008, Gait & Posture 28, 1-15. What has no source of its own was set so that the spectra of UCI HAR's 21 training
subjects come out (`python -m research.spectra`), or, for spreads between subjects, so that networks confuse what they confuse there.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from har.contract import LABELS, SAMPLE_RATE_HZ
from har.data.windowset import Description
from har.errors import HarError
from har.files import build_folder, remove_stale, writing
from har.recording import UNLABELLED, Recording, read_recording, write_csv

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

HARMONICS = np.arange(1, 9)  # of the stride (two steps); above them come impacts and broadband shaking


class Gait(NamedTuple):
    """How an activity moves a waist; a person varies each of these.

    `harmonics` (6, harmonic) are amplitudes of acceleration up, sideways and forward in g and of angular velocity about
    these axes in rad/s, `phases` belong to them; both are in ``gait.csv``. They are those of UCI HAR's 21 training subjects:
    medians and circular means over windows, each fitted by least squares to the stride that it shows. A stride begins where the
    acceleration upwards rises through its mean.
    """

    cadence: float  # steps, relative to the person's walking
    lean: float  # of the trunk, forward, rad
    harmonics: np.ndarray
    phases: np.ndarray  # rad
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


# (gait, amplitude or phase, axis, harmonic) in the order of GAIT. A change of the file alters the signals: raise GENERATOR_VERSION.
FITTED = np.loadtxt(Path(__file__).with_name("gait.csv"), delimiter=",", skiprows=1, usecols=range(3, 11)).reshape(3, 2, 6, len(HARMONICS))
GAIT = {
    "WALKING": Gait(1.0, 0.0, FITTED[0, 0], FITTED[0, 1], vigour=1.1, impact=0.45, asymmetry=0.08, shaking=0.00013, turns=2.0),
    "WALKING_UPSTAIRS": Gait(0.92, 0.09, FITTED[1, 0], FITTED[1, 1], vigour=1.3, impact=0.38, asymmetry=0.18, shaking=0.00012, turns=9.0),
    "WALKING_DOWNSTAIRS": Gait(1.04, -0.02, FITTED[2, 0], FITTED[2, 1], vigour=1.3, impact=0.75, asymmetry=0.22, shaking=0.0003, turns=9.0),
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


UP = (1.0, 0.0, 0.0)
LOWEST_HZ = 0.15  # slower changes are posture and drift


class Motion(NamedTuple):
    """What a perfect sensor, aligned with the body, would measure.

    `acc` is (time, 3) total acceleration in g, `rate` (time, 3) angular velocity in rad/s, `labels` (time,) the index of the
    activity, -1 in transitions.
    """

    acc: np.ndarray
    rate: np.ndarray
    labels: np.ndarray


def simulate(
    person: Person, activities: list[str], labels: list[int], rng: np.random.Generator, *, bout: int, transition: int, contrast: float = 1.0
) -> Motion:
    """Move `person` through `activities`, each for `bout` samples, with `transition` unlabelled samples between two.

    Args:
        person: who moves.
        activities: names out of `GAIT` and `POSTURE`.
        labels: their indices, as they shall stand in the recording.
        rng: decides everything that a person does not repeat.
        bout: samples of an activity.
        transition: samples between two activities.
        contrast: how much activities differ; see `draw_person`.
    """
    total = len(activities) * (bout + transition) - transition
    sample_labels = np.full(total, UNLABELLED, dtype=np.int64)
    acc, angle = np.zeros((total, 3)), np.zeros((total, 3))
    centres = []
    for number, (activity, label) in enumerate(zip(activities, labels, strict=True)):
        first = number * (bout + transition)
        sample_labels[first : first + bout] = label
        # An activity grows and fades over the whole transition, so that nothing jumps where its bout begins.
        start, stop = max(first - transition, 0), min(first + bout + transition, total)
        moved_acc, moved_angle, centre = _activity(person, activity, stop - start, rng, contrast)
        weight = _fade(np.arange(start, stop), first, first + bout - 1, transition)[:, None]
        acc[start:stop] += weight * moved_acc
        angle[start:stop] += weight * moved_angle
        centres.append(centre)
    posture, rise = _postures(np.array(centres), bout, transition)
    orientation = _orientation(posture, angle)
    acc[:, 0] += rise
    return Motion(orientation.inv().apply(UP) + acc, _angular_velocity(orientation), sample_labels)


def _activity(person: Person, name: str, samples: int, rng: np.random.Generator, contrast: float) -> tuple[np.ndarray, ...]:
    """Movement of one bout as `_walk` gives it, and the posture (lean, list, twist) that it happens around."""
    if name in GAIT:
        index = list(GAIT).index(name)
        gait = blended_gait(name, contrast)
        upright = person.posture[list(POSTURE).index("STANDING")]
        return *_walk(person, gait, index, samples, rng), upright + np.array([gait.lean, 0.0, 0.0]) + rng.normal(0.0, 0.02, 3)
    posture = blended_posture(name, contrast)
    own = person.posture[list(POSTURE).index(name)]
    return *_rest(person, posture, samples, rng), own + 0.7 * rng.normal(0.0, posture.spread)


def _walk(person: Person, gait: Gait, index: int, samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(time, 3) each: linear acceleration in g, and small angles about up, side and forward in rad."""
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    cadence = person.cadence_hz * gait.cadence * rng.normal(1.0, 0.025)
    wander = 1.0 + CADENCE_WANDER * _slow(samples, rng)
    stride = np.pi * np.cumsum(cadence * wander) / SAMPLE_RATE_HZ + rng.uniform(0, 2 * np.pi)  # one turn is two steps
    amplitude = gait.vigour * person.amplitude * rng.lognormal(0.0, 0.08) * (1.0 + 0.1 * _slow(samples, rng))
    shape = person.harmonics[index].shape  # (6, harmonic)
    table = gait.harmonics * person.harmonics[index] * rng.lognormal(0.0, BOUT_HARMONIC_SPREAD, shape)
    phases = gait.phases + person.phases[index] + rng.normal(0.0, BOUT_PHASE_SPREAD, shape)
    turn = stride[:, None, None] * HARMONICS + phases  # (time, 6, harmonic)
    acc = (table[:3] * np.sin(turn[:, :3])).sum(axis=2) * amplitude[:, None]
    angle = -(table[3:] / (np.pi * cadence * HARMONICS) * np.cos(turn[:, 3:])).sum(axis=2) * amplitude[:, None]  # of the rate
    ring, sided = _heel_strikes(stride, person, gait, rng)
    acc += np.stack((ring, sided, ring), axis=1) * IMPACT_DIRECTION
    acc += shaped_noise(samples, 3, rng, lambda f: np.full_like(f, gait.shaking))
    # The waist turns towards the foot that lands, and back with the next: the kicks do not add up to a drift.
    rate = sided[:, None] * IMPACT_TURN + shaped_noise(samples, 3, rng, lambda f: SHAKING_TURN * gait.shaking / np.sqrt(f))
    angle += np.cumsum(rate, axis=0) / SAMPLE_RATE_HZ
    angle[:, 0] += _turns(time_s, gait.turns, rng)
    return acc, angle


def _heel_strikes(stride: np.ndarray, person: Person, gait: Gait, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(time,) the ringing after each heel strike in g, and the same with the sign of the foot that lands."""
    step = np.arange(np.ceil(stride[0] / np.pi), stride[-1] / np.pi)  # a foot lands at every half turn of the stride
    at = np.interp(step * np.pi, stride, np.arange(len(stride)) / SAMPLE_RATE_HZ)
    left = np.where(step % 2 == 0, 1.0, -1.0)
    size = gait.impact * person.impact * (1.0 + gait.asymmetry * left) * rng.lognormal(0.0, STEP_SPREAD, len(step))
    ring = decaying_rings(len(stride), at, size, person.impact_hz, IMPACT_DECAY_S)
    sided = decaying_rings(len(stride), at, size * left, person.impact_hz, IMPACT_DECAY_S)
    return ring, sided


def decaying_rings(samples: int, at_s: np.ndarray, size: np.ndarray, ring_hz: float, decay_s: float) -> np.ndarray:
    """A sum of oscillations ``size · exp(-t / decay) · sin(2π · ring · t)``, each beginning at its own time: (time,)."""
    since = np.arange(samples)[:, None] / SAMPLE_RATE_HZ - at_s
    since = np.where(since >= 0, since, np.inf)
    wave = np.exp(-since / decay_s)
    wave[wave < 1e-4] = 0.0
    active = wave > 0
    wave[active] *= np.sin(2 * np.pi * ring_hz * since[active])
    return wave @ size


def _rest(person: Person, posture: Posture, samples: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The same at rest."""
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    size = person.sway * rng.lognormal(0.0, 0.2)
    rate = size * shaped_noise(samples, 3, rng, lambda f: posture.sway * f**-posture.slope)
    angle = np.cumsum(rate, axis=0) / SAMPLE_RATE_HZ
    for moment in _moments(time_s[-1], FIDGETS_PER_MINUTE, rng):
        angle += FIDGET_RAD * rng.normal(size=3) * np.exp(-0.5 * ((time_s - moment) / 0.5) ** 2)[:, None]
    beats = np.arange(rng.uniform(0, 1), time_s[-1] * person.heart_hz) / person.heart_hz
    beats = beats + rng.normal(0.0, 0.03, len(beats))
    heart = decaying_rings(samples, beats, posture.heartbeat * rng.lognormal(0.0, 0.2, len(beats)), HEART_RING_HZ, HEART_DECAY_S)
    # The recoil of the blood runs along the body, which is sideways to gravity when lying; half of it is seen across.
    return heart[:, None] * (1.0, 0.5, 0.7), angle


def _turns(time_s: np.ndarray, per_minute: float, rng: np.random.Generator) -> np.ndarray:
    """Heading in rad: turns of about 90 degrees to one side."""
    side = rng.choice((-1.0, 1.0))
    heading = np.zeros(len(time_s))
    for moment in _moments(time_s[-1], per_minute, rng):
        heading += side * rng.normal(1.5, 0.3) * _minimum_jerk((time_s - moment) / TURN_SECONDS)
    return heading


def _moments(duration_s: float, per_minute: float, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.0, duration_s, rng.poisson(per_minute * duration_s / 60))


def _minimum_jerk(progress: np.ndarray) -> np.ndarray:
    """From 0 to 1 as people reach and rise (Flash and Hogan 1985)."""
    p = np.clip(progress, 0.0, 1.0)
    return p**3 * (10 - 15 * p + 6 * p**2)


def _fade(sample: np.ndarray, first: int, last: int, transition: int) -> np.ndarray:
    return _minimum_jerk(1 + (sample - first) / max(transition, 1)) * _minimum_jerk(1 - (sample - last) / max(transition, 1))


def _postures(centres: np.ndarray, bout: int, transition: int) -> tuple[np.ndarray, np.ndarray]:
    """(time, 3) lean, list and twist in rad, and (time,) vertical acceleration in g of sitting down and standing up."""
    total = len(centres) * (bout + transition) - transition
    path, rise = np.repeat(centres[:1], total, axis=0), np.zeros(total)
    progress = np.arange(1, transition + 1) / (transition + 1)
    push = np.sin(2 * np.pi * progress) * np.sin(np.pi * progress)  # up, then braked; nothing at either end
    for number in range(1, len(centres)):
        first = number * (bout + transition) - transition
        moved = centres[number] - centres[number - 1]
        path[first : first + transition] += _minimum_jerk(progress)[:, None] * moved
        path[first + transition :] += moved
        rise[first : first + transition] = -np.tanh(2 * moved[0]) * RISE_G * push  # leaning back is going down
    return path, rise


def _orientation(posture: np.ndarray, angle: np.ndarray) -> "Rotation":
    """From the axes of the body to those of the world: heading, lean and list, then the twist about the body's own axis."""
    from scipy.spatial.transform import Rotation

    heading, lean, roll = angle[:, 0], posture[:, 0] + angle[:, 1], posture[:, 1] + angle[:, 2]
    # A positive lean brings gravity's reaction from up towards forward, a positive list towards the side.
    return Rotation.from_euler("XYZ", np.stack((heading, lean, -roll), axis=1)) * Rotation.from_euler("X", posture[:, 2:])


def _angular_velocity(orientation: "Rotation") -> np.ndarray:
    """(time, 3) in rad/s, in the axes of the body, from one sample to the next."""
    step = (orientation[:-1].inv() * orientation[1:]).as_rotvec() * SAMPLE_RATE_HZ
    return np.concatenate((step, step[-1:]))


def shaped_noise(samples: int, columns: int, rng: np.random.Generator, density: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Gaussian noise of a given spectrum: (time, column).

    Args:
        samples: its length.
        columns: independent of one another.
        rng: random numbers.
        density: one-sided power spectral density over frequency in Hz. Nothing is left below 0.15 Hz, and little above
            `ROLL_OFF_HZ`.
    """
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    level = np.zeros_like(frequency)
    inside = frequency > LOWEST_HZ
    level[inside] = density(frequency[inside]) / (1 + (frequency[inside] / ROLL_OFF_HZ) ** 4)
    spectrum = np.fft.rfft(rng.normal(size=(samples, columns)), axis=0) * np.sqrt(level * SAMPLE_RATE_HZ / 2)[:, None]
    return np.fft.irfft(spectrum, n=samples, axis=0)


def _slow(samples: int, rng: np.random.Generator) -> np.ndarray:
    """(time,) a wander of unit rms below 0.5 Hz."""
    time_s = np.arange(samples)[:, None] / SAMPLE_RATE_HZ
    frequency, phase = rng.uniform(0.05, 0.5, 6), rng.uniform(0, 2 * np.pi, 6)
    return np.sin(2 * np.pi * frequency * time_s + phase).sum(axis=1) / np.sqrt(3)


NAME = "synthetic"
DESCRIPTION = Description(
    NAME,
    "SYNTHETIC data",
    LABELS,
    people="thirty virtual subjects of a small biomechanical model, six activities",
    placement="a simulated phone on the belt",
    axes="x up along the body",
    terms="generated by this project",
    synthetic=True,
)
GENERATOR_VERSION = 2  # raise it when a change alters the signals
NUM_SUBJECTS = 30  # as many as UCI HAR, with the same numbers, so that the same split applies
BOUTS = 2  # of each activity in a recording
BOUT_SECONDS = 20.0
TRANSITION_SECONDS = 1.5  # between bouts, unlabelled

DIFFICULTY = 1.0
DIFFICULTY_RANGE = (0.0, 2.0)
CONTRAST_PER_STEP = 1.5  # a step of difficulty brings activities this much closer together
SPREAD_PER_STEP = 1.25  # and takes people this much further apart

MOUNTING_RAD = (0.25, 0.10, 0.08)  # spread between subjects, about up, side and forward: the belt slides round the waist


@dataclass(frozen=True)
class Sensor:
    """A phone's accelerometer (g) and gyroscope (rad/s); pairs are (acceleration, angular velocity).

    Attributes:
        full_scale: beyond it the output stays; a 2 g range, and 500 deg/s.
        step: of the output; HAPT's raw files, of the same phone, move in steps of 1/720 g and of 17.5 mdeg/s.
        noise: density of the noise, g^2/Hz and (rad/s)^2/Hz; white up to the roll-off of the published windows. The
            accelerometer's z axis, across the chip, is the noisiest, as in the real windows at rest.
        slow_noise: rms of what wanders over minutes, with temperature.
        bias: spread between phones.
        gain: relative spread between phones and axes.
    """

    full_scale: tuple[float, float] = (2.0, 8.73)
    step: tuple[float, float] = (1 / 720, 3.05e-4)
    noise: tuple[float, ...] = (8e-7, 1e-6, 2e-6, 1.8e-6, 1.8e-6, 1.8e-6)
    slow_noise: tuple[float, float] = (0.002, 0.001)
    bias: tuple[float, float] = (0.015, 0.006)
    gain: float = 0.015


def generate(subject: int, seed: int, *, bout_seconds: float = BOUT_SECONDS, difficulty: float = DIFFICULTY) -> Recording:
    """One continuous labelled recording of virtual person `subject`; the same arguments give the same recording.

    Args:
        subject: number of the person.
        seed: of the whole data set.
        bout_seconds: of each of the two bouts of an activity.
        difficulty: from 0 (easy) over 1 to 2 (hard): how near activities are to one another and how far people are apart.

    Raises:
        HarError: `difficulty` is not within 0 to 2.
    """
    from scipy.spatial.transform import Rotation

    _check_difficulty(difficulty)
    rng = np.random.default_rng((seed, subject))
    contrast, spread = CONTRAST_PER_STEP ** (1.0 - difficulty), SPREAD_PER_STEP ** (difficulty - 1.0)
    person = draw_person(rng, spread=spread, contrast=contrast)
    mounting = Rotation.from_rotvec(spread * rng.normal(0.0, MOUNTING_RAD))
    labels = np.concatenate([rng.permutation(len(LABELS)) for _ in range(BOUTS)]).tolist()
    bout, transition = round(bout_seconds * SAMPLE_RATE_HZ), round(TRANSITION_SECONDS * SAMPLE_RATE_HZ)
    activities = [LABELS[label] for label in labels]
    motion = simulate(person, activities, labels, rng, bout=bout, transition=transition, contrast=contrast)
    samples = measure(motion, mounting, Sensor(), rng)
    time_s = np.arange(len(samples)) / SAMPLE_RATE_HZ
    return Recording(f"synthetic_s{subject:02d}", subject, time_s, samples, motion.labels)


def _check_difficulty(difficulty: float) -> None:
    low, high = DIFFICULTY_RANGE
    if not low <= difficulty <= high:
        raise HarError("dataset-option", f"the difficulty is {difficulty:g}, expected a number from {low:g} (easy) to {high:g} (hard)")


def measure(motion: Motion, mounting: "Rotation", sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    """What a phone records: the motion turned by its mounting, with gain, bias, drift and noise, saturated and quantised.

    Returns:
        (time, 6) float32 in the order of ``contract.RAW6``, in g and rad/s.
    """
    true = np.concatenate((mounting.apply(motion.acc), mounting.apply(motion.rate)), axis=1)

    def six(pair: tuple[float, float]) -> np.ndarray:
        return np.repeat(pair, 3)

    wanted = true * (1.0 + rng.normal(0.0, sensor.gain, 6)) + rng.normal(0.0, six(sensor.bias))
    wanted = wanted + np.sqrt(sensor.noise) * shaped_noise(len(true), 6, rng, np.ones_like)
    wanted = wanted + six(sensor.slow_noise) * _drift(len(true), rng)
    full_scale, step = six(sensor.full_scale), six(sensor.step)
    # Saturated before quantised, as in a converter: the largest output is the last whole step within the full scale.
    largest = np.floor(full_scale / step + 1e-9) * step
    return np.clip(np.round(wanted / step) * step, -largest, largest).astype(np.float32)


def _drift(samples: int, rng: np.random.Generator) -> np.ndarray:
    """(time, 6) of unit rms over some minutes: slow sines, periods of 1 to 10 minutes."""
    minutes = np.arange(samples)[:, None, None] / SAMPLE_RATE_HZ / 60
    period, phase = rng.uniform(1.0, 10.0, (4, 6)), rng.uniform(0, 2 * np.pi, (4, 6))
    return np.sin(2 * np.pi * minutes / period + phase).sum(axis=1) / np.sqrt(2)


def write_dataset(
    folder: Path,
    seed: int = 0,
    *,
    num_subjects: int = NUM_SUBJECTS,
    bout_seconds: float = BOUT_SECONDS,
    difficulty: float = DIFFICULTY,
) -> Path:
    """Write the raw recordings, one CSV a subject, into a folder below `folder` named by their settings; once.

    Returns:
        The folder with the CSV files.

    Raises:
        HarError: `difficulty` is not within 0 to 2, or the folder cannot be written.
    """
    _check_difficulty(difficulty)
    settings = {
        "generator": GENERATOR_VERSION,
        "seed": seed,
        "subjects": num_subjects,
        "bout_seconds": bout_seconds,
        "difficulty": float(difficulty),
    }
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    target = folder / f"synthetic-{key}"

    def build(new: Path) -> None:
        new.mkdir()
        for subject in range(1, num_subjects + 1):
            recording = generate(subject, seed, bout_seconds=bout_seconds, difficulty=difficulty)
            write_csv(recording, new / f"{recording.name}.csv")
        (new / "settings.json").write_text(json.dumps(settings | {"synthetic": True}, indent=1))

    remove_stale(folder)
    if not target.is_dir():
        with writing(target):
            build_folder(target, build)
    return target


def read_dataset(folder: Path) -> list[Recording]:
    """Read the recordings of a folder made by `write_dataset`, in the order of the subjects."""
    return [read_recording(path, subject=int(path.stem.rpartition("_s")[2])) for path in sorted(folder.glob("synthetic_s*.csv"))]
