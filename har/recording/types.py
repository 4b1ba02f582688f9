"""What a recording is in memory, and the CSV file this project writes.

The file has a header and one row a sample::

    time_s,total_acc_x_g,total_acc_y_g,total_acc_z_g,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s[,label]
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from har.contract import LABELS, RAW6, SAMPLE_RATE_HZ, SENSORS, UNITS, channels_of, kind_of

UNIT_SUFFIX = {"g": "g", "rad/s": "rad_s"}
COLUMNS = tuple(f"{name}_{UNIT_SUFFIX[UNITS[name]]}" for name in RAW6)
UNLABELLED = -1
GAP_PERIODS = 2.5  # a longer step than this many sample periods is a gap


def columns_of(sensors: Sequence[str]) -> list[str]:
    """Names of the channels of sensors in this project's files."""
    return [f"{channel}_{UNIT_SUFFIX[SENSORS[kind_of(sensor)][0]]}" for sensor in sensors for channel in channels_of(sensor)]


@dataclass(frozen=True)
class Recording:
    """One person, one run of a phone's sensors at one rate; it may have gaps.

    Attributes:
        name: unique name of the recording.
        subject: number of the person.
        time_s: (time,) seconds, increasing within a stretch; where the clock was set back, the next stretch begins.
        samples: (time, 6) float32 in the order of ``contract.RAW6``: total acceleration in g, angular velocity in rad/s.
        labels: (time,) index into ``contract.LABELS``, -1 where unlabelled.
        sample_rate_hz: of the samples.
        channels: of the samples.

    Examples:
        >>> import har
        >>> import numpy as np
        >>> still = np.tile(np.float32([1, 0, 0, 0, 0, 0]), (500, 1))  # upright and at rest: gravity along x
        >>> recording = har.Recording("still", 1, np.arange(500) / 50, still, np.full(500, -1))
        >>> recording.part(0, 50).time_s[-1]
        np.float64(0.98)
    """

    name: str
    subject: int
    time_s: np.ndarray
    samples: np.ndarray
    labels: np.ndarray
    sample_rate_hz: float = SAMPLE_RATE_HZ
    channels: tuple[str, ...] = RAW6

    def part(self, first: int, stop: int) -> "Recording":
        """The samples from `first` up to, not including, `stop`."""
        return replace(self, time_s=self.time_s[first:stop], samples=self.samples[first:stop], labels=self.labels[first:stop])

    def contiguous_runs(self) -> list[tuple[int, int]]:
        """Stretches without a gap as (first sample, one past the last sample); no window may cross their edges."""
        step = np.diff(self.time_s)
        cuts = np.flatnonzero((step > GAP_PERIODS / self.sample_rate_hz) | (step <= 0)) + 1
        return list(pairwise([0, *cuts.tolist(), len(self.time_s)]))


def write_csv(recording: Recording, path: Path) -> None:
    """Write a recording; the label column holds the activity's name, empty where unlabelled."""
    names = [*LABELS, ""]
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(",".join(("time_s", *COLUMNS, "label")) + "\n")
        row = ",".join(["%.3f", *["%.6f"] * recording.samples.shape[1], "%s"]) + "\n"
        columns = (recording.time_s.tolist(), *recording.samples.T.tolist(), [names[label] for label in recording.labels])
        file.writelines(row % cells for cells in zip(*columns, strict=True))
