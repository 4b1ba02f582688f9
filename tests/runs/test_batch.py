"""Predictions of many recordings: the same as of each by itself, whole or not at all, and only where they are missing."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from har.cli import main
from har.contract import LABELS
from har.data import synthetic
from har.files import PARTIAL
from har.recording import COLUMNS, ReadOptions
from har.runs.batch import Job, Maker, find_jobs, predict_file
from har.runtime.bundle import pretrained, sha256
from har.runtime.manifest import MANIFEST
from har.runtime.timeline import read_said
from tests.refusal import refused

pa = pytest.importorskip("pyarrow", reason="predictions of many recordings are Parquet, which needs pyarrow")
pq = pytest.importorskip("pyarrow.parquet", reason="predictions of many recordings are Parquet, which needs pyarrow")

SAMPLES = 6000


def write_recording(path: Path, samples: int = SAMPLES, *, gap_at: int | None = None) -> Path:
    """A person's synthetic signal, again and again, as CSV or as Parquet of a single row group."""
    one = synthetic.generate(1, 0, bout_seconds=5.0).samples
    noise = np.random.default_rng(0).normal(0, 1e-3, (samples, len(COLUMNS)))  # no two samples alike: as large as in life
    values = one[np.arange(samples) % len(one)] + noise
    time_s = np.arange(samples) / 50
    if gap_at is not None:
        time_s[gap_at:] += 60.0
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        rows = np.column_stack((time_s, values))
        np.savetxt(path, rows, fmt="%.6f", delimiter=",", header=",".join(("time_s", *COLUMNS)), comments="")
    else:
        columns = {name: values[:, number] for number, name in enumerate(COLUMNS)}
        pq.write_table(pa.table({"time_s": time_s, **columns}), path, row_group_size=samples)
    return path


def predict(words: str) -> int:
    """The exit code of a command."""
    return main(["predict", *words.split()])


