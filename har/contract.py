"""The signal specification, the official split of UCI HAR and the errors a user sees.

Every package may import this module and it imports none of them, so that the device and the training can never disagree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from har.errors import HarError, nearest

SAMPLE_RATE_HZ = 50.0  # Anguita et al. 2013
WINDOW_SIZE = 128  # samples, 2.56 s; Anguita et al. 2013
STRIDE = 64  # samples, 50 % overlap; Anguita et al. 2013

LABELS = (
    "WALKING",
    "WALKING_UPSTAIRS",
    "WALKING_DOWNSTAIRS",
    "SITTING",
    "STANDING",
    "LAYING",
)  # names and order of activity_labels.txt in the UCI HAR archive
MOVING = LABELS[:3]  # walking on the level and on stairs; the other three rest
TRANSITIONS = (
    "STAND_TO_SIT",
    "SIT_TO_STAND",
    "SIT_TO_LIE",
    "LIE_TO_SIT",
    "STAND_TO_LIE",
    "LIE_TO_STAND",
)  # postural transitions, which HAPT adds behind the six; Reyes-Ortiz et al. 2016
HAPT_LABELS = LABELS + TRANSITIONS  # names and order of activity_labels.txt in the HAPT archive
UNKNOWN = "UNKNOWN"  # one class for what is none of the six
TRANSITION_LABELS = {"drop": LABELS, "keep": HAPT_LABELS, "unknown": (*LABELS, UNKNOWN)}
# What becomes of the transitions: no window, six classes of their own, or one class.
WITH_TRANSITIONS = ("hapt",)  # data sets that have any

AXES = ("x", "y", "z")
TOTAL_ACC = tuple(f"total_acc_{axis}" for axis in AXES)  # g, gravity included
BODY_ACC = tuple(f"body_acc_{axis}" for axis in AXES)  # g, gravity removed
GYRO = tuple(f"gyro_{axis}" for axis in AXES)  # rad/s
GRAVITY = tuple(f"gravity_{axis}" for axis in AXES)  # g, gravity alone, as phones estimate it

RAW6 = TOTAL_ACC + GYRO
UCI9 = BODY_ACC + GYRO + TOTAL_ACC
CHANNEL_SETS = {"raw6": RAW6, "uci9": UCI9, "acc3": TOTAL_ACC}
MEASURED = ("raw6", "acc3")  # channel sets that a phone or a watch delivers: models of these can be exported
SENSORS = {
    "accelerometer": ("g", TOTAL_ACC),
    "linear_acceleration": ("g", BODY_ACC),
    "gravity": ("g", GRAVITY),
    "gyroscope": ("rad/s", GYRO),
}  # unit, channels
AXES_CONVENTION = (
    "right-handed, as Android names them: with the screen towards you, x to the right, y up, z out of the screen; at rest total "
    "acceleration is +1 g on the axis that points up"
)  # where the axes pointed on the body, the description of a data set says (`har.data.windowset.Description`)
UNITS = {channel: unit for unit, channels in SENSORS.values() for channel in channels}

GRAVITY_CUTOFF_HZ = 0.3  # Anguita et al. 2013
GRAVITY_ORDER = 3  # Butterworth; Anguita et al. 2013
NOISE_CUTOFF_HZ = 20.0  # Anguita et al. 2013; 99 % of the energy of body motion lies below 15 Hz
NOISE_ORDER = 3  # Butterworth, as Anguita et al. 2013 say; the published windows had another filter: har/signals/filters.py

TRAIN_SUBJECTS = (1, 3, 5, 6, 7, 8, 11, 14, 15, 16, 17, 19, 21, 22, 23, 25, 26, 27, 28, 29, 30)
TEST_SUBJECTS = (2, 4, 9, 10, 12, 13, 18, 20, 24)
# The official split of the UCI HAR archive. The synthetic data set uses the same numbers.

SPLITS = ("train", "validation", "test")
OPSET = 18
PARITY_TOLERANCE = 1e-5  # largest accepted difference of a probability between torch and ONNX


def kind_of(sensor: str) -> str:
    """The key of `SENSORS` of a sensor, whose name may begin with a position on the body: ``wrist_gyroscope``.

    Raises:
        HarError: there is no such sensor.
    """
    found = [kind for kind in SENSORS if sensor == kind or sensor.endswith(f"_{kind}")]
    if not found:
        raise HarError("name-unknown", f"unknown sensor {sensor!r}; {nearest(sensor, list(SENSORS))}, behind a position or alone")
    return max(found, key=len)


def channels_of(sensor: str) -> tuple[str, ...]:
    """Names of a sensor's channels, with its position: ``wrist_gyro_x``."""
    kind = kind_of(sensor)
    return tuple(sensor.removesuffix(kind) + channel for channel in SENSORS[kind][1])


