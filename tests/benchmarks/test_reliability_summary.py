"""The table of all faults hides none that was not survived."""

import csv
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import reliability_summary

ROOT = Path(__file__).parents[2]
TRAINING = {"model": "cnn1d", "trials": 10, "kills": 19, "same_weights": 10, "same_scores": 10, "one_tracked_run": 10}
TRAINING |= {"running_left": 0, "folders_left": 0, "wrong_exit_codes": 0, "command": "python benchmarks/faults/kill_training.py"}
TRAINING |= {"date_utc": "2026-11-28", "commit": "0123456789ab"}
DISK = {"place": "bundle", "trials": 12, "refused": 9, "had_room": 3, "one_line": 9, "place_named": 9, "disk_named": 9, "half_written": 0}
DISK |= {"done_after": 12, "same_content": 12, "rubbish_left": 0, "command": "python benchmarks/faults/disk_full.py"}
DISK |= {"date_utc": "2026-11-28", "commit": "0123456789ab"}


@pytest.fixture
def module() -> ModuleType:
    return reliability_summary


def write(path: Path, *rows: dict[str, object]) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def run(module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmarks/faults/reliability_summary.py", "--folder", str(folder)])
    return module.main()


def test_what_was_survived(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "training_kill.csv", TRAINING, TRAINING | {"model": "stream_gru", "kills": 18})
    write(tmp_path / "disk_full.csv", DISK)
    assert run(module, tmp_path, monkeypatch) == 0
    text = (tmp_path / "summary.md").read_text()
    assert "3 kinds of faults, 3 of them survived every time; jobs lost 0, data lost 0." in text
    assert (
        "| 19 | 19 | 0 | 0 other weights or scores | training_kill.csv | `python benchmarks/faults/kill_training.py` | 2026-11-28 |" in text
    )
    assert "| 9 | 9 | 0 | 0 half or other files | disk_full.csv |" in text  # three of the twelve disks had room


@pytest.mark.parametrize(
    ("name", "row", "changed", "shown"),
    [
        ("training_kill.csv", TRAINING, {"same_weights": 9}, "| 19 | **18** | 0 | 1 other weights or scores |"),
        ("training_term.csv", TRAINING, {"one_tracked_run": 8}, "| 19 | **17** | 2 | 0 other weights or scores |"),
        ("training_kill.csv", TRAINING, {"running_left": 1}, "| 19 | **18** | 0 | 0 other weights or scores |"),
        ("disk_full.csv", DISK, {"half_written": 2}, "| 9 | **7** | 0 | 2 half or other files |"),
        ("disk_full.csv", DISK, {"done_after": 11}, "| 9 | **8** | 1 | 0 half or other files |"),
        ("disk_full.csv", DISK, {"had_room": 2}, "| 10 | **9** | 0 | 0 half or other files |"),  # one ended neither way
        ("disk_full.csv", DISK, {"rubbish_left": 30}, "| 9 | **0** | 0 | 0 half or other files |"),
    ],
)
def test_what_was_not_survived_is_seen(
    name: str, row: dict, changed: dict, shown: str, module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / name, row | changed)
    assert run(module, tmp_path, monkeypatch) == 1
    text = (tmp_path / "summary.md").read_text()
    assert shown in text
    assert f"({name})." in text.split("Not survived: ")[1]


HOURS = "day_stream_hours.csv"  # holds the answers of day_stream.csv again, and no line comes of it


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "results/reliability").glob("*.csv") if path.name != HOURS))
def test_every_number_that_can_go_wrong_is_looked_at(name: str, module: ModuleType, tmp_path: Path) -> None:
    """Whichever count of losses of a committed result were one more, or of successes one less, that fault would not be survived."""
    looked = {
        "missing_points",
        "missing_params",
        "missing_artifacts",
        "doubled_points",
        "trainings_failed",
        "runs_otherwise",
        "still_waiting",
    }
    looked |= {
        "running_left",
        "folders_left",
        "wrong_exit_codes",
        "workers_left",
        "lost",
        "repeated",
        "half_written",
        "rubbish_left",
        "failed",
    }
    looked |= {"left_over", "times_wrong", "runs_end_before_start", "entry_damaged", "temporary_folders_after_rebuild", "wrong", "missing"}
    looked |= {"doubled", "not_expected"}
    fewer = {"same_weights", "same_scores", "one_tracked_run", "finished_once", "done", "done_after", "same_content", "exit_code_0"}
    fewer |= {"runs_finished", "pushes", "rebuilt_right", "answered", "one_line", "place_named", "disk_named"}
    path = Path(shutil.copy(ROOT / "results/reliability" / name, tmp_path / name))
    assert module.found_in(path).whole.all()
    rows = rows_of(path)
    for column in (looked | fewer) & set(rows[0]):
        last = rows[-1] | {column: str(int(rows[-1][column]) + (1 if column in looked else -1))}
        write(path, *rows[:-1], last)
        assert not module.found_in(path).whole.all(), column


def test_a_leak_that_is_let_through_is_seen(module: ModuleType, tmp_path: Path) -> None:
    row = {
        "leak": "a subject in two parts",
        "claimed": "yes",
        "planted": 200,
        "refused": 199,
        "run_folders_left": 0,
        "commit": "0123456789ab",
    }
    found = module.found_in(write(tmp_path / "planted_leaks.csv", row))
    assert found[["survived", "data_lost"]].to_numpy().tolist() == [[199, 1]]
    assert module.found_in(write(tmp_path / "planted_leaks.csv", row | {"claimed": "no", "refused": 0})).empty


def test_a_server_that_costs_more_than_ten_seconds_is_not_survived(module: ModuleType, tmp_path: Path) -> None:
    path = Path(shutil.copy(ROOT / "results/reliability/tracking_faults.csv", tmp_path))
    rows = rows_of(path)
    write(path, *rows[:-1], rows[-1] | {"lost_s": "10.01"})
    assert module.found_in(path).whole.tolist().count(False) == 1


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("floods.csv", TRAINING, "is unknown here"),
        ("training_kill.csv", {"model": "cnn1d", "trials": 10}, "lacks a column"),
        ("training_kill.csv", TRAINING | {"kills": "many"}, "holds no number"),
    ],
)
def test_no_file_is_left_out(
    name: str, row: dict, said: str, module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / name, row)
    assert run(module, tmp_path, monkeypatch) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "summary.md").exists()


def test_a_result_of_changed_code_is_told(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "disk_full.csv", DISK | {"commit": "0123456789ab-dirty"})
    assert run(module, tmp_path, monkeypatch) == 1
    assert "Not from a commit: disk_full.csv." in (tmp_path / "summary.md").read_text()


def test_a_commit_of_digits_alone_is_a_commit(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "disk_full.csv", DISK | {"commit": "1720160"})
    assert run(module, tmp_path, monkeypatch) == 0
    assert "| 1720160 |" in (tmp_path / "summary.md").read_text()
