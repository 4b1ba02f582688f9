from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from har.contract import LABELS
from har.data import synthetic
from har.errors import HarError
from har.recording import COLUMNS, ReadOptions, ReadReport, Recording, read_pieces, read_recording, write_csv
from tests.refusal import refused


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
    found = read_recording(tmp_path / "a.csv", subject=1)
    np.testing.assert_allclose(found.samples, recording.samples, atol=5e-7)
    np.testing.assert_allclose(found.time_s, recording.time_s, atol=5e-4)
    np.testing.assert_array_equal(found.labels, recording.labels)


def test_columns_are_found_by_name_and_label_is_optional(rows: list[list[str]], recording: Recording, tmp_path: Path) -> None:
    shuffled = [["1", *row[::-1][1:]] for row in rows]
    shuffled[0][0] = "note"
    found = read_recording(save(shuffled, tmp_path))
    np.testing.assert_allclose(found.samples, recording.samples, atol=5e-7)
    assert (found.labels == -1).all()


def test_byte_order_mark_is_accepted(rows: list[list[str]], tmp_path: Path) -> None:
    path = save(rows, tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_recording(path).samples) == len(rows) - 1


def scale(rows: list[list[str]], columns: slice, factor: float) -> None:
    for row in rows[1:]:
        row[columns] = [str(float(value) * factor) for value in row[columns]]


def set_cell(line: int, column: int, value: str) -> Callable[[list[list[str]]], None]:
    def change(rows: list[list[str]]) -> None:
        rows[line - 1][column] = value

    return change


BREAKS: dict[str, tuple[Callable[[list[list[str]]], object], str]] = {
    "column missing": (lambda r: r[0].__setitem__(1, "ax"), "holds no accelerometer.* of accelerometer, x is missing"),
    "gyroscope missing": (
        lambda r: [row.__delitem__(slice(4, 7)) for row in r],
        "holds no gyroscope, which is needed; it has: accelerometer",
    ),
    "column twice": (lambda r: [row.append(row[1]) for row in r], "column total_acc_x_g appears twice; expected once"),
    "text": (set_cell(9, 2, "abc"), "line 9, column total_acc_y_g: 'abc' is not a number"),
    "time missing": (set_cell(9, 0, ""), "the time in line 9 is not a finite number"),
    "m/s^2": (lambda r: scale(r, slice(1, 4), 9.80665), "looks like m/s2; type: har predict .* --acc-unit m/s2"),
    "no gravity": (lambda r: scale(r, slice(1, 4), 0.05), "gravity must be included"),
    "deg/s": (lambda r: scale(r, slice(4, 7), 2000.0), "looks like deg/s; type: har predict .* --gyro-unit deg/s"),
    "rate too low": (lambda r: scale(r, slice(0, 1), 2.0), "sampling rate is 25 Hz .*expected at least 40 Hz"),
    "rows are counted": (lambda r: (r[0].__setitem__(0, "t"), scale(r, slice(0, 1), 50.0)), "begin with 0, 1, 2, .*--time-unit"),
    "no sensor's rate": (
        lambda r: (r[0].__setitem__(0, "time"), scale(r, slice(0, 1), 15.0)),
        "begin with 0, 0.3, 0.6, .*name their unit with --time-unit",
    ),
    "constant": (lambda r: [row.__setitem__(5, "0.25") for row in r[1:]], "gyro_y_rad_s is constant \\(0.25\\)"),
    "unknown label": (set_cell(5, 7, "WALKNG"), "unknown label 'WALKNG' in line 5; did you mean 'WALKING'"),
    "short row": (lambda r: r.__setitem__(8, r[8][:3]), "line 9 has 3 columns, expected 8; the file may be cut off"),
    "no rows": (lambda r: r.__delitem__(slice(1, None)), "no samples"),
    "one row": (lambda r: r.__delitem__(slice(2, None)), "has 1 sample"),
    "one row and no end of line": (lambda r: r.__setitem__(slice(1, None), [r[1]]), "has 1 sample; expected at least one window"),
    "an empty line and no more": (lambda r: r.clear(), "is empty; expected a header with the names of the columns"),
    "no header": (
        lambda r: [r.pop(0), *[row.pop() for row in r]],
        "has no header that fits its rows .line 1 is 0.000, .*: none is known as acceleration; name the columns and units, NAME being "
        "the number of a column, from 1: har predict .* --columns time_s=NAME total_acc_x_g=NAME .* --acc-unit UNIT --gyro-unit UNIT",
    ),
    "decimal comma between commas": (
        lambda r: [row.__setitem__(0, row[0].replace(".", ",")) for row in r],
        "line 2 has 9 columns, expected 8 as in the header; have its numbers a decimal comma",
    ),
    "a row of more cells": (lambda r: r[8].insert(2, "0.5"), "line 9 has 9 columns, expected 8"),
    "python's own digits": (set_cell(9, 2, "1_0"), "line 9, column total_acc_y_g: '1_0' is not a number"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_file_is_one_clear_sentence(name: str, rows: list[list[str]], tmp_path: Path) -> None:
    change, message = BREAKS[name]
    change(rows)
    with pytest.raises(HarError, match=message) as caught:
        read_recording(save(rows, tmp_path))
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with refused("recording-missing"):
        read_recording(tmp_path / "none.csv")
    with refused("recording-missing", "expected files that end in .csv"):
        read_recording(tmp_path)
    (tmp_path / "b.csv").write_bytes(bytes(range(256)) * 10)
    with refused("recording-format", "holds no table of numbers"):
        read_recording(tmp_path / "b.csv")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 2000), st.booleans())
