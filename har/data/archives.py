"""Read-only access to the files of a data set: an extracted folder, a zip, a zip inside a zip, or the download."""

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from har.contract import HarError

OUTER_URL = "https://archive.ics.uci.edu/static/public/240/human+activity+recognition+using+smartphones.zip"
OUTER_SHA256 = "c00b803081a5c797cd5e4b83700a9810b38d53d9d84e01917e090e1fdbc81031"  # 61,005,872 bytes, UCI data set 240
INNER_NAME = "UCI HAR Dataset.zip"
FOLDER_NAME = "UCI HAR Dataset"
MAX_INNER_BYTES = 512 * 2**20  # the official inner archive has 61 MB; a larger one is not ours
END_RECORD, END_RECORD_BYTES = b"PK\5\6", 22  # APPNOTE 4.3.16, without its comment
MAX_FILE_BYTES = 128 * 2**20  # the largest file read has 15 MB; a zip bomb stops here

Reader = Callable[[str], bytes]


def find_source(archive: Path | str | None, downloads: Path) -> Path | None:
    """Where a copy of UCI HAR is: `archive`, else in the folder named by HAR_DATA_DIR, else an earlier download.

    Returns:
        A zip file or a folder, or None where there is no copy and none was named.

    Raises:
        HarError: a named place does not exist or holds no copy.
    """
    if archive is not None:
        path = Path(archive).expanduser()
        if not path.exists():
            raise HarError(f"no archive at {path}; expected the UCI HAR zip file or the folder it was extracted to")
        if path.is_dir():
            return _in_folder(path) or path
        return path
    named = os.environ.get("HAR_DATA_DIR")
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise HarError(f"HAR_DATA_DIR names {folder}, which is not a folder; expected the folder that holds {INNER_NAME!r}")
        found = _in_folder(folder)
        if found is None:
            raise HarError(f"HAR_DATA_DIR names {folder}, which holds neither {INNER_NAME!r} nor a folder {FOLDER_NAME!r}")
        return found
    return _in_folder(downloads) if downloads.is_dir() else None


def _in_folder(folder: Path) -> Path | None:
    if (folder / "activity_labels.txt").is_file():
        return folder
    for name in (FOLDER_NAME, INNER_NAME, PurePosixPath(OUTER_URL).name):
        if (folder / name).exists():
            return folder / name
    return None


def download(downloads: Path, *, url: str = OUTER_URL, sha256: str = OUTER_SHA256) -> Path:
    """Fetch the official archive once, with a progress bar, and check its SHA-256.

    Raises:
        HarError: the address cannot be reached or the file is not the official one; nothing is kept then.
    """
    import pooch
    import requests

    name = PurePosixPath(url).name
    try:
        return Path(pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name, path=downloads, progressbar=True))
    except requests.RequestException as error:
        raise HarError(
            f"cannot download {url} ({type(error).__name__}); check the network, or name a copy with --archive PATH or HAR_DATA_DIR"
        ) from None
    except ValueError as error:
        raise HarError(f"the download from {url} is not the expected file ({error}); try again, or name a copy with --archive") from None


@contextmanager
def open_source(path: Path) -> Iterator[tuple[Reader, str]]:
    """Open a copy of UCI HAR.

    Yields:
        A function from a name such as ``train/y_train.txt`` to the file's bytes, and the SHA-256 of the source.

    Raises:
        HarError: the zip is corrupt, truncated or not UCI HAR; the reader raises it for a file that is missing or broken.
    """
    if path.is_dir():
        yield _folder_reader(path), _folder_digest(path)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            _check_end(archive, path)
            yield _zip_reader(archive, path), _file_digest(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:  # RuntimeError: encrypted
        raise HarError(f"{path} is not a whole zip file ({error}); download it again or name another copy with --archive") from None


def _check_end(archive: zipfile.ZipFile, path: Path) -> None:
    """A zip in a zip that lost its tail still ends, for zipfile, where the inner one does; refuse what follows an end."""
    length = END_RECORD_BYTES + len(archive.comment)
    with open(path, "rb") as file:
        file.seek(-length, io.SEEK_END)
        if not file.read(length).startswith(END_RECORD):
            raise zipfile.BadZipFile("there is something behind its end record")


def _folder_reader(folder: Path) -> Reader:
    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise HarError(
                f"{folder / name} cannot be read ({error.strerror}); expected an extracted {FOLDER_NAME!r}; extract the archive again"
            ) from None

    return read


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.txt")) + sorted(folder.glob("t*/**/*.txt")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _zip_reader(archive: zipfile.ZipFile, path: Path) -> Reader:
    members = _members(archive)
    if "activity_labels.txt" in members:
        return lambda name: _read_member(archive, members, name, path, MAX_FILE_BYTES)
    inner = {PurePosixPath(name).name: name for name in archive.namelist() if not name.startswith("__MACOSX")}
    if INNER_NAME not in inner:
        raise HarError(f"{path} holds no {FOLDER_NAME!r}; expected the UCI HAR archive (UCI data set 240), found {len(inner)} other files")
    content = _read_member(archive, {INNER_NAME: inner[INNER_NAME]}, INNER_NAME, path, MAX_INNER_BYTES)
    nested = zipfile.ZipFile(io.BytesIO(content))
    nested_members = _members(nested)
    return lambda name: _read_member(nested, nested_members, name, path, MAX_FILE_BYTES)


def _members(archive: zipfile.ZipFile) -> dict[str, str]:
    """Names below the data set's folder, to names in the zip; files of macOS are left out."""
    names = (name for name in archive.namelist() if not name.startswith("__MACOSX"))
    roots = {str(PurePosixPath(n).parent): n for n in names if PurePosixPath(n).name == "activity_labels.txt"}
    if not roots:
        return {}
    root = min(roots, key=len)
    prefix = "" if root == "." else root + "/"
    return {name.removeprefix(prefix): name for name in archive.namelist() if name.startswith(prefix)}


def _read_member(archive: zipfile.ZipFile, members: dict[str, str], name: str, path: Path, limit: int) -> bytes:
    if name not in members:
        raise HarError(f"{path} has no file {name}; expected the whole UCI HAR archive; download it again")
    with archive.open(members[name]) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise HarError(f"{path}: {name} unpacks to more than {limit // 2**20} MiB; this is not the UCI HAR archive")
    return content
