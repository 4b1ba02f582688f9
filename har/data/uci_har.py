"""UCI HAR (Anguita et al. 2013): the published windows, read from the nine inertial signal files."""

import numpy as np

from har.contract import BODY_ACC, GYRO, LABELS, STRIDE, TEST_SUBJECTS, TOTAL_ACC, TRAIN_SUBJECTS, UCI9, WINDOW_SIZE
from har.data.archives import AGAIN, UCI_HAR, Reader, check_activities, read_integers, read_table
from har.data.windowset import Description, WindowSet, content_digest
from har.errors import HarError
from har.recording.limits import ACC_LIMIT_G, GYRO_LIMIT_RAD_S, LIMITS_TEXT
from har.signals.windows import chain_windows

NAME = UCI_HAR.name
VOLUNTEERS = "thirty volunteers aged 19 to 48 with one phone model (Samsung Galaxy S II)"
PLACEMENT = "at the waist"
AXES = "x up along the body"  # measured: the median total_acc_x of standing subjects is 1.0 g
TERMS = "CC BY 4.0 on the UCI page; the archive's own README asks for the citation and prohibits commercial use"
LIMITS = "Sitting and standing differ little at the waist; nearly all errors are between them."
DESCRIPTION = Description(
    title="UCI HAR",
    subjects=f"{VOLUNTEERS}, six scripted activities in a laboratory",
    placement=PLACEMENT,
    axes=AXES,
    terms=TERMS,
    cite="D. Anguita et al., A Public Domain Dataset for Human Activity Recognition Using Smartphones, ESANN 2013",
    limits=LIMITS,
    official=True,
    url=UCI_HAR.url,
)
FILE_OF = {name: name for name in BODY_ACC + TOTAL_ACC} | {name: f"body_{name}" for name in GYRO}
OFFICIAL = {"train": TRAIN_SUBJECTS, "test": TEST_SUBJECTS}
PUBLISHED_WINDOWS = {"train": 7352, "test": 2947}  # of the 21 and the 9 people; Anguita et al. 2013
COUNTS = PUBLISHED_WINDOWS  # what `read` asks for; empty where a small archive in this layout will do, as in tests

# Total less body acceleration is the 0.3 Hz low-pass of the recording. One g that turns at 0.3 Hz changes by 0.038 g from
# one sample to the next, and that change by 0.0014 g. Of the published data the largest values are 0.01402 g and 0.00043 g.
MAX_GRAVITY_STEP_G = 0.04  # first difference of gravity, a sample
MAX_GRAVITY_BEND_G = 0.0015  # second difference of gravity, a sample squared
GRAVITY_NORM_G = (0.8, 1.2)  # of every window's mean gravity; published: 0.891 to 1.059


def read(read_file: Reader) -> WindowSet:
    """Parse the archive.

    ``recording`` names the continuous segment a window was cut from (windows of one segment share 64 samples exactly)
    and ``start`` the window's first sample in it, so that overlap can be audited.

    Raises:
        HarError: labels, subjects or signals are not those of UCI HAR, or not as many.
    """
    check_activities(read_file, LABELS)
    parts = [_read_part(read_file, part) for part in OFFICIAL]
    x, y, subject, recording, start = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    digest = content_digest(x, y, subject)
    return WindowSet(x, y, subject, recording, start, channels=UCI9, dataset=NAME, synthetic=False, digest=digest)


