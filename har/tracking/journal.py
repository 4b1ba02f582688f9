"""What could not be sent to the MLflow store: kept on disk, in order, until ``har track push`` sends it."""

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock

from har.files import append_whole, write_whole
from har.tracking.owners import LOCK, is_dead

UNSENT = ".unsent"  # below the folder of all runs: a folder for each run that could not be tracked, or not to its end
ABOUT, CALLS, SENT, FILES = "run.json", "calls.jsonl", "sent", "files"


@dataclass(frozen=True)
class Journal:
    """Calls to MLflow that wait on disk.

    Attributes:
        folder: of this run.
    """

    folder: Path

    @classmethod
    def begin(cls, runs: Path, about: Mapping[str, Any]) -> "Journal":
        """A new one.

        Args:
            runs: folder of all runs.
            about: what starts the run: ``experiment``, ``name``, ``tags``, ``start_ms``, and ``run_id`` where the store knows it already.
        """
        folder = runs / UNSENT / f"{about['name']}-{uuid4().hex[:8]}"
        (folder / FILES).mkdir(parents=True)
        (folder / CALLS).touch()
        journal = cls(folder)
        journal._describe(about)  # last: without it there is no journal
        return journal

    def add(self, name: str, values: Mapping[str, Any], file: Path | None = None) -> None:
        """Keep one call, with a copy of the file that it sends."""
        call: dict[str, Any] = {"name": name, "values": dict(values)}
        if file is not None:
            place = self.folder / FILES / uuid4().hex
            place.mkdir()
            shutil.copyfile(file, place / file.name)
            call["file"] = f"{place.name}/{file.name}"
        append_whole(self.folder / CALLS, json.dumps(call) + "\n")

    def _describe(self, about: Mapping[str, Any]) -> None:
        write_whole(self.folder / ABOUT, json.dumps(about, indent=1) + "\n")

    def about(self) -> dict[str, Any]:
        """What starts the run."""
        return json.loads((self.folder / ABOUT).read_text())

    def belongs_to(self, tags: Mapping[str, str]) -> None:
        """Another process goes on with the run. Half a call, of one that was killed within it, would spoil the next one."""
        calls = self.folder / CALLS
        content = calls.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            write_whole(calls, whole)
        about = self.about()
        self._describe(about | {"tags": about["tags"] | dict(tags)})

    def in_use(self) -> bool:
        """Whether the process that writes it lives."""
        return not is_dead(Path(self.about()["tags"].get(LOCK, "")))

    def send(self, start: Callable[[dict[str, Any]], str], call: Callable[[str, str, dict[str, Any], Path | None], None]) -> str:
        """Make the calls that wait, in order; one that was made is not made again. The folder is removed when all were.

        Args:
            start: starts the run that is described, and returns its id.
            call: gets the run's id, name and values of a call, and its file.

        Returns:
            The run's id.

        Raises:
            Exception: whatever a call raises; what was made before is remembered.
        """
        about = self.about()
        if about.get("run_id") is None:
            about["run_id"] = start(about)
            self._describe(about)
        mark = self.folder / SENT
        done = int(mark.read_text()) if mark.is_file() else 0
        for number, line in enumerate((self.folder / CALLS).read_text(encoding="utf-8").splitlines()):
            if number < done:
                continue
            try:
                content = json.loads(line)
            except ValueError:
                break  # cut off: its writer was killed within it
            call(about["run_id"], content["name"], content["values"], self.folder / FILES / content["file"] if "file" in content else None)
            write_whole(mark, str(number + 1))  # half a mark would make every later call of this fail
        shutil.rmtree(self.folder)
        return about["run_id"]


def pushing(runs: Path) -> AbstractContextManager[object]:
    """One process at a time sends what waits; the next one then finds nothing."""
    runs.mkdir(parents=True, exist_ok=True)
    return FileLock(runs / f"{UNSENT}.lock")


def journals(runs: Path) -> list[Journal]:
    """All that wait below a folder of runs."""
    return [Journal(path.parent) for path in sorted((runs / UNSENT).glob(f"*/{ABOUT}"))]
