"""Files appear whole or not at all, on a disk that takes no more."""

import errno
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from har.errors import HarError
from har.files import CannotWriteError, append_whole, cannot_write, check_output, named_descriptor, read_small, whole_file, write_whole
from har.runs.ledger import add_opening
from har.runs.train import WORK, Work
from tests.refusal import refused

resource = pytest.importorskip("resource", reason="limits of a file's size are not known on Windows")


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file may grow beyond this, as on a full disk: what still fits is written, then comes an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "below" / "table.csv"
    write_whole(path, "old")
    with file_size_limit(10_000), pytest.raises(HarError) as caught:
        write_whole(path, "x" * 20_000)
    assert f"cannot write {path} (File too large); the disk at {_mount(path)} takes no more" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == [("table.csv", "old")]
    with pytest.raises(KeyError), whole_file(path) as temporary:
        temporary.write_text("half" + {}["none"])
    assert path.read_text() == "old"
    write_whole(path, b"new")
    assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == [("table.csv", "new")]


def _mount(path: Path) -> Path:
    return next(place for place in path.parents if place.is_mount())


def test_what_cannot_be_written_is_said_of_the_whole(tmp_path: Path) -> None:
    array = np.zeros(10_000)
    with file_size_limit(10_000), pytest.raises(OSError, match="requested and") as caught:
        np.save(tmp_path / "x.npy", array)  # which tells no number and no reason
    text = str(cannot_write(tmp_path / "cache", caught.value, "the cache in", "name another folder"))
    assert text.startswith(f"cannot write the cache in {tmp_path / 'cache'} (10000 requested and")
    assert text.endswith("free some space there, or name another folder")
    part = CannotWriteError("of a part", OSError(errno.EACCES, os.strerror(errno.EACCES)))
    assert str(cannot_write(tmp_path, part)) == f"cannot write {tmp_path} (Permission denied); check its permissions, or name another place"


def test_a_line_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_whole(path, "a" * 99 + "\n")
    with file_size_limit(150), pytest.raises(OSError, match="File too large"):
        append_whole(path, "b" * 99 + "\n")
    append_whole(path, "c\n")
    assert path.read_text() == "a" * 99 + "\nc\n"


def test_the_ledger_has_no_half_rows(tmp_path: Path) -> None:
    path = tmp_path / "test_openings.csv"
    row = {"commit": "c", "config": "cnn1d", "model": "cnn1d", "seed": 0, "channels": "raw6", "checkpoint_sha256": "0", "train_commit": "c"}
    row |= {"data_digest": "d", "accuracy": "0.9", "macro_f1": "0.9"}
    add_opening(path, **row)
    with file_size_limit(path.stat().st_size + 10), pytest.raises(HarError, match="cannot write the ledger"):
        add_opening(path, **row)
    add_opening(path, **row)
    assert [line.count(",") for line in path.read_text().splitlines()] == [10, 10, 10]


def test_a_full_disk_takes_nothing_from_a_training_that_was_interrupted(tmp_path: Path) -> None:
    work = Work(tmp_path, "the key", None)
    work.remember("first")
    before = (tmp_path / WORK).read_text()
    with file_size_limit(0), pytest.raises(HarError, match="takes no more"):
        work.remember("second")
    assert (tmp_path / WORK).read_text() == before


def test_pipes_devices_and_large_files_are_not_read_as_small_ones(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with refused("file", "is no regular file, expected a manifest; name a file"):
            read_small(path, "a manifest")
    (tmp_path / "large").write_text("0123456789")
    with refused("file", "has more than 9 bytes, expected a manifest"):
        read_small(tmp_path / "large", "a manifest", 9)
    assert read_small(tmp_path / "large", "a manifest", 10) == "0123456789"


def test_a_link_stays_and_the_file_that_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/table.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real/table.csv")
    write_whole(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real/table.csv").read_text() == "new"
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["table.csv"]
    (tmp_path / "dangling.csv").symlink_to("later/table.csv")
    write_whole(tmp_path / "dangling.csv", "new")
    assert (tmp_path / "later/table.csv").read_text() == "new"
    (tmp_path / "round.csv").symlink_to("round.csv")
    with refused("file", "cannot write"):
        write_whole(tmp_path / "round.csv", "new")


def test_a_pipe_stays_a_pipe_and_gets_the_content(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with open(tmp_path / "read", "wb") as read, subprocess.Popen(["cat", path], stdout=read) as reader:
        write_whole(path, "a" * 200_000)  # more than a pipe holds
        assert reader.wait(timeout=30) == 0
    assert (tmp_path / "read").read_text() == "a" * 200_000
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert {file.name for file in tmp_path.iterdir()} == {"pipe", "read"}


def test_a_device_is_written_and_not_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the real device node only what the system says is looked at; the rename would fail here before it could do harm."""
    before = os.stat(os.devnull)
    monkeypatch.setattr(os, "replace", lambda *_: pytest.fail("a device would be replaced"))
    write_whole(Path(os.devnull), "content")
    after = os.stat(os.devnull)
    assert stat.S_ISCHR(after.st_mode)
    assert (before.st_ino, before.st_rdev, before.st_mode) == (after.st_ino, after.st_rdev, after.st_mode)


def test_an_open_descriptor_is_written_where_it_stands(tmp_path: Path) -> None:
    with open(tmp_path / "out", "w") as file:
        file.write("before\n")
        file.flush()
        write_whole(Path(f"/dev/fd/{file.fileno()}"), "content\n")
        file.seek(0, os.SEEK_END)
        file.write("after\n")
    assert (tmp_path / "out").read_text() == "before\ncontent\nafter\n"
    assert named_descriptor(Path("/dev/stdout")) == 1
    assert named_descriptor(tmp_path / "1") is None
    with refused("file", "Bad file descriptor"):
        write_whole(Path("/dev/fd/987"), "content")


def test_an_output_that_is_read_is_refused_under_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    path = Path("data/same.csv")
    path.write_text("x")
    Path("link.csv").symlink_to(path)
    Path("folder").symlink_to("data")
    os.link(path, "hard.csv")
    for name in (
        "data/same.csv",
        "./data/../data/same.csv",
        "none/../data/same.csv",
        "link.csv",
        "hard.csv",
        "folder/same.csv",
        str(path.resolve()),
    ):
        with refused("file", rf"--output {re.escape(str(Path(name)))} is .*same\.csv, which is read .* with --output"):
            check_output(Path(name), [path], "--output")
        with refused("file", "which is read"):
            check_output(path, [Path(name)])
    with refused("file", r"--output data holds data/same\.csv"):
        check_output(Path("data"), [path])
    with refused("file", r"--output link\.csv is a file of folder, which is read"):
        check_output(Path("link.csv"), [Path("folder")])
    check_output(Path("data/other.csv"), [path, Path("data"), Path("none.csv")])
    check_output(Path("other"), [path])