def sensor_of(channel: str) -> str:
    """Name of the sensor that a channel belongs to, with its position.

    Raises:
        HarError: it belongs to none.
    """
    for kind, (_, own) in SENSORS.items():
        for name in own:
            if channel == name or channel.endswith(f"_{name}"):
                return channel.removesuffix(name) + kind
    raise HarError("name-unknown", f"channel {channel!r} belongs to no sensor; {nearest(channel, list(UNITS))}")


@dataclass(frozen=True)
class Sensor:
    """One sensor of a specification.

    Attributes:
        name: a key of `SENSORS`; with several on the body, behind its position: ``left_wrist_accelerometer``.
        unit: of all its channels.
        channels: their names, in their order.
    """

    name: str
    unit: str
    channels: tuple[str, ...]


@dataclass(frozen=True)
class SignalSpec:
    """What a model reads and names; it travels with data set, config, checkpoint and bundle.

    Attributes:
        sensors: in the order of their channels.
        labels: names of the activities, in the order of the probabilities.
        sample_rate_hz: of the samples.
        window_size: samples of a window; None where a model reads streams of any length.
        stride: samples from one window to the next; None with `window_size`.
        axes: where the axes of the device point.
    """

    sensors: tuple[Sensor, ...]
    labels: tuple[str, ...]
    sample_rate_hz: float = SAMPLE_RATE_HZ
    window_size: int | None = None
    stride: int | None = None
    axes: str = AXES_CONVENTION

    @classmethod
    def of(cls, channels: Sequence[str], labels: Sequence[str], **rest: Any) -> "SignalSpec":
        """The specification of known channels, in their order; `rest` are the other attributes.

        Raises:
            HarError: a channel belongs to no sensor.
        """
        grouped = [(name, tuple(own)) for name, own in groupby(channels, key=sensor_of)]
        return cls(tuple(Sensor(name, SENSORS[kind_of(name)][0], own) for name, own in grouped), tuple(labels), **rest)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "SignalSpec":
        """The specification that `to_json` wrote."""
        sensors = tuple(Sensor(item["name"], item["unit"], tuple(item["channels"])) for item in content["sensors"])
        return cls(**content | {"sensors": sensors, "labels": tuple(content["labels"])})

    def to_json(self) -> dict[str, Any]:
        """For a manifest or a checkpoint: lists, texts and numbers alone; what is None is left out."""
        sensors = [{"name": sensor.name, "unit": sensor.unit, "channels": list(sensor.channels)} for sensor in self.sensors]
        content = vars(self) | {"sensors": sensors, "labels": list(self.labels)}
        return {name: value for name, value in content.items() if value is not None}

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, in the order of the last axis of a window."""
        return tuple(channel for sensor in self.sensors for channel in sensor.channels)

    @property
    def sensor_names(self) -> tuple[str, ...]:
        """Names of the sensors, in their order."""
        return tuple(sensor.name for sensor in self.sensors)

    def signals(self) -> str:
        """The channels with their units, for messages."""
        return ", ".join(f"{channel} in {sensor.unit}" for sensor in self.sensors for channel in sensor.channels)


UCI_HAR = SignalSpec.of(RAW6, LABELS, window_size=WINDOW_SIZE, stride=STRIDE)  # what models of this data set read and name


def channel_names(channels: str) -> tuple[str, ...]:
    """Names of the channels of the set `channels`, in the order of the last axis of a window."""
    if channels not in CHANNEL_SETS:
        raise HarError("name-unknown", f"unknown channel set {channels!r}; expected one of {', '.join(CHANNEL_SETS)}")
    return CHANNEL_SETS[channels]


def artefact(stem: str, suffix: str, *, synthetic: bool) -> str:
    """File name of an artefact; synthetic data is named in it."""
    return f"{stem}_synthetic{suffix}" if synthetic else f"{stem}{suffix}"
