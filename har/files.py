"""Files and folders that are written whole or not at all, and one sentence about a disk that does not take them."""

import ast
import errno
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from har.errors import HarError

if TYPE_CHECKING:
    from filelock import BaseFileLock

FULL = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name))


class CannotWriteError(HarError):
    """Something could not be written, for the reason `cause`."""

    def __init__(self, text: str, cause: OSError) -> None:
        super().__init__("file", text)
        self.cause = cause

    def __reduce__(self) -> tuple[type, tuple[str, OSError]]:
        return CannotWriteError, (str(self), self.cause)


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
        raise HarError("file", f"{path} is no regular file, expected {what}; name a file")
    with open(path, "rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise HarError("file", f"{path} has more than {most_bytes:,} bytes, expected {what}; name another file")
    return content.decode()


def executed_code(source: bytes) -> bytes:
    """Syntax tree of Python source without docstrings, comments and layout, for digests; the source itself where it is not Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return source
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree).encode()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Where what is done inside raises that it cannot write, say so of `path`.

    Raises:
        HarError: the disk is full, or does not let itself be written.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of a pipe needs no more, as in `har predict ... | head`: no mistake
    except OSError as error:
        raise cannot_write(path, error) from None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to; at the end its file becomes `path`, or is gone. The folder is made.

    A symbolic link stays, and the file that it names is replaced. A device, a pipe or an open descriptor, such as ``/dev/stdout``, is
    never replaced: the content is written into it.

    Raises:
        HarError: the file cannot be written.
    """
    with writing(path):
        opened = _opened_stream(path)
        if opened is not None:
            with tempfile.TemporaryDirectory() as folder:
                temporary = Path(folder) / "content"
                yield temporary
                with open(temporary, "rb") as content, open(opened, "wb") as stream:
                    shutil.copyfileobj(content, stream)
            return
        target = Path(os.path.realpath(path))
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, target)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _opened_stream(path: Path) -> int | Path | None:
    """What to open for writing where `path` is no regular file or folder: a duplicate of a descriptor, or the path; else None."""
    descriptor = named_descriptor(path)
    if descriptor is not None:
        return os.dup(descriptor)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else path


def named_descriptor(path: Path) -> int | None:
    """Number of the open descriptor of this process that a path names, such as ``/dev/stdout`` or ``/dev/fd/3``; else None."""
    for _ in range(40):  # links, as many as Linux follows
        if path.name.isdecimal() and os.path.realpath(path.parent) in (f"/proc/{os.getpid()}/fd", "/dev/fd"):
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


def check_output(output: Path, inputs: Iterable[Path], option: str = "--output") -> None:
    """Refuse an output that would replace what is read, under whatever name: links, hard links, other spellings.

    Args:
        output: file or folder that a command is to replace.
        inputs: files and folders that it reads.
        option: that names the output.

    Raises:
        HarError: with the input.
    """
    target = Path(os.path.realpath(output))  # as `whole_file` writes, also where x of x/../recording.csv is not there
    for path in inputs:
        own = Path(os.path.realpath(path))
        if any(_same(target, place) for place in (own, *own.parents)):
            what = "is" if _same(target, own) else "holds"
            raise HarError(
                "file", f"{option} {output} {what} {path}, which is read and would be replaced; name another place with {option}"
            )
        if own.is_dir() and target.is_file() and target.is_relative_to(own):
            raise HarError("file", f"{option} {output} is a file of {path}, which is read; name another place with {option}")


def check_folder(path: Path | None, option: str) -> None:
    """Refuse a folder to write to that is a file, or is below one.

    Raises:
        HarError: with the file.
    """
    if path is None:
        return
    there = next((place for place in (path, *path.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        raise HarError("file", f"cannot write to {path}: {there} is a file, expected a folder; name another one with {option}")


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return os.path.samefile(one, other)
    return False


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


PARTIAL = ".partial-"  # in front of the names of temporary folders, and of their locks


class InUseError(Exception):
    """Another process writes what is to be written, in the folder `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"another process writes {path}")
        self.path = path


@contextmanager
def staging(folder: Path, name: str, *, keep: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """A temporary folder inside `folder` to write into, and to rename what is finished out of; removed at the end.

    Its owner holds a lock next to it, which ends with the process, however that ends. So `remove_stale` removes what killed writers
    left, and nothing that is still written.

    Args:
        folder: made where it does not exist.
        name: of what is written.
        keep: one process at a time writes something of this name. It gets the folder that the last one left where `keep` holds for
            that folder: an interruption (Ctrl-C, SIGTERM) then leaves it, as a killed process does.

    Raises:
        OSError: the folder cannot be written.
        InUseError: another process writes something of this name.
    """
    from filelock import FileLock, Timeout  # a device has no such package

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{PARTIAL}{name}-{'alone' if keep else uuid.uuid4().hex[:8]}"
    lock = FileLock(f"{path}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InUseError(path) from None
    kept = False
    try:
        if path.exists() and not (keep and keep(path)):
            shutil.rmtree(path)
        path.mkdir(mode=0o700, exist_ok=True)
        yield path
    except (KeyboardInterrupt, SystemExit):
        kept = keep is not None and keep(path)
        raise
    finally:
        _end(lock, None if kept else path)


def build_folder(target: Path, build: Callable[[Path], None], is_whole: Callable[[Path], bool] = Path.is_dir) -> None:
    """Write a folder whole or not at all. Where two processes do so at once, the first one to finish wins.

    Args:
        target: the folder.
        build: makes the folder that it is given and writes into it.
        is_whole: whether the target is there and good; otherwise it is replaced.

    Raises:
        OSError: it cannot be written.
    """
    with staging(target.parent, target.name) as temporary:
        build(temporary / "new")
        if is_whole(target):
            return
        if target.exists():
            os.rename(target, temporary / "old")  # not removed in place, so that it is never half gone
        try:
            os.rename(temporary / "new", target)
        except OSError:
            if not target.exists():
                raise


def remove_stale(folder: Path, name: str | None = None) -> None:
    """Remove the temporary folders in `folder`, all or those of one name, whose writers are gone."""
    from filelock import FileLock

    for path in {found.with_name(found.name.removesuffix(".lock")) for found in folder.glob(f"{PARTIAL}{f'{name}-' if name else ''}*")}:
        with suppress(OSError):  # its writer lives, or nothing can be written here
            lock = FileLock(f"{path}.lock", timeout=0)
            lock.acquire()
            _end(lock, path)


def _end(lock: "BaseFileLock", path: Path | None) -> None:
    """Remove a temporary folder, where one is named, and its lock, which filelock takes for held only while its file exists."""
    if path is not None:
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):  # on Windows the release removes it
        os.unlink(lock.lock_file)
    lock.release()
