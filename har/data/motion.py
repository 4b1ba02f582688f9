"""From a virtual person and a list of activities to acceleration and angular velocity at the waist.

Orientation is one continuous path over the whole recording. Gravity is seen through it and angular velocity is its
derivative, so that the two always agree, in transitions as well.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from har.contract import SAMPLE_RATE_HZ
from har.data import biomechanics as body
from har.data.biomechanics import Gait, Person, Posture
from har.recording import UNLABELLED

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

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


class _Shaking(NamedTuple):
    """(time, 3) each: linear acceleration in g and small angles about up, side and forward in rad."""

    acc: np.ndarray
    angle: np.ndarray


def simulate(
    person: Person, activities: list[str], labels: list[int], rng: np.random.Generator, *, bout: int, transition: int, contrast: float = 1.0
) -> Motion:
    """Move `person` through `activities`, each for `bout` samples, with `transition` unlabelled samples between two.

    Args:
        person: who moves.
        activities: names out of `biomechanics.GAIT` and `biomechanics.POSTURE`.
        labels: their indices, as they shall stand in the recording.
        rng: decides everything that a person does not repeat.
        bout: samples of an activity.
        transition: samples between two activities.
        contrast: how much activities differ; see `biomechanics.draw_person`.
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
        shaking, centre = _activity(person, activity, stop - start, rng, contrast)
        weight = _fade(np.arange(start, stop), first, first + bout - 1, transition)[:, None]
        acc[start:stop] += weight * shaking.acc
        angle[start:stop] += weight * shaking.angle
        centres.append(centre)
    posture, rise = _postures(np.array(centres), bout, transition)
    orientation = _orientation(posture, angle)
    acc[:, 0] += rise
    return Motion(orientation.inv().apply(UP) + acc, _angular_velocity(orientation), sample_labels)


def _activity(person: Person, name: str, samples: int, rng: np.random.Generator, contrast: float) -> tuple[_Shaking, np.ndarray]:
    """Movement of one bout, and the posture (lean, list, twist) it happens around."""
    if name in body.GAIT:
        index = list(body.GAIT).index(name)
        gait = body.blended_gait(name, contrast)
        upright = person.posture[list(body.POSTURE).index("STANDING")]
        return _walk(person, gait, index, samples, rng), upright + np.array([gait.lean, 0.0, 0.0]) + rng.normal(0.0, 0.02, 3)
    posture = body.blended_posture(name, contrast)
    own = person.posture[list(body.POSTURE).index(name)]
    return _rest(person, posture, samples, rng), own + 0.7 * rng.normal(0.0, posture.spread)


def _walk(person: Person, gait: Gait, index: int, samples: int, rng: np.random.Generator) -> _Shaking:
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    cadence = person.cadence_hz * gait.cadence * rng.normal(1.0, 0.025)
    wander = 1.0 + body.CADENCE_WANDER * _slow(samples, rng)
    stride = np.pi * np.cumsum(cadence * wander) / SAMPLE_RATE_HZ + rng.uniform(0, 2 * np.pi)  # one turn is two steps
    amplitude = gait.vigour * person.amplitude * rng.lognormal(0.0, 0.08) * (1.0 + 0.1 * _slow(samples, rng))
    shape = person.harmonics[index].shape  # (6, harmonic)
    table = gait.harmonics * person.harmonics[index] * rng.lognormal(0.0, body.BOUT_HARMONIC_SPREAD, shape)
    phases = gait.phases + person.phases[index] + rng.normal(0.0, body.BOUT_PHASE_SPREAD, shape)
    turn = stride[:, None, None] * body.HARMONICS + phases  # (time, 6, harmonic)
    acc = (table[:3] * np.sin(turn[:, :3])).sum(axis=2) * amplitude[:, None]
    angle = -(table[3:] / (np.pi * cadence * body.HARMONICS) * np.cos(turn[:, 3:])).sum(axis=2) * amplitude[:, None]  # of the rate
    ring, sided = _heel_strikes(stride, person, gait, rng)
    acc += np.stack((ring, sided, ring), axis=1) * body.IMPACT_DIRECTION
    acc += shaped_noise(samples, 3, rng, lambda f: np.full_like(f, gait.shaking))
    # The waist turns towards the foot that lands, and back with the next: the kicks do not add up to a drift.
    rate = sided[:, None] * body.IMPACT_TURN + shaped_noise(samples, 3, rng, lambda f: body.SHAKING_TURN * gait.shaking / np.sqrt(f))
    angle += np.cumsum(rate, axis=0) / SAMPLE_RATE_HZ
    angle[:, 0] += _turns(time_s, gait.turns, rng)
    return _Shaking(acc, angle)


