"""HAPT: read from every kind of source, refused where it is damaged, cut into windows, and turned into UCI HAR's own."""

import functools
import http.server
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.cli import main
from har.config import WindowingConfig
from har.contract import HAPT_LABELS, LABELS, RAW6, TRAIN_SUBJECTS, TRANSITIONS, UNKNOWN
from har.data import hapt, synthetic
from har.data import prepare as prepare_module
from har.data.archives import HAPT, find_source, open_source
from har.data.prepare import load_dataset
from har.data.windowset import windows_of
from har.errors import HarError
from har.recording import UNLABELLED, Recording
from har.signals.filters import PUBLISHED
from tests.helpers import accept_small_hapt, write_hapt, zip_folder
from tests.refusal import refused

USERS = (1, 5, 2)  # of experiments 1, 2 and 3
TRANSITION_SAMPLES = 75  # of the synthetic recordings, unlabelled there


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hapt") / HAPT.folder
    write_hapt(path, USERS)
    return path


@pytest.fixture(autouse=True)
def _small_counts(folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The fake archive is complete with its own counts."""
    if "real_data" in request.fixturenames:
        return
    accept_small_hapt(folder, monkeypatch)


def read(path: Path, **options: str) -> list[Recording]:
    with open_source(path, HAPT) as (read_file, _):
        return hapt.read(read_file, **options)


def test_recordings_are_raw_and_continuous(folder: Path) -> None:
    found = read(folder)
    assert [(r.name, r.subject) for r in found] == [("exp01_user01", 1), ("exp02_user05", 5), ("exp03_user02", 2)]
    for recording, user in zip(found, USERS, strict=True):
        made = synthetic.generate(user, 3, bout_seconds=4.0)
        np.testing.assert_array_equal(recording.samples, made.samples)
        np.testing.assert_array_equal(recording.labels, made.labels)
        assert recording.samples.dtype == np.float32
        assert recording.contiguous_runs() == [(0, len(made.time_s))]
        np.testing.assert_allclose(np.diff(recording.time_s), 0.02)


def test_transitions_are_dropped_kept_or_unknown(folder: Path) -> None:
    dropped, kept, unknown = (read(folder, transitions=name) for name in ("drop", "keep", "unknown"))
    for d, k, u in zip(dropped, kept, unknown, strict=True):
        is_transition = k.labels >= len(LABELS)
        assert is_transition.any()
        assert set(k.labels[is_transition].tolist()) <= set(range(len(LABELS), len(HAPT_LABELS)))
        assert (d.labels[is_transition] == UNLABELLED).all()
        assert (u.labels[is_transition] == len(LABELS)).all()
        for other in (d, u):
            np.testing.assert_array_equal(other.labels[~is_transition], k.labels[~is_transition])
        # What labels.txt does not name stays unlabelled, whatever becomes of the transitions.
        assert (u.labels == UNLABELLED).sum() == (k.labels == UNLABELLED).sum() == TRANSITION_SAMPLES
    assert hapt.label_names("drop") == LABELS
    assert hapt.label_names("keep") == HAPT_LABELS == LABELS + TRANSITIONS
    assert hapt.label_names("unknown") == (*LABELS, UNKNOWN)
    with refused("name-unknown", "unknown option 'kept' for transitions; did you mean 'keep'"):
        read(folder, transitions="kept")


def test_folder_zip_and_nested_zip_give_the_same(folder: Path, tmp_path: Path) -> None:
    bare = zip_folder(folder, tmp_path / "bare.zip", prefix="", extra={"__MACOSX/RawData/labels.txt": b"x"})
    whole = zip_folder(folder, tmp_path / HAPT.zip_name, prefix=f"{HAPT.folder}/")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
        outer.write(whole, HAPT.zip_name)
    expected = read(folder)
    for path in (bare, whole, tmp_path / "outer.zip"):
        for found, wanted in zip(read(path), expected, strict=True):
            np.testing.assert_array_equal(found.samples, wanted.samples)
            np.testing.assert_array_equal(found.labels, wanted.labels)


def edit(name: str, change: Callable[[list[str]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / name
        lines = path.read_text().splitlines()
        change(lines)
        path.write_text("\n".join(lines) + "\n" * bool(lines))

    return apply


def put(line: int, text: str) -> Callable[[list[str]], None]:
    return lambda lines: lines.__setitem__(line - 1, text)


ACC, GYRO, LINES = "RawData/acc_exp02_user05.txt", "RawData/gyro_exp02_user05.txt", "RawData/labels.txt"
BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "sensor missing": (lambda f: (f / GYRO).unlink(), "gyro_exp02_user05.txt"),
    "names missing": (lambda f: (f / "activity_labels.txt").unlink(), "activity_labels.txt"),
    "other names": (edit("activity_labels.txt", put(7, "7 STAND_TO_SITTING")), "STAND_TO_SITTING.*expected WALKING"),
    "names of UCI HAR": (edit("activity_labels.txt", lambda rows: rows.__delitem__(slice(6, None))), "names WALKING.*expected WALKING"),
    "one sensor shorter": (edit(GYRO, lambda rows: rows.pop()), r"has \d+ rows and gyro_exp02_user05.txt \d+; expected as many"),
    "both sensors cut": (
        lambda f: [edit(name, lambda rows: rows.__delitem__(slice(100, None)))(f) for name in (ACC, GYRO)],
        "labels samples up to .* of exp02_user05, which has 100",
    ),
    "rows too many": (
        lambda f: [edit(name, lambda rows: rows.append("0 0 1"))(f) for name in (ACC, GYRO)],
        "samples, expected .* as published",
    ),
    "column missing": (edit(ACC, lambda rows: rows.__setitem__(slice(None), [row.rsplit(" ", 1)[0] for row in rows])), "has 2 columns"),
    "value missing": (edit(ACC, put(9, "0.1 0.2")), "acc_exp02_user05.txt is not a table of numbers"),
    "text": (edit(ACC, put(9, "0.1 0.2 abc")), "not a table of numbers"),
    "not finite": (edit(GYRO, put(9, "0.1 inf 0.3")), "gyro_exp02_user05.txt has a value that is not finite in row 9, column 2"),
    "glitch": (edit(GYRO, put(9, "0.1 41 0.3")), r"RawData/\*_exp02_user05.txt: row 9 is outside the physical limits \(16 g, 40 rad/s\)"),
    "nan": (edit(ACC, put(9, "0.1 0.2 nan")), "not finite in row 9, column 3"),
    "empty": (edit(ACC, lambda rows: rows.clear()), "acc_exp02_user05.txt is empty"),
    "no labels": (edit(LINES, lambda rows: rows.clear()), "labels.txt is empty"),
    "four columns": (edit(LINES, lambda rows: rows.__setitem__(slice(None), [r.rsplit(" ", 1)[0] for r in rows])), "has 4 columns"),
    "half a sample": (edit(LINES, put(2, "1 1 5 300.5 350")), "holds 300.5; expected whole numbers"),
    "segment reversed": (edit(LINES, put(1, "1 1 5 200 1")), "line 1: samples 200 to 1"),
    "counted from 0": (edit(LINES, put(1, "1 1 5 0 100")), "line 1: samples 0 to 100"),
    "overlap": (edit(LINES, put(1, "1 1 5 1 300")), "line 2: samples .* overlap the segment 1 to 300 of experiment 1"),
    "activity 13": (edit(LINES, put(1, "1 1 13 1 100")), "line 1: activity 13; expected 1 to 12"),
    "activity 0": (edit(LINES, put(1, "1 1 0 1 100")), "line 1: activity 0"),
    "user 31": (edit(LINES, put(1, "1 31 5 1 100")), "line 1: experiment 1 of user 31"),
    "two users": (edit(LINES, put(2, "1 2 5 300 350")), "line 2: experiment 1 is of user 2 and of user 1"),
    "segment lost": (edit(LINES, lambda rows: rows.pop(0)), "segments, expected .* as published"),
    "experiment lost": (
        edit(LINES, lambda rows: rows.__setitem__(slice(None), [row for row in rows if not row.startswith("3 ")])),
        "HAPT has 2 experiments, expected 3",
    ),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", BREAKS)
def test_a_damaged_archive_is_one_clear_sentence(name: str, zipped: bool, folder: Path, tmp_path: Path) -> None:
    change, message = BREAKS[name]
    broken = tmp_path / HAPT.folder
    shutil.copytree(folder, broken)
    change(broken)
    source = zip_folder(broken, tmp_path / "broken.zip", prefix="") if zipped else broken
    with pytest.raises(HarError, match=message) as caught:
        read(source)
    assert "\n" not in str(caught.value)


def test_a_truncated_zip_is_one_clear_sentence(folder: Path, tmp_path: Path) -> None:
    content = zip_folder(folder, tmp_path / "whole.zip", prefix="").read_bytes()
    for share in (0.0, 0.4, 0.99):
        (tmp_path / "cut.zip").write_bytes(content[: int(share * len(content))])
        with refused("download"):
            read(tmp_path / "cut.zip")


def test_flipped_bytes_never_pass(folder: Path, tmp_path: Path) -> None:
    content = zip_folder(folder, tmp_path / "whole.zip", prefix="").read_bytes()
    expected = read(tmp_path / "whole.zip")
    rng = np.random.default_rng(0)
    for _ in range(12):
        changed = bytearray(content)
        for position in rng.integers(0, len(content), size=3):
            changed[position] ^= int(rng.integers(1, 256))
        (tmp_path / "changed.zip").write_bytes(changed)
        try:
            found = read(tmp_path / "changed.zip")
        except HarError as error:
            assert "\n" not in str(error)
        else:  # bytes that carry no content, such as dates
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a.samples, b.samples)


def test_another_archive_is_named(uci_har_folder: Path, folder: Path, tmp_path: Path) -> None:
    with refused("archive-broken", r"holds no 'HAPT Data Set'; expected the HAPT archive \(UCI data set 341\)"):
        read(zip_folder(uci_har_folder, tmp_path / "uci.zip"))
    with refused("archive-broken", r"STAND_TO_SIT.*expected WALKING"):
        load_dataset("uci-har", archive=zip_folder(folder, tmp_path / "hapt.zip", prefix=""))


def test_where_a_copy_is_found(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with refused("archive-missing", r"HAPT is not prepared; run `har data prepare --dataset hapt` \(with --archive PATH"):
        load_dataset("hapt")
    assert find_source(folder.parent, tmp_path, HAPT) == folder
    monkeypatch.setenv("HAR_DATA_DIR", str(folder.parent))
    assert find_source(None, tmp_path, HAPT) == folder
    first = load_dataset("hapt")
    monkeypatch.delenv("HAR_DATA_DIR")
    assert load_dataset("hapt").digest == first.digest  # the last copy is remembered
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path))
    with refused("archive-missing", r"which holds neither 'HAPT Data Set\.zip' nor a folder 'HAPT Data Set'"):
        load_dataset("hapt")


@pytest.fixture
def server(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A local server in place of the official address; gives the folder it serves, and expects the content of `folder`."""
    served = tmp_path / "served"
    served.mkdir()
    with open_source(folder, HAPT) as (read_file, _):
        monkeypatch.setattr(hapt, "CONTENT_SHA256", hapt.content_digest(read_file))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setitem(prepare_module.OWN, "hapt", replace(HAPT, url=f"http://127.0.0.1:{running.server_address[1]}/hapt+341.zip"))
        monkeypatch.chdir(tmp_path)
        yield served
        running.shutdown()


def downloaded() -> list[str]:
    return sorted(path.name for path in Path("data/downloads").iterdir())


def test_the_download_is_checked_by_its_content(server: Path, folder: Path, tmp_path: Path) -> None:
    whole = zip_folder(folder, tmp_path / HAPT.zip_name, prefix=f"{HAPT.folder}/", extra={f"{HAPT.folder}/README.txt": b"other bytes"})
    with zipfile.ZipFile(server / "hapt+341.zip", "w") as outer:
        outer.write(whole, HAPT.zip_name)
    first = load_dataset("hapt", allow_download=True)
    assert downloaded() == ["hapt+341.zip"]
    (server / "hapt+341.zip").unlink()
    shutil.rmtree("data/cache")
    assert load_dataset("hapt").digest == first.digest == load_dataset("hapt", archive=folder).digest  # found again without the server


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit(ACC, put(9, "0.1 0.2 0.3")), "its content differs from the copy that the results come from"),
        (edit(LINES, put(1, "1 1 5 2 100")), "its content differs"),
        (lambda f: (f / GYRO).unlink(), "has no file RawData/gyro_exp02_user05.txt"),
    ],
)
def test_a_download_of_other_content_is_kept_aside_and_not_used(
    change: Callable[[Path], object], message: str, server: Path, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "other")
    change(tmp_path / "other")
    zip_folder(tmp_path / "other", server / "hapt+341.zip", prefix="")
    for _ in range(2):
        with refused("download", message) as caught:
            load_dataset("hapt", allow_download=True)
        assert "\n" not in str(caught.value)
        assert "kept as data/downloads/hapt+341.zip.refused and not used" in str(caught.value)
        assert downloaded() == ["hapt+341.zip.refused"]
    with refused("archive-missing"):
        load_dataset("hapt")
    if "content" in message:  # a whole archive may be used knowingly
        assert len(load_dataset("hapt", archive="data/downloads/hapt+341.zip.refused")) > 0


