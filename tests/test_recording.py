from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from har.contract import HarError
from har.data import synthetic
from har.recording import COLUMNS, Recording, read_csv, write_csv


@pytest.fixture(scope="module")
def recording() -> Recording:
    return synthetic.generate(1, 0, bout_seconds=3.0)


@pytest.fixture
def rows(recording: Recording, tmp_path: Path) -> list[list[str]]:
    write_csv(recording, tmp_path / "a.csv")
    return [line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines()]


def save(rows: list[list[str]], tmp_path: Path) -> Path:
    path = tmp_path / "changed.csv"
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return path


def test_round_trip(recording: Recording, tmp_path: Path) -> None:
    write_csv(recording, tmp_path / "a.csv")
    found = read_csv(tmp_path / "a.csv", subject=1)
    np.testing.assert_allclose(found.samples, recording.samples, atol=5e-7)
    np.testing.assert_allclose(found.time_s, recording.time_s, atol=5e-4)
    np.testing.assert_array_equal(found.labels, recording.labels)


def test_columns_are_found_by_name_and_label_is_optional(rows: list[list[str]], recording: Recording, tmp_path: Path) -> None:
    shuffled = [["1", *row[::-1][1:]] for row in rows]
    shuffled[0][0] = "note"
    found = read_csv(save(shuffled, tmp_path))
    np.testing.assert_allclose(found.samples, recording.samples, atol=5e-7)
    assert (found.labels == -1).all()


def test_byte_order_mark_is_accepted(rows: list[list[str]], tmp_path: Path) -> None:
    path = save(rows, tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_csv(path).samples) == len(rows) - 1


def scale(rows: list[list[str]], columns: slice, factor: float) -> None:
    for row in rows[1:]:
        row[columns] = [str(float(value) * factor) for value in row[columns]]


def set_cell(line: int, column: int, value: str) -> Callable[[list[list[str]]], None]:
    def change(rows: list[list[str]]) -> None:
        rows[line - 1][column] = value

    return change


BREAKS: dict[str, tuple[Callable[[list[list[str]]], object], str]] = {
    "column missing": (lambda r: r[0].__setitem__(1, "ax"), "column total_acc_x_g is missing"),
    "column twice": (lambda r: [row.append(row[1]) for row in r], "total_acc_x_g appears 2 times"),
    "nan": (set_cell(12, 4, "nan"), "1 values are not finite, the first in line 12, column gyro_x_rad_s"),
    "text": (set_cell(9, 2, "abc"), "'abc'"),
    "empty cell": (set_cell(9, 2, ""), "every sensor value must be a number"),
    "time repeats": (lambda r: r[30].__setitem__(0, r[29][0]), "time_s does not increase from line 30"),
    "m/s^2": (lambda r: scale(r, slice(1, 4), 9.80665), "looks like m/s\\^2"),
    "no gravity": (lambda r: scale(r, slice(1, 4), 0.05), "gravity must be included"),
    "deg/s": (lambda r: scale(r, slice(4, 7), 2000.0), "looks like deg/s"),
    "rate": (lambda r: scale(r, slice(0, 1), 0.5), "sampling rate is 100 Hz"),
    "unknown label": (set_cell(5, 7, "WALKNG"), "unknown label 'WALKNG' in line 5; did you mean 'WALKING'"),
    "short row": (lambda r: r.__setitem__(8, r[8][:3]), "every sensor value must be a number"),
    "no rows": (lambda r: r.__delitem__(slice(1, None)), "no samples"),
    "one row": (lambda r: r.__delitem__(slice(2, None)), "has 1 sample"),
    "empty": (lambda r: r.clear(), "the file is empty"),
}


@pytest.mark.parametrize("name", BREAKS)
@pytest.mark.filterwarnings("ignore:loadtxt:UserWarning")
def test_a_broken_file_is_one_clear_sentence(name: str, rows: list[list[str]], tmp_path: Path) -> None:
    change, message = BREAKS[name]
    change(rows)
    with pytest.raises(HarError, match=message) as caught:
        read_csv(save(rows, tmp_path))
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(HarError, match="no recording at"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(HarError, match="cannot read"):
        read_csv(tmp_path)
    (tmp_path / "b.csv").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(HarError, match="cannot read"):
        read_csv(tmp_path / "b.csv")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 2000), st.booleans())
@pytest.mark.filterwarnings("ignore:loadtxt:UserWarning")
def test_fuzzed_files_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, cut: bool) -> None:
    header = ",".join(("time_s", *COLUMNS)).encode() + b"\n"
    good = header + b"".join(b"%.3f,1,0,0,0,0,0\n" % (i / 50) for i in range(60))
    path = tmp_path_factory.mktemp("fuzz") / "f.csv"
    path.write_bytes(good[: at % len(good)] + noise + (b"" if cut else good[at % len(good) :]))
    try:
        found = read_csv(path)
    except HarError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(found.samples).all()


def test_gaps_cut_a_recording(recording: Recording) -> None:
    time_s = recording.time_s.copy()
    time_s[100:] += 1.0
    cut = Recording("a", 1, time_s, recording.samples, recording.labels)
    assert recording.contiguous_runs() == [(0, len(time_s))]
    assert cut.contiguous_runs() == [(0, 100), (100, len(time_s))]