def _heel_strikes(stride: np.ndarray, person: Person, gait: Gait, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(time,) the ringing after each heel strike in g, and the same with the sign of the foot that lands."""
    step = np.arange(np.ceil(stride[0] / np.pi), stride[-1] / np.pi)  # a foot lands at every half turn of the stride
    at = np.interp(step * np.pi, stride, np.arange(len(stride)) / SAMPLE_RATE_HZ)
    left = np.where(step % 2 == 0, 1.0, -1.0)
    size = gait.impact * person.impact * (1.0 + gait.asymmetry * left) * rng.lognormal(0.0, body.STEP_SPREAD, len(step))
    ring = decaying_rings(len(stride), at, size, person.impact_hz, body.IMPACT_DECAY_S)
    sided = decaying_rings(len(stride), at, size * left, person.impact_hz, body.IMPACT_DECAY_S)
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


def _rest(person: Person, posture: Posture, samples: int, rng: np.random.Generator) -> _Shaking:
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    size = person.sway * rng.lognormal(0.0, 0.2)
    rate = size * shaped_noise(samples, 3, rng, lambda f: posture.sway * f**-posture.slope)
    angle = np.cumsum(rate, axis=0) / SAMPLE_RATE_HZ
    for moment in _moments(time_s[-1], body.FIDGETS_PER_MINUTE, rng):
        angle += body.FIDGET_RAD * rng.normal(size=3) * _bump(time_s - moment, 1.0)[:, None]
    beats = np.arange(rng.uniform(0, 1), time_s[-1] * person.heart_hz) / person.heart_hz
    beats = beats + rng.normal(0.0, 0.03, len(beats))
    heart = decaying_rings(samples, beats, posture.heartbeat * rng.lognormal(0.0, 0.2, len(beats)), body.HEART_RING_HZ, body.HEART_DECAY_S)
    # The recoil of the blood runs along the body, which is sideways to gravity when lying; half of it is seen across.
    return _Shaking(heart[:, None] * (1.0, 0.5, 0.7), angle)


def _turns(time_s: np.ndarray, per_minute: float, rng: np.random.Generator) -> np.ndarray:
    """Heading in rad: turns of about 90 degrees to one side."""
    side = rng.choice((-1.0, 1.0))
    heading = np.zeros(len(time_s))
    for moment in _moments(time_s[-1], per_minute, rng):
        heading += side * rng.normal(1.5, 0.3) * _minimum_jerk((time_s - moment) / body.TURN_SECONDS)
    return heading


def _moments(duration_s: float, per_minute: float, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.0, duration_s, rng.poisson(per_minute * duration_s / 60))


def _bump(time_s: np.ndarray, width_s: float) -> np.ndarray:
    return np.exp(-0.5 * (time_s / (width_s / 2)) ** 2)


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
        rise[first : first + transition] = -np.tanh(2 * moved[0]) * body.RISE_G * push  # leaning back is going down
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
            `biomechanics.ROLL_OFF_HZ`.
    """
    frequency = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    level = np.zeros_like(frequency)
    inside = frequency > LOWEST_HZ
    level[inside] = density(frequency[inside]) / (1 + (frequency[inside] / body.ROLL_OFF_HZ) ** 4)
    spectrum = np.fft.rfft(rng.normal(size=(samples, columns)), axis=0) * np.sqrt(level * SAMPLE_RATE_HZ / 2)[:, None]
    return np.fft.irfft(spectrum, n=samples, axis=0)


def _slow(samples: int, rng: np.random.Generator) -> np.ndarray:
    """(time,) a wander of unit rms below 0.5 Hz."""
    time_s = np.arange(samples)[:, None] / SAMPLE_RATE_HZ
    frequency, phase = rng.uniform(0.05, 0.5, 6), rng.uniform(0, 2 * np.pi, 6)
    return np.sin(2 * np.pi * frequency * time_s + phase).sum(axis=1) / np.sqrt(3)
