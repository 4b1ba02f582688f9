"""Commands as a user types them: each in a process of its own, without environment variables, in a folder that was empty."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from har.data import synthetic
from har.recording import write_csv

ROOT = Path(__file__).parents[2]
HAR = Path(sys.executable).with_name("har")
RECORDING, RECORDINGS = "recording.csv", "recordings"


@dataclass
class Done:
    """A command that ended, with what it printed."""

    words: list[str]
    code: int
    output: str
    errors: str

    def next_commands(self) -> list[list[str]]:
        """The commands on its lines that begin with "next:"."""
        lines = [line.removeprefix("next:") for line in self.output.splitlines() if line.startswith("next:")]
        return [shlex.split(found) for line in lines for found in re.findall(r"\bhar [a-z][^;,]*?(?=;|,|\.\s|$| shows)", line)]


@dataclass
class Place:
    """An empty folder in which a user types commands."""

    folder: Path
    done: list[Done] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """What a new shell has: no setting of this project."""
        home = self.folder.parent / "home"
        home.mkdir(exist_ok=True)
        return {"PATH": f"{HAR.parent}{os.pathsep}{os.defpath}", "HOME": str(home), "LANG": "C.UTF-8"}

    def run(self, words: list[str], *, environment: dict[str, str] | None = None, timeout: float = 900) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment() | (environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        self.done.append(Done(words, done.returncode, done.stdout, done.stderr))
        return self.done[-1]

    def succeeds(self, words: list[str], **options: object) -> Done:
        """Run a command that has to succeed, without a traceback or files that it should not leave."""
        done = self.run(words, **options)  # type: ignore[arg-type]
        assert done.code == 0, f"{shlex.join(words)}\n{done.output}\n{done.errors}"
        assert "Traceback" not in done.errors
        left = {path.name for path in self.folder.iterdir()} & {"mlflow.db", "mlruns", "mlartifacts"}
        assert not left, f"{shlex.join(words)} left {left} in the folder of its user"
        return done

    def fails(self, words: list[str]) -> str:
        """Run a command that has to be refused in one line, with exit status 2; returns the line."""
        done = self.run(words)
        lines = [line for line in done.errors.splitlines() if line.strip()]
        assert (done.code, len(lines)) == (2, 1), f"{shlex.join(words)}\n{done.output}\n{done.errors}"
        assert lines[0].startswith("har: ")
        return lines[0]


def add_recordings(place: Place) -> None:
    """Put a recording, and a folder of two, into the user's folder."""
    (place.folder / RECORDINGS).mkdir(exist_ok=True)
    for number, name in enumerate((RECORDING, f"{RECORDINGS}/one.csv", f"{RECORDINGS}/two.csv")):
        write_csv(synthetic.generate(31 + number, 0, bout_seconds=6.0), place.folder / name)


def blocks(document: Path, languages: tuple[str, ...] = ("", "bash", "sh", "console")) -> list[str]:
    """Code blocks of a Markdown file in one of the languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [code for language, code in found if language in languages]


def commands(document: Path) -> list[list[str]]:
    """The commands in the code blocks of a Markdown file, without their comments."""
    text = "\n".join(blocks(document)).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in text.splitlines() if line.split("#")[0].strip()]


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(place: Place, words: list[str], address: str, timeout_s: float = 120) -> Iterator[None]:
    """Run a server until the block ends; the block begins when the address answers."""
    with (
        open(place.folder.parent / "server.log", "wb") as log,
        subprocess.Popen(words, cwd=place.folder, env=place.environment(), stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            deadline = time.monotonic() + timeout_s
            while True:
                try:
                    with urllib.request.urlopen(address, timeout=5):
                        break
                except OSError as error:
                    said = (place.folder.parent / "server.log").read_text()
                    assert process.poll() is None, f"{shlex.join(words)} ended\n{said}"
                    assert time.monotonic() < deadline, f"{shlex.join(words)} does not answer ({error})\n{said}"
                    time.sleep(0.5)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)
