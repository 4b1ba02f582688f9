"""A bundle names the sensors and the rate that it needs: a recording with more is answered, one with less is refused."""

from pathlib import Path

import numpy as np
import pytest

from har.data import synthetic
from har.recording import ReadOptions, ReadReport, Recording, read_pieces, read_recording, write_csv
from har.runtime.recognizer import Recognizer, load_model, verify
from tests.refusal import refused
from tests.runtime.upright import LABELS, bundle


@pytest.fixture(scope="module")
def recording() -> Recording:
    return synthetic.generate(1, 0, bout_seconds=3.0)


@pytest.fixture
def slow(tmp_path: Path) -> Recognizer:
    """Of the accelerometer alone, at 25 Hz."""
    folder = bundle(tmp_path / "slow", ("accelerometer",), 25.0, 64)
    assert verify(folder)[1] < 1e-6
    return load_model(folder)


def without(path: Path, dropped: str, to: Path) -> Path:
    rows = [line.split(",") for line in path.read_text().splitlines()]
    kept = [place for place, name in enumerate(rows[0]) if dropped not in name]
    to.write_text("\n".join(",".join(row[place] for place in kept) for row in rows) + "\n")
    return to


def test_an_accelerometer_alone_at_another_rate(slow: Recognizer, recording: Recording, tmp_path: Path) -> None:
    write_csv(recording, tmp_path / "whole.csv")
    alone = without(tmp_path / "whole.csv", "gyro", tmp_path / "alone.csv")
    answers = []
    for path in (tmp_path / "whole.csv", alone):
        pieces = list(read_pieces(path, ReadReport(), options=slow.reading(ReadOptions(labels=False))))
        assert {piece.channels for _, piece in pieces} == {tuple(slow.channels)}
        timeline = slow.predict_pieces(path.name, pieces)
        stream = slow.open_stream(source_hz=50.0)
        streamed = stream.push(recording.samples[:, :3], recording.time_s) + stream.interrupt()
        np.testing.assert_allclose([answer.probabilities for answer in streamed], timeline.probabilities[: len(streamed)], atol=1e-3)
        answers.append(timeline.probabilities)
    np.testing.assert_array_equal(answers[0], answers[1])
    whole = read_recording(alone, sample_rate_hz=25.0, sensors=("accelerometer",), labels=False)
    np.testing.assert_allclose(slow.predict_recording(whole).probabilities, answers[0], atol=1e-6)
    more = read_recording(tmp_path / "whole.csv", sample_rate_hz=25.0)
    np.testing.assert_allclose(slow.predict_recording(more).probabilities, answers[0], atol=1e-6)


def test_less_than_a_bundle_needs_is_named(slow: Recognizer, recording: Recording, tmp_path: Path) -> None:
    write_csv(recording, tmp_path / "whole.csv")
    turning = without(tmp_path / "whole.csv", "total_acc", tmp_path / "turning.csv")
    with refused("recording-columns", "holds no accelerometer, which is needed; it has: gyroscope"):
        list(read_pieces(turning, ReadReport(), options=slow.reading(ReadOptions(labels=False))))
    both = load_model(bundle(tmp_path / "both", ("accelerometer", "gyroscope"), 25.0, 64))
    alone = read_recording(without(tmp_path / "whole.csv", "gyro", tmp_path / "a.csv"), sample_rate_hz=25.0, sensors=("accelerometer",))
    with refused("recording-columns", "has total_acc_x, .* and the model needs gyro_x, gyro_y, gyro_z as well"):
        both.predict_recording(alone)


def test_several_positions_on_the_body(recording: Recording, tmp_path: Path) -> None:
    """The wrist says upright and the ankle does not: each sensor is read from its own columns."""
    up, down = np.tile(np.float32([1, 0, 0]), (500, 1)), np.tile(np.float32([0, 1, 0]), (500, 1))
    noise = np.random.default_rng(1).normal(0, 0.01, (500, 6))
    table = np.column_stack((np.arange(500) / 50, np.column_stack((up, down)) + noise))
    names = [f"{place} acc {axis} (g)" for place in ("Left Wrist", "Ankle") for axis in "XYZ"]
    np.savetxt(tmp_path / "r.csv", table, delimiter=",", header=",".join(["time (s)", *names]), comments="")
    for sensors, expected in ((("left_wrist_accelerometer", "ankle_accelerometer"), 0), (("ankle_accelerometer",), 1)):
        model = load_model(bundle(tmp_path / f"b{expected}", sensors, 50.0, 128))
        timeline = model.predict_pieces("r", read_pieces(tmp_path / "r.csv", ReadReport(), options=model.reading(ReadOptions())))
        assert set(timeline.activities()) == {LABELS[expected]}
    chest = load_model(bundle(tmp_path / "chest", ("chest_accelerometer",), 50.0, 128))
    with refused(
        "recording-columns", "holds no chest accelerometer, which is needed; it has: left wrist accelerometer, ankle accelerometer"
    ):
        list(read_pieces(tmp_path / "r.csv", ReadReport(), options=chest.reading(ReadOptions())))
