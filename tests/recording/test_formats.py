"""CSV as spreadsheets and other countries write it: read as it is meant, or refused in one sentence."""

import os
from pathlib import Path

import numpy as np
import pytest

from har.data import synthetic
from har.errors import HarError
from har.recording import COLUMNS, Recording, read_recording, write_csv
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
    with refused("recording-values", r"has both '0,000' in line 2 and '1\.180' in line 61; expected one decimal sign") as caught:
        read_recording(path)
    assert "\n" not in str(caught.value)


def test_separators_at_the_end_of_a_row_are_no_cells(recording: Recording, tmp_path: Path) -> None:
    write_csv(recording, tmp_path / "r.csv")
    header, *rows = (tmp_path / "r.csv").read_text().splitlines()
    (tmp_path / "r.csv").write_text("\n".join((header, *(row + ",," for row in rows))))
    np.testing.assert_allclose(read_recording(tmp_path / "r.csv").samples, recording.samples, atol=5e-7)


HEADER = ",".join(("time_s", *COLUMNS))
FILES = {
    "empty": ("", "is empty; expected a header with the columns time_s, total_acc_x_g.*then one row a sample"),
    "an empty line": ("\n", "begins with an empty line"),
    "header alone": (HEADER, "has a header but no samples; expected at least one window"),
    "header and empty lines": (HEADER + "\n\n \n", "has a header but no samples"),
    "header with semicolons": (HEADER.replace(",", ";"), "has a header but no samples"),
    "one row": (HEADER + "\n0,1,0,0,0,0,0\n", "has 1 sample; expected at least one window of samples at 50 Hz"),
    "one row, another separator": (HEADER.replace(",", "\t") + "\n0\t1\t0\t0\t0\t0\t0", "has 1 sample"),
    "header and rows differ": (HEADER + "\n" + "0;1;0;0;0;0;0\n" * 3, "line 2 has 1 columns, expected 7"),
    "bars": (HEADER.replace(",", "|") + "\n", "column time_s is missing; .*found: time_s|total"),
    "utf-16": (HEADER.encode("utf-16"), "as text .*expected a CSV file in UTF-8"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_holds_no_recording_is_one_clear_sentence(name: str, tmp_path: Path) -> None:
    content, message = FILES[name]
    path = tmp_path / "r.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(HarError, match=message) as caught:
        read_recording(path)
    assert "\n" not in str(caught.value)


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
