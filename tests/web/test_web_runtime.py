"""The page's modules, run by node, compute and refuse what the Python runtime computes and refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.contract import SAMPLE_RATE_HZ, UNKNOWN
from har.errors import HarError
from har.recording import ReadReport, Recording, read_pieces
from har.runs.robustness import turned
from har.runtime.recognizer import Recognizer, load_model
from har.runtime.timeline import write_timeline
from har.signals.resampling import StreamResampler
from tests.web.driver import (
    CLOSE,
    GRAVITY,
    TIMEOUT_S,
    assert_same,
    compute,
    irregular,
    missing,
    page_says,
    predicted,
    recording,
    sampled,
    write_exactly,
)

pytestmark = [
    pytest.mark.skipif(missing(browser=False) is not None, reason=str(missing(browser=False))),
    pytest.mark.timeout(TIMEOUT_S + 60),
]
# Hz, and jitter as a share of a period
RATES = ((50, 0.0), (50, 0.2), (50, 0.8), (49, 0.1), (60, 0.0), (60, 0.7), (100, 0.9), (200, 0.5), (42, 0.3))


def numbers(lines: list[str]) -> np.ndarray:
    """(window, column) of a file with activities, but for their names."""
    rows = [line.split(",") for line in lines[1:]]
    return np.array([[float(cell) for cell in (*row[:2], *row[3:])] for row in rows])


def test_the_resampler_is_the_python_runtimes() -> None:
    rng = np.random.default_rng(5)
    stretches, expected = [], []
    for source_hz in (41.0, 49.0, 50.0, 59.94, 60.0, 62.5, 100.0, 198.7, 200.0):
        for jitter in (0.0, 0.3, 0.9):
            count = int(rng.integers(2, 900))
            time_s = 1e5 * rng.uniform() + np.sort((np.arange(count) + jitter * rng.uniform(-0.5, 0.5, count)) / source_hz)
            values = rng.normal(0.0, 2.0, (count, 3))
            said_hz = source_hz * rng.uniform(0.99, 1.01)
            cuts = np.sort(rng.choice(count, size=int(rng.integers(0, min(count, 40))), replace=False)).tolist()
            stretches.append({"source_hz": said_hz, "width": 3, "time": time_s.tolist(), "values": values.ravel().tolist(), "cuts": cuts})
            resampler = StreamResampler(said_hz, SAMPLE_RATE_HZ)
            first = resampler.push(time_s, values)
            rest = resampler.push(np.empty(0), np.empty((0, 3)), last=True)
            expected.append((np.concatenate((first[0], rest[0])), np.concatenate((first[1].reshape(-1, 3), rest[1].reshape(-1, 3)))))
    for found, (time_s, values) in zip(compute(resample=stretches), expected, strict=True):
        np.testing.assert_allclose(found["time"], time_s, atol=1e-9)
        np.testing.assert_allclose(np.reshape(found["values"], (-1, 3)), values, atol=1e-9)


def test_golden_vectors_in_node(bundle: Path) -> None:
    found = compute(bundle=str(bundle), golden=True)
    assert found["windows"] >= 64
    assert found["largest"] <= CLOSE


def test_recordings_of_any_rate_get_the_same_answers(bundle: Path, recognizer: Recognizer, tmp_path: Path) -> None:
    """Rate, jitter, gaps and the order of rows are judged alike, and the files of both say the same."""
    rng = np.random.default_rng(6)
    paths = []
    for number, (hz, jitter) in enumerate(RATES):
        made = recording(1 + number, 4.0)
        time_s = irregular(made, hz, jitter, rng)
        for _ in range(number % 3):  # gaps
            at = rng.uniform(5.0, time_s[-1] - 5.0)
            time_s = time_s[(time_s < at) | (time_s > at + rng.uniform(0.03, 1.5))]
        paths.append(write_exactly(tmp_path / f"r{number}.csv", time_s, sampled(made, time_s)))
    for path, found in zip(paths, compute(bundle=str(bundle), recordings=[str(path) for path in paths]), strict=True):
        report = ReadReport()
        timeline = recognizer.predict_pieces(path.name, read_pieces(path, report))
        assert found["report"] == report.text()
        assert_same(found["windows"], timeline)
        write_timeline(timeline, tmp_path / "expected.csv")
        expected = (tmp_path / "expected.csv").read_text().splitlines()
        lines = found["csv"].splitlines()
        assert lines[0] == expected[0]
        assert [line.split(",")[2] for line in lines] == [line.split(",")[2] for line in expected]
        np.testing.assert_allclose(numbers(lines), numbers(expected), atol=2e-3)


def test_a_phone_mounted_in_any_way_gets_the_same_answers(any_mounting: Path, tmp_path: Path) -> None:
    assert compute(bundle=str(any_mounting), golden=True)["largest"] <= CLOSE
    recognizer, paths = load_model(any_mounting), []
    for number, degrees in enumerate((0.0, 100.0, 180.0)):
        made = recording(2 + number, 12.0)
        time_s = made.time_s + np.where(made.time_s > 30.0, 5.0, 0.0)  # with a gap
        samples = turned(turned(made.samples.astype(np.float64), 2, degrees), 0, 40.0)
        paths.append(write_exactly(tmp_path / f"m{number}.csv", time_s, samples))
    mounted = recognizer.mounted
    assert mounted is not None
    for key in ("recordings", "live"):
        for path, found in zip(paths, compute(bundle=str(any_mounting), **{key: [str(path) for path in paths]}), strict=True):
            timeline = predicted(recognizer, path)
            windows = found["windows"] if key == "recordings" else found
            np.testing.assert_allclose([row["probabilities"] for row in windows], timeline.probabilities, atol=CLOSE)
            recognizer.mounted = None
            same = np.isclose(predicted(recognizer, path).probabilities, timeline.probabilities, atol=1e-6).all(axis=1)
            recognizer.mounted = mounted
            assert 0 < same.sum() < len(same)  # before the mounting is known, and after
            if key == "live":  # each of the two models has a threshold of its own
                stream = recognizer.open_stream()
                answers = [answer for _, piece in read_pieces(path, ReadReport()) for answer in stream.push(piece.samples, piece.time_s)]
                assert [row["said"] for row in found] == [answer.label for answer in answers]
                assert ([answer.label == UNKNOWN for answer in answers] == same).all()


def test_what_python_refuses_the_page_refuses(bundle: Path, recognizer: Recognizer, tmp_path: Path) -> None:
    made = recording(1, 4.0)
    time_s, good = made.time_s, made.samples.astype(np.float64)
    metres, degrees, still = good.copy(), good.copy(), good.copy()
    metres[:, :3] *= GRAVITY
    degrees[:, 3:] *= 180 / np.pi * 4
    still[:, 4] = 0.25
    cases = {
        "it looks like m/s2": (time_s, metres),
        "deg/s": (time_s, degrees),
        "is constant": (time_s, still),
        "come in bursts": (np.floor(time_s * 10) / 10 + (time_s * 10 % 1) * 0.01, good),
        "at least 40 Hz": (2 * time_s, good),
        "is the time in ms": (1000 * time_s, good),
        "is not a finite number": (np.where(np.arange(len(time_s)) == 7, np.nan, time_s), good),
        "no stretch of 128 samples": (time_s[:100], good[:100]),
    }
    paths = [write_exactly(tmp_path / f"r{number}.csv", *case) for number, case in enumerate(cases.values())]
    for words, path, found in zip(cases, paths, compute(bundle=str(bundle), recordings=[str(path) for path in paths]), strict=True):
        with pytest.raises(HarError) as refusal:
            predicted(recognizer, path)
        assert words in str(refusal.value)
        assert found["refused"] == page_says(str(refusal.value), path)


@pytest.mark.data
def test_a_rate_measured_on_two_seconds_gives_the_labels_of_the_whole_file(real: tuple[Path, list[Recording]], tmp_path: Path) -> None:
    """The page cannot wait for the end of a stretch to know its rate; what that costs where times are irregular."""
    chosen, recordings = real
    recognizer = load_model(chosen)
    paths = []
    for made in recordings:
        time_s = irregular(made, 60.0, 0.3, np.random.default_rng(made.subject))
        paths.append(write_exactly(tmp_path / f"{made.name}.csv", time_s, sampled(made, time_s)))
    same, windows = 0, 0
    for path, found in zip(paths, compute(bundle=str(chosen), live=[str(path) for path in paths]), strict=True):
        expected = predicted(recognizer, path).probabilities
        live = np.array([window["probabilities"] for window in found])
        assert live.shape == expected.shape
        same, windows = same + int((live.argmax(axis=1) == expected.argmax(axis=1)).sum()), windows + len(live)
    print(f"\nlive: {same} of {windows} windows")
    assert same >= 0.99 * windows


@pytest.mark.data
def test_chromiums_rounding_leaves_the_labels(real: tuple[Path, list[Recording]]) -> None:
    """To 0.1 m/s^2 and 0.1 deg/s, against fingerprints of sensors."""
    chosen, recordings = real
    recognizer = load_model(chosen)
    step = np.array([0.1 / GRAVITY] * 3 + [0.1 * np.pi / 180] * 3)
    same, windows = 0, 0
    for made in recordings:
        rounded = replace(made, samples=(np.round(made.samples / step) * step).astype(np.float32))
        best, other = (recognizer.predict_recording(item).probabilities.argmax(axis=1) for item in (made, rounded))
        same, windows = same + int((best == other).sum()), windows + len(best)
    print(f"\nrounded: {same} of {windows} windows")
    assert same >= 0.98 * windows
