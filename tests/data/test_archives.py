"""UCI HAR from every kind of source, and every way a source can be broken."""

import functools
import hashlib
import http.server
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from har.data import uci_har
from har.data.archives import UCI_HAR, fetch, find_source, open_source
from har.data.prepare import load_dataset
from har.data.windowset import WindowSet
from har.errors import HarError
from tests.helpers import zip_folder
from tests.refusal import refused


def read(path: Path) -> WindowSet:
    with open_source(path) as (read_file, _):
        return uci_har.read(read_file)


@pytest.fixture(scope="module")
def reference(uci_har_folder: Path) -> WindowSet:
    return read(uci_har_folder)


@pytest.fixture(scope="module")
def archive(uci_har_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zip_folder(uci_har_folder, tmp_path_factory.mktemp("zip") / UCI_HAR.zip_name)


@pytest.fixture(scope="module")
def official(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As downloaded: a zip in a zip, with what macOS leaves behind."""
    path = tmp_path_factory.mktemp("official") / "human.zip"
    with zipfile.ZipFile(path, "w") as outer:
        outer.write(archive, UCI_HAR.zip_name)
        outer.writestr("__MACOSX/._" + UCI_HAR.zip_name, b"resource fork")
        outer.writestr("UCI HAR Dataset.names", b"text")
    return path


def test_windows_have_their_segment_and_start(reference: WindowSet) -> None:
    assert reference.x.shape[1:] == (128, 9)
    # The archive holds windows of 4 s bouts: two windows, 64 samples apart, in one segment.
    assert set(reference.start.tolist()) == {0, 64}
    assert len(set(reference.recording.tolist())) == len(reference) // 2
    assert not reference.synthetic


def test_zip_nested_zip_and_folder_give_the_same_windows(reference: WindowSet, archive: Path, official: Path) -> None:
    for path in (archive, official):
        found = read(path)
        assert found.digest == reference.digest
        np.testing.assert_array_equal(found.x, reference.x)
        np.testing.assert_array_equal(found.recording, reference.recording)


def test_files_of_macos_are_not_read(uci_har_folder: Path, reference: WindowSet, tmp_path: Path) -> None:
    extra = {"__MACOSX/UCI HAR Dataset/activity_labels.txt": b"x", "UCI HAR Dataset/.DS_Store": b"x"}
    assert read(zip_folder(uci_har_folder, tmp_path / "a.zip", extra=extra)).digest == reference.digest


def test_a_zip_without_the_folder_is_read(uci_har_folder: Path, reference: WindowSet, tmp_path: Path) -> None:
    assert read(zip_folder(uci_har_folder, tmp_path / "a.zip", prefix="")).digest == reference.digest


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("kind", ["archive", "official"])
def test_a_truncated_zip_is_one_clear_sentence(kind: str, share: float, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    content = request.getfixturevalue(kind).read_bytes()
    path = tmp_path / "cut.zip"
    path.write_bytes(content[: int(share * len(content))])
    with refused("download") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_flipped_bytes_never_pass(archive: Path, tmp_path: Path, reference: WindowSet) -> None:
    content = archive.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(40):
        changed = bytearray(content)
        for position in rng.integers(0, len(content), size=3):
            changed[position] ^= int(rng.integers(1, 256))
        path = tmp_path / f"{number}.zip"
        path.write_bytes(changed)
        try:
            found = read(path)
        except HarError as error:
            assert "\n" not in str(error)
        else:  # bytes that carry no content, such as dates
            assert found.digest == reference.digest


def edit(name: str, change: Callable[[str], str]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(change((folder / name).read_text()))


SIGNAL = "train/Inertial Signals/body_gyro_y_train.txt"


def another_axis(folder: Path) -> None:
    shutil.copy(folder / "train/Inertial Signals/body_acc_y_train.txt", folder / "train/Inertial Signals/body_acc_x_train.txt")


def rows_moved(folder: Path) -> None:
    """Total acceleration of another window: every file is whole, but they do not belong together."""
    for axis in "xyz":
        path = folder / f"test/Inertial Signals/total_acc_{axis}_test.txt"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([*lines[1:], lines[0]]))


def other_unit(folder: Path) -> None:
    for path in (folder / "train/Inertial Signals").glob("*_acc_*"):
        np.savetxt(path, 1.5 * np.loadtxt(path), fmt="%16.7e", delimiter="")


OTHER = "differ from the published ones"
BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "another axis": (another_axis, OTHER),
    "rows moved": (rows_moved, OTHER),
    "other unit": (other_unit, OTHER),
    "file missing": (lambda f: (f / SIGNAL).unlink(), "body_gyro_y_train.txt"),
    "labels missing": (lambda f: (f / "activity_labels.txt").unlink(), "activity_labels.txt|holds no"),
    "other labels": (edit("activity_labels.txt", lambda t: t.replace("LAYING", "LYING")), "LYING; expected WALKING"),
    "row missing": (edit(SIGNAL, lambda t: t.split("\n", 1)[1]), "rows of 128 values; expected"),
    "value missing": (edit(SIGNAL, lambda t: t[:30] + t[47:]), "not a table of numbers"),
    "glitch": (edit(SIGNAL, lambda t: "           1e+03" + t[16:]), OTHER),
    "not finite": (edit(SIGNAL, lambda t: "             nan" + t[16:]), "not finite in row 1, column 1"),
    "text": (edit(SIGNAL, lambda t: "             abc" + t[16:]), "not a table of numbers"),
    "empty": (edit(SIGNAL, lambda t: ""), "is empty"),
    "label 7": (edit("train/y_train.txt", lambda t: "7" + t[1:]), OTHER),
    "label 0": (edit("test/y_test.txt", lambda t: "0" + t[1:]), OTHER),
    "half a label": (edit("train/y_train.txt", lambda t: "1.5" + t[1:]), "1.5"),
    "label row missing": (edit("train/y_train.txt", lambda t: t.split("\n", 1)[1]), "one number a window"),
    "test subject in train": (edit("train/subject_train.txt", lambda t: "2" + t[1:]), OTHER),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", BREAKS)
def test_a_damaged_archive_is_one_clear_sentence(
    name: str, zipped: bool, uci_har_folder: Path, reference: WindowSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uci_har, "CONTENT_SHA256", reference.digest)
    change, message = BREAKS[name]
    folder = tmp_path / "UCI HAR Dataset"
    shutil.copytree(uci_har_folder, folder)
    change(folder)
    source = zip_folder(folder, tmp_path / "broken.zip") if zipped else folder
    with pytest.raises(HarError, match=message) as caught:
        read(source)
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused(uci_har_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("har.data.archives.MAX_FILE_BYTES", 50_000)
    with refused("archive-unsafe"):
        read(zip_folder(uci_har_folder, tmp_path / "a.zip"))


def test_another_zip_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("holiday.txt", "sun")
    with refused("archive-broken", "holds no 'UCI HAR Dataset'"):
        read(tmp_path / "other.zip")


def test_where_a_copy_is_found(archive: Path, uci_har_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_source(None, tmp_path / "downloads") is None
    assert find_source(archive, tmp_path) == archive
    assert find_source(uci_har_folder, tmp_path) == uci_har_folder
    assert find_source(uci_har_folder.parent, tmp_path) == uci_har_folder
    monkeypatch.setenv("HAR_DATA_DIR", str(archive.parent))
    assert find_source(None, tmp_path) == archive
    with refused("archive-missing"):
        find_source(tmp_path / "none.zip", tmp_path)
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path))
    with refused("archive-missing"):
        find_source(None, tmp_path)
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "none"))
    with refused("archive-missing"):
        find_source(None, tmp_path)


def test_prepare_remembers_the_copy_and_says_when_it_is_gone(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with refused("archive-missing", "har data prepare --dataset uci-har"):
        load_dataset("uci-har")
    copy = tmp_path / "copy.zip"
    shutil.copy(archive, copy)
    first = load_dataset("uci-har", archive=copy)
    assert load_dataset("uci-har").digest == first.digest
    copy.unlink()
    with refused("archive-missing"):
        load_dataset("uci-har")
    for damage in ("", "{}", "[]", '{"source": 3}', "\x00"):
        (tmp_path / "data" / "cache" / "uci-har.json").write_text(damage)
        with refused("archive-missing"):
            load_dataset("uci-har")


def test_a_warm_cache_may_be_read_only(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written where everything is there; as root, permissions would not show it."""
    monkeypatch.chdir(tmp_path)
    first = load_dataset("uci-har", archive=archive)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")}
    assert load_dataset("uci-har", archive=archive).digest == first.digest
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*")} == before


def drop_rows(folder: Path, part: str, keep: slice) -> None:
    """The same rows from every file of a part, so that the files still agree."""
    for path in (folder / part).rglob("*.txt"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[keep]))


@pytest.mark.parametrize(("part", "keep"), [("train", slice(-1)), ("test", slice(5, None)), ("train", slice(24))])
def test_rows_missing_in_every_file_are_noticed(
    part: str, keep: slice, uci_har_folder: Path, reference: WindowSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uci_har, "CONTENT_SHA256", reference.digest)
    folder = tmp_path / "UCI HAR Dataset"
    shutil.copytree(uci_har_folder, folder)
    assert read(folder).digest == reference.digest
    drop_rows(folder, part, keep)
    with pytest.raises(HarError, match=OTHER):
        read(folder)


@pytest.mark.data
def test_a_truncated_real_archive_is_refused(real_data: Path, tmp_path: Path) -> None:
    """Two whole people are gone from the end of every training file."""
    source = find_source(real_data, real_data)
    assert source is not None
    with zipfile.ZipFile(source) as content:
        content.extractall(tmp_path)
    folder = next(tmp_path.rglob("activity_labels.txt")).parent
    drop_rows(folder, "train", slice(6600))
    with pytest.raises(HarError, match="9,547 windows of 28 subjects that differ from the published ones"):
        read(folder)


@pytest.fixture
def server(official: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(official.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}/human.zip"
        running.shutdown()


def test_download_is_checked_and_read(server: str, official: Path, reference: WindowSet, tmp_path: Path) -> None:
    digest = hashlib.sha256(official.read_bytes()).hexdigest()
    path = fetch(tmp_path, server, digest)
    assert read(path).digest == reference.digest


def test_a_wrong_download_is_refused_and_not_kept(server: str, tmp_path: Path) -> None:
    with refused("download"):
        fetch(tmp_path, server, "0" * 64)
    assert not list(tmp_path.iterdir())
    with refused("download"):
        fetch(tmp_path, server + ".none", "0" * 64)
    with refused("download"):
        fetch(tmp_path, "http://127.0.0.1:9/x.zip", "0" * 64)
    assert not list(tmp_path.iterdir())


@pytest.mark.data
def test_real_archive(real_data: Path) -> None:
    """Facts of the published data, and that the segments found are its segments."""
    source = find_source(real_data, real_data)
    assert source is not None
    found = read(source)
    assert found.x.shape == (10299, 128, 9)
    assert np.bincount(found.y).tolist() == [1722, 1544, 1406, 1777, 1906, 1944]
    assert len(set(found.recording.tolist())) == 857
    assert int((found.start > 0).sum()) == 9442