def test_fuzzed_files_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, cut: bool) -> None:
    header = ",".join(("time_s", *COLUMNS)).encode() + b"\n"
    good = header + b"".join(b"%.3f,1,0,0,0,0,0\n" % (i / 50) for i in range(60))
    path = tmp_path_factory.mktemp("fuzz") / "f.csv"
    path.write_bytes(good[: at % len(good)] + noise + (b"" if cut else good[at % len(good) :]))
    try:
        found = read_recording(path)
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


# Somebody else's file


def other_phone(recording: Recording, path: Path) -> dict[str, str]:
    """The same movement as another app writes it: other names, m/s^2, deg/s, ms, other axes."""
    acc, gyro = recording.samples[:, :3] * 9.80665, recording.samples[:, 3:] * 180 / np.pi
    turned = np.concatenate([np.stack((-v[:, 1], v[:, 0], v[:, 2]), axis=1) for v in (acc, gyro)], axis=1)
    names = ["stamp", "ax", "ay", "az", "gx", "gy", "gz"]
    table = np.concatenate((1000 * recording.time_s[:, None], turned), axis=1)
    np.savetxt(path, table, delimiter=",", header=",".join(names), comments="", fmt="%.9f")
    return dict(zip(("time_s", *COLUMNS), names, strict=True))


def test_names_units_and_axes_are_mapped(recording: Recording, tmp_path: Path) -> None:
    columns = other_phone(recording, tmp_path / "p.csv")
    units = {"acc_unit": "m/s2", "gyro_unit": "deg/s", "time_unit": "ms"}
    found = read_recording(tmp_path / "p.csv", columns=columns, axes=("y", "-x", "z"), **units)
    np.testing.assert_allclose(found.samples, recording.samples, atol=1e-6)
    np.testing.assert_allclose(found.time_s, recording.time_s, atol=1e-9)


