"""Recordings that went wrong for users: one recording in the forms of phones and apps is read as what it is, or refused as it should be."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from har.cli import main
from har.recording import ReadOptions, ReadReport, Recording, read_pieces
from har.runtime.bundle import pretrained
from har.runtime.recognizer import Recognizer, load_model
from har.runtime.timeline import Timeline
from tests.refusal import refused

DEGREES = {"rate_hz": 50.0, "gyro_unit": "deg/s", "acc_unit": "g"}
READ: dict[str, tuple[dict[str, Any], str, int]] = {  # options, what the recording is recognised as, stretches
    "plain.csv": ({}, "this project's columns", 1),
    "sensorlogger_android": ({}, "Sensor Logger on Android", 1),
    "phyphox": ({}, "phyphox", 1),
    "sensorlog_ios.csv": ({}, "SensorLog", 1),
    "androsensor_sep.csv": ({}, "AndroSensor", 1),
    "comment_lines_no_time.csv": (DEGREES, "a table", 1),
    "iso_tz_london.csv": ({}, "this project's columns", 1),
    "interleaved_events.csv": ({}, "this project's columns", 1),
    "missing_dash.csv": ({}, "this project's columns", 2),
    "acc_milli_g.csv": ({"acc_unit": "mg"}, "this project's columns", 1),
    "own_labels.csv": ({}, "this project's columns", 1),
    "clock_back_10.007s.csv": ({}, "this project's columns", 2),
    "stuck_8s.csv": ({}, "this project's columns", 2),
}
JOINED = ("sensorlogger_android", "phyphox", "sensorlog_ios.csv", "interleaved_events.csv")


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return load_model(pretrained())


def read(path: Path, recognizer: Recognizer, **options: Any) -> tuple[ReadReport, list[tuple[int, Recording]], Timeline]:
    report = ReadReport()
    pieces = list(read_pieces(path, report, options=recognizer.reading(ReadOptions(labels=False, **options))))
    return report, pieces, recognizer.predict_pieces(path.name, pieces)


def slow_difference(time_s: np.ndarray, samples: np.ndarray, plain: Recording) -> np.ndarray:
    """(time, channel) difference from the plain recording at the same times, as means over 0.2 s."""
    there = np.stack([np.interp(time_s, plain.time_s, channel) for channel in plain.samples.T], axis=1)
    return np.stack([np.convolve(channel, np.full(10, 0.1), "valid") for channel in (samples - there).T], axis=1)


@pytest.mark.parametrize("name", READ)
def test_samples_and_answers_are_those_of_the_plain_recording(name: str, cases: Path, recognizer: Recognizer) -> None:
    options, form, stretches = READ[name]
    report, pieces, timeline = read(cases / name, recognizer, **options)
    assert report.format == form
    assert len({number for number, _ in pieces}) == stretches
    _, ((_, plain),), expected = read(cases / "plain.csv", recognizer)
    time_s, samples = (np.concatenate([getattr(piece, field) for _, piece in pieces]) for field in ("time_s", "samples"))
    start_s = np.floor(time_s[0]) if time_s[0] > 100 else 0.0  # a clock that began before the recording
    time_s = time_s - start_s
    if name == "clock_back_10.007s.csv":
        np.testing.assert_allclose(samples, plain.samples, atol=1e-5)
        return
    if name in JOINED:
        assert np.sqrt((slow_difference(time_s, samples, plain) ** 2).mean(axis=0)).max() < 0.02
    else:
        at = np.rint(time_s * 50).astype(int)
        np.testing.assert_allclose(samples, plain.samples[at], atol=0.006 if options is DEGREES else 2e-4)
    middle = (timeline.from_s + timeline.to_s) / 2 - start_s
    same = [
        answer == expected.activities()[min(int(np.searchsorted(expected.to_s, at)), len(expected.to_s) - 1)]
        for answer, at in zip(timeline.activities(), middle, strict=True)
    ]
    assert np.mean(same) >= 0.85
    walking = [answer for answer, at in zip(timeline.activities(), middle, strict=True) if at > 22]
    assert walking.count("WALKING") == len(walking) > 5


def test_what_is_frozen_or_missing_has_no_answer(cases: Path, recognizer: Recognizer) -> None:
    report, _, timeline = read(cases / "stuck_8s.csv", recognizer)
    assert "the accelerometer repeats one value for 7.98 s from line 1202 on" in report.text()
    assert not ((timeline.to_s > 24.1) & (timeline.from_s < 31.9)).any()
    assert "2 rows with missing values, left out" in read(cases / "missing_dash.csv", recognizer)[0].text()


def test_a_clock_that_was_set_back_is_named(cases: Path, recognizer: Recognizer) -> None:
    report = read(cases / "clock_back_10.007s.csv", recognizer)[0]
    assert "1 row where the time goes back and a new stretch begins: by 9.987 s in line 1002" in report.text()


REFUSED = {
    "comment_lines_no_time.csv": ("recording-columns", "--acc-unit g --gyro-unit deg/s --rate 50"),
    "acc_milli_g.csv": ("recording-units", "it looks like mg; type: har predict .*--acc-unit mg"),
    "rate_25.csv": ("recording-rate", "the sampling rate is 25 Hz .mean., expected at least 40 Hz"),
    "acc_only_50.csv": ("recording-columns", "holds no gyroscope, which is needed; it has: accelerometer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_bundle_cannot_use_is_refused_and_the_advice_works(
    name: str, cases: Path, recognizer: Recognizer, capsys: pytest.CaptureFixture[str]
) -> None:
    code, message = REFUSED[name]
    with refused(code, message) as caught:
        read(cases / name, recognizer)
    if "har predict" in (said := str(caught.value)) and "=NAME" not in said:
        command = shlex.split(said[said.index("har predict") :])
        assert main(command[1:]) == 0
        assert "WALKING" in capsys.readouterr().out
