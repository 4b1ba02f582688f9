"""UCI HAR (Anguita et al. 2013): the published windows, read from the nine inertial signal files."""

import numpy as np

from har.contract import BODY_ACC, GYRO, LABELS, STRIDE, TEST_SUBJECTS, TOTAL_ACC, TRAIN_SUBJECTS, UCI9, WINDOW_SIZE
from har.data.archives import UCI_HAR, Reader, broken, check_activities, read_integers, read_table
from har.data.windowset import WindowSet, content_digest
from har.signals.windows import chain_windows

NAME = UCI_HAR.name
FILE_OF = {name: name for name in BODY_ACC + TOTAL_ACC} | {name: f"body_{name}" for name in GYRO}
OFFICIAL = {"train": TRAIN_SUBJECTS, "test": TEST_SUBJECTS}
CONTENT_SHA256 = "9c6ea1db794ff3ad19e7470ed1c66b5eb0a3211b83d1df064429a7f7c87750a3"
# Digest of the published windows, labels and subjects, whatever archive they came in; empty where a small archive will do, as in tests.


def read(read_file: Reader) -> WindowSet:
    """Parse the archive.

    ``recording`` names the continuous segment a window was cut from (windows of one segment share 64 samples exactly)
    and ``start`` the window's first sample in it, so that overlap can be audited.

    Raises:
        HarError: a file is missing or broken, or the windows, labels or subjects are not those that were published.
    """
    check_activities(read_file, LABELS)
    parts = [_read_part(read_file, part) for part in OFFICIAL]
    x, y, subject, recording, start = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    digest = content_digest(x, y, subject)
    if CONTENT_SHA256 not in ("", digest):
        raise broken(
            f"the archive holds {len(x):,} windows of {len(np.unique(subject))} subjects that differ from the published ones: a file was "
            f"changed or is not whole, or the files do not belong together (digest {digest[:12]}, expected {CONTENT_SHA256[:12]})"
        )
    return WindowSet(x, y, subject, recording, start, channels=UCI9, dataset=NAME, synthetic=False, digest=digest)


def _read_part(read_file: Reader, part: str) -> tuple[np.ndarray, ...]:
    y = read_integers(read_file, f"{part}/y_{part}.txt")
    subject = read_integers(read_file, f"{part}/subject_{part}.txt")
    if y.shape[1] != 1 or subject.shape != y.shape:
        raise broken(
            f"{part}: y_{part}.txt has shape {y.shape} and subject_{part}.txt {subject.shape}; expected one number a window in both"
        )
    y, subject = y[:, 0] - 1, subject[:, 0]
    x = np.empty((len(y), WINDOW_SIZE, len(UCI9)), dtype=np.float32)
    for index, channel in enumerate(UCI9):
        name = f"{part}/Inertial Signals/{FILE_OF[channel]}_{part}.txt"
        signal = read_table(read_file, name)
        if signal.shape != x.shape[:2]:
            raise broken(f"{name} has {signal.shape[0]} rows of {signal.shape[1]} values; expected {len(y)} rows of {WINDOW_SIZE}")
        x[:, :, index] = signal
    chain, start = chain_windows(x, subject * len(LABELS) + y, STRIDE)
    recording = np.array([f"{part}_s{s:02d}_seg{c:04d}" for s, c in zip(subject, chain, strict=True)])
    return x, y, subject, recording, start
