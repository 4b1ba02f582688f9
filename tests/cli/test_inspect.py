"""`har inspect`, and `har predict` with `--plot` and `--score`: as a user types them, in an empty folder."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from har.cli import main
from har.data import synthetic
from har.recording import Recording, write_csv
from har.recording.inspection import MOST_BINS, Envelope


@pytest.fixture(scope="module")
def recording() -> Recording:
    return synthetic.generate(1, 0, bout_seconds=5.0)


@pytest.fixture
def path(recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a gap of two seconds, in a folder of its own; the current folder is empty."""
    write_csv(recording, tmp_path / "walk.csv")
    lines = (tmp_path / "walk.csv").read_text().splitlines()
    (tmp_path / "walk.csv").write_text("\n".join(lines[:501] + lines[601:]) + "\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Path("../walk.csv")


def har(command: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[str, str]:
    assert main(shlex.split(command)) == code
    said = capsys.readouterr()
    return said.out, said.err


def test_what_is_understood_is_said_and_drawn(path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]) -> None:
    text, _ = har(f"inspect {path}", capsys)
    end_s = len(recording.time_s) / 50
    assert "walk.csv: total acceleration in g (total_acc_x_g, " in text
    assert f"used: total acceleration and gyroscope, {len(recording.time_s) - 100} rows at 50 Hz; 1 gap that no window crosses" in text
    assert f"stretches without a gap: 2\n  0.00 s to 10.00 s (0.17 min)\n  12.00 s to {end_s:.2f} s" in text
    assert "the axis that points up: " in text
    assert [file.name for file in Path().iterdir()] == ["walk-inspect.png"]
    assert Path("walk-inspect.png").read_bytes()[:4] == b"\x89PNG"
    found = json.loads(har(f"inspect {path} --json", capsys)[0])
    assert [stretch["to_s"] for stretch in found["stretches"]] == pytest.approx([10.0, end_s])
    assert found["streams"][0]["rate_hz"] == pytest.approx(50.0, rel=1e-3)
    assert sum(found["up_s"].values()) == pytest.approx(end_s - 2)


def test_a_page_of_one_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert har(f"inspect {path} --html", capsys)[0].endswith("wrote walk-inspect.html\n")
    page = Path("walk-inspect.html").read_text()
    assert "used: total acceleration and gyroscope" in page
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://matplotlib.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )  # nothing is fetched: these are names of vocabularies
    assert "expected a file that ends in .html" in har(f"inspect {path} --html --output a.png", capsys, 2)[1]
    assert "names no kind of figure" in har(f"inspect {path} --output a.txt", capsys, 2)[1]
    assert "no recording at none.csv" in har("inspect none.csv", capsys, 2)[1]
    assert {file.name for file in Path().iterdir()} == {"walk-inspect.html"}


def test_where_something_must_be_said_the_command_is_printed(recording: Recording, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = recording.samples * np.repeat([9.80665, 180 / np.pi], 3)
    np.savetxt("raw.txt", values, fmt="%.5f", header="ax ay az gx gy gz", comments="")
    text, error = har("inspect raw.txt", capsys, 2)
    assert "raw.txt: total acceleration in ? (ax, ay, az); gyroscope in ? (gx, gy, gz); no times" in text
    command = error[error.index("har inspect") :].removesuffix(" [recording-columns]\n")
    assert command == "har inspect raw.txt --acc-unit m/s2 --gyro-unit deg/s --rate HZ"
    asked = har("predict raw.txt --bundle robust --score --plot --axes=y,x,-z", capsys, 2)[1]
    assert "har predict raw.txt --axes=y,x,-z --acc-unit m/s2 --gyro-unit deg/s --rate HZ --bundle robust --score --plot [" in asked
    assert f"{len(values)} rows at 50 Hz" in har(command.removeprefix("har ").replace("HZ", "50"), capsys)[0]


def test_answers_are_drawn_and_scored(path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]) -> None:
    text, _ = har(f"predict {path} --plot --score", capsys)
    assert "wrote walk-activities.png" in text
    assert Path("walk-activities.png").read_bytes()[:4] == b"\x89PNG"
    found = json.loads(har(f"predict {path} --score --json --plot a.svg", capsys)[0])
    assert Path("a.svg").read_text().startswith("<?xml")
    score = found["score"]
    assert 0 < score["windows"] <= found["windows"]
    assert score["accuracy"] == sum(one["right"] for one in score["activities"].values()) / score["windows"]
    assert f"{round(score['accuracy'] * score['windows'])} of {score['windows']} windows as labelled" in text
    assert score["other_labels"] == {}


def test_labels_in_other_words(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = json.loads(har(f"predict {path} --score --json", capsys)[0])["score"]
    words = {"WALKING_UPSTAIRS": "up the stairs", "SITTING": "sitting", "LAYING": "asleep"}
    text = path.read_text()
    for label, word in words.items():
        text = text.replace(f",{label}\n", f",{word}\n")
    Path("words.csv").write_text(text)
    said = json.loads(har('predict words.csv --score --json --map "up the stairs=WALKING_UPSTAIRS" --map asleep=LAYING', capsys)[0])
    assert said["score"] == expected
    unknown, _ = har("predict words.csv --score", capsys)
    assert "no activity of the model: 'up the stairs' (" in unknown
    assert "name them with --map NAME=LABEL" in unknown
    assert "score" not in har("predict words.csv", capsys)[0]


def test_what_does_not_go_together_is_refused_before_anything_is_read(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, problem in (
        (f"predict {path} --map a=LAYING", "--map belongs to --score"),
        (f"predict {path} {path} --score --output out", "--score takes one recording"),
        (f"predict {path} {path} --plot --output out", "--plot takes one recording"),
        (f"predict {path} --plot a.txt", "a.txt names no kind of figure; expected a name that ends in .png, .svg, .pdf"),
    ):
        assert problem in har(command, capsys, 2)[1]
    assert list(Path().iterdir()) == []


def test_an_envelope_keeps_every_peak_in_few_points() -> None:
    rng = np.random.default_rng(0)
    values, envelope = rng.normal(size=(500_000, 2)), Envelope()
    values[123_456, 1] = 99.0
    for first in range(0, len(values), 7_001):
        envelope.add(np.arange(first, min(first + 7_001, len(values))) / 50, values[first : first + 7_001])
    time_s, curves = envelope.curves()
    assert len(time_s) <= 2 * MOST_BINS
    assert time_s[curves[:, 1].argmax()] == pytest.approx(123_456 / 50, abs=envelope.bin_s)
    np.testing.assert_array_equal([curves.min(), curves.max()], [values.min(), 99.0])


def test_a_recording_without_a_gyroscope_or_gravity_is_inspected_too(
    path: Path, recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line.split(",") for line in path.read_text().splitlines()]
    Path("acc.csv").write_text("\n".join(",".join(row[:4]) for row in rows) + "\n")
    assert "used: total acceleration, " in har("inspect acc.csv", capsys)[0]
    noise = np.random.default_rng(0).normal(0, 0.1, (500, 3))
    table = np.column_stack((np.arange(500) / 50, noise))
    np.savetxt("linear.csv", table, delimiter=",", header="time (s),linear acc x (g),linear acc y (g),linear acc z (g)", comments="")
    assert "no acceleration with gravity, which the models need: acceleration without gravity" in har("inspect linear.csv", capsys)[0]
