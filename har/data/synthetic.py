"""The embedded synthetic data set: thirty virtual people with a phone at the waist. It is never evidence about people.

Each subject has a cadence, gait amplitudes and harmonics, a mounting rotation and sensor bias of their own. Signals are
total acceleration (gravity of 1 g turned by posture and mounting, plus gait) and angular velocity, with sensor noise.
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from har.contract import LABELS, SAMPLE_RATE_HZ
from har.recording import UNLABELLED, Recording, read_recording, write_csv

NAME = "synthetic"
GENERATOR_VERSION = 1  # raise it when a change alters the signals
NUM_SUBJECTS = 30  # as many as UCI HAR, with the same numbers, so that the same split applies
BOUTS = 2  # of each activity in a recording
BOUT_SECONDS = 20.0
TRANSITION_SECONDS = 1.5  # between bouts, unlabelled
ACC_NOISE_G = 0.004  # rms, a phone's accelerometer
GYRO_NOISE_RAD_S = 0.012  # rms
ACC_BIAS_G = 0.01
GYRO_BIAS_RAD_S = 0.01


class Gait(NamedTuple):
    """How an activity moves a waist; a person varies each of these a little."""

    cadence: float  # steps, relative to the person's walking
    vertical: float  # amplitude in g
    impact: float  # share of the higher harmonics
    pitch: float  # forward lean in rad
    asymmetry: float  # between left and right step
    phases: tuple[float, ...]  # of harmonics, sway and rotation, in rad


class Posture(NamedTuple):
    """How an activity holds a waist."""

    pitch: float  # of the trunk in rad
    spread: float  # of the pitch between bouts in rad
    sway: float  # rms in rad


GAIT = {
    "WALKING": Gait(1.0, 0.28, 0.45, 0.05, 0.10, (0.6, 1.9, 0.3, 1.2, 1.6, 0.0)),
    "WALKING_UPSTAIRS": Gait(0.86, 0.24, 0.35, 0.16, 0.22, (2.2, 0.4, 1.1, 2.6, 0.5, 1.0)),
    "WALKING_DOWNSTAIRS": Gait(1.04, 0.36, 0.75, 0.02, 0.26, (-0.7, 3.0, -0.4, 0.2, 2.7, 2.0)),
}
PHASE_SPREAD_RAD = 0.5  # between subjects
POSTURE = {"SITTING": Posture(0.22, 0.14, 0.004), "STANDING": Posture(0.06, 0.06, 0.009), "LAYING": Posture(1.48, 0.10, 0.003)}


def generate(subject: int, seed: int, *, bout_seconds: float = BOUT_SECONDS) -> Recording:
    """One continuous labelled recording of virtual person `subject`; the same seed gives the same recording."""
    rng = np.random.default_rng((seed, subject))
    person = {
        "cadence_hz": rng.normal(1.85, 0.13),
        "amplitude": rng.lognormal(0.0, 0.18),
        "impact": rng.lognormal(0.0, 0.25),
        "phase": rng.normal(0.0, PHASE_SPREAD_RAD, size=6),
        "slouch": rng.normal(0.0, 0.10),
        "sway": rng.lognormal(0.0, 0.35),
    }
    mounting = _rotation(rng.normal(0.0, [0.08, 0.12, 0.15]))
    activities = np.concatenate([rng.permutation(len(LABELS)) for _ in range(BOUTS)])
    bout = round(bout_seconds * SAMPLE_RATE_HZ)
    bouts = [_bout(LABELS[activity], bout, person, rng) for activity in activities]

    acc: list[np.ndarray] = []
    gyro: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for number, (activity, (bout_acc, bout_gyro)) in enumerate(zip(activities, bouts, strict=True)):
        if number:
            moved_acc, moved_gyro = _transition(acc[-1][-1], bout_acc[0], rng)
            acc.append(moved_acc)
            gyro.append(moved_gyro)
            labels.append(np.full(len(moved_acc), UNLABELLED))
        acc.append(bout_acc)
        gyro.append(bout_gyro)
        labels.append(np.full(bout, activity))
    samples = np.concatenate((np.concatenate(acc) @ mounting.T, np.concatenate(gyro) @ mounting.T), axis=1)
    scale = np.repeat([ACC_NOISE_G, GYRO_NOISE_RAD_S], 3)
    bias = rng.normal(0.0, np.repeat([ACC_BIAS_G, GYRO_BIAS_RAD_S], 3))
    samples = samples + rng.normal(0.0, scale, size=samples.shape) + bias
    time_s = np.arange(len(samples)) / SAMPLE_RATE_HZ
    return Recording(f"synthetic_s{subject:02d}", subject, time_s, samples.astype(np.float32), np.concatenate(labels).astype(np.int64))


def _rotation(angles: np.ndarray) -> np.ndarray:
    """Rotation matrix of roll, pitch and yaw in rad."""
    (a, b, c), (sa, sb, sc) = np.cos(angles), np.sin(angles)
    roll = np.array([[1, 0, 0], [0, a, -sa], [0, sa, a]])
    pitch = np.array([[b, 0, sb], [0, 1, 0], [-sb, 0, b]])
    yaw = np.array([[c, -sc, 0], [sc, c, 0], [0, 0, 1]])
    return yaw @ pitch @ roll


def _bout(activity: str, samples: int, person: dict, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(time, 3) total acceleration in g and (time, 3) angular velocity in rad/s; x is up, y sideways, z forward."""
    if activity in GAIT:
        return _walk(GAIT[activity], samples, person, rng)
    return _rest(POSTURE[activity], samples, person, rng)


