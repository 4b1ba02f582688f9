"""Files that are written whole or not at all, and one sentence about a disk that does not take them."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from har.contract import HarError

FULL = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))


class CannotWriteError(HarError):
    """Something could not be written, for the reason `cause`."""

    def __init__(self, text: str, cause: OSError) -> None:
        super().__init__(text)
        self.cause = cause


def cannot_write(path: Path, error: "OSError | CannotWriteError", what: str = "", other: str = "name another place") -> CannotWriteError:
    """What to say where something cannot be written; a full disk is named by where it is mounted.

    Args:
        path: of it.
        error: that was raised; what was said of a part is said of the whole.
        what: it is, before the path.
        other: than to free some space or to change permissions.
    """
    error = error.cause if isinstance(error, CannotWriteError) else error
    said = f"cannot write {what} {path} ({error.strerror or error})" if what else f"cannot write {path} ({error.strerror or error})"
    if error.errno is not None and error.errno not in FULL:  # numpy tells no number where a disk is full
        return CannotWriteError(f"{said}; check its permissions, or {other}", error)
    place = path.absolute()
    while not place.is_mount() and place != place.parent:
        place = place.parent
    return CannotWriteError(f"{said}; the disk at {place} takes no more: free some space there, or {other}", error)


def read_small(path: Path, what: str, most_bytes: int = 1 << 24) -> str:
    """Content of a small text file in UTF-8, a manifest or a config. A pipe would be waited for and a device may never end.

    Args:
        path: of the file.
        what: it is, for the message.
        most_bytes: larger files are refused.

    Raises:
        HarError: it is no regular file, or too large.
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise HarError(f"{path} is no regular file, expected {what}; name a file")
    with open(path, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise HarError(f"{path} has more than {most_bytes:,} bytes, expected {what}; name another file")
    return content.decode()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Where what is done inside raises that it cannot write, say so of `path`.

    Raises:
        HarError: the disk is full, or does not let itself be written.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; at the end it becomes `path`, or is gone. The folder is made.

    Raises:
        HarError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a text, in UTF-8, or bytes, whole or not at all.

    Raises:
        HarError: the file cannot be written.
    """
    with whole_file(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def append_whole(path: Path, text: str) -> None:
    """Add to a file the whole of a text, in UTF-8, or nothing.

    Raises:
        OSError: the disk did not take it.
    """
    left = text.encode()
    with open(path, "ab", buffering=0) as file:  # a buffer that could not be written would be tried again at the end
        before = file.tell()
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            file.truncate(before)
            raise
