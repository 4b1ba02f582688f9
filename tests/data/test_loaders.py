"""Data sets of one file each: MotionSense's layout is read into the signal contract, and what breaks the contract is named."""

import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from har import plugins
from har.cli import main
from har.cli.data import similar_label
from har.config import WindowingConfig
from har.contract import LABELS, SAMPLE_RATE_HZ, WINDOW_SIZE
from har.data import motionsense, prepare, synthetic
from har.data.loaders import DataSet, at_contract_rate, load_recordings
from har.data.motionsense import MOTIONSENSE
from har.data.prepare import data_set_names, label_names, load_dataset, read_recordings
from har.errors import HarError
from har.recording import Recording
from tests.helpers import write_motionsense
from tests.refusal import refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_motionsense(tmp_path_factory.mktemp("motionsense"))


def test_the_data_sets_have_names_and_labels() -> None:
    assert data_set_names() == ["uci-har", "hapt", "synthetic", "motionsense"]
    assert label_names("motionsense") == motionsense.LABELS
    assert label_names("hapt", "unknown")[-1] == "UNKNOWN"


def test_motionsense_gives_the_samples_that_were_written(folder: Path) -> None:
    recordings = {r.name: r for r in read_recordings("motionsense", archive=folder)}
    assert len(recordings) == 4 * 6
    made = synthetic.generate(2, 7, bout_seconds=12.0)
    for code, name in (("wlk_1", "WALKING"), ("sit_4", "SITTING")):
        found = recordings[f"{code}/sub_2"]
        own = made.samples[made.labels == LABELS.index(name)]
        np.testing.assert_allclose(found.samples, own, atol=3e-6)  # the sign, the axes and both units are ours; six decimals in the file
        assert found.subject == 1002
        assert {motionsense.LABELS[label] for label in found.labels} == {name}
        assert np.allclose(np.diff(found.time_s), 1 / SAMPLE_RATE_HZ)
    assert {motionsense.LABELS[r.labels[0]] for r in recordings.values()} == set(motionsense.LABELS)


def test_its_windows_are_cached_and_found_again(folder: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = load_dataset("motionsense", archive=folder)
    assert windows.labels == motionsense.LABELS
    assert windows.window_size == WINDOW_SIZE
    assert set(windows.subject.tolist()) == {1001, 1002, 1003, 1004}
    assert not windows.synthetic
    monkeypatch.setattr(motionsense, "_table", lambda path: pytest.fail("read again"))
    assert load_dataset("motionsense").digest == windows.digest  # the folder that was prepared last
    monkeypatch.setenv("HAR_DATA_DIR", str(folder.parent))
    (folder.parent / "motionsense").symlink_to(folder)
    assert load_dataset("motionsense").digest == windows.digest


def test_a_changed_file_or_other_windows_are_cut_anew(tmp_path: Path, workplace: Path) -> None:
    own = write_motionsense(tmp_path / "own", people=3, bout_seconds=9.0)
    first = load_dataset("motionsense", archive=own)
    assert load_dataset("motionsense", archive=own, windowing=WindowingConfig(window_size=64)).window_size == 64
    path = own / "wlk_1" / "sub_1.csv"
    path.write_text("\n".join(path.read_text().split("\n")[:200]) + "\n")
    assert len(load_dataset("motionsense", archive=own)) < len(first)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "wlk_1").rename(f / "run_1"), r"run_1/sub_1.csv is no file of MotionSense; expected a folder such as dws_1"),
        (lambda f: _edit(f, "gravity.x", "gravity_x"), "has no column gravity.x; expected attitude.roll"),
        (lambda f: _edit(f, "0.000000,0.000000,0.000000", "0.0,x,0.0"), "is not a table of numbers"),
        (lambda f: _edit(f, "\n0,", f"\n0{12 * ',nan'},"), "sample 0 is not finite"),
        (lambda f: (f / "wlk_1/sub_1.csv").write_text("," + ",".join(motionsense.COLUMNS) + "\n"), "has no sample"),
    ],
)
def test_a_file_of_another_kind_is_named(spoil: Callable[[Path], object], message: str, tmp_path: Path, workplace: Path) -> None:
    own = write_motionsense(tmp_path / "own", people=1, bout_seconds=3.0)
    spoil(own)
    with pytest.raises(HarError, match=message):
        load_dataset("motionsense", archive=own)