def _walk(gait: Gait, samples: int, person: dict, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    cadence = person["cadence_hz"] * gait.cadence * rng.normal(1.0, 0.03)
    wander = np.cumsum(rng.normal(0.0, 0.02, samples)) / np.sqrt(SAMPLE_RATE_HZ)
    step = 2 * np.pi * cadence * np.arange(samples) / SAMPLE_RATE_HZ + wander + rng.uniform(0, 2 * np.pi)
    stride = step / 2  # two steps, left and right
    phase = np.array(gait.phases) + person["phase"]
    impact = gait.impact * person["impact"]
    size = person["amplitude"] * gait.vertical * (1.0 + gait.asymmetry * np.sin(stride + phase[5]))
    up = size * (np.sin(step) + impact * np.sin(2 * step + phase[0]) + 0.6 * impact**2 * np.sin(3 * step + phase[1]))
    side = 0.45 * size * (np.sin(stride + phase[2]) + 0.3 * np.sin(3 * stride + phase[3]))
    forward = 0.55 * size * (np.sin(step + phase[4]) + 0.4 * np.sin(2 * step + phase[0]))
    tilt = gait.pitch + person["slouch"] * 0.5 + rng.normal(0.0, 0.04) + 0.03 * np.sin(step + phase[3])
    acc = np.stack((up + np.cos(tilt), side, forward + np.sin(tilt)), axis=1)
    swing = person["amplitude"] * (0.5 + gait.vertical)
    gyro = swing * np.stack((0.7 * np.sin(stride + phase[1]), 0.5 * np.cos(step + phase[3]), 0.4 * np.sin(stride + phase[4])), axis=1)
    return acc, gyro


def _rest(posture: Posture, samples: int, person: dict, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    centre = np.array([posture.pitch + person["slouch"] + rng.normal(0.0, posture.spread), rng.normal(0.0, 0.05)])
    angle = centre + _slow_noise(samples, rng) * posture.sway * person["sway"]  # (time, 2) pitch and roll
    acc = np.stack((np.cos(angle[:, 0]) * np.cos(angle[:, 1]), np.sin(angle[:, 1]), np.sin(angle[:, 0]) * np.cos(angle[:, 1])), axis=1)
    rate = np.gradient(angle, axis=0) * SAMPLE_RATE_HZ
    return acc, np.stack((0.3 * rate[:, 1], rate[:, 0], rate[:, 1]), axis=1)


def _slow_noise(samples: int, rng: np.random.Generator) -> np.ndarray:
    """(time, 2) postural sway of unit rms: a sum of slow sines, 0.2 to 1.2 Hz."""
    time_s = np.arange(samples)[:, None, None] / SAMPLE_RATE_HZ
    frequency = rng.uniform(0.2, 1.2, size=(1, 5, 2))
    phase = rng.uniform(0, 2 * np.pi, size=(1, 5, 2))
    return np.sin(2 * np.pi * frequency * time_s + phase).sum(axis=1) / np.sqrt(2.5)


def _transition(before: np.ndarray, after: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turn gravity from one posture to the next; between them the acceleration keeps a length of about 1 g."""
    samples = round(TRANSITION_SECONDS * SAMPLE_RATE_HZ)
    weight = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, samples))[:, None]
    direction = (1 - weight) * before + weight * after
    acc = direction / np.linalg.norm(direction, axis=1, keepdims=True) * (1 + 0.1 * rng.normal(size=(samples, 1)) * weight * (1 - weight))
    turn = np.arccos(np.clip(before @ after / np.linalg.norm(before) / np.linalg.norm(after), -1, 1))
    rate = np.gradient(weight[:, 0]) * turn * SAMPLE_RATE_HZ
    return acc, np.stack((np.zeros(samples), rate, np.zeros(samples)), axis=1)


def write_dataset(folder: Path, seed: int = 0, *, num_subjects: int = NUM_SUBJECTS, bout_seconds: float = BOUT_SECONDS) -> Path:
    """Write the raw recordings, one CSV a subject, into a folder below `folder` named by their settings; once.

    Returns:
        The folder with the CSV files.
    """
    settings = {"generator": GENERATOR_VERSION, "seed": seed, "subjects": num_subjects, "bout_seconds": bout_seconds}
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    target = folder / f"synthetic-{key}"
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".synthetic-{key}-", dir=folder))
    try:
        for subject in range(1, num_subjects + 1):
            recording = generate(subject, seed, bout_seconds=bout_seconds)
            write_csv(recording, temporary / f"{recording.name}.csv")
        (temporary / "settings.json").write_text(json.dumps(settings | {"synthetic": True}, indent=1))
        try:
            os.rename(temporary, target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def read_dataset(folder: Path) -> list[Recording]:
    """Read the recordings of a folder made by `write_dataset`, in the order of the subjects."""
    return [read_recording(path, subject=int(path.stem.rpartition("_s")[2])) for path in sorted(folder.glob("synthetic_s*.csv"))]