def _read_part(read_file: Reader, part: str) -> tuple[np.ndarray, ...]:
    y = read_integers(read_file, f"{part}/y_{part}.txt")
    subject = read_integers(read_file, f"{part}/subject_{part}.txt")
    if y.shape[1] != 1 or subject.shape != y.shape:
        raise HarError(
            "archive-broken",
            f"{part}: y_{part}.txt has shape {y.shape} and subject_{part}.txt {subject.shape}; expected one number a window in both",
        )
    y, subject = y[:, 0] - 1, subject[:, 0]
    if y.min() < 0 or y.max() >= len(LABELS):
        raise HarError("archive-broken", f"{part}/y_{part}.txt has labels from {y.min() + 1} to {y.max() + 1}; expected 1 to {len(LABELS)}")
    strangers = set(subject.tolist()) - set(OFFICIAL[part])
    if strangers:
        raise HarError(
            "archive-broken", f"{part}/subject_{part}.txt names subject {min(strangers)}, who is not in the official {part} split"
        )
    _check_complete(part, subject)

    x = np.empty((len(y), WINDOW_SIZE, len(UCI9)), dtype=np.float32)
    for index, channel in enumerate(UCI9):
        name = f"{part}/Inertial Signals/{FILE_OF[channel]}_{part}.txt"
        signal = read_table(read_file, name)
        if signal.shape != x.shape[:2]:
            raise HarError(
                "archive-broken", f"{name} has {signal.shape[0]} rows of {signal.shape[1]} values; expected {len(y)} rows of {WINDOW_SIZE}"
            )
        limit = GYRO_LIMIT_RAD_S if channel in GYRO else ACC_LIMIT_G
        if np.abs(signal).max() > limit:
            row, column = np.argwhere(np.abs(signal) > limit)[0]
            raise HarError(
                "archive-broken",
                f"{name} has {signal[row, column]:g} in row {row + 1}, column {column + 1}, outside the physical limits ({LIMITS_TEXT}); "
                f"{AGAIN}",
            )
        x[:, :, index] = signal
    _check_gravity(x, part)
    chain, start = chain_windows(x, subject * len(LABELS) + y, STRIDE)
    recording = np.array([f"{part}_s{s:02d}_seg{c:04d}" for s, c in zip(subject, chain, strict=True)])
    return x, y, subject, recording, start


def _check_complete(part: str, subject: np.ndarray) -> None:
    """Files that lost the same rows agree with one another, so only the published counts show it."""
    people, expected = len(np.unique(subject)), COUNTS.get(part, len(subject))
    if len(subject) != expected or (part in COUNTS and people != len(OFFICIAL[part])):
        raise HarError(
            "archive-broken",
            f"{part} has {len(subject):,} windows of {people} subjects, expected {expected:,} of {len(OFFICIAL[part])} as published; "
            "the archive is not whole, download it again",
        )


def _check_gravity(x: np.ndarray, part: str) -> None:
    """Total less body acceleration must be smooth gravity of about 1 g; else the signal files are not of one data set."""
    body_acc, total_acc = x[:, :, : len(BODY_ACC)], x[:, :, -len(TOTAL_ACC) :]
    length = np.zeros(len(x))
    for axis, name in enumerate(TOTAL_ACC):
        gravity = total_acc[:, :, axis] - body_acc[:, :, axis]  # (window, time) in g
        length += gravity.mean(axis=1, dtype=np.float64) ** 2
        step = np.diff(gravity, axis=1)
        for found, limit, what in ((step, MAX_GRAVITY_STEP_G, "jumps"), (np.diff(step, axis=1), MAX_GRAVITY_BEND_G, "bends")):
            largest = np.maximum(found.max(axis=1), -found.min(axis=1))
            if largest.max() > limit:
                raise HarError(
                    "archive-broken",
                    f"{part}: {name} less {FILE_OF[BODY_ACC[axis]]} is not smooth gravity: it {what} by {largest.max():.2g} g a sample "
                    f"in row {largest.argmax() + 1}, expected at most {limit:g}; the files do not belong together, download again",
                )
    length = np.sqrt(length)
    worst = np.abs(length - 1.0).argmax()
    if not GRAVITY_NORM_G[0] <= length[worst] <= GRAVITY_NORM_G[1]:
        raise HarError(
            "archive-broken",
            f"{part}: gravity (total less body acceleration) is {length[worst]:.3g} g long in row {worst + 1}, expected "
            f"{GRAVITY_NORM_G[0]:g} to {GRAVITY_NORM_G[1]:g}; the signals must be in g, {AGAIN}",
        )
