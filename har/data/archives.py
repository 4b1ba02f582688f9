"""The download of a data set, and read-only access to its files: an extracted folder, a zip, or a zip inside a zip."""

import hashlib
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from har.contract import LABELS
from har.data.windowset import Description
from har.errors import HarError
from har.files import remove_stale, staging

if TYPE_CHECKING:
    from rich.progress import Progress

MAX_MEMBERS = 10_000  # the official archive has 74
MAX_DECLARED_BYTES = 2**30  # of all members together; the official archive unpacks to 282,568,739
MAX_RATIO = 100  # of a large member; the signal files are deflated to a sixth, a bomb to a thousandth
RATIO_FROM_BYTES = 2**20  # repetitive small files, such as the subjects' numbers, are deflated to 1/234 without harm


def check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive with a member that no honest archive has.

    Members are read by name into memory and nothing is ever extracted, so a member's name cannot place a file outside a
    folder: traversal names and links are harmless here. They are refused all the same, because the user may extract the
    archive with another tool, and an archive that holds them is not the published one.

    Raises:
        HarError: an absolute name, a name that climbs out of its folder, a symbolic link, a duplicate, an encrypted
            member, too many members, or a declared size or ratio that no data set has.
    """
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise HarError(
            "archive-unsafe", f"{path} has {len(members):,} members, expected at most {MAX_MEMBERS:,}; this is not a data set's archive"
        )
    seen: set[str] = set()
    for member in members:
        reason = _harm(member, seen)
        if reason:
            raise HarError(
                "archive-unsafe",
                f"{path}: member {member.filename[:80]!r} {reason}; refused, download the archive from its official address",
            )
        seen.add(member.filename)
    declared = sum(member.file_size for member in members)
    if declared > MAX_DECLARED_BYTES:
        raise HarError(
            "archive-unsafe", f"{path} unpacks to {declared:,} bytes, expected at most {MAX_DECLARED_BYTES:,}; refused as a zip bomb"
        )


def _harm(member: zipfile.ZipInfo, seen: set[str]) -> str | None:
    # Some tools take a backslash for a separator, so it counts as one.
    name = member.filename.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute name"
    if ".." in name.split("/"):
        return "climbs out of its folder"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link"
    if member.filename in seen:
        return "appears twice"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.file_size > RATIO_FROM_BYTES and member.file_size > MAX_RATIO * max(member.compress_size, 1):
        return f"unpacks from {member.compress_size:,} to {member.file_size:,} bytes, as a zip bomb does"
    return None


MAX_BYTES = 512 * 2**20  # of a download: the largest archive has 80 MB; a server that sends for ever is stopped here
CHUNK_BYTES, TIMEOUT_S = 2**18, 30.0  # of a download; the seconds are those without a byte
MAX_INNER_BYTES = 512 * 2**20  # the official inner archive has 61 MB; a larger one is not ours
END_RECORD, END_RECORD_BYTES = b"PK\5\6", 22  # APPNOTE 4.3.16, without its comment
MAX_FILE_BYTES = 128 * 2**20  # the largest file read has 15 MB; a zip bomb stops here

Reader = Callable[[str], bytes]


def broken(what: str) -> HarError:
    """What to say of a file of an archive that is not as it was published."""
    return HarError("archive-broken", f"{what}; download the archive again")


@dataclass(frozen=True)
class ArchiveLayout(Description):
    """A data set that is read from its published archive, and how the archive is recognised.

    Attributes:
        number: of the data set in the UCI repository.
        folder: that the archive unpacks to.
        marker: a file that stands in every copy.
        files: patterns of the files that decide the content, below the folder.
        sha256: of the official download, whose address is `url`; empty where none was published.
    """

    number: int
    folder: str
    marker: str
    files: tuple[str, ...]
    sha256: str = ""

    @property
    def zip_name(self) -> str:
        """The archive inside the official download."""
        return f"{self.folder}.zip"


VOLUNTEERS = "thirty volunteers aged 19 to 48 with one phone model (Samsung Galaxy S II)"
SHARED: dict[str, Any] = {  # by both data sets, which are of the same recordings
    "placement": "at the waist",
    "axes": "x up along the body",  # measured: the median total_acc_x of standing subjects is 1.0 g
    "terms": "CC BY 4.0 on the UCI page; the archive's own README asks for the citation and prohibits commercial use",
    "limits": "Sitting and standing differ little at the waist; nearly all errors are between them.",
    "official": True,
}
UCI_HAR = ArchiveLayout(
    "uci-har",
    "UCI HAR",
    LABELS,
    number=240,
    folder="UCI HAR Dataset",
    marker="activity_labels.txt",
    files=("*.txt", "t*/**/*.txt"),
    url="https://archive.ics.uci.edu/static/public/240/human+activity+recognition+using+smartphones.zip",
    sha256="c00b803081a5c797cd5e4b83700a9810b38d53d9d84e01917e090e1fdbc81031",  # 61,005,872 bytes
    people=f"{VOLUNTEERS}, six scripted activities in a laboratory",
    cite="D. Anguita et al., A Public Domain Dataset for Human Activity Recognition Using Smartphones, ESANN 2013",
    **SHARED,
)
HAPT = ArchiveLayout(
    "hapt",
    "HAPT",
    LABELS,
    number=341,
    folder="HAPT Data Set",
    marker="RawData/labels.txt",
    files=("activity_labels.txt", "RawData/*.txt"),
    url="https://archive.ics.uci.edu/static/public/341/smartphone+based+recognition+of+human+activities+and+postural+transitions.zip",
    people=f"{VOLUNTEERS}, scripted activities and the postural transitions between them in a laboratory",
    cite="J. L. Reyes-Ortiz et al., Transition-Aware Human Activity Recognition Using Smartphones, Neurocomputing 2016",
    **SHARED,
)


def find_source(archive: Path | str | None, downloads: Path, layout: ArchiveLayout = UCI_HAR) -> Path | None:
    """Where a copy of a data set is: `archive`, else in the folder named by HAR_DATA_DIR, else an earlier download.

    Returns:
        A zip file or a folder, or None where there is no copy and none was named.

    Raises:
        HarError: a named place does not exist or holds no copy.
    """
    if archive is not None:
        path = Path(archive).expanduser()
        if not path.exists():
            raise HarError(
                "archive-missing", f"no archive at {path}; expected the {layout.title} zip file or the folder it was extracted to"
            )
        if path.is_dir():
            return _in_folder(path, layout) or path
        return path
    named = os.environ.get("HAR_DATA_DIR")
    if named:
        folder = Path(named).expanduser()
        if not folder.is_dir():
            raise HarError(
                "archive-missing", f"HAR_DATA_DIR names {folder}, which is not a folder; expected the folder that holds {layout.zip_name!r}"
            )
        found = _in_folder(folder, layout)
        if found is None:
            raise HarError(
                "archive-missing", f"HAR_DATA_DIR names {folder}, which holds neither {layout.zip_name!r} nor a folder {layout.folder!r}"
            )
        return found
    return _in_folder(downloads, layout) if downloads.is_dir() else None


def _in_folder(folder: Path, layout: ArchiveLayout) -> Path | None:
    if (folder / layout.marker).is_file():
        return folder
    for name in (layout.folder, layout.zip_name, PurePosixPath(layout.url).name):
        if (folder / name).exists():
            return folder / name
    return None


def fetch(folder: Path, url: str, sha256: str, *, check: Callable[[Path], None] | None = None, progress: bool = True) -> Path:
    """Download a file once, with a progress bar, and check its SHA-256 or, where none is known, its content.

    It has its name only after that; a broken download leaves nothing.

    Args:
        folder: gets the file.
        url: of the file, whose last part is its name.
        sha256: of the file; empty where none was published.
        check: raises `HarError` where the content is not to be used. The file is then set aside as ``NAME.refused``, for the user to
            look at.
        progress: show a progress bar.

    Raises:
        HarError: the address cannot be reached, the folder cannot be written or the file is not the expected one.
        ValueError: there is neither a checksum nor a check.
    """
    if not sha256 and check is None:
        raise ValueError("a download needs a checksum or a check of its content")
    import pooch
    import requests
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress

    target = folder / PurePosixPath(url).name
    pooch.get_logger().setLevel("WARNING")  # it reports the temporary file, and the checksum of a file that has none
    try:
        if target.is_file() and sha256 in ("", _file_digest(target)):
            return target
        remove_stale(folder)
        with (
            staging(folder, target.name) as temporary,
            Progress(*Progress.get_default_columns(), DownloadColumn(), console=Console(stderr=True), disable=not progress) as bar,
        ):
            downloader = pooch.HTTPDownloader(progressbar=_Bar(bar, target.name, url), chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S)
            found = Path(pooch.retrieve(url, f"sha256:{sha256}" if sha256 else None, target.name, temporary, downloader=downloader))
            if check is not None:
                _check_download(found, url, check, target.with_name(f"{target.name}.refused"))
            os.replace(found, target)
    except requests.RequestException as error:
        reason = f"cannot download {url} ({type(error).__name__}); check the network"
        raise HarError("download", f"{reason}, or name a copy with --archive PATH or HAR_DATA_DIR") from None
    except ValueError as error:  # pooch: the checksum differs
        reason = str(error).split(". ")[0]
        raise HarError(
            "download", f"the download from {url} is not the expected file ({reason}); try again, or name a copy with --archive"
        ) from None
    except OSError as error:
        raise HarError(
            "file", f"cannot write the download into {folder} ({error.strerror}); free some space or set HAR_CACHE_DIR"
        ) from None
    return target


class _Bar:
    """What pooch draws a download on, a bar of rich with the methods of one of tqdm; it ends one that goes on for ever."""

    total = 0

    def __init__(self, bar: "Progress", name: str, url: str) -> None:
        self._bar, self._task, self._url, self._received = bar, bar.add_task(name, total=None), url, 0

    def update(self, count: int) -> None:
        self._received += count
        if self._received > MAX_BYTES:
            raise HarError(
                "download", f"{self._url} sends more than {MAX_BYTES // 2**20} MiB; it is no archive of ours; name a copy with --archive"
            )
        self._bar.update(self._task, total=self.total or None, advance=count)

    def reset(self) -> None:
        self._bar.update(self._task, completed=0)
        self._received = 0  # pooch fills the bar at the end

    def close(self) -> None:
        pass


def _check_download(found: Path, url: str, check: Callable[[Path], None], refused: Path) -> None:
    try:
        check(found)
    except HarError as error:
        os.replace(found, refused)
        reason = str(error).replace(str(found), refused.name)
        raise HarError(
            "download", f"the download from {url} is not the expected one: {reason}; it is kept as {refused} and not used"
        ) from None


@contextmanager
def open_source(path: Path, layout: ArchiveLayout = UCI_HAR) -> Iterator[tuple[Reader, str]]:
    """Open a copy of a data set.

    Yields:
        A function from a name such as ``train/y_train.txt`` to the file's bytes, and the SHA-256 of the source.

    Raises:
        HarError: the zip is corrupt, truncated or another data set; the reader raises it for a file that is missing or broken.
    """
    if path.is_dir():
        yield _folder_reader(path, layout), folder_digest(path, layout.files) or ""
        return
    try:
        with zipfile.ZipFile(path) as archive:
            _check_end(archive, path)
            yield _zip_reader(archive, path, layout), _file_digest(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:  # RuntimeError: encrypted
        raise HarError(
            "download", f"{path} is not a whole zip file ({error}); download it again or name another copy with --archive"
        ) from None


def _check_end(archive: zipfile.ZipFile, path: Path) -> None:
    """A zip in a zip that lost its tail still ends, for zipfile, where the inner one does; refuse what follows an end."""
    length = END_RECORD_BYTES + len(archive.comment)
    with open(path, "rb") as file:
        file.seek(-length, io.SEEK_END)
        if not file.read(length).startswith(END_RECORD):
            raise zipfile.BadZipFile("there is something behind its end record")


def _folder_reader(folder: Path, layout: ArchiveLayout) -> Reader:
    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise HarError(
                "archive-broken",
                f"{folder / name} cannot be read ({error.strerror}); expected an extracted {layout.folder!r}; extract the archive again",
            ) from None

    return read


def folder_digest(folder: Path, patterns: Iterable[str]) -> str | None:
    """SHA-256 of the names and contents of the files below a folder that fit the patterns; None where there is none."""
    digest = hashlib.sha256()
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    for path in paths:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{_file_digest(path)}\0".encode())
    return digest.hexdigest() if paths else None


def _file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _zip_reader(archive: zipfile.ZipFile, path: Path, layout: ArchiveLayout) -> Reader:
    check_members(archive, path)
    members = _members(archive, layout)
    if layout.marker in members:
        return lambda name: _read_member(archive, members, name, path, layout, MAX_FILE_BYTES)
    inner = {PurePosixPath(name).name: name for name in archive.namelist() if not name.startswith("__MACOSX")}
    if layout.zip_name not in inner:
        raise HarError(
            "archive-broken",
            f"{path} holds no {layout.folder!r}; expected the {layout.title} archive (UCI data set {layout.number}), "
            f"found {len(inner)} other files",
        )
    content = _read_member(archive, {layout.zip_name: inner[layout.zip_name]}, layout.zip_name, path, layout, MAX_INNER_BYTES)
    nested = zipfile.ZipFile(io.BytesIO(content))
    check_members(nested, path)
    nested_members = _members(nested, layout)
    return lambda name: _read_member(nested, nested_members, name, path, layout, MAX_FILE_BYTES)


def _members(archive: zipfile.ZipFile, layout: ArchiveLayout) -> dict[str, str]:
    """Names below the data set's folder, to names in the zip; files of macOS are left out."""
    names = (name for name in archive.namelist() if not name.startswith("__MACOSX"))
    prefixes = [name.removesuffix(layout.marker) for name in names if f"/{name}".endswith(f"/{layout.marker}")]
    if not prefixes:
        return {}
    prefix = min(prefixes, key=len)
    return {name.removeprefix(prefix): name for name in archive.namelist() if name.startswith(prefix)}


