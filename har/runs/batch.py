"""Predictions of many recordings: one Parquet file for each, in parallel, and only those that are not there yet.

Needs numpy, onnxruntime and pyarrow alone, as a device does that reads Parquet; ray where its engine is asked for.
"""

import functools
import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import har
from har.errors import HarError
from har.files import remove_stale, staging
from har.recording import ReadOptions, ReadReport, is_export, read_pieces
from har.runs.engine import Engine, Progress
from har.runtime.bundle import sha256
from har.runtime.manifest import MANIFEST
from har.runtime.recognizer import Recognizer, load_model
from har.runtime.timeline import Timeline, minutes_text, need_pyarrow, read_said, write_parquet

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".pq", ".tsv", ".zip")  # of what is taken from a folder, with the exports of apps


@dataclass(frozen=True)
class Job:
    """One recording, and where its predictions go."""

    recording: Path
    output: Path


@dataclass(frozen=True)
class Maker:
    """What all recordings have in common and what their predictions depend on.

    Attributes:
        bundle: its folder.
        digest: of its manifest, which holds the checksums of all its files.
        reading: how the recordings are read.
    """

    bundle: Path
    digest: str
    reading: ReadOptions

    def key(self, recording: Path) -> dict[str, Any]:
        """From what a file was made: predictions with another key are made again.

        Size and time of the last change stand for the content of the recording, as they do in `make`.
        """
        found = [file.stat() for file in recording.rglob("*")] if recording.is_dir() else [recording.stat()]
        reading = {name: value for name, value in asdict(self.reading).items() if name not in ("chunk_rows", "verb", "more")}
        key = {
            "bundle": self.digest,
            "version": har.__version__,
            "reading": reading,
            "bytes": sum(file.st_size for file in found),
            "modified_ns": max(file.st_mtime_ns for file in found),
        }
        return json.loads(json.dumps(key))  # as it is read back


def predict_many(
    named: Sequence[Path],
    output: Path,
    bundle: Path,
    reading: ReadOptions,
    *,
    workers: int | None = None,
    engine: str = "local",
    say: Callable[[str], None],
) -> list[str]:
    """Predict the recordings whose predictions are missing or were made from something else.

    Args:
        named: files, folders, which are searched through, and patterns with ``*``, ``**``, ``?`` or ``[]``.
        output: folder; below it lies one Parquet file for each recording, at its place below the folder that all of `named` share.
        bundle: folder.
        reading: how the recordings are read.
        workers: processes of one thread each; None is one a core, of all machines where Ray has a cluster.
        engine: ``local``, or ``ray``.
        say: takes a line of progress.

    Returns:
        A line for each recording that has no predictions, with the reason; all others are done.

    Raises:
        HarError: nothing can be started.
    """
    where = Engine(engine, workers)
    need_pyarrow()
    jobs = find_jobs(named, output)
    bundle = Path(os.path.abspath(bundle))
    recognizer = load_model(bundle)  # checked once before anything is started
    maker = Maker(bundle, sha256(bundle / MANIFEST), reading)
    output.mkdir(parents=True, exist_ok=True)
    for folder in {job.output.parent for job in jobs}:
        remove_stale(folder)
    left, problems = _not_done(jobs, maker)
    done = len(jobs) - len(left) - len(problems)
    say(
        f"{len(jobs)} recordings, {done} of them done already" + ("; the model was trained on SYNTHETIC data" * recognizer.bundle.synthetic)
    )
    progress = Progress(done + len(left), done, say)
    for outcome in where.run(left, functools.partial(predict_file, maker=maker)):
        progress.add(f"{outcome.job.recording}: {outcome.result or 'no predictions'}", failed=outcome.problem is not None)
        if outcome.problem is not None:
            problems.append((outcome.job.recording, outcome.problem))
    return [problem if str(recording) in problem else f"{recording}: {problem}" for recording, problem in sorted(problems)]


