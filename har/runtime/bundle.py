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
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from har.contract import SignalSpec
from har.errors import HarError, nearest
from har.redaction import shown
from har.runtime.manifest import MALFORMED, MANIFEST, MODEL, MODELS, STREAMING, VECTORS, read_manifest

T = TypeVar("T")
# The trained bundles that come with the project: in a clone, and in an installed package.
PLACES = (Path(__file__).parents[2] / "export" / "pretrained", Path(__file__).parents[1] / "pretrained")
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux, linux/fcntl.h and linux/fs.h


@dataclass(frozen=True)
class Bundle:
    """A folder with a model and its manifest, checked.

    Attributes:
        folder: where it is.
        manifest: in the format that is written, whichever was read, with the defaults of what it leaves out.
    """

    folder: Path
    manifest: dict[str, Any]

    @cached_property
    def spec(self) -> SignalSpec:
        """What the model reads and names."""
        return SignalSpec.from_json(self.manifest["spec"])

    @property
    def labels(self) -> list[str]:
        """Names of the activities, in the order of the probabilities."""
        return list(self.spec.labels)

    @property
    def synthetic(self) -> bool:
        """Whether the model was trained on generated data."""
        return any(dataset.get("synthetic", False) for dataset in self.manifest["datasets"])

    @property
    def datasets(self) -> str:
        """Names of the data sets that it was trained on."""
        return " and ".join(dataset["name"] for dataset in self.manifest["datasets"]) or "data that it does not name"

    @property
    def main(self) -> str:
        """Name of the ONNX file: one that reads windows, or one that carries a state from sample to sample."""
        return STREAMING if self.manifest["stream"]["kind"] == "state" else MODEL

    @property
    def models(self) -> list[str]:
        """Names of its ONNX files that name activities, the main one first."""
        return [self.main, *(name for name in MODELS if name in self.manifest["files"] and name != self.main)]

    def vectors(self) -> dict[str, Any]:
        """Content of the file of golden windows, or of the golden stream."""
        return json.loads((self.folder / VECTORS).read_text(encoding="utf-8"))

    def tolerance(self, model: str) -> float:
        """Largest accepted difference of a golden probability."""
        return float(self.manifest["files"][model].get("tolerance", self.manifest["tolerance"]))

    def variant_path(self, name: str) -> Path:
        """One of the bundle's ONNX files.

        Raises:
            HarError: the bundle has no such file; why stands in its manifest.
        """
        if name not in self.models:
            left_out = self.manifest["left_out"].get(name)
            reason = f" ({left_out['reason']})" if left_out else ""
            raise HarError("bundle-missing", f"{self.folder} has no {name}{reason}; it has {', '.join(self.models)}")
        return self.folder / name


def golden_values(vectors: dict[str, Any]) -> np.ndarray:
    """(window, time, channel) float32 of ``test_vectors.json``, or (time, channel) of a stream; there whole multiples of ``unit``."""
    whole = vectors["windows"] if "windows" in vectors else vectors["samples"]
    return (np.asarray(whole, dtype=np.float64) * vectors["unit"]).astype(np.float32)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_bundle(folder: Path | str) -> Bundle:
    """Read and check a bundle.

    Raises:
        HarError: the folder is no bundle, its manifest does not hold (`read_manifest`), or a file is missing or was changed.
    """
    folder = Path(folder)
    try:
        manifest = read_manifest(folder / MANIFEST)
    except OSError:
        beside = sorted(path.parent.name for path in folder.parent.glob(f"*/{MANIFEST}"))
        others = f", or take {' or '.join(str(folder.parent / name) for name in beside)}" if beside else ""
        raise HarError("bundle-missing", f"no bundle at {folder}: {MANIFEST} is missing; make one with har export{others}") from None
    for name, entry in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise HarError(
                "bundle-changed", f"{folder}: the manifest names {name!r}, which is not there; copy the whole folder or export again"
            )
        if sha256(path) != entry["sha256"]:
            raise HarError(
                "bundle-changed",
                f"{path} is not the file that was exported (its SHA-256 differs from the manifest); do not use it, export again",
            )
    return Bundle(folder, manifest)


def pretrained(name: str = "default") -> Path:
    """Folder of a bundle that came with the project.

    Raises:
        HarError: there is none of that name.
    """
    found = {path.parent.name: path.parent for place in reversed(PLACES) for path in place.glob(f"*/{MANIFEST}")}
    if name in found:
        return found[name]
    names = sorted(found)
    if not names:
        raise HarError("name-unknown", "no pretrained bundle came with this installation; export one: har export")
    raise HarError("name-unknown", f"no pretrained bundle {name!r}; {nearest(name, names)}")


def find_bundle(folder: Path | None) -> Path:
    """The bundle that was named, by its folder or as a pretrained one; by default the pretrained default."""
    if folder is None:
        return pretrained()
    if len(folder.parts) == 1 and not folder.exists():
        with contextlib.suppress(HarError):
            return pretrained(folder.name)
    return folder


def bundle_line(bundle: Bundle) -> str:
    """Which bundle answers: its name, model, data set and folder, in one line."""
    data = f"{bundle.datasets}{', SYNTHETIC data' * bundle.synthetic}"
    return shown(f"bundle {bundle.folder.resolve().name}: {bundle.manifest['model']} trained on {data}, {bundle.folder}")


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
            raise HarError(
                "bundle-invalid", f"{folder} is not a bundle of this version ({type(error).__name__}: {error}); export again"
            ) from None
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
