"""Read a bundle: its manifest, and proof that its files are the ones the manifest names."""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from har.contract import MANIFEST_SCHEMA_VERSION, HarError
from har.files import read_small

# What reading JSON of another structure raises; the last two where lists stand in lists without end, and for numbers beyond any float.
MALFORMED = (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)
T = TypeVar("T")
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux, linux/fcntl.h and linux/fs.h
MANIFEST, MODEL, STREAMING = "manifest.json", "model.onnx", "streaming.onnx"
VECTORS, CARD = "test_vectors.json", "MODEL_CARD.md"
REQUIRED = (
    *("schema_version", "model", "labels", "input", "output", "opset", "dataset", "synthetic", "files", "tolerance"),
    *("temperature", "unknown", "stream", "models"),
)


@dataclass(frozen=True)
class Bundle:
    """A folder with a model and its manifest, checked."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def labels(self) -> list[str]:
        """Names of the activities, in the order of the probabilities."""
        return self.manifest["labels"]

    @property
    def synthetic(self) -> bool:
        """Whether the model was trained on generated data."""
        return self.manifest["synthetic"]

    @property
    def main(self) -> str:
        """Name of the ONNX file: one that reads windows, or one that carries a state from sample to sample."""
        return STREAMING if self.manifest["stream"]["kind"] == "state" else MODEL

    @property
    def model_path(self) -> Path:
        """The ONNX file."""
        return self.folder / self.main

    def variant_path(self, name: str) -> Path:
        """One of the bundle's ONNX files.

        Raises:
            HarError: the bundle has no such file; why stands in its manifest.
        """
        entry = self.manifest["models"].get(name)
        if entry is None or "left_out" in entry:
            reason = f" ({entry['left_out']})" if entry else ""
            there = ", ".join(found for found, said in self.manifest["models"].items() if "left_out" not in said)
            raise HarError(f"{self.folder} has no {name}{reason}; it has {there}")
        return self.folder / name


def golden_values(vectors: dict[str, Any]) -> np.ndarray:
    """(window, time, channel) float32 of ``test_vectors.json``, or (time, channel) of a stream; there whole multiples of ``unit``."""
    whole = vectors["windows"] if "windows" in vectors else vectors["samples"]
    return (np.asarray(whole, dtype=np.float64) * vectors["unit"]).astype(np.float32)


def threshold(unknown: dict[str, Any]) -> float:
    """Least probability that is an answer, from an entry ``unknown`` of a manifest; 0 where every one is.

    Raises:
        HarError: it is no number from 0 to 1.
    """
    below = 0.0 if unknown["below"] is None else float(unknown["below"])
    if not 0.0 <= below <= 1.0:
        raise HarError(f"the manifest has unknown.below = {below}, expected a probability from 0 to 1 or null; export again: har export")
    return below


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_bundle(folder: Path | str) -> Bundle:
    """Read and check a bundle.

    Raises:
        HarError: the folder is no bundle, its schema is not known, or a file is missing or was changed.
    """
    folder = Path(folder)
    try:
        manifest = json.loads(read_small(folder / MANIFEST, "a bundle's manifest"))
    except OSError:
        beside = sorted(path.parent.name for path in folder.parent.glob(f"*/{MANIFEST}"))
        others = f", or take {' or '.join(str(folder.parent / name) for name in beside)}" if beside else ""
        raise HarError(f"no bundle at {folder}: {MANIFEST} is missing; make one with har export{others}") from None
    except (ValueError, RecursionError) as error:
        raise HarError(f"{folder / MANIFEST} is not valid JSON ({error}); export again: har export") from None
    if not isinstance(manifest, dict) or manifest.get("schema_version") != MANIFEST_SCHEMA_VERSION:
        found = manifest.get("schema_version") if isinstance(manifest, dict) else None
        raise HarError(
            f"{folder / MANIFEST} has schema version {found!r}, expected {MANIFEST_SCHEMA_VERSION}; export again with this version"
        )
    missing = [name for name in REQUIRED if name not in manifest]
    if missing:
        raise HarError(f"{folder / MANIFEST} has no entry {missing[0]!r}; export again: har export")
    check_labels(manifest["labels"], folder / MANIFEST)
    bundle = Bundle(folder, manifest)
    mounting = manifest.get("mounting") or {}
    shipped = [name for name, said in manifest["models"].items() if "left_out" not in said]
    for name in (bundle.main, VECTORS, *shipped, *(mounting[key] for key in ("estimator", "model") if key in mounting)):
        if name not in manifest["files"]:
            raise HarError(f"{folder / MANIFEST} names no checksum for {name}; export again: har export")
    for name, expected in manifest["files"].items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise HarError(f"{folder}: the manifest names {name!r}, which is not there; copy the whole folder or export again")
        if sha256(path) != expected:
            raise HarError(f"{path} is not the file that was exported (its SHA-256 differs from the manifest); do not use it, export again")
    return bundle


def check_labels(labels: Any, path: Path) -> None:
    """Refuse labels that a screen, a file or a person could take for something else.

    Raises:
        HarError: they are no list of different texts of one printable line, without a space at either end.
    """
    if not isinstance(labels, list) or not labels:
        raise HarError(f"{path} has labels {labels!r:.80}, expected a list of names of activities; export again: har export")
    for label in labels:
        if not isinstance(label, str) or not label.isprintable() or label != label.strip() or not label:
            raise HarError(f"{path} has a label {label!r:.80}, expected a name in one printable line; export again: har export")
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise HarError(f"{path} has the label {twice!r:.80} twice, expected different names; export again: har export")


def of_one_folder(read: Callable[[Path], T], folder: Path) -> T:
    """What `read` finds in the folder of a bundle; it is asked again where another folder took the place of this one meanwhile.

    Raises:
        HarError: as `read`; or a file of the bundle has another structure than it should, which nobody's checksum tells.
    """
    while True:
        before = _identity(folder)
        try:
            found = read(folder)
        except (HarError, OSError, *MALFORMED) as error:  # a file may be gone between two looks at it
            if _identity(folder) != before:
                continue
            if isinstance(error, (HarError, OSError)):
                raise
            raise HarError(f"{folder} is not a bundle of this version ({type(error).__name__}: {error}); export again") from None
        if _identity(folder) == before:
            return found


def _identity(folder: Path) -> tuple[int, int, int] | None:
    with contextlib.suppress(OSError):
        found = folder.stat()
        return found.st_dev, found.st_ino, found.st_ctime_ns  # a removed folder's number is soon given to another one
    return None


def replace_folder(new: Path, folder: Path) -> None:
    """Put the finished folder `new` where `folder` is; several processes may do so at once, and the last one's stays.

    Where the system can exchange two names at once (Linux), somebody who reads finds either the old or the new one at any moment, and
    so does whoever comes after a process that was killed. Elsewhere the old one is moved aside first, so that it is never half gone.

    Raises:
        OSError: the place cannot be written, or is no folder.
    """
    while True:
        try:
            os.rename(new, folder)  # nothing is there, or an empty folder
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if exchange(new, folder):
            shutil.rmtree(new, ignore_errors=True)
            return
        with (
            tempfile.TemporaryDirectory(prefix=f".{folder.name}.old-", dir=folder.parent, ignore_cleanup_errors=True) as aside,
            contextlib.suppress(FileNotFoundError),  # somebody else was faster
        ):
            os.rename(folder, Path(aside) / "old")


def exchange(one: Path, other: Path) -> bool:
    """Give each of two folders the other's name in one step; False where the system or the file system has no such step."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux
        return False
    return rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0
