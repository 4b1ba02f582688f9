"""What `har predict` does: one recording for people to read, or many into a folder."""

import argparse
import glob
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from har.cli.commands import pairs
from har.cli.output import answer, complain, progress, say
from har.errors import HarError
from har.files import check_output, named_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from har.recording import ReadOptions, Recording


def predict(options: argparse.Namespace) -> None:
    from har.recording import ReadOptions
    from har.runtime.bundle import find_bundle

    reading = ReadOptions(
        columns=pairs(options.columns, "--columns", "OURS=THEIRS, such as total_acc_x_g=ax"),
        acc_unit=options.acc_unit,
        gyro_unit=options.gyro_unit,
        time_unit=options.time_unit,
        axes=tuple(options.axes.split(",")),
        interpolate_s=options.interpolate,
        labels=False,
    )
    bundle = find_bundle(options.bundle)
    into_folder = options.output is not None and options.output.is_dir()
    if len(options.recordings) > 1 or into_folder or not _may_be_file(options.recordings[0]):
        _predict_many(options, bundle, reading)
    else:
        _predict_one(options, bundle, reading)


def _may_be_file(name: Path) -> bool:
    return name.is_file() or not (name.is_dir() or glob.has_magic(str(name)))


def _predict_one(options: argparse.Namespace, bundle: Path, reading: "ReadOptions") -> None:
    from har.recording import ReadReport, read_pieces
    from har.runtime.bundle import bundle_line
    from har.runtime.recognizer import load_model
    from har.runtime.timeline import minutes_text, timeline_text, write_timeline

    recording, output = options.recordings[0], options.output
    to_stdout = output is not None and named_descriptor(output) == 1
    if to_stdout and options.json:
        raise HarError("argument", f"--json prints its answer where --output {output} writes its rows; leave out one of the two")
    if output is not None:
        check_output(output, (recording, bundle))
    recognizer, found = load_model(bundle), ReadReport()
    pieces = read_pieces(recording, found, options=recognizer.reading(reading))
    with progress(options, recording.name, unit="min") as step:
        timeline = recognizer.predict_pieces(recording.stem, _watched(pieces, step))
    minutes = timeline.minutes()
    lines = [bundle_line(recognizer.bundle), *timeline_text(recording.stem, recognizer.bundle, timeline).split("\n"), found.text()]
    if output is not None:
        write_timeline(timeline, output)
        lines.append(f"wrote {output}: {len(timeline.from_s)} windows")
    lines.append(minutes_text(minutes))
    names = ("from_s", "to_s", "activity", "confidence")
    spans = [dict(zip(names, span, strict=False)) for span in timeline.spans()]
    facts = {"bundle": bundle, "recording": recording, "windows": len(timeline.from_s), "synthetic_model": recognizer.bundle.synthetic}
    facts |= {"spans": spans, "minutes": minutes, "input": found.text(), "written": [output] if output else []}
    with redirect_stdout(sys.stderr) if to_stdout and not options.quiet else nullcontext():
        answer(options, lines, facts)


def _watched(pieces: "Iterator[tuple[int, Recording]]", step: "Callable[..., None]") -> "Iterator[tuple[int, Recording]]":
    """The pieces of a recording; `step` gets the minutes of each."""
    for stretch, piece in pieces:
        step(len(piece.time_s) / piece.sample_rate_hz / 60)
        yield stretch, piece


def _predict_many(options: argparse.Namespace, bundle: Path, reading: "ReadOptions") -> None:
    from har.runs.batch import predict_many

    if options.output is None:
        raise HarError("argument", "several recordings need a folder for their predictions; name it with --output")
    from har.runtime.bundle import bundle_line, of_one_folder, read_bundle

    say(bundle_line(of_one_folder(read_bundle, bundle)))
    problems = predict_many(options.recordings, options.output, bundle, reading, workers=options.workers, engine=options.engine, say=say)
    for problem in problems:
        complain(problem)
    if problems:
        raise HarError(
            "jobs-failed",
            f"no predictions of {len(problems)} recordings, each named above; mend them and type the command again: what is done stays",
        )
    answer(options, [f"the predictions are below {options.output}"], {"bundle": bundle, "folder": options.output})
