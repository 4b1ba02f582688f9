"""The embedded synthetic data set: thirty virtual people with a phone at the waist. It is never evidence about people.

`har.data.biomechanics` and `har.data.motion` move the waist; here a phone is fastened to it, measures with the faults of a
real one, and the recordings are written and read.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from har.contract import LABELS, SAMPLE_RATE_HZ, HarError
from har.data.biomechanics import draw_person
from har.data.motion import Motion, shaped_noise, simulate
from har.data.staging import remove_stale, staging
from har.files import writing
from har.recording import Recording, read_recording, write_csv

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation

NAME = "synthetic"
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
    motion = simulate(
        person,
        [LABELS[label] for label in labels],
        labels,
        rng,
        bout=round(bout_seconds * SAMPLE_RATE_HZ),
        transition=round(TRANSITION_SECONDS * SAMPLE_RATE_HZ),
        contrast=contrast,
    )
    samples = measure(motion, mounting, Sensor(), rng)
    time_s = np.arange(len(samples)) / SAMPLE_RATE_HZ
    return Recording(f"synthetic_s{subject:02d}", subject, time_s, samples, motion.labels)


def _check_difficulty(difficulty: float) -> None:
    low, high = DIFFICULTY_RANGE
    if not low <= difficulty <= high:
        raise HarError(f"the difficulty is {difficulty:g}, expected a number from {low:g} (easy) to {high:g} (hard)")


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
    remove_stale(folder)
    if target.is_dir():
        return target
    with writing(target), staging(folder, target.name) as temporary:
        new = temporary / "new"
        new.mkdir()
        for subject in range(1, num_subjects + 1):
            recording = generate(subject, seed, bout_seconds=bout_seconds, difficulty=difficulty)
            write_csv(recording, new / f"{recording.name}.csv")
        (new / "settings.json").write_text(json.dumps(settings | {"synthetic": True}, indent=1))
        try:
            os.rename(new, target)
        except OSError:
            if not target.is_dir():
                raise
    return target


def read_dataset(folder: Path) -> list[Recording]:
    """Read the recordings of a folder made by `write_dataset`, in the order of the subjects."""
    return [read_recording(path, subject=int(path.stem.rpartition("_s")[2])) for path in sorted(folder.glob("synthetic_s*.csv"))]
