"""CSV as spreadsheets and other countries write it: read as it is meant, or refused in one sentence."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from har.data import synthetic
from har.errors import HarError
from har.recording import COLUMNS, ReadReport, Recording, read_pieces, read_recording, write_csv
from har.recording.times import DateReader
from tests.recording.exports import PLAIN, axivity, plain_columns, save, sensor_logger_android, table, times
from tests.refusal import refused


@pytest.fixture(scope="module")
def recording() -> Recording:
    return synthetic.generate(1, 0, bout_seconds=2.0)


def rewrite(recording: Recording, path: Path, delimiter: str, comma: bool = False, quote: str = "") -> Path:
    write_csv(recording, path)
    lines = []
    for number, line in enumerate(path.read_text().splitlines()):
        cells = line.split(",")
        if comma and number:
            cells[:7] = [cell.replace(".", ",") for cell in cells[:7]]
        lines.append(delimiter.join(f"{quote}{cell}{quote}" for cell in cells))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("chunk_rows", [1000, 200_000])
@pytest.mark.parametrize(
    ("delimiter", "comma", "quote"),
    [(";", False, ""), ("\t", False, ""), (";", True, ""), ("\t", True, ""), (",", True, '"'), (";", True, '"'), (",", False, '"')],
)
def test_separators_and_decimal_commas(
    delimiter: str, comma: bool, quote: str, chunk_rows: int, recording: Recording, tmp_path: Path
) -> None:
    path = rewrite(recording, tmp_path / "r.csv", delimiter, comma, quote)
    found = read_recording(path, chunk_rows=chunk_rows)
    np.testing.assert_allclose(found.samples, recording.samples, atol=5e-7)
    np.testing.assert_allclose(found.time_s, recording.time_s, atol=5e-4)
    np.testing.assert_array_equal(found.labels, recording.labels)


def test_two_decimal_signs_are_refused(recording: Recording, tmp_path: Path) -> None:
    path = rewrite(recording, tmp_path / "r.csv", ";", comma=True)
    lines = path.read_text().splitlines()
    lines[60] = lines[60].replace(",", ".")
    path.write_text("\n".join(lines) + "\n")
    with refused("recording-values", r"has both '\d,\d+' in line 2 and '\d\.\d+' in line 61; expected one decimal sign") as caught:
        read_recording(path)
    assert "\n" not in str(caught.value)


def test_separators_at_the_end_of_a_row_are_no_cells(recording: Recording, tmp_path: Path) -> None:
    write_csv(recording, tmp_path / "r.csv")
    header, *rows = (tmp_path / "r.csv").read_text().splitlines()
    (tmp_path / "r.csv").write_text("\n".join((header, *(row + ",," for row in rows))))
    np.testing.assert_allclose(read_recording(tmp_path / "r.csv").samples, recording.samples, atol=5e-7)


HEADER = ",".join(("time_s", *COLUMNS))
FILES = {
    "empty": ("", "is empty; expected a header with the names of the columns, then one row a sample"),
    "an empty line": ("\n", "is empty; expected a header"),
    "header alone": (HEADER, "has a header but no samples; expected at least one window"),
    "header and empty lines": (HEADER + "\n\n \n", "has a header but no samples"),
    "header with semicolons": (HEADER.replace(",", ";"), "has a header but no samples"),
    "one row": (HEADER + "\n0,1,0,0,0,0,0\n", "has 1 sample; expected at least one window of samples at 50 Hz"),
    "one row, another separator": (HEADER.replace(",", "\t") + "\n0\t1\t0\t0\t0\t0\t0", "has 1 sample"),
    "header and rows differ": (HEADER + "\n" + "0;1;0;0;0;0;0\n" * 3, "has no header that fits its rows .line 2 is 0, 1, 0, 0, 0, 0, 0"),
    "utf-16": (HEADER.encode("utf-16"), "has a header but no samples"),
    "words": ("A letter\nto a friend\nabout samples\n", "holds no table of numbers .it begins with 'A letter'"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_holds_no_recording_is_one_clear_sentence(name: str, tmp_path: Path) -> None:
    content, message = FILES[name]
    path = tmp_path / "r.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(HarError, match=message) as caught:
        read_recording(path)
    assert "\n" not in str(caught.value)


def test_a_workbook_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "walk.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    with refused("recording-format", "walk.xlsx is an Excel workbook, expected text; export or save it as CSV"):
        read_recording(tmp_path / "walk.xlsx")
    (tmp_path / "export").mkdir()
    (tmp_path / "walk.xlsx").rename(tmp_path / "export" / "walk.xlsx")
    with refused("recording-missing", "no recording in .*export .Excel: export CSV instead."):
        read_recording(tmp_path / "export")


@pytest.mark.parametrize("kind", ["fifo", "device", "link to a device"])
def test_pipes_and_devices_are_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    with refused("recording-format", "it is a pipe or a device, expected a regular file; write the recording to a file first"):
        read_recording(path)


def test_a_file_without_line_breaks_is_not_read_whole(recording: Recording, tmp_path: Path) -> None:
    """A sparse file of 1 TB stands for one that does not fit into memory."""
    path = tmp_path / "r.csv"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with refused("recording-format", "line 1 is longer than 65,536 characters; expected CSV with one row a line"):
        read_recording(path)
    write_csv(recording, path)
    with open(path, "ab") as file:
        file.truncate(1 << 40)
    with refused("recording-format", f"line {len(recording.time_s) + 2} is longer than 65,536 characters"):
        read_recording(path)


def test_a_row_that_lost_a_cell_is_refused_where_the_used_columns_are_there(recording: Recording, tmp_path: Path) -> None:
    """Else the cells behind it would be read as those of the columns before them."""
    path = tmp_path / "r.csv"
    write_csv(recording, path)
    for blanks in (False, True):
        lines = [line + ",1,2" for line in path.read_text().splitlines()]
        lines[0] = lines[0].replace(",1,2", ",p,q")
        cells = lines[70].split(",")
        lines[70] = ",".join([cells[0], *cells[2:]])
        text = "\n".join(lines) + "\n"
        (tmp_path / "s.csv").write_text(text.replace(",", " ") if blanks else text)
        with refused("recording-format", "line 71 has 9 columns, expected 10; the file may be cut off"):
            read_recording(tmp_path / "s.csv", labels=False)


def test_a_damaged_row_at_the_begin_of_a_table_without_header_is_refused(tmp_path: Path) -> None:
    rows = axivity(header=False, gyroscope=True).decode().splitlines()
    rows[1] = ",".join(rows[1].split(",")[:4])
    (tmp_path / "r.csv").write_text("\n".join(rows))
    with refused("recording-format", "line 2 has 4 columns, expected 7"):
        read_recording(tmp_path / "r.csv")


def test_a_clock_that_is_set_back_in_one_sensor_alone_is_refused(tmp_path: Path) -> None:
    """Also where the samples of the others end before it."""
    files = sensor_logger_android("TotalAcceleration", seconds=6.0)
    rows = files["Gyroscope.csv"].splitlines(keepends=True)
    files["Gyroscope.csv"] = b"".join(rows[:290] + rows[590:] + rows[290:])
    with refused("recording-times", "the clock is set back in .*Gyroscope.csv and not in the other sensors"):
        read_recording(save(files, tmp_path / "recording"))


def test_times_are_written_in_one_way() -> None:
    dates = DateReader().seconds(
        [
            "2024-05-31 12:00:00.5",
            "12:00:00.5",
            "2024-05-31 12:00:00.5Z",
            "2024-05-31 12:00-00",
            "2024-05-31:00:01.5",
            "31.05.2024 12:00:01",
        ]
    )
    np.testing.assert_array_equal(np.isfinite(dates), (True, False, False, False, False, True))


def test_a_wall_clock_passes_midnight_in_both_directions() -> None:
    found = DateReader().seconds(["23:59:59.98", "00:00:00.00", "23:59:59.99", "0:00:00.02"])
    np.testing.assert_allclose(found, 86_400 + np.array((-0.02, 0.0, -0.01, 0.02)))


def with_columns(recording: Recording, path: Path, header: str, *more: str) -> Path:
    """A file with a header of its own and further columns."""
    write_csv(recording, path)
    rows = [",".join([*line.split(",")[:7], *more]) for line in path.read_text().splitlines()[1:]]
    path.write_text("\n".join((header, *rows)))
    return path


def test_columns_that_are_named_go_before_those_that_are_known(recording: Recording, tmp_path: Path) -> None:
    path = with_columns(
        recording, tmp_path / "r.csv", "time,ax (g),ay (g),az (g),gx (rad/s),gy (rad/s),gz (rad/s),b1,b2,b3", "0.1", "0.2", "0.3"
    )
    with refused("recording-units", "the median length of total acceleration is 0.374 g"):
        read_recording(path, acc_unit="g", columns={"total_acc_x_g": "b1", "total_acc_y_g": "b2", "total_acc_z_g": "b3"})


@pytest.mark.parametrize(("acc", "time"), [("deg/s", "s"), ("g", "mg")])
def test_a_unit_of_something_else_is_asked_for(acc: str, time: str, recording: Recording, tmp_path: Path) -> None:
    path = with_columns(recording, tmp_path / "r.csv", f"time ({time}),ax ({acc}),ay ({acc}),az ({acc}),gx (rad/s),gy (rad/s),gz (rad/s)")
    if acc == "g":
        with refused("recording-columns", "does not name a known unit of the times, but 'mg'; .* --time-unit UNIT"):
            read_recording(path)
        np.testing.assert_allclose(read_recording(path, time_unit="s").samples, recording.samples, atol=5e-7)
        return
    with refused("recording-columns", "does not name the unit of accelerometer"):
        read_recording(path)


def test_a_zone_that_does_not_exist_is_no_time(recording: Recording, tmp_path: Path) -> None:
    path = with_columns(recording, tmp_path / "r.csv", ",".join(("time_s", *COLUMNS)))
    lines = path.read_text().splitlines()
    path.write_text("\n".join((lines[0], *(f"2024-01-01 12:00:00.5+99:00,{line.split(',', 1)[1]}" for line in lines[1:]))))
    with refused("recording-times", "is no time; expected one like"):
        read_recording(path)


def test_a_recording_too_short_to_be_joined_is_refused(tmp_path: Path) -> None:
    """Two samples at 200 Hz lie between two of 50 Hz."""
    for name, axis, unit in (("Accelerometer", 9.8, "m/s^2"), ("Gyroscope", 0.1, "rad/s")):
        rows = "".join(f"{time},{axis + time},{time},{2 * time}\n" for time in (0.002, 0.007))
        (tmp_path / f"{name}.csv").write_text(f"Time (s),X ({unit}),Y ({unit}),Z ({unit})\n{rows}")
    assert list(read_pieces(tmp_path, ReadReport())) == []


def test_sensors_whose_clocks_have_no_time_in_common_are_refused(recording: Recording, tmp_path: Path) -> None:
    for name, unit, start_s, part in (("Accelerometer", "m/s^2", 0.0, slice(0, 3)), ("Gyroscope", "rad/s", 5000.0, slice(3, 6))):
        factor = 9.80665 if unit == "m/s^2" else 1.0
        table = np.column_stack((recording.time_s + start_s, factor * recording.samples[:, part]))
        np.savetxt(tmp_path / f"{name}.csv", table, delimiter=",", header=f"Time (s),X ({unit}),Y ({unit}),Z ({unit})", comments="")
    with refused("recording-times", "total acceleration and gyroscope have no time in common; export the sensors with one clock"):
        list(read_pieces(tmp_path, ReadReport()))


def test_a_zero_byte_in_a_number_is_damage(recording: Recording, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    write_csv(recording, path)
    lines = path.read_text().splitlines()
    lines[9] = lines[9].replace(".", "\0", 2).replace("\0", ".", 1)
    path.write_text("\n".join(lines))
    with refused("recording-values", "line 10, column total_acc_x_g: .* is not a number"):
        read_recording(path)


def test_times_go_on_after_a_day_of_seconds(tmp_path: Path) -> None:
    """Pieces that begin beyond a day were given from 0 s on."""
    at = times(50.0, 60.0, start_s=86_380.0)
    path = save({"r.csv": table(PLAIN, [at, *plain_columns(at)])}, tmp_path / "r.csv")
    np.testing.assert_allclose(read_recording(path, chunk_rows=1000).time_s, at)
    lines = path.read_text().splitlines()
    lines[1] = "2e9" + lines[1][5:]
    path.write_text("\n".join(lines))
    np.testing.assert_allclose(read_recording(path).time_s[1:], at[1:])
