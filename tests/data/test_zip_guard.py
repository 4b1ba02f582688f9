"""Archives that were made to do harm are refused in one line, and nothing is written."""

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from har.data import archives, uci_har
from har.data.archives import UCI_HAR, open_source
from har.errors import HarError
from tests.helpers import zip_folder


def with_member(name: str, content: bytes = b"x", mode: int = 0) -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = mode << 16
        archive.writestr(info, content)

    return add


HOSTILE: dict[str, tuple[Callable[[zipfile.ZipFile], None], str]] = {
    "traversal": (with_member("../../evil.txt"), "climbs out of its folder"),
    "traversal inside": (with_member("UCI HAR Dataset/../../evil.txt"), "climbs out of its folder"),
    "traversal by backslash": (with_member("UCI HAR Dataset\\..\\..\\evil.txt"), "climbs out of its folder"),
    "absolute": (with_member("/tmp/evil.txt"), "has an absolute name"),
    "drive": (with_member("C:/evil.txt"), "has an absolute name"),
    "share": (with_member("\\\\server\\evil.txt"), "has an absolute name"),
    "symbolic link": (with_member("UCI HAR Dataset/link", b"/etc/passwd", stat.S_IFLNK | 0o777), "is a symbolic link"),
    "ratio": (with_member("UCI HAR Dataset/zeros", b"\0" * 5_000_000), "as a zip bomb does"),
}


def read(path: Path) -> object:
    with open_source(path) as (read_file, _):
        return uci_har.read(read_file)


def refused(path: Path, message: str) -> None:
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(HarError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert sorted(path.parent.rglob("*")) == before


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_member_is_refused(kind: str, nested: bool, uci_har_folder: Path, tmp_path: Path) -> None:
    add, message = HOSTILE[kind]
    path = zip_folder(uci_har_folder, tmp_path / UCI_HAR.zip_name)
    with zipfile.ZipFile(path, "a") as archive:
        add(archive)
    if nested:
        with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
            outer.write(path, UCI_HAR.zip_name)
        path = tmp_path / "outer.zip"
    refused(path, message)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_duplicate_member_is_refused(uci_har_folder: Path, tmp_path: Path) -> None:
    path = zip_folder(uci_har_folder, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("UCI HAR Dataset/train/y_train.txt", "6\n")
    refused(path, "'UCI HAR Dataset/train/y_train.txt' appears twice")


def patch_directory(path: Path, name: str, offset: int, value: bytes) -> None:
    """Overwrite a field of a member's entry in the central directory (APPNOTE 4.3.12)."""
    content = bytearray(path.read_bytes())
    place = content.rindex(name.encode()) - 46
    assert content[place : place + 4] == b"PK\x01\x02"
    content[place + offset : place + offset + len(value)] = value
    path.write_bytes(content)


def test_an_encrypted_member_is_refused(uci_har_folder: Path, tmp_path: Path) -> None:
    path = zip_folder(uci_har_folder, tmp_path / "a.zip")
    patch_directory(path, "UCI HAR Dataset/train/y_train.txt", 8, struct.pack("<H", 1))
    refused(path, "is encrypted")


def test_a_bomb_by_declared_size_is_refused(uci_har_folder: Path, tmp_path: Path) -> None:
    path = zip_folder(uci_har_folder, tmp_path / "a.zip")
    patch_directory(path, "UCI HAR Dataset/train/y_train.txt", 24, struct.pack("<I", 2**31))
    refused(path, "as a zip bomb does")
    patch_directory(path, "UCI HAR Dataset/train/y_train.txt", 20, struct.pack("<I", 2**30))
    refused(path, "refused as a zip bomb")


@pytest.mark.parametrize("declared", [0, 10, 60_000])
def test_a_member_that_lies_about_its_size_is_refused(declared: int, uci_har_folder: Path, tmp_path: Path) -> None:
    """The real size never counts: reading stops at the declared one, and then the checksum differs."""
    path = zip_folder(uci_har_folder, tmp_path / "a.zip")
    patch_directory(path, "UCI HAR Dataset/train/Inertial Signals/body_acc_x_train.txt", 24, struct.pack("<I", declared))
    refused(path, "is not a whole zip file|is empty")


def test_too_many_members_are_refused(uci_har_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    refused(zip_folder(uci_har_folder, tmp_path / "a.zip"), "members, expected at most 5")
