"""The download against a local server that breaks off or sends something else."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from har.data import archives
from har.data.archives import fetch
from tests.refusal import refused

CONTENT = np.random.default_rng(0).bytes(1_500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """What the server does, and what it was asked for."""

    content: bytes = CONTENT
    break_after: list[int] = field(default_factory=list)  # bytes of the answer, one entry a request; whole answers afterwards
    length: bool = True
    asked: list[str] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        does = self.behaviour
        body = does.content
        does.asked.append(self.path)
        self.send_response(200)
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
    assert bar.startswith("data.zip ")
    assert "100%" in bar
    assert not set(bar) & {"\r", "\033"}  # no terminal
    assert fetch(tmp_path, url, SHA256, progress=False) == path
    assert len(behaviour.asked) == 1


@pytest.mark.parametrize("length", [True, False])
def test_a_broken_connection_is_one_clear_line_and_leaves_nothing(length: bool, url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.break_after, behaviour.length = [400_000], length
    with refused("download") as caught:
        fetch(tmp_path, url, SHA256, progress=False)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []
    assert fetch(tmp_path, url, SHA256, progress=False).read_bytes() == CONTENT


def test_an_unknown_length_is_read_to_the_end(url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.length = False
    assert fetch(tmp_path, url, SHA256, progress=False).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(url: str, tmp_path: Path) -> None:
    with refused("download") as caught:
        fetch(tmp_path, url, "0" * 64, progress=False)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []
    (tmp_path / "data.zip").write_bytes(b"of another version")
    assert fetch(tmp_path, url, SHA256, progress=False).read_bytes() == CONTENT
    assert names(tmp_path) == ["data.zip"]


def test_without_a_checksum_the_content_is_checked(url: str, behaviour: Behaviour, tmp_path: Path) -> None:
    seen = []

    def check(path: Path) -> None:
        seen.append(path.read_bytes())
        assert not (tmp_path / "data.zip").exists(), "it has its name before it was checked"

    for _ in range(2):
        assert fetch(tmp_path, url, "", check=check, progress=False).read_bytes() == CONTENT
    assert seen == [CONTENT]
    assert len(behaviour.asked) == 1
    with pytest.raises(ValueError, match="needs a checksum or a check"):
        fetch(tmp_path, url, "")


def test_a_download_that_goes_on_for_ever_is_stopped(
    url: str, behaviour: Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 2**20)
    behaviour.length = False
    with refused("download", "sends more than 1 MiB"):
        fetch(tmp_path, url, SHA256, progress=False)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with refused("file", "cannot write the download"):
        fetch(tmp_path / "file", url, SHA256, progress=False)
