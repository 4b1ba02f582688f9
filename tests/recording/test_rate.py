"""The rate is judged by the median and the mean of the steps: bursts are never taken for a fast sensor."""

from pathlib import Path

import numpy as np
import pytest

from har.errors import HarError
from har.recording import COLUMNS, ReadOptions, ReadReport, read_pieces
from har.recording.rate import measure_rate
from tests.refusal import refused

HEADER = ",".join(("time_s", *COLUMNS)) + "\n"


def write(time_s: np.ndarray, path: Path) -> Path:
    """A gait of 1.8 Hz at the true times of 50 Hz samples, with `time_s` written beside it."""
    gait = np.sin(2 * np.pi * 1.8 * np.arange(len(time_s)) / 50)
    rows = np.stack((time_s, 1 + 0.3 * gait, 0.1 * gait, 0.2 * gait, gait, 0.5 * gait, 0.2 * gait), axis=1)
    np.savetxt(path, rows, delimiter=",", header=HEADER.strip(), comments="", fmt="%.7f")
    return path


def read(path: Path, **options: float) -> tuple[ReadReport, int]:
    report = ReadReport()
    pieces = [piece for _, piece in read_pieces(path, report, options=ReadOptions(**options))]
    return report, sum(len(piece.time_s) for piece in pieces)


def bursts(size: int, step_s: float, count: int = 3000) -> np.ndarray:
    """Times of 50 Hz samples that arrive `size` at a time, `step_s` apart."""
    number = np.arange(count)
    return number // size * size / 50 + number % size * step_s


@pytest.mark.parametrize("interpolate_s", [0.0, 0.5])
@pytest.mark.parametrize(("size", "step_s"), [(2, 1e-3), (3, 5e-3), (4, 1e-6), (10, 1e-3), (10, 1e-6), (10, 0.01), (25, 2e-3), (100, 2e-3)])
def test_bursts_are_refused(size: int, step_s: float, interpolate_s: float, tmp_path: Path) -> None:
    """Read as a fast sensor with holes, each of these would give windows of another movement, or none at all."""
    path = write(bursts(size, step_s), tmp_path / "b.csv")
    with refused("recording-times") as caught:
        read(path, interpolate_s=interpolate_s)
    assert "\n" not in str(caught.value)
    average = float(str(caught.value).split(" but ")[1].split()[0])
    assert average == pytest.approx(50, rel=0.05)
    other = bursts(size, step_s)[1:]  # begins with a pause or ends otherwise: the median must not decide
    with refused("recording-times"):
        measure_rate(path, other)


@pytest.mark.parametrize("size", [2, 10])
def test_samples_that_share_a_time_are_refused_not_dropped(size: int, tmp_path: Path) -> None:
    path = write(bursts(size, 0.0), tmp_path / "b.csv")
    with refused("recording-times", "rows have the time of the row before and other values, the first in line 3"):
        read(path)


def test_uneven_but_real_times_are_resampled_at_their_mean_rate(tmp_path: Path) -> None:
    for step in ([0.01, 0.03], [0.03, 0.01, 0.03], [0.014, 0.014, 0.032]):
        mean = float(np.mean(step))
        report, count = read(write(np.cumsum(np.tile(step, 1000)), tmp_path / "b.csv"))
        assert report.streams[0].resampled
        assert report.streams[0].rate_hz == pytest.approx(1 / mean, rel=1e-3)
        assert report.streams[0].gaps == 0
        assert count == pytest.approx(1000 * len(step) * mean * 50, abs=2)


def test_rounded_times_do_not_move_the_rate() -> None:
    """48.3 Hz in whole milliseconds has a median step of 21 ms, 47.6 Hz."""
    time_s = np.round(np.arange(5000) / 48.3, 3)
    assert float(np.median(np.diff(time_s))) == pytest.approx(0.021)
    assert measure_rate(Path("r"), time_s).hz == pytest.approx(48.3, rel=1e-3)


def test_rare_gaps_and_lost_samples_are_no_bursts() -> None:
    time_s = np.arange(6000) / 50
    gaps = time_s + 7.0 * (np.arange(6000) // 700)  # every 14 s
    assert measure_rate(Path("r"), gaps).regular
    assert measure_rate(Path("r"), gaps).hz == pytest.approx(50)
    lost = time_s[np.arange(6000) % 60 < 57]  # 3 of 60 in a row, more than one hole a window
    assert measure_rate(Path("r"), lost).hz == pytest.approx(50)


def test_a_rate_that_changes_is_never_kept_as_it_is(tmp_path: Path) -> None:
    time_s = np.cumsum(np.concatenate((np.full(40_000, 0.02), np.full(200, 0.0125))))  # 80 Hz for the last 2.5 s
    assert not measure_rate(Path("r"), time_s).regular
    path = write(np.cumsum(np.concatenate((np.full(2000, 0.02), np.full(2000, 0.0125)))), tmp_path / "r.csv")
    report, count = read(path)
    assert report.streams[0].resampled
    assert count == pytest.approx((2000 * 0.02 + 2000 * 0.0125) * 50, abs=2)
    with refused("recording-rate", r"begins at 50 Hz, but between lines \d+ and \d+ its rate is another .*; split the file"):
        read(path, chunk_rows=1000)


@pytest.mark.parametrize(("step_s", "message"), [(0.04, "is 25 Hz"), (20.0, "in ms"), (1e-5, "would be 1e\\+05 Hz")])
def test_impossible_rates(step_s: float, message: str) -> None:
    with pytest.raises(HarError, match=message):
        measure_rate(Path("r"), np.arange(3000) * step_s)