def test_a_page_instead_of_the_archive_is_refused(server: Path) -> None:
    (server / "hapt+341.zip").write_text("<html>Log in to this network</html>")
    with refused("download", r"is not the expected one: hapt\+341\.zip\.refused is not a whole zip file"):
        load_dataset("hapt", allow_download=True)
    (server / "hapt+341.zip").unlink()
    with refused("download", "cannot download http://127"):
        load_dataset("hapt", allow_download=True)


def test_the_digest_knows_content_from_form(folder: Path, tmp_path: Path) -> None:
    def digest(path: Path) -> str:
        with open_source(path, HAPT) as (read_file, _):
            return hapt.content_digest(read_file)

    expected = digest(folder)
    shutil.copytree(folder, tmp_path / "form")
    for path in (tmp_path / "form/RawData").glob("acc_*.txt"):
        path.write_bytes(b"".join(b"  %.17e %.17e %.17e\r\n" % tuple(row) for row in np.loadtxt(path)))
    assert digest(tmp_path / "form") == expected
    edit(LINES, lambda rows: rows.__setitem__(0, rows[0].rsplit(" ", 1)[0] + " 199"))(tmp_path / "form")
    assert digest(tmp_path / "form") != expected


def test_windows_are_cut_after_the_chain(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    windows = load_dataset("hapt", channels="uci9", archive=folder)
    raw = load_dataset("hapt", archive=folder)
    assert (raw.channels, raw.digest) == (RAW6, windows.digest)
    np.testing.assert_array_equal(raw.x, windows.select_channels("raw6").x)
    assert not windows.synthetic
    assert windows.labels == LABELS
    signals = {recording.name: PUBLISHED.apply(recording.samples) for recording in read(folder)}
    for index in range(0, len(windows), 7):
        first = int(windows.start[index])
        expected = signals[str(windows.recording[index])][first : first + windows.window_size]
        np.testing.assert_array_equal(windows.x[index], expected.astype(np.float32))


def test_each_option_has_its_own_cache_entry_and_labels(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = WindowingConfig(window_size=64, stride=64)  # transitions are shorter than a published window
    dropped, kept, unknown = (
        load_dataset("hapt", archive=folder, transitions=name, windowing=short) for name in ("drop", "keep", "unknown")
    )
    assert (dropped.labels, kept.labels, unknown.labels) == (LABELS, HAPT_LABELS, (*LABELS, UNKNOWN))
    assert len(kept) == len(unknown) > len(dropped)
    assert int((unknown.y == 6).sum()) == int((kept.y >= 6).sum()) == len(kept) - len(dropped)
    again = load_dataset("hapt", transitions="keep", windowing=short)
    assert (again.labels, again.digest) == (kept.labels, kept.digest)
    with refused("dataset-option"):
        load_dataset("synthetic", transitions="keep")


def test_the_command_prepares_hapt(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "prepare", "--dataset", "hapt", "--archive", str(folder), "--transitions", "unknown"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("hapt: ")
    assert "3 subjects, 3 recordings" in out
    assert main(["data", "prepare", "--transitions", "keep"]) == 2
    said = "har: uci-har has no postural transitions to keep; they are in hapt alone: --dataset hapt [dataset-option]\n"
    assert capsys.readouterr().err == said


def test_other_data_sets_are_windowed_as_before() -> None:
    recordings = [synthetic.generate(TRAIN_SUBJECTS[0], 0, bout_seconds=4.0)]
    windows = windows_of(recordings, window_size=128, stride=64, dataset="synthetic", synthetic=True)
    assert windows.labels == LABELS
    first = int(windows.start[0])
    np.testing.assert_array_equal(windows.x[0, :, :3], recordings[0].samples[first : first + 128, :3])


@pytest.mark.data
def test_the_real_archive(real_data: Path) -> None:
    source = find_source(real_data, real_data, HAPT)
    assert source is not None
    with open_source(source, HAPT) as (read_file, _):
        recordings = hapt.read(read_file, transitions="keep")
        segments = hapt.read_segments(read_file)
    hapt.check_content(source)
    assert (len(recordings), len(segments)) == (61, 1214)
    assert sum(len(recording.samples) for recording in recordings) == 1_122_772
    assert {recording.subject for recording in recordings} == set(range(1, 31))
    assert np.bincount([segment.label for segment in segments]).tolist() == [127, 183, 186, 120, 120, 120, 60, 62, 60, 60, 58, 58]
    for recording in recordings:
        assert 0.95 < float(np.median(np.linalg.norm(recording.samples[:, :3], axis=1))) < 1.1  # g
        assert float(np.abs(recording.samples[:, 3:]).max()) < 12.0  # rad/s
