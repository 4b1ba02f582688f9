"""Data sets that one file each brings: a name, its labels, and a function that reads a folder into recordings.

A loader is a function of a module, this package's or another's::

    def read(folder: Path) -> Iterator[Recording]: ...

    MINE = DataSet("mine", "My data", labels=("WALKING", "JOGGING"), read=read)

It gives raw sensors in the signal contract: total acceleration in g with gravity, angular velocity in rad/s, ``contract.AXES_CONVENTION``,
and a label for every sample, -1 where there is none. Everything else is done here: other rates are brought to 50 Hz, recordings are
filtered, cut, cached and split by subject as those of UCI HAR are. The entry point group ``har.datasets`` names the `DataSet`.

An activity that UCI HAR has carries UCI HAR's name (``WALKING_UPSTAIRS``), so that a model of one data set can be tried on another.
A number of a person is the same person in every data set: 1 to 30 are those of UCI HAR, so others begin above.
"""

import hashlib
import inspect
import logging
import os
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from har.contract import RAW6, SAMPLE_RATE_HZ, TEST_SUBJECTS, TRAIN_SUBJECTS
from har.data.archives import folder_digest
from har.data.windowset import Description, check_labels
from har.errors import HarError
from har.files import executed_code
from har.recording import UNLABELLED, Recording
from har.recording.limits import LIMITS_TEXT, check_outside, frozen, outside, within
from har.recording.rate import measure_rate
from har.signals.resampling import StreamResampler

ENTRY_POINTS = "har.datasets"
LOG = logging.getLogger(__name__)
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LABEL = re.compile(r"[A-Z][A-Z0-9_]*")
GRAVITY_G = (0.4, 3.0)  # of the median length of total acceleration: 1 at rest, more in a run; 9.8 in m/s^2, near 0 without gravity


@dataclass(frozen=True)
class DataSet(Description):
    """A data set that one file brings: its `Description`, whose labels are those of ``Recording.labels``, and how it is read.

    Attributes:
        read: from the folder of an extracted copy to its recordings; raises `HarError` where it is not what is expected.
        files: patterns of the files that decide the content, below the folder; where one changes, the windows are made again, and where
            the file with `read` in it changes, too.
        version: of the loader; where it changes, too: raise it when code changes that `read` calls elsewhere.

    Raises:
        HarError: a name or label is not of this form.
    """

    read: Callable[[Path], Iterable[Recording]]
    files: tuple[str, ...] = ("**/*.csv",)
    version: int = 1

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise HarError(
                "loader", f"data set {self.name!r} is no name; expected lower-case letters, digits and hyphens, such as motionsense"
            )
        wrong = [label for label in self.labels if not (isinstance(label, str) and LABEL.fullmatch(label))]
        if wrong or len(set(self.labels)) < max(2, len(self.labels)):
            what = f"label {wrong[0]!r}" if wrong else f"labels {', '.join(self.labels) or 'none'}"
            raise HarError("loader", f"data set {self.name} has {what}; expected two or more different names, such as WALKING_UPSTAIRS")


def find_folder(archive: Path | str | None, data: DataSet) -> Path | None:
    """The extracted copy of a data set: `archive`, else ``HAR_DATA_DIR/NAME``; None where neither is there.

    Raises:
        HarError: `archive` is no folder.
    """
    if archive is None:
        named = os.environ.get("HAR_DATA_DIR")
        inside = Path(named).expanduser() / data.name if named else None
        return inside if inside is not None and inside.is_dir() else None
    folder = Path(archive).expanduser()
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise HarError("archive-missing", f"{folder} {what}; expected the folder that {data.title} was extracted to")
    return folder


def digests_of(data: DataSet, folder: Path) -> tuple[str, str]:
    """SHA-256 of the files that decide the content, and of the code of the file with the loader, empty in an interactive session.

    Raises:
        HarError: the folder holds none of the files.
    """
    digest = folder_digest(folder, data.files)
    if digest is None:
        what = f"{folder} holds none of the files of {data.title}: {', '.join(data.files)}"
        raise HarError("archive-missing", f"{what}; name the folder it was extracted to, or set files of the DataSet")
    try:
        return digest, hashlib.sha256(executed_code(Path(inspect.getfile(data.read)).read_bytes())).hexdigest()
    except (TypeError, OSError):
        return digest, ""


