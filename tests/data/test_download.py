"""The download against a local server that breaks off, forgets ranges or sends something else."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from har.contract import HarError
from har.data import download as download_module
from har.data.download import fetch

CONTENT = np.random.default_rng(0).bytes(1_500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """What the server does, and what it was asked for."""

    content: bytes = CONTENT
    break_after: list[int] = field(default_factory=list)  # bytes of the answer, one entry a request; whole answers afterwards
    ranges: bool = True
    shifted: bool = False  # answers a range with another one
    length: bool = True
    asked: list[str | None] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        does = self.behaviour
        asked = self.headers.get("Range")
        does.asked.append(asked)
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and does.ranges else 0
        if first >= len(does.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(does.content)}")
            self.end_headers()
            return
        body = does.content[first:]
        self.send_response(206 if asked and does.ranges else 200)
        if asked and does.ranges:
            start = first + 1 if does.shifted else first
            self.send_header("Content-Range", f"bytes {start}-{len(does.content) - 1}/{len(does.content)}")
        if does.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if does.break_after:
            self.wfile.write(body[: does.break_after.pop(0)])
            self.connection.close()  # in the middle of the body
        else:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def url(behaviour: Behaviour) -> Iterator[str]:
    handler = type("Bound", (Handler,), {"behaviour": behaviour})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}/data.zip"
        running.shutdown()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_whole_and_made_once(url: str, behaviour: Behaviour, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fetch(tmp_path, url, SHA256)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["data.zip"]
    bar = capsys.readouterr().err
    assert "\ndata.zip " in bar
    assert "100%" in bar
    assert not set(bar) & {"\r", "\033"}  # no terminal
    assert fetch(tmp_path, url, SHA256, progress=False) == path
    assert behaviour.asked == [None]


def test_a_broken_connection_is_resumed_in_the_same_call(url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.break_after = [400_000, 500_000]
    assert fetch(tmp_path, url, SHA256, progress=False).read_bytes() == CONTENT
    assert behaviour.asked[0] is None
    first, second = (int(str(asked)[6:-1]) for asked in behaviour.asked[1:])
    assert 0 < first < second < len(CONTENT)
    assert names(tmp_path) == ["data.zip"]


def test_a_dead_server_keeps_the_part_for_the_next_call(url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.break_after = [700_000, 0, 0, 0]
    with pytest.raises(HarError, match=r"cannot download .*bytes are kept and the next try goes on from there") as caught:
        fetch(tmp_path, url, SHA256, progress=False)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == [".data.zip.part"]
    kept = (tmp_path / ".data.zip.part").stat().st_size
    assert CONTENT.startswith((tmp_path / ".data.zip.part").read_bytes())
    behaviour.asked.clear()
    assert fetch(tmp_path, url, SHA256, progress=False).read_bytes() == CONTENT
    assert behaviour.asked == [f"bytes={kept}-"]


def test_a_server_without_ranges_starts_again(url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.ranges = False
    behaviour.break_after = [900_000]
    assert fetch(tmp_path, url, SHA256, progress=False).read_bytes() == CONTENT
    assert len(behaviour.asked) == 2


def test_an_unknown_length_is_read_to_the_end(url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.length = False
    assert fetch(tmp_path, url, SHA256, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more"])
def test_a_partial_file_that_lacks_nothing(left: bytes, url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    (tmp_path / ".data.zip.part").write_bytes(left)
    if left == CONTENT:
        assert fetch(tmp_path, url, SHA256, progress=False).read_bytes() == CONTENT
    else:
        with pytest.raises(HarError, match="cannot download"):
            fetch(tmp_path, url, SHA256, progress=False)
        assert names(tmp_path) == []
        assert fetch(tmp_path, url, SHA256, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"", b"something else" * 5000])
def test_a_wrong_checksum_leaves_nothing(left: bytes, url: str, tmp_path: Path) -> None:
    """Another file on the server, or a part of another file on the disk."""
    if left:
        (tmp_path / ".data.zip.part").write_bytes(left)
    with pytest.raises(HarError, match="is not the expected file"):
        fetch(tmp_path, url, SHA256 if left else "0" * 64, progress=False)
    assert names(tmp_path) == []
    assert fetch(tmp_path, url, SHA256, progress=False).read_bytes() == CONTENT


def test_another_range_than_asked_for_is_not_appended(url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.shifted = True
    (tmp_path / ".data.zip.part").write_bytes(CONTENT[:1000])
    with pytest.raises(HarError, match="cannot download"):
        fetch(tmp_path, url, SHA256, progress=False)
    assert names(tmp_path) == []


def test_without_a_checksum_the_content_is_checked(url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.break_after = [400_000]
    seen = []

    def check(path: Path) -> None:
        seen.append(path.read_bytes())
        assert names(tmp_path) == [".data.zip.lock", ".data.zip.unchecked"], "it has its name before it was checked"

    for _ in range(2):
        assert fetch(tmp_path, url, None, check=check, progress=False).read_bytes() == CONTENT
    assert seen == [CONTENT]
    assert len(behaviour.asked) == 2  # the second resumes the first
    with pytest.raises(ValueError, match="needs a checksum or a check"):
        fetch(tmp_path, url, None)


def test_a_download_that_goes_on_for_ever_is_stopped(
    url: str, behaviour: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "MAX_BYTES", 2**20)
    behaviour.length = False
    with pytest.raises(HarError, match="sends more than 1 MiB"):
        fetch(tmp_path, url, SHA256, progress=False)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HarError, match="cannot write the download"):
        fetch(tmp_path / "file", url, SHA256, progress=False)
