"""Where a recording lies: one file, or a folder or zip archive of files, as an app exports it; gzip is unpacked while it is read."""

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, TextIO

from har.errors import HarError

RULES = Path(__file__).with_name("formats.json")
TABLES = (".csv", ".txt", ".tsv")
PARQUET = (".parquet", ".pq")
SHEETS = (".xls", ".xlsx", ".ods")
SNIFFED = 1 << 16  # bytes from which the encoding is told
MOST_FILES = 10_000  # of a folder or zip archive that is one recording
# What reading a packed file raises; `zipfile` raises RuntimeError for an encrypted file, and its subclass for an unknown compression.
BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError)


@cache
def rules() -> dict[str, Any]:
    """Names of units, sensors, clocks and apps, shared with the web page."""
    return json.loads(RULES.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Source:
    """One recording as it was delivered.

    Attributes:
        path: of the file, folder or zip archive.
        members: of its tables, below a folder or in an archive; ``("",)`` for a file.
    """

    path: Path
    members: tuple[str, ...]

    def name(self, member: str) -> str:
        """What a message calls a table."""
        return f"{self.path}/{member}" if member else str(self.path)

    @contextmanager
    def open(self, member: str) -> Iterator[IO[bytes]]:
        """The bytes of a table, unpacked.

        Raises:
            HarError: it cannot be read or unpacked.
        """
        try:
            with ExitStack() as stack:
                if member and not self.path.is_dir():
                    archive = stack.enter_context(zipfile.ZipFile(self.path))
                    file: IO[bytes] = stack.enter_context(archive.open(member))
                else:
                    file = stack.enter_context(open(self.path / member, "rb"))
                if (member or self.path.name).lower().endswith(".gz") or (not member and _begins(self.path, b"\x1f\x8b")):
                    unpacked: Any = gzip.GzipFile(fileobj=file)
                    stack.callback(unpacked.close)
                    file = unpacked
                yield file
        except BROKEN as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise HarError("recording-format", f"cannot read {self.name(member)} ({reason}); export or copy it again") from None

    @contextmanager
    def text(self, member: str) -> Iterator[TextIO]:
        """The text of a table, in UTF-8 or UTF-16, or in Windows-1252 where it is neither.

        Raises:
            HarError: it cannot be read or unpacked.
        """
        with self.open(member) as file:
            start = file.read(SNIFFED)
        encoding = _encoding(start)
        with self.open(member) as file, io.TextIOWrapper(file, encoding, errors="replace", newline="") as text:
            yield text


def _encoding(start: bytes) -> str:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        io.TextIOWrapper(io.BytesIO(start[: start.rfind(b"\n") + 1] or start), "utf-8").read()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def find_source(path: Path) -> Source:
    """What a path stands for.

    Raises:
        HarError: there is nothing, or nothing that could be a recording.
    """
    if not path.exists():
        raise HarError("recording-missing", f"no recording at {path}; expected a CSV or Parquet file, or the folder or zip of an app")
    if path.is_dir():
        found = [str(file.relative_to(path).as_posix()) for file in sorted(path.rglob("*")) if file.is_file()]
    elif not path.is_file():
        raise HarError(
            "recording-format",
            f"cannot read {path}: it is a pipe or a device, expected a regular file; write the recording to a file first",
        )
    elif path.suffix.lower() in SHEETS:
        raise HarError("recording-format", f"{path} is an Excel workbook, expected text; export or save it as CSV")
    elif not zipfile.is_zipfile(path) and (path.suffix.lower() == ".zip" or _begins(path, b"PK\x03\x04")):
        raise HarError("recording-format", f"{path} is not a whole zip file; export or copy it again")
    elif zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                found = [item.filename for item in archive.infolist() if not item.is_dir()]
        except BROKEN as error:
            raise HarError("recording-format", f"{path} is not a whole zip file ({error}); export it again") from None
    else:
        return Source(path, ("",))
    if len(found) > MOST_FILES:
        raise HarError("recording-format", f"{path} holds {len(found):,} files, expected those of one recording; name one of them")
    members = tuple(name for name in found if is_table(name))
    if not members:
        sheets = " (Excel: export CSV instead)" if any(name.lower().endswith(SHEETS) for name in found) else ""
        raise HarError("recording-missing", f"no recording in {path}{sheets}; expected files that end in {', '.join((*TABLES, *PARQUET))}")
    return Source(path, members)


def _begins(path: Path, signature: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(signature)) == signature


def is_export(folder: Path) -> bool:
    """Whether a folder is one recording, as an app exports it: a file for each sensor, with the names that an app gives them."""
    if not folder.is_dir():
        return False
    stems = {file.name.lower().split(".")[0] for file in folder.iterdir() if file.is_file() and is_table(file.name)}
    return any(stems & set(rule["files"]) for rule in rules()["formats"] if "files" in rule)


def is_table(name: str) -> bool:
    """Whether a file of this name may hold samples; hidden files and what macOS adds to archives do not."""
    place = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in place.parts)
    suffix = PurePosixPath(place.stem).suffix if place.suffix.lower() == ".gz" else place.suffix
    return not hidden and suffix.lower() in (*TABLES, *PARQUET)