def outputs(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def times(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mtime_ns for name in outputs(folder)}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with recordings of one name in two folders, and what is none."""
    monkeypatch.chdir(tmp_path)
    write_recording(Path("in/anna/day.csv"), gap_at=2000)
    write_recording(Path("in/bert/day.parquet"), 3000)
    Path("in/notes.txt").write_text("no recording")
    write_recording(Path("in/.hidden/day.csv"), 300)
    return tmp_path


def test_many_give_what_one_gives(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("in --output out --workers 2") == 0
    assert outputs(Path("out")) == ["anna/day.parquet", "bert/day.parquet"]
    assert "2 recordings, 0 of them done" in capsys.readouterr().out
    for name in ("anna/day.csv", "bert/day.parquet"):
        assert main(["predict", f"in/{name}", "--output", "one.csv"]) == 0
        lines = [line.split(",") for line in Path("one.csv").read_text().splitlines()]
        table = pq.read_table(Path("out", name).with_suffix(".parquet"))
        assert table.column_names == lines[0]
        assert table.num_rows == len(lines) - 1 > 40
        for number, column in enumerate(lines[0]):
            found, one = table[column].to_pylist(), [line[number] for line in lines[1:]]
            if column == "activity":
                assert found == one
            else:
                np.testing.assert_allclose(found, np.array(one, dtype=float), atol=6e-4 if column.endswith("_s") else 1e-6)
    gap = pq.read_table("out/anna/day.parquet")
    assert gap.column_names[4:] == [f"p_{label}" for label in LABELS]
    holes = np.array(gap["from_s"])[1:] - np.array(gap["to_s"])[:-1]
    assert (holes > 1).sum() == 1  # where the recording has its gap


def test_only_what_is_missing_or_made_from_something_else_is_made(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def made(more: str = "") -> set[str]:
        before = times(Path("out")) if Path("out").exists() else {}
        assert predict(f"in --output out --workers 1 {more}") == 0, capsys.readouterr().err
        after = times(Path("out"))
        return {name for name in after if before.get(name) != after[name]}

    write_recording(Path("in/clara/day.parquet"), 3000)
    write_recording(Path("in/doris/day.parquet"), 3000)
    anna, bert, clara, _ = everybody = [f"{name}/day.parquet" for name in ("anna", "bert", "clara", "doris")]
    assert made() == set(everybody)
    Path("out", anna).unlink()
    write_recording(Path("in", bert), 3100)  # longer now
    os.utime(Path("in", clara), (0, 0))  # of the same length, and written anew
    assert made() == {anna, bert, clara}
    capsys.readouterr()
    assert made() == set()
    assert "4 recordings, 4 of them done" in capsys.readouterr().out
    assert made("--interpolate 0.1") == set(everybody)
    assert made("--interpolate 0.1 --bundle robust") == set(everybody)


def test_what_a_file_says_about_itself(place: Path) -> None:
    assert predict("in/anna/day.csv in/bert --output out") == 0
    said = read_said(Path("out/anna/day.parquet"))
    assert said is not None
    assert said["made_from"]["bundle"] == sha256(pretrained() / MANIFEST)
    assert said["made_from"]["bytes"] == Path("in/anna/day.csv").stat().st_size
    assert "1 gap that no window crosses" in said["recording"]
    assert said["synthetic"] is False
    table = pq.read_table("out/anna/day.parquet").to_pandas()
    assert list(said["minutes"]) == [*LABELS, "UNKNOWN"]
    minutes = (table.to_s - table.from_s).groupby(table.activity.astype(str)).sum() / 60
    assert {name: value for name, value in said["minutes"].items() if value} == pytest.approx(minutes.to_dict())
    assert set(table.activity[table.confidence < 0.5]) == {"UNKNOWN"}


def test_a_broken_recording_stops_no_other_and_leaves_no_old_answer(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("in --output out") == 0
    Path("in/anna/day.csv").write_text("time_s,total_acc_x_g\n0,1\n")
    Path("in/anna/empty.csv").touch()
    write_recording(Path("in/bert/other.csv"))
    capsys.readouterr()
    assert predict("in --output out") == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 3
    assert all(line.startswith("har: ") for line in error)
    assert "day.csv has the columns time_s, total_acc_x_g: of a sensor accelerometer, y and z are missing" in error[0]
    assert "empty.csv is empty" in error[1]
    assert "no predictions of 2 recordings" in error[2]
    assert outputs(Path("out")) == ["bert/day.parquet", "bert/other.parquet"]


def test_predictions_among_the_recordings_are_not_predicted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert predict("in --output in/predicted") == 0
        assert "2 recordings" in capsys.readouterr().out
        assert outputs(Path("in/predicted")) == ["anna/day.parquet", "bert/day.parquet"]


def test_names_mean_files_folders_and_patterns(place: Path) -> None:
    def found(*names: str) -> dict[str, str]:
        jobs = find_jobs([Path(name) for name in names], Path("out"))
        return {job.recording.relative_to(place).as_posix(): job.output.relative_to(place / "out").as_posix() for job in jobs}

    both = {"in/anna/day.csv": "anna/day.parquet", "in/bert/day.parquet": "bert/day.parquet"}
    assert found("in") == found("in/*/day.*") == found("in/anna", "in/bert") == both
    assert list(found("in")) == sorted(both, key=lambda name: -Path(name).stat().st_size)  # the largest first
    assert found("in/anna/day.csv", "in/anna") == {"in/anna/day.csv": "day.parquet"}
    Path("in/anna/day[1].csv").symlink_to("day.csv")
    assert found("in/anna/day[1].csv") == {"in/anna/day[1].csv": "day[1].parquet"}  # a name, not a pattern


REFUSED = {
    "no output": ("predict in", "name it with --output"),
    "nothing there": ("predict in none --output out", "no recording at none"),
    "nothing in a folder": ("predict empty --output out", "no recording in empty"),
    "nothing matches": ("predict in/*.pq --output out", "no recording in in/*.pq"),
    "no bundle": ("predict in --output out --bundle none", "none: manifest.json is missing"),
    "a file as output": ("predict in --output in/notes.txt", "notes.txt is a file, expected a folder"),
    "into the recordings": ("predict in --output in", "predictions may not lie among recordings"),
    "around the recordings": ("predict in/anna in/bert --output in", "predictions may not lie among recordings"),
    "one place for two": ("predict in twin --output out", "would both become"),
    "no workers": ("predict in --output out --workers 0", "--workers is 0"),
    "no such engine": ("predict in --output out --engine spark", "invalid choice: 'spark'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_told_before_anything_is_made(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    if name == "one place for two":
        shutil.copytree("in/anna", "twin/anna")
        shutil.copy("in/anna/day.csv", "twin/anna/day.pq")
    before = outputs(place)
    command, message = REFUSED[name]
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert outputs(place) == before


def test_a_file_of_somebody_else_is_never_replaced(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("in", "out")
    before = times(Path("out"))
    assert predict("in/bert in/anna --output out") == 2
    assert "bert/day.parquet is there and no file of har predict" in capsys.readouterr().err
    assert {name: times(Path("out"))[name] for name in before} == before
    assert Path("out/anna/day.parquet").exists()  # the others are done


def test_a_recording_or_bundle_that_changes_meanwhile_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(pretrained(), "bundle")
    maker = Maker(Path("bundle"), sha256(Path("bundle") / MANIFEST), ReadOptions())
    job = Job(place / "in/bert/day.parquet", place / "out.parquet")
    write = "har.runs.batch.write_parquet"
    with monkeypatch.context() as patch:
        patch.setattr(write, lambda *_: os.utime(job.recording, (0, 0)))
        with refused("recording-format", "changed while it was read"):
            predict_file(job, maker=maker)
    manifest = json.loads(Path("bundle", MANIFEST).read_text())
    Path("bundle", MANIFEST).write_text(json.dumps(manifest))
    with refused("bundle-changed"):
        predict_file(job, maker=Maker(Path("bundle"), "another", ReadOptions()))
    full = OSError(28, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr(write, lambda *_: (_ for _ in ()).throw(full))
        with refused("file", r"cannot read or write .*No space left"):
            predict_file(job, maker=maker)
    assert [path.name for path in place.iterdir() if "out" in path.name] == []


def test_pyarrow_and_ray_are_named_where_they_are_missing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert predict("in --output out --engine ray") == 2
    assert "pip install 'wearable-har[ray]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert predict("in --output out") == 2
    error = capsys.readouterr().err
    assert "pip install 'wearable-har[parquet]'" in error
    assert error.count("\n") == 1


def test_many_need_nothing_of_training(place: Path) -> None:
    """In this process and, for what runs in others, in the function that they run."""
    code = """
import sys
from pathlib import Path
blocked = ("torch", "pytorch_lightning", "mlflow", "pandas", "sklearn", "scipy", "pydantic", "yaml", "matplotlib", "onnx", "ray")
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Block())
from har.cli import main
assert main(["predict", "in", "--output", "out", "--workers", "1"]) == 0
from har.runs.batch import Job, Maker, predict_file
from har.recording import ReadOptions
from har.runtime.bundle import sha256
from har.runtime.manifest import MANIFEST
from har.runtime.bundle import pretrained
maker = Maker(pretrained(), sha256(pretrained() / MANIFEST), ReadOptions())
print(predict_file(Job(Path("in/anna/day.csv"), Path("here.parquet")), maker=maker))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "\n91 windows; this project's columns, 120 s: total acceleration and gyroscope, 6000 rows" in done.stdout


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process's memory is read from /proc, which is not here")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_memory_does_not_grow_with_the_recording(suffix: str, tmp_path: Path) -> None:
    """Five times the length, 0.4 million samples more: 22 MB if they were in memory at once, more if several arrays held them."""
    code = """
import sys
from pathlib import Path
from har.runs.batch import Job, Maker, predict_file
from har.recording import ReadOptions
from har.runtime.bundle import sha256
from har.runtime.manifest import MANIFEST
from har.runtime.bundle import pretrained
maker = Maker(pretrained(), sha256(pretrained() / MANIFEST), ReadOptions(chunk_rows=10_000))
print(predict_file(Job(Path(sys.argv[1]), Path(sys.argv[2])), maker=maker))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""

    def peak_mb(samples: int) -> float:
        recording = write_recording(tmp_path / f"{samples}{suffix}", samples)
        output = tmp_path / f"out_{samples}.parquet"
        done = subprocess.run([sys.executable, "-c", code, recording, output], capture_output=True, text=True, timeout=280, check=True)
        windows = (samples - 128) // 64 + 1
        assert done.stdout.startswith(
            f"{windows} windows; this project's columns, {samples / 50:.0f} s: total acceleration and gyroscope, {samples} rows"
        )
        assert pq.read_metadata(output).num_rows == windows
        return int(done.stdout.splitlines()[-1]) / 1024

    assert peak_mb(500_000) - peak_mb(100_000) < 11


def test_a_killed_command_goes_on_where_it_was(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil", reason="psutil, which finds the processes of the command, is not installed")
    names = [f"{number}.parquet" for number in range(6)]
    write_recording(tmp_path / "in" / names[0], 60_000)
    for name in names[1:]:
        shutil.copy2(tmp_path / "in" / names[0], tmp_path / "in" / name)
    command = [sys.executable, "-m", "har", "predict", "in", "--output", "out", "--workers", "1"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    running = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    try:
        while not list((tmp_path / "out").glob("*.parquet")):
            assert running.poll() is None
            time.sleep(0.01)
        workers = psutil.Process(running.pid).children(recursive=True)
    finally:
        running.kill()
    running.wait()
    assert psutil.wait_procs(workers, timeout=60)[1] == []  # they end with the command
    done = times(tmp_path / "out")
    whole = {name: when for name, when in done.items() if name in names}
    assert 1 <= len(whole) < 6
    left = tmp_path / "out" / f"{PARTIAL}{names[-1]}-of-a-dead-process"  # whether or not the kill came while a file was written
    left.mkdir()
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert f"6 recordings, {len(whole)} of them done already" in again.stdout
    after = times(tmp_path / "out")
    assert sorted(after) == names
    assert not left.exists()
    assert {name: after[name] for name in whole} == whole
    assert {pq.read_metadata(tmp_path / "out" / name).num_rows for name in names} == {(60_000 - 128) // 64 + 1}
