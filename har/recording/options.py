"""How somebody else's file maps to the signal contract: columns, units, axes, and what may be mended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from har.contract import AXES, SAMPLE_RATE_HZ
from har.errors import HarError, nearest
from har.recording.rate import MIN_RATE_HZ
from har.recording.types import COLUMNS

STANDARD_GRAVITY = 9.80665  # m/s^2 in one g
ACC_UNITS = {"g": 1.0, "m/s2": 1.0 / STANDARD_GRAVITY}
GYRO_UNITS = {"rad/s": 1.0, "deg/s": np.pi / 180.0}
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
KNOWN = ("time_s", *COLUMNS, "label")


@dataclass(frozen=True)
class ReadOptions:
    """How to read a recording.

    Attributes:
        columns: this project's column name (``time_s``, ``total_acc_x_g``, ..., ``label``) to the file's.
        acc_unit: unit of the file's acceleration, ``g`` or ``m/s2``.
        gyro_unit: unit of the file's angular velocity, ``rad/s`` or ``deg/s``.
        time_unit: unit of the file's time, ``s``, ``ms``, ``us`` or ``ns``.
        axes: which axis of the file becomes x, y and z, with a sign: ``("y", "-x", "z")``; for both sensors.
        interpolate_s: missing samples and gaps up to this many seconds are interpolated; 0 mends nothing.
        labels: whether labels are read; off where activities are predicted, so that a column in other words is no fault.
        sample_rate_hz: of the samples that are given; a file at another rate is resampled.
        least_rate_hz: of a file; a slower one has lost what a model needs.
        chunk_rows: rows read at a time; bounds the memory.

    Raises:
        HarError: an option has no such value.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    acc_unit: str = "g"
    gyro_unit: str = "rad/s"
    time_unit: str = "s"
    axes: tuple[str, ...] = AXES
    interpolate_s: float = 0.0
    labels: bool = True
    sample_rate_hz: float = SAMPLE_RATE_HZ
    least_rate_hz: float = MIN_RATE_HZ
    chunk_rows: int = 200_000

    def __post_init__(self) -> None:
        for option, value, valid in (
            ("--acc-unit", self.acc_unit, list(ACC_UNITS)),
            ("--gyro-unit", self.gyro_unit, list(GYRO_UNITS)),
            ("--time-unit", self.time_unit, list(TIME_UNITS)),
        ):
            if value not in valid:
                raise HarError("name-unknown", f"{option} is {value!r}; {nearest(value, valid)}")
        for name in self.columns:
            if name not in KNOWN:
                raise HarError("name-unknown", f"--columns maps {name!r}, which is no column of this project; {nearest(name, KNOWN)}")
        if sorted(axis.removeprefix("-") for axis in self.axes) != list(AXES):
            raise HarError(
                "argument", f"--axes is {','.join(self.axes)!r}; expected x, y and z once each, in any order and sign, such as y,-x,z"
            )
        if not 0 <= self.interpolate_s < 60:
            raise HarError("argument", f"--interpolate is {self.interpolate_s:g} s; expected 0 to 60")
        if self.chunk_rows < 1000:
            raise HarError("argument", f"chunk_rows is {self.chunk_rows}; expected at least 1000")

    def column(self, name: str) -> str:
        """The file's name of this project's column `name`."""
        return self.columns.get(name, name)

    def to_contract(self, raw: np.ndarray) -> np.ndarray:
        """The file's (time, 6) values -> g and rad/s with this project's axes, float64."""
        order = [AXES.index(axis.removeprefix("-")) for axis in self.axes]
        sign = np.array([-1.0 if axis.startswith("-") else 1.0 for axis in self.axes])
        acc = raw[:, :3][:, order] * (sign * ACC_UNITS[self.acc_unit])
        gyro = raw[:, 3:][:, order] * (sign * GYRO_UNITS[self.gyro_unit])
        return np.concatenate((acc, gyro), axis=1)
