"""A download that goes on where a broken connection left it."""

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from har.contract import HarError

CHUNK_BYTES = 2**18
TIMEOUT_S = 30.0  # without a byte from the server
MAX_BYTES = 512 * 2**20  # the largest archive has 80 MB; a server that goes on for ever stops here
STALLS = 3  # broken connections in a row that brought not a single byte before it is given up

Check = Callable[[Path], None]


def fetch(folder: Path, url: str, sha256: str | None, *, check: Check | None = None, progress: bool = True) -> Path:
    """Fetch a file once, with a progress bar, and check its SHA-256 or, where none is known, its content.

    A partial file stays beside the target after a broken connection, and the next call asks for the rest of it
    (HTTP Range, RFC 9110 section 14). A file whose checksum is wrong is removed, partial file included.

    Args:
        folder: gets the file.
        url: of the file.
        sha256: of the file; None where nobody has published one.
        check: then, gets the file before it has its name and raises `HarError` if it is not to be used; it is set aside as
            ``NAME.refused``, so that nothing finds it by itself and a person can look at it.
        progress: show a progress bar.

    Returns:
        The file below `folder`, named as in `url`.

    Raises:
        HarError: the address cannot be reached, the folder cannot be written or the file is not the expected one.
        ValueError: there is neither a checksum nor a check.
    """
    if sha256 is None and check is None:
        raise ValueError("a download needs a checksum or a check of its content")
    import pooch
    import requests
    from filelock import FileLock

    name = PurePosixPath(url).name
    partial = folder / f".{name}.part"
    lock = folder / f".{name}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):  # two processes must not append to one partial file
            download = _downloader(partial, progress)
            if sha256 is None:
                assert check is not None
                return _checked(folder / name, url, download, check)
            return Path(pooch.retrieve(url, f"sha256:{sha256}", fname=name, path=folder, downloader=download))
    except requests.RequestException as error:
        kept = f"{partial.stat().st_size:,} bytes are kept and the next try goes on from there; " if partial.exists() else ""
        raise HarError(
            f"cannot download {url} ({type(error).__name__}); {kept}check the network, or name a copy with --archive PATH or HAR_DATA_DIR"
        ) from None
    except ValueError as error:  # pooch: the checksum differs
        raise HarError(f"the download from {url} is not the expected file ({error}); try again, or name a copy with --archive") from None
    except OSError as error:
        raise HarError(f"cannot write the download into {folder} ({error.strerror}); free some space or set HAR_CACHE_DIR") from None
    finally:
        if lock.is_file():
            lock.unlink(missing_ok=True)


def _checked(target: Path, url: str, download: Callable[..., None], check: Check) -> Path:
    if target.is_file():
        return target
    unchecked, refused = target.with_name(f".{target.name}.unchecked"), target.with_name(f"{target.name}.refused")
    try:
        download(url, str(unchecked), None)
        check(unchecked)
    except HarError as error:
        os.replace(unchecked, refused)
        reason = str(error).replace(str(unchecked), refused.name)
        raise HarError(f"the download from {url} is not the expected one: {reason}; it is kept as {refused} and not used") from None
    else:
        os.replace(unchecked, target)
    finally:
        unchecked.unlink(missing_ok=True)
    return target


def _downloader(partial: Path, progress: bool) -> Callable[..., None]:
    """What pooch calls with the address and the temporary file that it checks afterwards."""

    def download(url: str, output_file: str, _: Any) -> None:
        import requests

        stalls = 0
        while True:
            before = partial.stat().st_size if partial.exists() else 0
            try:
                _receive(url, partial, progress)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                gained = partial.exists() and partial.stat().st_size != before
                stalls = 0 if gained else stalls + 1
                if stalls >= STALLS or not partial.exists():
                    raise
        os.replace(partial, output_file)

    return download


def _receive(url: str, partial: Path, progress: bool) -> None:
    """Append what is missing to the partial file; start again where the server does not know parts."""
    import requests
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress

    have = partial.stat().st_size if partial.exists() else 0
    # Without identity the ranges would count compressed bytes.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return  # the partial file is whole
            partial.unlink()
            raise requests.ConnectionError("the partial file is longer than the file on the server; it was removed")
        response.raise_for_status()
        resumed = response.status_code == requests.codes.partial_content
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            partial.unlink(missing_ok=True)
            raise requests.ConnectionError("the server sent another part of the file than was asked for")
        have = have if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        with (
            open(partial, "ab" if resumed else "wb") as file,
            Progress(*Progress.get_default_columns(), DownloadColumn(), console=Console(stderr=True), disable=not progress) as bar,
        ):
            task = bar.add_task(partial.name[1:-5], total=total, completed=have)
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                bar.advance(task, len(chunk))
                if file.tell() > MAX_BYTES:
                    file.close()
                    partial.unlink()
                    raise HarError(f"{url} sends more than {MAX_BYTES // 2**20} MiB; it is no archive of ours; name a copy with --archive")
    if total is not None and partial.stat().st_size < total:
        raise requests.ConnectionError(f"the connection ended after {partial.stat().st_size:,} of {total:,} bytes")
