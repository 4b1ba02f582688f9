"""The summary of the benchmarks: a missed target is shown as missed, and what was not measured says so."""

import csv
from pathlib import Path

import pytest
import report
from report import Line, lines_of, markdown

ROW = {"measure": "ours / theirs", "median": "1.5", "unit": "ratio", "target": "<= 2", "command": "python benchmarks/windowing.py"}
MADE = {"date_utc": "2026-01-02", "commit": "abc"}


def write(path: Path, *rows: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    rows = [
        ROW,
        ROW | {"measure": "too slow", "median": "2.01"},
        ROW | {"measure": "no target", "target": ""},
        ROW | {"measure": "fast enough", "median": "60", "target": ">= 50"},
        ROW | {"measure": "not fast enough", "median": "49.9", "target": ">= 50"},
        ROW | {"measure": "memory", "median": "-0.2", "target": "<= 0.1"},
    ]
    write(tmp_path / "benchmarks/windowing.csv", *(row | MADE for row in rows))
    cost = {"model": "dilated_cnn", "file": "model.onnx", "times_bound": "4.7", "command": "python benchmarks/device.py"} | MADE
    others = [cost | {"model": "mlp"}, cost | {"file": "model.int8.onnx"}, cost | {"model": "cnn1d", "times_bound": "1.9"}]
    write(tmp_path / "device/cost.csv", cost, *others)
    return tmp_path


@pytest.mark.parametrize(
    ("value", "target", "verdict"),
    [
        (2.0, "<= 2", "met"),
        (2.1, "<= 2", "missed"),
        (0.4, "< 0.4", "missed"),
        (50.0, ">= 50", "met"),
        (49.0, ">= 50", "missed"),
        (None, "", "not measured"),
    ],
)
def test_a_value_meets_its_target_or_misses_it(value: float | None, target: str, verdict: str) -> None:
    line = Line("theme", "what", value, target=target)
    assert line.verdict == verdict
    if value is not None and verdict == "missed":
        assert line.share >= 1


def test_a_target_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'about 3', expected one of <=, >=, <, > and a number"):
        report.limit("about 3")


def test_every_row_with_a_target_is_there_and_judged(results: Path) -> None:
    found = {line.measure: line.verdict for line in lines_of(results) if line.value is not None}
    assert found == {
        "ours / theirs": "met",
        "too slow": "missed",
        "fast enough": "met",
        "not fast enough": "missed",
        "memory": "met",
        "dilated_cnn, one window / arithmetic bound": "missed",
        "cnn1d, one window / arithmetic bound": "met",
    }


def test_what_did_not_run_is_named_with_its_command(results: Path) -> None:
    absent = {line.command for line in lines_of(results) if line.value is None}
    assert absent == {command for name, command in report.COMMANDS.items() if name != "windowing"}
    (results / "device/cost.csv").unlink()
    assert "python benchmarks/device.py" in {line.command for line in lines_of(results) if line.value is None}


def test_the_table_shows_what_is_missed_before_what_is_met(results: Path) -> None:
    text = markdown(lines_of(results))
    assert f"4 met, 3 missed, {len(report.COMMANDS) - 1} not measured." in text
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    told = [row.split(" | ")[4] for row in rows]
    assert told == ["missed"] * 3 + ["-"] * (len(report.COMMANDS) - 1) + ["met"] * 4
    assert "| cutting windows | too slow | 2.01 | <= 2 | missed | `python benchmarks/windowing.py` | 2026-01-02 | abc |" in rows


def test_it_writes_table_and_figure_and_the_same_ones_again(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["report.py", "--results", str(results)])
    report.main()
    names = ("summary.md", "summary.png", "summary.svg")
    first = [(results / "benchmarks" / name).read_bytes() for name in names]
    report.main()
    assert [(results / "benchmarks" / name).read_bytes() for name in names] == first
    printed = capsys.readouterr().out
    assert "missed: cutting windows: too slow: 2.01, target <= 2" in printed
    assert "ours / theirs" not in printed


def test_every_script_of_the_report_is_there_and_made_by_the_makefile() -> None:
    root = Path(__file__).parents[2]
    makefile = (root / "Makefile").read_text()
    for name, command in report.COMMANDS.items():
        assert (root / command.split()[1]).is_file()
        assert name in makefile
