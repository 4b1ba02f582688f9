import os
from pathlib import Path

import numpy as np
import pytest

from har.contract import HarError
from har.data.cache import cache_key, load_or_build
from har.data.windowset import WindowSet


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
        for name in ("x", "y", "subject", "recording", "start"):
            np.testing.assert_array_equal(getattr(found, name), getattr(windows, name))


@pytest.mark.parametrize("name", ["meta.json", "x.npy", "y.npy"])
@pytest.mark.parametrize("how", ["truncated", "missing", "garbage"])
def test_a_damaged_entry_is_built_again(name: str, how: str, windows: WindowSet, tmp_path: Path) -> None:
    load_or_build(tmp_path, "k", lambda: windows)
    path = tmp_path / "k" / name
    content = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(content[: len(content) // 2] if how == "truncated" else b"garbage")
    found = load_or_build(tmp_path, "k", lambda: windows)
    np.testing.assert_array_equal(found.x, windows.x)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_writer_that_fails_leaves_nothing(windows: WindowSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(HarError, match="cannot write the cache"):
        load_or_build(tmp_path, "k", lambda: windows)
    assert list(tmp_path.iterdir()) == []


def test_a_builder_that_dies_leaves_nothing(tmp_path: Path) -> None:
    def build() -> WindowSet:
        raise HarError("broken source")

    with pytest.raises(HarError, match="broken source"):
        load_or_build(tmp_path, "k", build)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_at_once_agree(windows: WindowSet, tmp_path: Path) -> None:
    def slow() -> WindowSet:
        load_or_build(tmp_path, "k", lambda: windows)  # another process was faster
        return windows

    assert load_or_build(tmp_path, "k", slow).digest == windows.digest
    assert os.listdir(tmp_path) == ["k"]
