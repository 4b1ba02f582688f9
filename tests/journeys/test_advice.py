"""Every piece of advice in an error is followed once, in a new process in an empty folder, and helps."""

import math
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journeys.user import RECORDING, Place, add_recordings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PREDICT = ["har", "predict", RECORDING]


def change(place: Place, edit: Callable[[list[list[str]]], object]) -> None:
    """Change the cells of the recording; the first row is the header."""
    path = place.folder / RECORDING
    rows = [line.split(",") for line in path.read_text().splitlines()]
    edit(rows)
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")


def scale(columns: slice, factor: float) -> Callable[[list[list[str]]], object]:
    def edit(rows: list[list[str]]) -> None:
        for row in rows[1:]:
            row[columns] = [repr(float(cell) * factor) for cell in row[columns]]

    return edit


def put(line: int, column: int, cell: str) -> Callable[[list[list[str]]], object]:
    return lambda rows: rows[line - 1].__setitem__(column, cell)


NAMES = [f"total_acc_{axis}_g" for axis in "xyz"]
RECORDINGS_REFUSED: dict[str, tuple[list[Callable[[list[list[str]]], object]], dict[str, str]]] = {  # what is wrong, what the user fills in
    "m/s^2": ([scale(slice(1, 4), 9.80665)], {}),
    "deg/s": ([scale(slice(4, 7), 180 / math.pi)], {}),
    "m/s^2 and deg/s": ([scale(slice(1, 4), 9.80665), scale(slice(4, 7), 180 / math.pi)], {}),
    "no units": ([lambda rows: rows.__setitem__(0, ["time", "ax", "ay", "az", "gx", "gy", "gz", *rows[0][7:]])], {}),
    "other names": ([put(1, 2, "up")], {f"{name}=NAME": f"{name}={'up' if 'y_g' in name else name}" for name in NAMES}),
}


@pytest.mark.parametrize("name", RECORDINGS_REFUSED)
def test_the_command_that_an_error_names_reads_the_recording(name: str, place: Place) -> None:
    edits, values = RECORDINGS_REFUSED[name]
    add_recordings(place)
    minutes = place.succeeds(PREDICT).output.splitlines()[-1]
    for edit in edits:
        change(place, edit)
    found = re.search(r"(har predict .*) \[", place.fails(PREDICT))
    assert found is not None
    command = found[1]
    for word, value in values.items():
        assert word in command
        command = command.replace(word, value)
    assert place.succeeds(shlex.split(command)).output.splitlines()[-1] == minutes


def test_the_option_for_times_in_another_unit(place: Place) -> None:
    add_recordings(place)
    minutes = place.succeeds(PREDICT).output.splitlines()[-1]
    change(place, scale(slice(0, 1), 1000.0))
    assert "name its unit with --time-unit" in place.fails(PREDICT)
    assert place.succeeds([*PREDICT, "--time-unit", "ms"]).output.splitlines()[-1] == minutes


def test_rows_in_no_order_are_sorted_as_the_error_says(place: Place) -> None:
    add_recordings(place)
    expected = place.succeeds(PREDICT).output
    change(place, lambda rows: rows.__setitem__(slice(1, None), rows[:0:-1]))
    assert place.fails(PREDICT).endswith("expected the rows in the order of their times: sort them [recording-times]")
    change(place, lambda rows: rows.__setitem__(slice(1, None), sorted(rows[1:], key=lambda row: float(row[0]))))
    assert place.succeeds(PREDICT).output == expected


def test_a_pipe_is_written_to_a_file_first(place: Place) -> None:
    add_recordings(place)
    os.mkfifo(place.folder / "pipe.csv")
    assert place.fails(["har", "predict", "pipe.csv"]).endswith("write the recording to a file first [recording-format]")
    place.succeeds(PREDICT)


def test_several_recordings_go_into_a_folder(place: Place) -> None:
    add_recordings(place)
    words = ["har", "predict", RECORDING, "recordings/one.csv"]
    assert place.fails(words).endswith("name it with --output [argument]")
    place.succeeds([*words, "--output", "predictions"])


def test_an_output_that_is_an_input_is_refused_and_nothing_is_lost(place: Place) -> None:
    add_recordings(place)
    before = (place.folder / RECORDING).read_bytes()
    message = place.fails([*PREDICT, "--output", f"./{RECORDING}"])
    assert RECORDING in message
    assert (place.folder / RECORDING).read_bytes() == before
    place.succeeds([*PREDICT, "--output", "other.csv"])


def test_commands_without_a_run_name_the_one_that_makes_it(place: Place) -> None:
    own = ["--dataset", "synthetic"]
    for command in ("evaluate", "compare", "export", "explain", "robustness"):
        message = place.fails(["har", command, *own])
        assert re.search("train first: (har train(?: --dataset synthetic)?)", message), message
    assert "train first: har train" in place.fails(["har", "dashboard"])
    assert "make one with har export" in place.fails(["har", "register"])
    assert "did you mean 'cnn1d'" in place.fails(["har", "train", "--model", "cnnd1"])
    place.succeeds(["har", "train", "--dataset", "synthetic", "--model", "cnn1d", "--epochs", "1"])
    for command in ("evaluate", "compare", "export"):
        place.succeeds(["har", command, *own])
    assert Path(place.folder, "export/bundle-synthetic/manifest.json").is_file()
