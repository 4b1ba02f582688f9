"""Which activity probabilities stand for: one table of cases, read here and by the web client's tests."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from har.data import synthetic
from har.runtime.bundle import pretrained, read_bundle
from har.runtime.recognizer import load_model
from har.runtime.stream import answer_of
from har.runtime.timeline import Timeline, decide, joined, minutes_text, outcomes, timeline_text, write_timeline
from tests.refusal import refused

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("decisions.json").read_text())


def probabilities_of(case: dict[str, Any]) -> np.ndarray:
    return np.array([np.nan if p is None else p for p in case["probabilities"]], dtype=np.float64)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_table_of_decisions(case: dict[str, Any]) -> None:
    row, labels, below = probabilities_of(case), case["labels"], case["below"]
    rows = [row] + [row.astype(np.float32)] * np.array_equal(row, row.astype(np.float32), equal_nan=True)
    for one in rows:
        timeline = Timeline(labels, np.zeros(2), np.ones(2), np.stack([one, one]), np.full(2, below))
        if case["activity"] is None:
            with refused("not-finite"):
                decide(labels, one[None], below)
            with refused("not-finite"):
                answer_of(one, labels, below, 0.0, 1.0)
            with refused("not-finite"):
                timeline.activities()
            continue
        assert outcomes(labels)[decide(labels, one[None], below)[0]] == case["activity"]
        assert answer_of(one, labels, below, 0.0, 1.0).label == case["activity"]
        assert timeline.activities() == [case["activity"]] * 2


def test_a_threshold_of_its_own_for_each_window() -> None:
    rows = np.tile(np.array([0.6, 0.4], dtype=np.float32), (3, 1))
    assert decide(["A", "B"], rows, np.array([0.5, 0.7, 0.6])).tolist() == [0, 2, 0]  # single-precision 0.6 is above 0.6


def test_windows_below_the_threshold_are_runs_of_their_own() -> None:
    rows = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]])
    from_s = np.arange(4.0)
    timeline = Timeline(["A", "B"], from_s, from_s + 1, rows, np.full(4, 0.8))
    assert [(*span[:3], span[4]) for span in timeline.spans()] == [(0, 1, "A", 1), (1, 3, "UNKNOWN", 2), (3, 4, "B", 1)]
    assert timeline.spans()[1][3] == pytest.approx(0.65)
    assert timeline.minutes() == {"A": 1 / 60, "B": 1 / 60, "UNKNOWN": 2 / 60}
    assert minutes_text(timeline.minutes()) == "minutes: A 0.02, B 0.02, UNKNOWN 0.03"


def test_unknown_as_a_class_is_one_entry_and_the_last() -> None:
    rows = np.array([[0.9, 0.1, 0.0], [0.4, 0.35, 0.25], [0.0, 0.1, 0.9]])
    timeline = Timeline(["UNKNOWN", "A", "B"], np.arange(3.0), np.arange(3.0) + 1, rows, np.full(3, 0.5))
    assert list(timeline.minutes().items()) == [("A", 0.0), ("B", 1 / 60), ("UNKNOWN", 2 / 60)]
    assert minutes_text(timeline.minutes()) == "minutes: B 0.02, UNKNOWN 0.03"


def test_a_run_ends_where_the_time_goes_back_and_not_where_it_jitters() -> None:
    from_s, to_s = np.array([0.0, 10.0, 4.0, 6.01, 8.0]), np.array([10.0, 12.0, 6.0, 8.02, 9.0])
    timeline = Timeline(["A", "B"], from_s, to_s, np.tile([0.9, 0.1], (5, 1)), np.zeros(5))
    assert [span[:3] for span in timeline.spans()] == [(0.0, 12.0, "A"), (4.0, 9.0, "A")]
    assert timeline.minutes()["A"] == pytest.approx((12 + 2 + 2.01 + 1) / 60)


def test_the_screen_the_file_and_the_stream_say_unknown_of_the_same_windows(tmp_path: Path) -> None:
    recognizer, recording = load_model(pretrained()), synthetic.generate(2, 0, bout_seconds=8.0)
    timeline = recognizer.predict_recording(recording)
    sure = timeline.probabilities.max(axis=1) >= recognizer.unknown_below
    assert 0 < sure.sum() < len(sure)
    best = timeline.probabilities.argmax(axis=1)
    expected = [recognizer.labels[index] if known else "UNKNOWN" for index, known in zip(best, sure, strict=True)]
    assert timeline.activities() == expected
    write_timeline(timeline, tmp_path / "t.csv")
    assert [line.split(",")[2] for line in (tmp_path / "t.csv").read_text().splitlines()[1:]] == expected
    assert [answer.label for answer in recognizer.stream(recording.samples, recording.time_s)] == expected
    spans = timeline.spans()
    assert [name for _, _, name, _, count in spans for _ in range(count)] == expected
    assert timeline_text("r", recognizer.bundle, timeline).count("UNKNOWN") == sum(span[2] == "UNKNOWN" for span in spans)
    seconds = sum(span[1] - span[0] for span in spans)
    assert sum(timeline.minutes().values()) == pytest.approx(seconds / 60)


def test_a_mounted_bundle_decides_by_the_threshold_of_the_model_that_answered() -> None:
    """In the robust bundle, the model for a known mounting has another threshold than the one for any mounting."""
    recognizer, recording = load_model(pretrained("robust")), synthetic.generate(2, 0, bout_seconds=30.0)
    assert recognizer.mounted is not None
    recognizer.unknown_below, recognizer.mounted.unknown_below = 0.25, 1.0
    recognizer.mounted.said |= {"enough": 0.5, "agreement": 0.0}  # synthetic walking shows little of the mounting
    timeline = recognizer.predict_recording(recording)
    assert set(timeline.below.tolist()) == {0.25, 1.0}
    assert [answer.label for answer in recognizer.open_stream().push(recording.samples, recording.time_s)] == timeline.activities()
    pieces = [recording.part(first, first + 777) for first in range(0, len(recording.time_s), 777)]
    parts = list(recognizer.predict_parts("r", ((0, piece) for piece in pieces)))
    np.testing.assert_array_equal(joined(parts).below, timeline.below)


@pytest.mark.parametrize("below", [float("nan"), -0.1, 1.1, float("inf")])
def test_a_threshold_that_is_no_probability_is_refused(below: float, tmp_path: Path) -> None:
    for path in pretrained().iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"unknown": manifest["unknown"] | {"below": below}}))
    with refused("bundle-invalid", r"has unknown\.below = .*, expected"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("label", ["", "WALK\nING", "\x1b[2J", " WALKING", "A\u202eB", 3, None])
def test_labels_that_could_be_taken_for_something_else_are_refused(label: Any, tmp_path: Path) -> None:
    for path in pretrained().iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert read_bundle(tmp_path).labels == manifest["labels"]
    for labels in ([*manifest["labels"][:5], label], [*manifest["labels"], "WALKING"], [], "WALKING"):
        (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"labels": labels}))
        said = r"manifest\.json has (a label|an entry of spec\.labels twice|0 entries in spec\.labels|spec\.labels)"
        with refused("bundle-invalid", said) as caught:
            read_bundle(tmp_path)
        assert "\n" not in str(caught.value)
        assert "\x1b" not in str(caught.value)


def test_a_label_is_no_formula_in_the_csv_file(tmp_path: Path) -> None:
    labels = ['=HYPERLINK("http://x","y")', "+A,B", "-1", "@C", "D=E"]
    timeline = Timeline(labels, np.arange(5.0), np.arange(5.0) + 1, np.eye(5), np.zeros(5))
    write_timeline(timeline, tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["from_s", "to_s", "activity", "confidence", *(f"p_{label}" for label in labels)]
    assert [row[2] for row in rows] == ["'" + labels[0], "'+A,B", "-1", "'@C", "D=E"]
    assert rows[1] == ["1.000", "2.000", "'+A,B", "1.000000", "0.000000", "1.000000", "0.000000", "0.000000", "0.000000"]
