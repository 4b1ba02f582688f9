"""Refuse a zip file that was made to do harm, before a member of it is read."""

import re
import stat
import zipfile
from pathlib import Path

from har.contract import HarError

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
        raise HarError(f"{path} has {len(members):,} members, expected at most {MAX_MEMBERS:,}; this is not a data set's archive")
    seen: set[str] = set()
    for member in members:
        reason = _harm(member, seen)
        if reason:
            raise HarError(f"{path}: member {member.filename[:80]!r} {reason}; refused, download the archive from its official address")
        seen.add(member.filename)
    declared = sum(member.file_size for member in members)
    if declared > MAX_DECLARED_BYTES:
        raise HarError(f"{path} unpacks to {declared:,} bytes, expected at most {MAX_DECLARED_BYTES:,}; refused as a zip bomb")


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
