import json
from dataclasses import replace

from har.contract import CHANNEL_SETS, LABELS, RAW6, TEST_SUBJECTS, TRAIN_SUBJECTS, UCI9, UNITS, SignalSpec, artefact, channel_names
from tests.refusal import refused


def test_official_split_is_the_published_one() -> None:
    assert len(TRAIN_SUBJECTS) == 21
    assert len(TEST_SUBJECTS) == 9
    assert sorted(TRAIN_SUBJECTS + TEST_SUBJECTS) == list(range(1, 31))


def test_every_channel_has_a_unit() -> None:
    assert set(UNITS) >= {name for names in CHANNEL_SETS.values() for name in names}
    assert len(LABELS) == 6


def test_unknown_channel_set_is_named() -> None:
    with refused("name-unknown", "unknown channel set 'raw'"):
        channel_names("raw")


def test_synthetic_stands_in_file_names() -> None:
    assert artefact("confusion", ".png", synthetic=True) == "confusion_synthetic.png"
    assert artefact("confusion", ".png", synthetic=False) == "confusion.png"


def test_the_words_are_those_of_the_archive() -> None:
    """Written out here, because every room takes them from the contract: a changed order would be silent."""
    assert LABELS == ("WALKING", "WALKING_UPSTAIRS", "WALKING_DOWNSTAIRS", "SITTING", "STANDING", "LAYING")
    assert CHANNEL_SETS["raw6"] == ("total_acc_x", "total_acc_y", "total_acc_z", "gyro_x", "gyro_y", "gyro_z")
    assert CHANNEL_SETS["uci9"] == ("body_acc_x", "body_acc_y", "body_acc_z", *CHANNEL_SETS["raw6"][3:], *CHANNEL_SETS["raw6"][:3])


def test_a_specification_is_a_value_that_survives_json() -> None:
    spec = SignalSpec.of(UCI9, ("A", "B"), sample_rate_hz=20.0, window_size=40, stride=20)
    assert [(sensor.name, sensor.unit) for sensor in spec.sensors] == [
        ("linear_acceleration", "g"),
        ("gyroscope", "rad/s"),
        ("accelerometer", "g"),
    ]
    assert spec.channels == UCI9
    again = SignalSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert hash(again) == hash(spec)
    stream = SignalSpec.of(RAW6, LABELS)
    assert "window_size" not in stream.to_json()
    assert SignalSpec.from_json(stream.to_json()) == stream != replace(stream, sample_rate_hz=100.0)
    with refused("name-unknown", "channel 'gyro_w' belongs to no sensor; did you mean 'gyro_"):
        SignalSpec.of(("gyro_w",), LABELS)