def _edit(folder: Path, old: str, new: str) -> None:
    path = folder / "wlk_1" / "sub_1.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        ("nowhere", "nowhere does not exist; expected the folder that MotionSense was extracted to"),
        ("data.zip", "data.zip is a file; expected the folder"),
        ("empty", r"empty holds none of the files of MotionSense: \*\*/sub_\*.csv"),
        (None, "motionsense is not prepared; name its folder: har data prepare --dataset motionsense --archive DIR; get it from https"),
    ],
)
def test_a_missing_copy_is_one_sentence(archive: str | None, message: str, workplace: Path) -> None:
    Path("data.zip").touch()
    Path("empty").mkdir()
    with refused("archive-missing", message):
        load_dataset("motionsense", archive=archive)


def a_recording(hz: float = SAMPLE_RATE_HZ, seconds: float = 20.0, time_s: np.ndarray | None = None) -> Recording:
    time_s = np.arange(int(seconds * hz)) / hz if time_s is None else time_s
    turns = 2 * np.pi * 1.5 * time_s
    samples = np.stack([1 + 0.1 * np.sin(turns), 0.1 * np.cos(turns), 0 * turns, np.sin(turns), np.cos(turns), 0 * turns], axis=1)
    return Recording("one", 1001, time_s, samples.astype(np.float32), (time_s > seconds / 2).astype(np.int64))


