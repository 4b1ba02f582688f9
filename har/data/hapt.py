"""HAPT (Reyes-Ortiz et al. 2016): the raw recordings behind UCI HAR, with six postural transitions, as `Recording`s."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from har.contract import HAPT_LABELS, LABELS, SAMPLE_RATE_HZ, TEST_SUBJECTS, TRAIN_SUBJECTS, TRANSITION_LABELS
from har.data.archives import HAPT, Reader, broken, check_activities, open_source, read_integers, read_table
from har.errors import HarError, nearest
from har.recording import UNLABELLED, Recording
from har.recording.limits import LIMITS_TEXT, outside

NAME = HAPT.name
SUBJECTS = TRAIN_SUBJECTS + TEST_SUBJECTS  # user N is subject N of UCI HAR
EXPERIMENTS = 61  # of the published archive, as the two counts below
ROWS = 1_122_772
SEGMENTS = 1_214
CONTENT_SHA256 = "5bbf95652d8a8ac119136930679fd5e4027afb977aacbcd7b07f00f16fe25aa0"
# `content_digest` of the copy that the results come from; the official download was never at hand to compare its bytes.
LABELS_FILE = "RawData/labels.txt"


class Segment(NamedTuple):
    """A labelled stretch of one experiment."""

    experiment: int
    user: int
    label: int  # index into contract.HAPT_LABELS
    first: int  # sample, from 0
    stop: int  # one past the last sample


def recording_name(experiment: int, user: int) -> str:
    """Name of a recording: ``exp01_user01``, as in the names of its files."""
    return f"exp{experiment:02d}_user{user:02d}"


def label_names(transitions: str) -> tuple[str, ...]:
    """Names of the labels where transitions are ``drop``ped, ``keep``t as six classes, or one class ``unknown``.

    Raises:
        HarError: there is no such option.
    """
    if transitions not in TRANSITION_LABELS:
        raise HarError("name-unknown", f"unknown option {transitions!r} for transitions; {nearest(transitions, tuple(TRANSITION_LABELS))}")
    return TRANSITION_LABELS[transitions]


def read(read_file: Reader, *, transitions: str = "drop", dtype: type[np.floating] = np.float32) -> list[Recording]:
    """Parse the archive: one recording an experiment, at 50 Hz, acceleration in g and angular velocity in rad/s, unfiltered.

    Args:
        read_file: of an opened archive.
        transitions: ``drop`` leaves them unlabelled, ``keep`` labels them as in ``contract.HAPT_LABELS``, ``unknown`` labels
            all of them as the one class behind the six. Samples in no segment of labels.txt are unlabelled (-1) always.
        dtype: float64 keeps every digit of the files.

    Raises:
        HarError: a file is missing or no table of numbers, the two sensors differ in length, a segment is malformed, overlaps
            another or lies beyond its recording, or the counts are not those of the published archive.
    """
    names = label_names(transitions)
    check_activities(read_file, HAPT_LABELS)
    segments = read_segments(read_file)
    users = {segment.experiment: segment.user for segment in segments}
    _check_count("experiments", len(users), EXPERIMENTS)
    _check_count("segments", len(segments), SEGMENTS)
    recordings = []
    for experiment, user in sorted(users.items()):
        own = [segment for segment in segments if segment.experiment == experiment]
        recordings.append(_read_recording(read_file, experiment, user, own, len(names), dtype))
    _check_count("samples", sum(len(recording.samples) for recording in recordings), ROWS)
    return recordings


def content_digest(read_file: Reader) -> str:
    """SHA-256 of what is used of the archive: names, samples in single precision, and segments; whatever format they came in.

    Raises:
        HarError: as `read`.
    """
    digest = hashlib.sha256()
    for recording in read(read_file, transitions="keep"):
        digest.update(f"{recording.name} {recording.samples.shape}\n".encode())
        digest.update(np.ascontiguousarray(recording.samples, dtype="<f4").data)
    for segment in read_segments(read_file):
        digest.update(f"{' '.join(map(str, segment))}\n".encode())
    return digest.hexdigest()


def check_content(path: Path) -> None:
    """Refuse an archive whose recordings or segments are not those that this project was tested with.

    No checksum of the official download was published, so the content itself is compared. Zip file and number format may
    differ.

    Raises:
        HarError: the archive is damaged or incomplete, or its content is another.
    """
    with open_source(path, HAPT) as (read_file, _):
        found = content_digest(read_file)
    if found != CONTENT_SHA256:
        raise HarError(
            "archive-broken",
            f"{path} holds all of HAPT's files, but its content differs from the copy that the results come from "
            f"(digest {found[:12]}, expected {CONTENT_SHA256[:12]}); if you trust it, name it with --archive",
        )


def _check_count(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise broken(f"HAPT has {found:,} {what}, expected {expected:,} as published")


def read_segments(read_file: Reader) -> list[Segment]:
    """The labelled stretches in the order of the recordings, checked one against the next.

    Raises:
        HarError: with the line of labels.txt that is wrong.
    """
    rows = _columns(read_integers(read_file, LABELS_FILE), LABELS_FILE, 5)
    order = np.lexsort((rows[:, 3], rows[:, 0]))
    users: dict[int, int] = {}
    segments: list[Segment] = []
    for line in order + 1:
        experiment, user, activity, first, last = rows[line - 1].tolist()
        before = segments[-1] if segments and segments[-1].experiment == experiment else Segment(experiment, user, 0, -1, 0)
        overlap = f"overlap the segment {before.first + 1} to {before.stop} of experiment {experiment}; expected one label a sample"
        for wrong, text in (
            (user not in SUBJECTS or experiment < 1, f"experiment {experiment} of user {user}; expected users 1 to {max(SUBJECTS)}"),
            (
                users.setdefault(experiment, user) != user,
                f"experiment {experiment} is of user {user} and of user {users[experiment]}; expected one",
            ),
            (not 1 <= activity <= len(HAPT_LABELS), f"activity {activity}; expected 1 to {len(HAPT_LABELS)}"),
            (not 1 <= first <= last, f"samples {first} to {last}; expected a first sample from 1 on and a last one not before it"),
            (first <= before.stop, f"samples {first} to {last} {overlap}"),
        ):
            if wrong:
                raise broken(f"{LABELS_FILE}, line {line}: {text}")
        segments.append(Segment(experiment, user, activity - 1, first - 1, last))
    return segments


def _read_recording(
    read_file: Reader, experiment: int, user: int, segments: list[Segment], num_labels: int, dtype: type[np.floating]
) -> Recording:
    name = recording_name(experiment, user)
    files = [f"RawData/{sensor}_{name}.txt" for sensor in ("acc", "gyro")]
    total_acc, gyro = (_columns(read_table(read_file, file), file, 3) for file in files)
    if len(total_acc) != len(gyro):
        raise broken(f"RawData/acc_{name}.txt has {len(total_acc)} rows and gyro_{name}.txt {len(gyro)}; expected as many")
    labels = np.full(len(total_acc), UNLABELLED, dtype=np.int64)
    for segment in segments:
        if segment.stop > len(labels):
            raise broken(f"{LABELS_FILE} labels samples up to {segment.stop} of {name}, which has {len(labels)}; expected no more")
        is_transition = segment.label >= len(LABELS)
        if is_transition and num_labels == len(LABELS):
            continue
        labels[segment.first : segment.stop] = min(segment.label, num_labels - 1) if is_transition else segment.label
    samples = np.concatenate((total_acc, gyro), axis=1).astype(dtype)
    if (off := outside(samples)).any():
        raise broken(f"RawData/*_{name}.txt: row {np.argmax(off) + 1} is outside the physical limits ({LIMITS_TEXT})")
    return Recording(name, user, np.arange(len(samples)) / SAMPLE_RATE_HZ, samples, labels)


def _columns(table: np.ndarray, name: str, expected: int) -> np.ndarray:
    if table.shape[1] != expected:
        raise broken(f"{name} has {table.shape[1]} columns; expected {expected}")
    return table