@pytest.mark.parametrize("stamp", ["float", "timestamp"])
def test_parquet_is_read_as_csv_is(stamp: str, recording: Recording, tmp_path: Path) -> None:
    table = pd.DataFrame(recording.samples.astype(np.float64), columns=list(COLUMNS))
    table.insert(0, "time_s", recording.time_s if stamp == "float" else pd.to_datetime(recording.time_s, unit="s", utc=True))
    table["label"] = [LABELS[i] if i >= 0 else None for i in recording.labels]
    table.to_parquet(tmp_path / "r.parquet", row_group_size=700)
    found = read_recording(tmp_path / "r.parquet", chunk_rows=1000)
    np.testing.assert_array_equal(found.samples, recording.samples)
    np.testing.assert_array_equal(found.labels, recording.labels)
    np.testing.assert_allclose(found.time_s, recording.time_s, atol=1e-6)
    content = (tmp_path / "r.parquet").read_bytes()
    (tmp_path / "r.parquet").write_bytes(content[: len(content) // 2])
    with refused("recording-format", "not a whole Parquet file") as caught:
        read_recording(tmp_path / "r.parquet")
    assert "\n" not in str(caught.value)
    table.assign(gyro_x_rad_s="a").to_parquet(tmp_path / "r.parquet")
    with refused("recording-columns"):
        read_recording(tmp_path / "r.parquet")


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    time_s = np.arange(3000) / 100.0
    gait = np.sin(2 * np.pi * 1.8 * time_s)
    samples = np.stack((1 + 0.3 * gait, 0.1 * gait, 0.2 * gait, gait, 0.5 * gait, 0.2 * gait), axis=1)
    path = tmp_path / "fast.csv"
    write_csv(Recording("fast", 0, time_s, samples, np.repeat([0, 3, -1], 1000)), path)
    report = ReadReport()
    pieces = [piece for _, piece in read_pieces(path, report)]
    found_s, found = np.concatenate([p.time_s for p in pieces]), np.concatenate([p.samples for p in pieces])
    labels = np.concatenate([p.labels for p in pieces])
    assert report.streams[0].resampled
    assert "3000 rows at 100 Hz, resampled to 50 Hz" in report.text()
    np.testing.assert_allclose(found_s, np.arange(1500) / 50.0, atol=1e-9)
    np.testing.assert_allclose(found[50:-50, 0], 1 + 0.3 * np.sin(2 * np.pi * 1.8 * found_s[50:-50]), atol=2e-3)
    assert labels.tolist() == np.repeat([0, 3, -1], 500).tolist()


def test_irregular_times_are_brought_to_a_grid(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    time_s = np.cumsum(rng.uniform(0.012, 0.028, size=2000))
    gait = np.sin(2 * np.pi * 1.2 * time_s)
    samples = np.stack((1 + 0.3 * gait, 0.1 * gait, 0.2 * gait, gait, 0.5 * gait, 0.2 * gait), axis=1)
    write_csv(Recording("jitter", 0, time_s, samples, np.zeros(2000, dtype=int)), tmp_path / "j.csv")
    report = ReadReport()
    pieces = [piece for _, piece in read_pieces(tmp_path / "j.csv", report)]
    found_s, found = np.concatenate([p.time_s for p in pieces]), np.concatenate([p.samples for p in pieces])
    assert report.streams[0].resampled
    np.testing.assert_allclose(np.diff(found_s), 0.02, atol=1e-6)
    assert np.abs(found[50:-50, 3] - np.sin(2 * np.pi * 1.2 * found_s[50:-50])).max() < 0.02


def test_rows_a_little_late_are_sorted_and_repeated_ones_dropped(recording: Recording, rows: list[list[str]], tmp_path: Path) -> None:
    changed = [rows[0], *rows[1:]]
    changed[100:106] = changed[100:106][::-1]  # the last of them is 0.1 s late
    changed.insert(300, changed[299])
    report = ReadReport()
    pieces = [piece for _, piece in read_pieces(save(changed, tmp_path), report, options=ReadOptions(chunk_rows=1000))]
    np.testing.assert_allclose(np.concatenate([p.samples for p in pieces]), recording.samples, atol=5e-7)
    assert (report.streams[0].duplicates, report.streams[0].out_of_order, report.streams[0].latest_s) == (1, 5, pytest.approx(0.1))
    assert "5 rows sorted by time (up to 0.1 s late); 1 row repeated and dropped" in report.text()


@pytest.mark.parametrize("chunk_rows", [1000, 200_000])
@pytest.mark.parametrize("back_s", [0.14, 10.007, 3600.0])
def test_a_clock_that_is_set_back_begins_a_new_stretch(
    back_s: float, chunk_rows: int, recording: Recording, rows: list[list[str]], tmp_path: Path
) -> None:
    for row in rows[1301:]:
        row[0] = f"{float(row[0]) - back_s:.3f}"
    report = ReadReport()
    pieces = list(read_pieces(save(rows, tmp_path), report, options=ReadOptions(chunk_rows=chunk_rows, interpolate_s=1.0)))
    before, after = (np.concatenate([piece.samples for number, piece in pieces if number == n]) for n in (0, 1))
    np.testing.assert_allclose(before, recording.samples[:1300], atol=5e-7)
    np.testing.assert_allclose(after, recording.samples[1300:], atol=5e-7)
    assert not report.streams[0].resampled
    step = float(rows[1300][0]) - float(rows[1301][0])
    assert f"1 row where the time goes back and a new stretch begins: by {step:.4g} s in line 1302" in report.text()
    whole = read_recording(tmp_path / "changed.csv")
    assert whole.contiguous_runs() == [(0, 1300), (1300, len(rows) - 1)]


def test_two_rows_of_two_stretches_have_no_rate(rows: list[list[str]], tmp_path: Path) -> None:
    rows[1][:4], rows[2][:4] = ["9.0", "1", "0", "0"], ["1.0", "1", "0", "0.1"]
    with refused("recording-short", "has 2 samples that do not follow each other; expected at least one window"):
        read_recording(save(rows[:3], tmp_path))


def test_one_stray_time_costs_nothing_else(recording: Recording, rows: list[list[str]], tmp_path: Path) -> None:
    rows[501][0] = "5000.000"
    report = ReadReport()
    pieces = list(read_pieces(save(rows, tmp_path), report))
    assert [len(piece.samples) for _, piece in pieces] == [500, 1, len(rows) - 502]
    assert "in line 503" in report.text()


def test_rows_in_no_order_are_refused(rows: list[list[str]], tmp_path: Path) -> None:
    rows[1:] = rows[:0:-1]
    with refused("recording-times", r"rows are more than 0.1 s late, the first in line 8; expected the rows in the order of their times"):
        read_recording(save(rows, tmp_path))


@pytest.mark.parametrize(("column", "value"), [(1, "1e18"), (2, "-1000"), (3, "16.01"), (5, "-500")])
def test_a_row_outside_the_limits_is_as_good_as_missing(column: int, value: str, rows: list[list[str]], tmp_path: Path) -> None:
    missing = read_recording(save([*rows[:700], *rows[701:]], tmp_path))
    rows[700][column] = value
    report = ReadReport()
    (piece,) = [piece for _, piece in read_pieces(save(rows, tmp_path), report)]
    np.testing.assert_array_equal(piece.samples, missing.samples)
    np.testing.assert_array_equal(piece.time_s, missing.time_s)
    assert f"1 row outside the physical limits (16 g, 40 rad/s), left out as a gap: line 701 ({COLUMNS[column - 1]} is" in report.text()


def test_a_resampled_swing_between_the_limits_stays_within_them(recording: Recording, tmp_path: Path) -> None:
    time_s = np.arange(2000) / 100
    values = np.stack([np.interp(time_s, recording.time_s, column) for column in recording.samples.T], axis=1)
    values[:, 3] = 40 * np.sign(np.sin(2 * np.pi * 5 * time_s + 0.1))
    write_csv(Recording("s", 1, time_s, values.astype(np.float32), np.full(2000, -1)), tmp_path / "s.csv")
    assert np.abs(read_recording(tmp_path / "s.csv").samples[:, 3]).max() == 40.0


def test_values_that_differ_in_their_last_digits_are_frozen_too(rows: list[list[str]], tmp_path: Path) -> None:
    """What is one number for a model is one for the limits."""
    for number, row in enumerate(rows[801:1201]):
        row[1:4] = [f"0.{5 + i}{number % 2:011d}" for i in range(3)]
    report = ReadReport()
    list(read_pieces(save(rows, tmp_path), report))
    assert "the accelerometer repeats one value for 7.98 s from line 802 on" in report.text()


def test_labels_in_other_words_are_no_fault_where_they_are_not_read(rows: list[list[str]], tmp_path: Path) -> None:
    for row in rows[1:]:
        row[7] = "strolling"
    path = save(rows, tmp_path)
    with refused("name-unknown", "unknown label 'strolling' in line 2"):
        read_recording(path)
    found = read_recording(path, labels=False)
    assert (found.labels == -1).all()


def test_values_at_the_limits_are_kept(rows: list[list[str]], tmp_path: Path) -> None:
    rows[700][1], rows[701][2], rows[702][6] = "16", "-16", "-40"
    assert len(read_recording(save(rows, tmp_path)).samples) == len(rows) - 1


def test_a_file_with_too_much_outside_the_limits_is_refused(rows: list[list[str]], tmp_path: Path) -> None:
    for row in rows[1::50]:
        row[1] = "300"
    with refused("recording-values", r"53 of 2625 samples are outside the physical limits \(16 g, 40 rad/s\), the first in line 2"):
        read_recording(save(rows, tmp_path))


def test_few_values_in_degrees_are_told_from_glitches(recording: Recording, tmp_path: Path) -> None:
    """A quiet recording in deg/s crosses the limit in few samples: smoothly, as a glitch does not."""
    quiet = np.array(recording.samples, dtype=np.float64)
    quiet[:, 3:] *= 1e-3
    turn = 60 * np.sin(np.linspace(0, np.pi, 40))  # deg/s; about 20 samples above 40
    quiet[500:540, 3] = turn
    write_csv(Recording("q", 1, recording.time_s, quiet.astype(np.float32), recording.labels), tmp_path / "q.csv")
    with refused("recording-units", "looks like deg/s; type: har predict .* --gyro-unit deg/s"):
        read_recording(tmp_path / "q.csv")
    assert np.abs(read_recording(tmp_path / "q.csv", gyro_unit="deg/s").samples[:, 3]).max() < 1.1


@pytest.mark.parametrize("chunk_rows", [1000, 200_000])
@pytest.mark.parametrize(("columns", "sensor"), [(slice(1, 4), "accelerometer"), (slice(4, 7), "gyroscope")])
def test_a_frozen_sensor_is_a_gap(
    columns: slice, sensor: str, chunk_rows: int, recording: Recording, rows: list[list[str]], tmp_path: Path
) -> None:
    for row in rows[801:1201]:
        row[columns] = rows[801][columns]
    for row in rows[1501:1549]:  # 47 steps of 20 ms are not frozen yet
        row[columns] = rows[1501][columns]
    report = ReadReport()
    pieces = list(read_pieces(save(rows, tmp_path), report, options=ReadOptions(chunk_rows=chunk_rows)))
    lengths = [sum(len(piece.samples) for number, piece in pieces if number == n) for n in (0, 1)]
    assert lengths == [800, len(rows) - 1201]
    assert f"left out as a gap: the {sensor} repeats one value for 7.98 s from line 802 on; 1 gap that no window crosses" in report.text()


def test_a_sensor_that_is_off_is_refused(rows: list[list[str]], tmp_path: Path) -> None:
    for row in rows[1:]:
        row[4:7] = ["0", "0", "0"]
    with refused("recording-values", "the gyroscope repeats one value over all rows; the sensor was off"):
        read_recording(save(rows, tmp_path))


def test_clipping_is_reported(rows: list[list[str]], tmp_path: Path) -> None:
    report = ReadReport()
    list(read_pieces(save(rows, tmp_path), report))
    assert "clips" not in report.text()
    for row in rows[1:]:
        row[1] = str(max(min(float(row[1]), 1.97), -1.9))
    for row in rows[100:400:30]:
        row[1] = "1.998"
    report = ReadReport()
    list(read_pieces(save(rows, tmp_path), report, options=ReadOptions(chunk_rows=1000)))
    assert f"acceleration clips at 2 g ({100 * 10 / (len(rows) - 1):.2g} % of samples)" in report.text()


def test_gaps_end_a_stretch_unless_they_may_be_mended(recording: Recording, rows: list[list[str]], tmp_path: Path) -> None:
    path = save([*rows[:500], *rows[508:800], *rows[900:]], tmp_path)  # 0.16 s and 2 s are missing
    report = ReadReport()
    assert sorted({stretch for stretch, _ in read_pieces(path, report)}) == [0, 1, 2]
    assert report.streams[0].gaps == 2
    report = ReadReport()
    pieces = list(read_pieces(path, report, options=ReadOptions(interpolate_s=0.5)))
    assert sorted({stretch for stretch, _ in pieces}) == [0, 1]
    assert (report.streams[0].gaps, report.streams[0].interpolated_gaps) == (1, 1)
    time_s = np.concatenate([piece.time_s for stretch, piece in pieces if stretch == 0])
    samples = np.concatenate([piece.samples for stretch, piece in pieces if stretch == 0])
    np.testing.assert_allclose(time_s, recording.time_s[: len(time_s)], atol=2e-3)
    between = samples[498:508]
    assert (np.abs(np.diff(between, n=2, axis=0)) < 1e-5).all()  # a straight line


def test_missing_values_are_interpolated_by_option_and_counted(rows: list[list[str]], tmp_path: Path) -> None:
    for row in rows[200:210]:
        row[3] = ""
    report = ReadReport()
    pieces = [piece for _, piece in read_pieces(save(rows, tmp_path), report, options=ReadOptions(interpolate_s=0.5))]
    assert sum(len(piece.time_s) for piece in pieces) == len(rows) - 1
    assert all(np.isfinite(piece.samples).all() for piece in pieces)
    assert "10 rows with missing values, left out; 1 short gap interpolated" in report.text()
    for row in rows[300:400]:
        row[3] = "nan"
    report = ReadReport()
    assert len({s for s, _ in read_pieces(save(rows, tmp_path), report, options=ReadOptions(interpolate_s=0.5))}) == 2


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_a_file_is_read_in_bounded_pieces_with_the_same_result(
    factor: float, recording: Recording, rows: list[list[str]], tmp_path: Path
) -> None:
    scale(rows, slice(0, 1), factor)  # 50 Hz, kept; 100 Hz, resampled
    path = save([*rows[:700], *rows[760:]], tmp_path)
    whole = read_recording(path)
    pieces = list(read_pieces(path, ReadReport(), options=ReadOptions(chunk_rows=1000)))
    assert len(pieces) > 2
    assert max(len(piece.time_s) for _, piece in pieces) <= 1000 + 2 * 250 / factor
    for name in ("time_s", "samples", "labels"):
        found = np.concatenate([getattr(piece, name) for _, piece in pieces])
        np.testing.assert_allclose(found, getattr(whole, name), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"acc_unit": "m/s^2"}, "--acc-unit is 'm/s\\^2'; did you mean 'm/s2'"),
        ({"gyro_unit": "dps"}, "--gyro-unit is 'dps'"),
        ({"time_unit": "min"}, "--time-unit is 'min'"),
        ({"axes": ("x", "x", "z")}, "--axes is 'x,x,z'"),
        ({"axes": ("x", "y")}, "--axes is 'x,y'"),
        ({"columns": {"acc_x": "ax"}}, "maps 'acc_x', which is no column"),
        ({"interpolate_s": -1.0}, "--interpolate is -1 s"),
        ({"chunk_rows": 10}, "chunk_rows is 10"),
    ],
)
def test_senseless_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(HarError, match=message):
        ReadOptions(**options)


def test_a_mapped_column_that_is_missing_is_named(rows: list[list[str]], tmp_path: Path) -> None:
    with refused("recording-columns"):
        read_recording(save(rows, tmp_path), columns={"total_acc_x_g": "accx"})
    with refused("recording-columns"):
        read_recording(save(rows, tmp_path), columns={"label": "activity"})