def one(recording: Recording) -> DataSet:
    return DataSet("mine", "Mine", ("WALKING", "JOGGING"), lambda folder: iter([recording]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subject": 7}, "subject 7 is a person of UCI HAR; expected numbers above 30"),
        ({"samples": a_recording().samples[:, :5]}, r"samples have shape \(1000, 5\), expected \(time, 6\): total_acc_x"),
        ({"labels": a_recording().labels[1:]}, "1000 times, 1000 samples, 999 labels; expected as many of each"),
        ({"time_s": a_recording().time_s[::-1]}, "the time of sample 1 is not later"),
        ({"labels": a_recording().labels + 1}, "labels from 1 to 2, expected -1 to 1"),
        ({"samples": 9.80665 * a_recording().samples}, r"median length of 9.8\d?, expected about 1 g"),
        ({"time_s": a_recording().time_s * 2}, "the sampling rate is 25 Hz"),
        ({"time_s": a_recording().time_s * 1000}, "is the time in ms[?] expected seconds from the loader"),
        ({"labels": a_recording().labels[:, None]}, r"labels have shape \(1000, 1\), expected \(1000,\): one integer for each sample"),
        ({"time_s": a_recording().time_s[:, None]}, r"times have shape \(1000, 1\), type float64; expected \(1000,\)"),
        ({"labels": a_recording().labels.tolist()}, "labels are list, expected a numpy array of integers"),
        ({"labels": a_recording().labels / 1}, "labels are float64, expected a numpy array of integers"),
        (
            {"samples": a_recording().samples * np.float32([1, 1, 1, 57.3, 57.3, 57.3]) * 1.5},
            "the gyroscope reaches 85.95 rad/s, expected at most 40; it looks like deg/s: multiply by pi / 180 in the loader",
        ),
    ],
)
def test_a_recording_that_breaks_the_contract_is_refused(change: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(HarError, match=message):
        list(load_recordings(one(replace(a_recording(), **change)), tmp_path))


def test_two_recordings_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = replace(one(a_recording()), read=lambda folder: iter([a_recording(), a_recording()]))
    with refused("loader", "two recordings named 'one'"):
        list(load_recordings(twice, tmp_path))


def test_samples_outside_the_limits_are_gaps_in_training_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = a_recording()
    recording.samples[140, 1] = 1000.0
    recording.samples[300:360, 3:] = recording.samples[300, 3:]
    (found,) = load_recordings(one(recording), tmp_path)
    kept = np.delete(np.arange(1000), [140, *range(300, 360)])
    np.testing.assert_array_equal(found.samples, recording.samples[kept])
    np.testing.assert_array_equal(found.time_s, recording.time_s[kept])
    assert "mine: 61 of 1000 samples are left out as gaps, the first in recording one: outside the physical limits" in caplog.text
    off = a_recording()
    off.samples[:, 3:] = 0
    with refused("loader", "no sample is within the physical limits; the sensor was off"):
        list(load_recordings(one(off), tmp_path))


def test_a_mistake_in_a_loader_is_told_with_its_place(tmp_path: Path) -> None:
    def read(folder: Path) -> Iterator[Recording]:
        yield a_recording()
        raise KeyError("24")

    with refused("loader", rf"the loader of mine fails at {__file__}, line \d+ \(KeyError: '24'\); fix it there"):
        list(load_recordings(replace(one(a_recording()), read=read), tmp_path))
    with refused("loader", r"the loader of mine fails \(TypeError: 'NoneType' object is not iterable\)"):
        list(load_recordings(replace(one(a_recording()), read=lambda folder: None), tmp_path))


def test_a_changed_loader_reads_anew(tmp_path: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.csv").touch()
    source = tmp_path / "their_loader.py"
    written = "from tests.data.test_loaders import a_recording\ndef read(folder):\n    yield a_recording(seconds={seconds})\n"
    counts = []
    for seconds in (20, 20, 30):
        source.write_text(written.format(seconds=seconds))
        spec = importlib.util.spec_from_file_location("their_loader", source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setitem(prepare.OWN, "mine", replace(one(a_recording()), read=module.read))
        counts.append(len(load_dataset("mine", archive=tmp_path)))
    assert counts[0] == counts[1] < counts[2]


def test_another_rate_is_brought_to_50_hz_stretch_by_stretch() -> None:
    fast = a_recording(100.0)
    keep = (fast.time_s < 8.0) | (fast.time_s > 9.0)
    gapped = replace(fast, time_s=fast.time_s[keep], samples=fast.samples[keep], labels=fast.labels[keep])
    found = at_contract_rate(gapped)
    assert len(found.contiguous_runs()) == 2
    expected = a_recording(time_s=found.time_s)
    inner = (np.abs(found.time_s - 8.5) > 0.9) & (found.time_s > 0.4) & (found.time_s < 19.6)  # the filter's edges
    np.testing.assert_allclose(found.samples[inner], expected.samples[inner], atol=2e-3)
    assert (found.labels == (found.time_s > 10.0)).mean() > 0.998
    regular = a_recording()
    assert at_contract_rate(regular) is regular


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "My Data"}, "data set 'My Data' is no name"),
        ({"labels": ("WALKING", "walking")}, "label 'walking'; expected two or more different names"),
        ({"labels": (("WALKING",), "SITTING")}, r"label \('WALKING',\); expected two or more different names"),
        ({"labels": ("WALKING", "WALKING")}, "labels WALKING, WALKING"),
        ({"labels": ("WALKING",)}, "labels WALKING"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(options: dict, message: str) -> None:
    with refused("loader", message):
        replace(MOTIONSENSE, **options)


class Point(EntryPoint):
    """An entry point whose object is at hand."""

    def load(self) -> object:
        return {"good": replace(MOTIONSENSE, name="theirs"), "other": MOTIONSENSE, "odd": 3}[self.value]


def test_a_data_set_of_another_package(folder: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points: list[Point] = [Point("theirs", "good", "har.datasets"), Point("motionsense", "odd", "har.datasets")]
    own = data_set_names()
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    assert data_set_names() == [*own, "theirs"]
    assert load_dataset("theirs", archive=folder).dataset == "theirs"
    assert load_dataset("motionsense", archive=folder).dataset == "motionsense"  # this project's own comes first
    for value, message in (("other", "is one named 'motionsense', expected a har.data.loaders.DataSet"), ("odd", "is int 3, expected")):
        points[:] = [Point("theirs", value, "har.datasets")]
        with refused("plugin", message):
            load_dataset("theirs", archive=folder)
    points.clear()
    with refused("name-unknown", r"unknown data set 'theirs'; .*valid: uci-har, hapt, synthetic, motionsense"):
        load_dataset("theirs", archive=folder)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("CYCLING", None),
        ("JOGGING", None),
        ("RUNNING", None),
        ("PLAYING", None),
        ("TALKING", None),
        ("STAND_TO_SIT", None),
        ("WALKING_FAST", None),
        ("SITTING_DOWN", None),
        ("UP", None),
        ("WALK", "WALKING"),
        ("WALKNG", "WALKING"),
        ("WALKING_UP", "WALKING_UPSTAIRS"),
        ("WALKINGUPSTAIRS", "WALKING_UPSTAIRS"),
        ("STAIRS_UP", "WALKING_UPSTAIRS"),
        ("UPSTAIRS", "WALKING_UPSTAIRS"),
        ("DOWNSTAIRS", "WALKING_DOWNSTAIRS"),
        ("WALK_DOWN", None),
        ("LYING", "LAYING"),
        ("SIT", "SITTING"),
        ("SITING", "SITTING"),
        ("STANDING_", "STANDING"),
    ],
)
def test_only_another_spelling_of_an_activity_is_suggested(name: str, label: str | None) -> None:
    assert similar_label(name) == label


@pytest.mark.parametrize(("people", "split"), [(3, "loso"), (4, "loso"), (5, "kfold")])
def test_the_split_that_is_suggested_works(
    people: int, split: str, tmp_path: Path, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = write_motionsense(tmp_path / "own", people=people, bout_seconds=30.0)
    assert main(["data", "prepare", "--dataset", "motionsense", "--archive", str(own)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"next: har train --dataset motionsense --split {split}"
    command = last.removeprefix("next: har ").split()
    assert main([*command, "--model", "cnn1d", "--epochs", "1", "--fold", "0"]) == 0
    if people == 3:
        assert main(["train", "--dataset", "motionsense", "--split", "kfold", "--model", "cnn1d"]) == 2
        error = capsys.readouterr().err
        assert "has 3 subjects to split into 5 folds; expected at least 5 subjects; ask for fewer folds: --split kfold --folds 3" in error
        more = ["--model", "cnn1d", "--epochs", "1", "--fold", "0"]
        assert main(["train", "--dataset", "motionsense", "--split", "kfold", "--folds", "3", *more]) == 0


def test_too_few_subjects_are_said_when_they_are_prepared(tmp_path: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = write_motionsense(tmp_path / "own", people=2, bout_seconds=24.0)
    assert main(["data", "prepare", "--dataset", "motionsense", "--archive", str(own)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("these windows cannot be trained on yet: motionsense has 2 subjects")
    assert "at least 3 are needed, to train, to validate and to test: record more subjects" in last
    assert "next:" not in last


def test_what_was_prepared_is_said_with_the_command_that_follows(
    tmp_path: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = write_motionsense(tmp_path / "own", people=10, bout_seconds=24.0)
    assert main(["data", "prepare", "--dataset", "motionsense", "--archive", str(own)]) == 0
    out = capsys.readouterr().out
    assert "10 subjects, 60 recordings\n" in out
    assert re.search(r"^\d+ WALKING, \d+ WALKING_UPSTAIRS", out, re.MULTILINE)
    assert "JOGGING\n" in out
    assert "next: har train --dataset motionsense --split kfold\n" in out
    assert main(["train", "--dataset", "motionsense", "--split", "kfold", "--folds", "2", "--model", "cnn1d", "--epochs", "1"]) == 0
    assert main(["export", "--dataset", "motionsense", "--model", "cnn1d-kfold2-1"]) == 0
    capsys.readouterr()
    assert main(["verify", "--bundle", "export/bundle"]) == 2
    assert "make one with har export, or take export/bundle-motionsense [bundle-missing]\n" in capsys.readouterr().err
    assert main(["evaluate", "--dataset", "motionsense", "--model", "cnn1d"]) == 2
    said = "no finished run of cnn1d below runs/motionsense; there are cnn1d-kfold2-0, cnn1d-kfold2-1 [run-missing]\n"
    assert said in capsys.readouterr().err
    (tmp_path / "one.csv").touch()
    near = replace(one(a_recording()), labels=("WALKING", "UPSTAIRS"))
    monkeypatch.setitem(prepare.OWN, near.name, near)
    assert main(["data", "prepare", "--dataset", "mine", "--archive", str(tmp_path)]) == 0
    assert "nearly UCI HAR's: UPSTAIRS (WALKING_UPSTAIRS?); the same activity has the same name\n" in capsys.readouterr().out


def test_a_loader_may_be_a_generator(tmp_path: Path, workplace: Path) -> None:
    def read(place: Path) -> Iterator[Recording]:
        for number in (1001, 1002):
            yield replace(a_recording(), name=str(number), subject=number)

    assert [r.subject for r in load_recordings(replace(MOTIONSENSE, read=read), tmp_path)] == [1001, 1002]