def load_recordings(data: DataSet, folder: Path) -> Iterator[Recording]:
    """The recordings of a data set, checked and at 50 Hz.

    Raises:
        HarError: a recording does not keep the signal contract, or two have one name.
    """
    names: set[str] = set()
    total, lost = 0, dict[str, int]()  # samples, and those left out of each recording
    for recording in _read(data, folder):
        if recording.name in names:
            raise HarError("loader", f"{data.name} has two recordings named {recording.name!r}; expected a name of its own for each")
        names.add(recording.name)
        _check(data, recording)
        kept = ~(outside(recording.samples) | frozen(recording.time_s, recording.samples).any(axis=1))
        total += len(kept)
        if kept.sum() < 2:
            raise HarError(
                "loader", f"{data.name}, recording {recording.name}: no sample is within the physical limits; the sensor was off"
            )
        if not kept.all():  # where they were is a gap
            lost[recording.name] = int((~kept).sum())
            time_s, samples, labels = (getattr(recording, name)[kept] for name in ("time_s", "samples", "labels"))
            recording = replace(recording, time_s=time_s, samples=samples, labels=labels)
        yield at_contract_rate(recording)
    if lost:
        LOG.warning(
            "%s: %d of %d samples are left out as gaps, the first in recording %s: outside the physical limits (%s) or of a frozen sensor",
            *(data.name, sum(lost.values()), total, next(iter(lost)), LIMITS_TEXT),
        )


def _read(data: DataSet, folder: Path) -> Iterator[Recording]:
    """What the loader gives; a mistake in it is told with its place."""
    try:
        yield from data.read(folder)
    except (HarError, OSError):
        raise
    except Exception as error:
        places = [place for place in traceback.extract_tb(error.__traceback__) if place.filename != __file__]
        places = [place for place in places if "site-packages" not in place.filename] or places  # rather there than in numpy
        where = f" at {places[-1].filename}, line {places[-1].lineno}" if places else ""
        raise HarError("loader", f"the loader of {data.name} fails{where} ({type(error).__name__}: {error}); fix it there") from error


def _check(data: DataSet, recording: Recording) -> None:
    place, samples, labels = f"{data.name}, recording {recording.name}:", recording.samples, recording.labels

    def refused(text: str) -> HarError:
        return HarError("loader", f"{place} {text}")

    if recording.subject in TRAIN_SUBJECTS + TEST_SUBJECTS:
        raise refused(f"subject {recording.subject} is a person of UCI HAR; expected numbers above 30: add 1000 in the loader")
    if samples.ndim != 2 or samples.shape[1] != len(RAW6) or not len(samples):
        raise refused(f"samples have shape {samples.shape}, expected (time, {len(RAW6)}): {', '.join(RAW6)}")
    lengths = {"times": len(recording.time_s), "samples": len(samples), "labels": len(labels)}
    if len(set(lengths.values())) > 1:
        raise refused(f"{', '.join(f'{count} {what}' for what, count in lengths.items())}; expected as many of each")
    if np.shape(recording.time_s) != (len(samples),) or np.asarray(recording.time_s).dtype.kind not in "iuf":
        found = f"shape {np.shape(recording.time_s)}, type {np.asarray(recording.time_s).dtype}"
        raise refused(f"times have {found}; expected ({len(samples)},): one number of seconds for each sample")
    if not np.isfinite(samples).all():
        row = int(np.argmin(np.isfinite(samples).all(axis=1)))
        raise refused(f"sample {row} is not finite; leave such samples out, a gap in the times is understood")
    if not (np.diff(recording.time_s) > 0).all():
        row = int(np.argmin(np.diff(recording.time_s) > 0)) + 1
        raise refused(f"the time of sample {row} is not later than the one before; sort them")
    check_labels(labels, len(samples), place.removesuffix(":"))
    if labels.min() < UNLABELLED or labels.max() >= len(data.labels):
        raise refused(f"labels from {labels.min()} to {labels.max()}, expected -1 to {len(data.labels) - 1}")
    length = float(np.median(np.linalg.norm(samples[:, :3], axis=1)))
    if not GRAVITY_G[0] <= length <= GRAVITY_G[1]:
        raise HarError(
            "recording-units",
            f"{place} total acceleration has a median length of {length:.3g}, expected about 1 g: in g, with gravity; "
            f"m/s^2 is divided by 9.80665, and gravity that comes in columns of its own is added",
        )
    off = outside(samples)
    check_outside(samples, off, place, "multiply by pi / 180 in the loader", f"sample {np.argmax(off)}")


def at_contract_rate(recording: Recording) -> Recording:
    """The recording at 50 Hz: as it is where it has that rate, else resampled stretch by stretch, with the label of the sample before.

    Raises:
        HarError: the rate is below 40 Hz, or the times are not those of the samples.
    """
    rate = measure_rate(recording.name, recording.time_s, "expected seconds from the loader")
    if rate.regular:
        return recording
    parts = []
    for first, stop in recording.contiguous_runs():
        if stop - first < 2:
            continue
        part = recording.part(first, stop)
        time_s, samples = StreamResampler(rate.hz, SAMPLE_RATE_HZ).push(part.time_s, part.samples, last=True)
        samples = within(samples)
        at = (np.searchsorted(part.time_s, time_s + 1e-9, side="right") - 1).clip(0)
        parts.append((time_s, samples.astype(np.float32), part.labels[at]))
    time_s, samples, labels = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return replace(recording, time_s=time_s, samples=samples, labels=labels)
