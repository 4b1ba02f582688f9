import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from har.data.cache import ARRAYS, Damage, cache_key, load_entry, load_or_build
from har.data.windowset import WindowSet
from har.errors import HarError
from har.files import PARTIAL, remove_stale, staging
from tests.refusal import refused


def test_the_key_depends_on_content_and_every_setting() -> None:
    settings = {"dataset": "a", "window_size": 128, "stride": 64}
    keys = {cache_key("content", settings), cache_key("other", settings)}
    keys |= {cache_key("content", settings | {name: 1}) for name in settings}
    assert len(keys) == 5


def test_an_entry_is_built_once_and_read_memory_mapped(windows: WindowSet, tmp_path: Path) -> None:
    calls = []

    def build() -> WindowSet:
        calls.append(1)
        return windows

    first, second = load_or_build(tmp_path, "k", build), load_or_build(tmp_path, "k", build)
    assert len(calls) == 1
    for found in (first, second):
        assert isinstance(found.x, np.memmap)
        assert (found.digest, found.channels, found.synthetic) == (windows.digest, windows.channels, True)
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(found, name), getattr(windows, name))


@pytest.mark.parametrize("name", ["meta.json", "x.npy", "y.npy"])
@pytest.mark.parametrize("how", ["truncated", "missing", "garbage", "empty"])
def test_a_damaged_entry_is_built_again(
    name: str, how: str, windows: WindowSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_or_build(tmp_path, "k", lambda: windows)
    path = tmp_path / "k" / name
    content = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes({"truncated": content[: len(content) // 2], "garbage": b"garbage", "empty": b""}[how])
    capsys.readouterr()
    found = load_or_build(tmp_path, "k", lambda: windows)
    np.testing.assert_array_equal(found.x, windows.x)
    assert os.listdir(tmp_path) == ["k"]
    notice = capsys.readouterr().err
    assert notice.startswith(f"har: the cache entry {tmp_path / 'k'} is damaged (")
    assert notice.endswith("); it is built again\n")
    assert notice.count("\n") == 1
    load_or_build(tmp_path, "k", lambda: windows)
    assert capsys.readouterr().err == ""


def test_every_flipped_bit_is_found(windows: WindowSet, tmp_path: Path) -> None:
    """One bit anywhere in any file; in meta.json a flip may also leave the content as it was, or only the white space."""
    few = windows.subset(np.arange(40))
    load_or_build(tmp_path, "k", lambda: few)
    rng = np.random.default_rng(0)
    for name in [f"{name}.npy" for name in ARRAYS] + ["meta.json"]:
        path = tmp_path / "k" / name
        content = path.read_bytes()
        for bit in rng.integers(0, 8 * len(content), size=60).tolist():
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            try:
                found = load_entry(tmp_path / "k")
            except Damage:
                continue
            assert name == "meta.json"
            assert (found.digest, found.labels, found.channels) == (few.digest, few.labels, few.channels)
        path.write_bytes(content)
    assert load_entry(tmp_path / "k").digest == few.digest


def swap_windows(entry: Path) -> None:
    x = np.load(entry / "x.npy")
    x[[0, 1]] = x[[1, 0]]
    np.save(entry / "x.npy", x)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "two windows changed places": (swap_windows, "x.npy was changed"),
    "two files changed places": (lambda entry: shutil.copy(entry / "y.npy", entry / "subject.npy"), "subject.npy was changed"),
    "another entry's file": (lambda entry: shutil.copy(entry.parent / "other" / "x.npy", entry / "x.npy"), "x.npy was changed"),
    "another entry": (lambda entry: shutil.copytree(entry.parent / "other", entry, dirs_exist_ok=True), "meta.json is not the one"),
    "grown": (lambda entry: (entry / "x.npy").open("ab").write(b"\0"), r"x.npy has [\d,]+ bytes, expected"),
    "unreadable": (lambda entry: (entry / "x.npy").unlink(), "x.npy cannot be read: No such file"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_wrong_with_an_entry_is_said(name: str, windows: WindowSet, tmp_path: Path) -> None:
    other = replace(windows, x=-windows.x)
    load_or_build(tmp_path, "other", lambda: other)
    load_or_build(tmp_path, "k", lambda: windows)
    change, message = DAMAGES[name]
    change(tmp_path / "k")
    with pytest.raises(Damage, match=message):
        load_entry(tmp_path / "k")


def test_a_writer_that_fails_leaves_nothing(windows: WindowSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with refused("file", "cannot write the cache"):
        load_or_build(tmp_path, "k", lambda: windows)
    assert list(tmp_path.iterdir()) == []


def test_a_builder_that_dies_leaves_nothing(tmp_path: Path) -> None:
    def build() -> WindowSet:
        raise HarError("archive-broken", "broken source")

    with pytest.raises(HarError, match="broken source"):
        load_or_build(tmp_path, "k", build)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_at_once_agree(windows: WindowSet, tmp_path: Path) -> None:
    def slow() -> WindowSet:
        load_or_build(tmp_path, "k", lambda: windows)  # another process was faster
        return windows

    assert load_or_build(tmp_path, "k", slow).digest == windows.digest
    assert os.listdir(tmp_path) == ["k"]


def test_a_living_writer_is_left_alone_and_a_dead_one_is_cleared_away(tmp_path: Path) -> None:
    dead = tmp_path / f"{PARTIAL}k-dead"
    (dead / "new").mkdir(parents=True)
    with staging(tmp_path, "a") as living:
        (living / "new").write_text("half")
        remove_stale(tmp_path)
        assert not dead.exists()
        assert (living / "new").read_text() == "half"
        with staging(tmp_path, "b") as other:
            assert other != living
    assert list(tmp_path.iterdir()) == []
