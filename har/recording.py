"""A continuous recording and its CSV file. Needs numpy only, because the device reads recordings too.

The file has a header and one row a sample::

    time_s,total_acc_x_g,total_acc_y_g,total_acc_z_g,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s[,label]
"""

import csv
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from har.contract import LABELS, RAW6, SAMPLE_RATE_HZ, UNITS, HarError, nearest

UNIT_SUFFIX = {"g": "g", "rad/s": "rad_s"}
COLUMNS = tuple(f"{name}_{UNIT_SUFFIX[UNITS[name]]}" for name in RAW6)
UNLABELLED = -1

RATE_TOLERANCE = 0.02  # a phone's 50 Hz is within 2 %; beyond it the gait frequencies move
GAP_PERIODS = 2.5  # a longer step than this many sample periods is a gap
GRAVITY_RANGE_G = (0.8, 1.2)  # median |total_acc| of a person's day; 9.8 means m/s^2, near 0 means body acceleration
GYRO_MAX_RAD_S = 40.0  # the usual full scale of 2000 deg/s is 34.9 rad/s


@dataclass(frozen=True)
class Recording:
    """One person, one continuous run of a phone's sensors.

    Attributes:
        name: unique name of the recording.
        subject: number of the person.
        time_s: (time,) seconds, strictly increasing.
        samples: (time, 6) float32 in the order of ``contract.RAW6``: total acceleration in g, angular velocity in rad/s.
        labels: (time,) index into ``contract.LABELS``, -1 where unlabelled.
    """

    name: str
    subject: int
    time_s: np.ndarray
    samples: np.ndarray
    labels: np.ndarray

    def contiguous_runs(self) -> list[tuple[int, int]]:
        """Stretches without a gap as (first sample, one past the last sample); no window may cross their edges."""
        cuts = np.flatnonzero(np.diff(self.time_s) > GAP_PERIODS / SAMPLE_RATE_HZ) + 1
        edges = [0, *cuts.tolist(), len(self.time_s)]
        return list(pairwise(edges))


def write_csv(recording: Recording, path: Path) -> None:
    """Write a recording; the label column holds the activity's name, empty where unlabelled."""
    names = [*LABELS, ""]
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(",".join(("time_s", *COLUMNS, "label")) + "\n")
        for time_s, row, label in zip(recording.time_s, recording.samples, recording.labels, strict=True):
            file.write(f"{time_s:.3f},{','.join(f'{value:.6f}' for value in row)},{names[label]}\n")


def read_csv(path: Path | str, *, subject: int = 0) -> Recording:
    """Read and check a recording.

    Raises:
        HarError: the file is missing, a column is missing, a value is not a finite number, the time does not
            increase, or the rate or the units are not those of the signal contract.
    """
    path = Path(path)
    header = _read_header(path)
    numeric = [header.index(name) for name in ("time_s", *COLUMNS)]
    table = _read_numbers(path, numeric)
    time_s, samples = table[:, 0], table[:, 1:].astype(np.float32)
    _check_time(path, time_s)
    _check_units(path, samples)
    labels = _read_labels(path, header.index("label")) if "label" in header else None
    if labels is None:
        labels = np.full(len(time_s), UNLABELLED, dtype=np.int64)
    return Recording(path.stem, subject, time_s, samples, labels)


def _read_header(path: Path) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            line = file.readline()
    except FileNotFoundError:
        raise HarError(f"no recording at {path}; expected a CSV file with the columns time_s, {', '.join(COLUMNS)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise HarError(f"cannot read {path} as text ({error}); expected a CSV file in UTF-8") from None
    header = [name.strip() for name in line.strip().split(",")]
    for name in ("time_s", *COLUMNS):
        if name not in header:
            hint = nearest(name, header) if line.strip() else "the file is empty"
            raise HarError(
                f"{path}: column {name} is missing; found: {hint.removeprefix('valid: ')}; expected time_s, {', '.join(COLUMNS)}"
            )
        if header.count(name) > 1:
            raise HarError(f"{path}: column {name} appears {header.count(name)} times; expected once")
    return header


def _read_numbers(path: Path, columns: list[int]) -> np.ndarray:
    try:
        table = np.loadtxt(path, delimiter=",", skiprows=1, usecols=columns, ndmin=2, dtype=np.float64, encoding="utf-8-sig", comments=None)
    except (ValueError, UnicodeDecodeError) as error:
        reason = str(error).removesuffix(".").split(";")[0]
        raise HarError(f"{path}: {reason} (rows counted after the header); every sensor value must be a number") from None
    if not len(table):
        raise HarError(f"{path} has a header but no samples; expected at least one window of samples at {SAMPLE_RATE_HZ:g} Hz")
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0]
        name = ("time_s", *COLUMNS)[column]
        raise HarError(f"{path}: {len(bad)} values are not finite, the first in line {row + 2}, column {name}; remove or interpolate them")
    return table


def _check_time(path: Path, time_s: np.ndarray) -> None:
    if len(time_s) < 2:
        raise HarError(f"{path} has {len(time_s)} sample; expected at least one window of samples at {SAMPLE_RATE_HZ:g} Hz")
    step = np.diff(time_s)
    if (step <= 0).any():
        row = int(np.argmax(step <= 0))
        raise HarError(
            f"{path}: time_s does not increase from line {row + 2} ({time_s[row]:g}) to line {row + 3} ({time_s[row + 1]:g}); "
            "sort the rows by time and drop repeated ones"
        )
    rate = 1.0 / float(np.median(step))
    if abs(rate / SAMPLE_RATE_HZ - 1.0) > RATE_TOLERANCE:
        raise HarError(
            f"{path}: the sampling rate is {rate:.4g} Hz (median of time_s, in seconds), expected {SAMPLE_RATE_HZ:g} Hz; "
            "resample the recording first"
        )


def _check_units(path: Path, samples: np.ndarray) -> None:
    norm = float(np.median(np.linalg.norm(samples[:, :3], axis=1)))
    low, high = GRAVITY_RANGE_G
    if not low <= norm <= high:
        cause = "it looks like m/s^2, divide by 9.80665" if 7.0 < norm < 13.0 else "gravity must be included and the unit must be g"
        raise HarError(f"{path}: the median length of total acceleration is {norm:.3g} g, expected about 1 g; {cause}")
    peak = float(np.abs(samples[:, 3:]).max())
    if peak > GYRO_MAX_RAD_S:
        raise HarError(
            f"{path}: the gyroscope reaches {peak:.4g} rad/s, expected at most {GYRO_MAX_RAD_S:g}; it looks like deg/s, multiply by pi/180"
        )


def _read_labels(path: Path, column: int) -> np.ndarray:
    index = {name: number for number, name in enumerate(LABELS)} | {"": UNLABELLED}
    labels = []
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        next(rows)
        for row in rows:
            if not row:
                continue
            name = row[column].strip() if column < len(row) else ""
            if name not in index:
                raise HarError(f"{path}: unknown label {name!r} in line {rows.line_num}; {nearest(name, LABELS)}, or empty")
            labels.append(index[name])
    return np.array(labels, dtype=np.int64)
