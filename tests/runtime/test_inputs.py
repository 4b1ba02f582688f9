"""What is wrong with an array is said before a network answers it."""

import numpy as np
import pytest

from har.contract import RAW6, UCI_HAR
from har.data.windowset import WindowSet
from har.errors import HarError
from har.runtime.inputs import check_rate, check_windows
from tests.refusal import refused

CHANNELS = list(RAW6)
SPEC = UCI_HAR


def wrong(change: str, x: np.ndarray) -> np.ndarray:
    acc, gyro = x[..., :3], x[..., 3:]
    return {
        "m/s^2": np.concatenate((acc * 9.80665, gyro), axis=-1),
        "deg/s": np.concatenate((acc, np.rad2deg(gyro) + 1.0), axis=-1),
        "places": np.concatenate((gyro * 0.01, acc), axis=-1),
        "gravity": np.concatenate((acc * 0.05, gyro), axis=-1),
        "turned": x.transpose(0, 2, 1),
    }[change]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("m/s^2", "it looks like m/s\\^2: divide by 9.80665"),
        ("deg/s", "it looks like deg/s: multiply by pi / 180"),
        ("places", "they have changed places; expected total acceleration x, y, z, then angular velocity"),
        ("gravity", "gravity must be included"),
        ("turned", r"have changed places: windows.transpose\(0, 2, 1\)"),
    ],
)
def test_other_units_and_orders_are_named(change: str, sentence: str, parts: dict[str, WindowSet]) -> None:
    x = np.array(parts["test"].x[:200])
    check_windows(x, SPEC)
    with pytest.raises(HarError, match=sentence):
        check_windows(wrong(change, x), SPEC)


def test_every_window_of_a_person_is_accepted_alone(parts: dict[str, WindowSet]) -> None:
    for window in parts["validation"].x:
        check_windows(window[None], SPEC)


@pytest.mark.parametrize(("channel", "value"), [(0, 16.1), (2, -1e18), (4, 41.0)])
def test_a_value_outside_the_limits_is_named(channel: int, value: float, parts: dict[str, WindowSet]) -> None:
    x = np.array(parts["test"].x[:20])
    x[7, 100, channel] = value
    with refused("recording-values", f"window 7 has {CHANNELS[channel]} = .* at sample 100, outside the physical limits"):
        check_windows(x, SPEC)


@pytest.mark.parametrize(("sensor", "channels"), [("accelerometer", slice(0, 3)), ("gyroscope", slice(3, 6))])
@pytest.mark.parametrize("first", [0, 33, 77])
def test_a_frozen_sensor_is_named(first: int, sensor: str, channels: slice, parts: dict[str, WindowSet]) -> None:
    x = np.array(parts["test"].x[:20])
    x[7, first : first + 50, channels] = x[7, first, channels]
    check_windows(x, SPEC)
    x[7, first : first + 51, channels] = x[7, first, channels]  # 50 steps are one second
    with refused("recording-values", f"window 7: the {sensor} repeats one value for 1 s or longer; leave the window out"):
        check_windows(x, SPEC)


def test_another_rate_is_named() -> None:
    check_rate(np.full(140, 0.0201), 50.0)
    check_rate(np.full(100, 0.01), 50.0)  # too few to know
    with refused("recording-rate", "the samples come at 100 Hz, expected 50 Hz; open the stream with source_hz=100"):
        check_rate(np.full(140, 0.01), 50.0)


def test_a_lost_sample_is_no_other_rate_and_another_rate_is_found_anywhere() -> None:
    steps = np.full(400, 0.02)
    steps[[150, 200]] = 0.04
    check_rate(steps, 50.0)
    steps[30:160] = 0.019
    with refused("recording-rate", r"the samples come at 52\.\d+ Hz"):
        check_rate(steps, 50.0)