def _read_member(archive: zipfile.ZipFile, members: dict[str, str], name: str, path: Path, layout: ArchiveLayout, limit: int) -> bytes:
    if name not in members:
        raise HarError("download", f"{path} has no file {name}; expected the whole {layout.title} archive; download it again")
    # The header may lie about the size, so the limit is also kept while the member is unpacked.
    with archive.open(members[name]) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise HarError(
            "archive-unsafe", f"{path}: {name} unpacks to more than {limit // 2**20} MiB; this is not the {layout.title} archive"
        )
    return content


def read_table(read_file: Reader, name: str) -> np.ndarray:
    """A text file of numbers: (row, column) float64, finite.

    Raises:
        HarError: the file is missing, empty, no table of numbers, or holds a value that is not finite.
    """
    content = read_file(name)
    if not content.strip():
        raise broken(f"{name} is empty")
    try:
        table = np.loadtxt(io.BytesIO(content), dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise broken(f"{name} is not a table of numbers ({str(error).split(';')[0].rstrip('.')})") from None
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        raise broken(f"{name} has a value that is not finite in row {bad[0][0] + 1}, column {bad[0][1] + 1}")
    return table


def read_integers(read_file: Reader, name: str) -> np.ndarray:
    """A text file of whole numbers: (row, column) int64.

    Raises:
        HarError: as `read_table`, or a number has a fraction.
    """
    table = read_table(read_file, name)
    if (table % 1 != 0).any():
        raise broken(f"{name} holds {table[table % 1 != 0][0]:g}; expected whole numbers")
    return table.astype(np.int64)


def check_activities(read_file: Reader, expected: tuple[str, ...]) -> None:
    """Refuse an archive whose activity_labels.txt names other activities.

    Raises:
        HarError: with what it names.
    """
    lines = [line.split() for line in read_file("activity_labels.txt").decode("ascii", "replace").split("\n")]
    found = tuple(words[1] for words in lines if len(words) == 2)
    if found != expected:
        raise HarError("archive-broken", f"activity_labels.txt names {', '.join(found) or 'nothing'}; expected {', '.join(expected)}")