def find_jobs(named: Iterable[Path], output: Path) -> list[Job]:
    """The recordings that were named, largest first, so that the last to end are small.

    Raises:
        HarError: there is none, one of the names means nothing, two recordings have one place for their predictions, or the output
            would lie among the recordings.
    """
    target = Path(os.path.abspath(output))
    if target.exists() and not target.is_dir():
        raise HarError("file", f"--output {output} is a file, expected a folder for the predictions of several recordings")
    roots: list[Path] = []
    found: dict[Path, None] = {}
    for name in named:
        root, files = _expand(name)
        if Path(os.path.realpath(root)).is_relative_to(os.path.realpath(target)):
            raise HarError("file", f"--output {output} holds {name}, and predictions may not lie among recordings; name another folder")
        roots.append(root)
        found |= dict.fromkeys(file for file in files if not file.is_relative_to(target))
    if not found:
        raise HarError(
            "recording-missing", f"no recording in {', '.join(map(str, named))}; expected files that end in {', '.join(SUFFIXES)}"
        )
    shared = Path(os.path.commonpath(roots))
    jobs: dict[Path, Job] = {}
    for recording in sorted(found, key=lambda path: (-path.stat().st_size, path)):
        ends = (*SUFFIXES, ".txt")
        stem = next((recording.name[: -len(end)] for end in ends if recording.name.lower().endswith(end)), recording.name)
        job = Job(recording, target / recording.relative_to(shared).with_name(f"{stem}.parquet"))
        other = jobs.setdefault(job.output, job)
        if other is not job:
            raise HarError(
                "file", f"{other.recording} and {recording} would both become {job.output}; rename one of them, or name only one"
            )
    return list(jobs.values())


def _expand(name: Path) -> tuple[Path, list[Path]]:
    """A folder that holds all that a name stands for, and the files."""
    path = Path(os.path.abspath(name))
    if is_export(path):
        return path.parent, [path]
    if path.is_dir():
        exports = [folder for folder in path.rglob("*") if is_export(folder)]
        files = [file for file in path.rglob("*") if file.name.lower().endswith(SUFFIXES) and file.is_file()]
        alone = [file for file in files if not any(file.is_relative_to(folder) for folder in exports)]
        return path, [one for one in (*exports, *alone) if not any(part[0] == "." for part in one.relative_to(path).parts)]
    if path.is_file():
        return path.parent, [path]
    if not glob.has_magic(str(name)):
        raise HarError(
            "recording-missing",
            f"no recording at {name}; expected a CSV or Parquet file, a folder of them or a pattern such as 'data/**/*.csv'",
        )
    plain = next(parent for parent in path.parents if not glob.has_magic(str(parent)))
    return plain, [Path(file) for file in glob.glob(str(path), recursive=True) if Path(file).is_file()]


def _not_done(jobs: list[Job], maker: Maker) -> tuple[list[Job], list[tuple[Path, str]]]:
    """The jobs whose predictions are missing or made from something else, and those that cannot be told or would harm a file."""
    left: list[Job] = []
    problems: list[tuple[Path, str]] = []
    for job in jobs:
        try:
            said = read_said(job.output)
            if said is None or said.get("made_from") != maker.key(job.recording):
                left.append(job)
        except HarError as error:
            problems.append((job.recording, str(error)))
    return left, problems


@functools.lru_cache(maxsize=1)
def _recognizer(bundle: Path, digest: str) -> Recognizer:
    """Opened once a process."""
    if sha256(bundle / MANIFEST) != digest:
        raise HarError("bundle-changed", f"{bundle} was changed while its predictions were made; type the command again")
    return load_model(bundle)


def predict_file(job: Job, *, maker: Maker) -> str:
    """Write the predictions of one recording, whole or not at all; memory does not grow with its length.

    Returns:
        What was found, for people.

    Raises:
        HarError: the recording cannot be read or changed meanwhile, or the file cannot be written.
    """
    recognizer, report = _recognizer(maker.bundle, maker.digest), ReadReport()
    minutes: dict[str, float] = {}
    parts = recognizer.predict_parts(str(job.recording), read_pieces(job.recording, report, options=recognizer.reading(maker.reading)))
    try:
        key = maker.key(job.recording)
        job.output.unlink(missing_ok=True)  # made from something else: where this fails, no old answer is left
        with staging(job.output.parent, job.output.name) as folder:
            temporary = folder / job.output.name
            about = {"made_from": key, "synthetic": recognizer.bundle.synthetic, "minutes": minutes}
            rows = write_parquet(_counted(parts, minutes), recognizer.labels, temporary, lambda: about | {"recording": report.text()})
            if maker.key(job.recording) != key:
                raise HarError("recording-format", f"{job.recording} changed while it was read; type the command again when it is complete")
            os.replace(temporary, job.output)
    except OSError as error:
        where = error.filename or job.output
        raise HarError(
            "file", f"cannot read or write {where} ({error.strerror or error}); check its permissions and the free space"
        ) from None
    return f"{rows} windows; {report.text()}; {minutes_text(minutes)}"


def _counted(parts: Iterable[Timeline], minutes: dict[str, float]) -> Iterator[Timeline]:
    """The parts of a timeline as they come; their minutes per activity are added up in `minutes`."""
    for part in parts:
        for name, value in part.minutes().items():
            minutes[name] = minutes.get(name, 0.0) + value
        yield part
