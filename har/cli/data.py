"""What the commands below `har data` do."""

import argparse
import os
import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from har.cli.commands import split_choice, typed
from har.cli.output import answer, answer_written, progress
from har.contract import LABELS
from har.files import check_output

if TYPE_CHECKING:
    from har.data.windowset import WindowSet


def prepare(options: argparse.Namespace) -> None:
    from har.data.folds import has_official
    from har.data.prepare import data_root, prepare

    choice = {"transitions": options.transitions, "difficulty": options.difficulty}
    at_hand = options.archive is not None or "HAR_DATA_DIR" in os.environ or options.dataset == "synthetic"
    with progress(options, f"Preparing {options.dataset}") if at_hand else nullcontext():  # a download has a bar of its own
        windows = prepare(options.dataset, archive=options.archive, allow_download=True, **choice)
    what = "synthetic windows" if windows.synthetic else "windows"
    lines = [
        f"{windows.dataset}: {len(windows)} {what} of {windows.window_size} samples at {windows.sample_rate_hz:g} Hz, "
        f"{len(set(windows.subject.tolist()))} subjects, {len(set(windows.recording.tolist()))} "
        f"{'continuous segments' if windows.dataset == 'uci-har' else 'recordings'}",
        *_activities(windows, named_as_ucis=has_official(windows)).split("\n"),
        f"digest {windows.digest}, cached in {data_root() / 'cache'}",
        f"next: har train --dataset {windows.dataset}"
        + " --split kfold" * (not has_official(windows))
        + (f" --difficulty {options.difficulty:g}" if options.difficulty is not None else "")
        + f" --transitions {options.transitions}" * (options.transitions != "drop"),
    ]
    people = sorted(set(windows.subject.tolist()))
    facts = {
        "dataset": windows.dataset,
        "synthetic": windows.synthetic,
        "windows": len(windows),
        "subjects": people,
        "digest": windows.digest,
    }
    answer(options, lines, facts | {"labels": windows.labels, "cache": data_root() / "cache"})


def _activities(windows: "WindowSet", *, named_as_ucis: bool) -> str:
    """Windows of each activity; of other data sets also the names that look like UCI HAR's and are not."""
    from collections import Counter
    from difflib import get_close_matches

    count = Counter(windows.y.tolist())
    text = ", ".join(f"{count[number]:,} {label}" for number, label in enumerate(windows.labels))
    near = {label: get_close_matches(label, LABELS, n=1) for label in windows.labels if label not in LABELS and not named_as_ucis}
    alike = ", ".join(f"{label} ({found[0]}?)" for label, found in near.items() if found)
    return text + (f"\nnames that are nearly UCI HAR's: {alike}; the same activity has the same name" if alike else "")


def splits(options: argparse.Namespace) -> None:
    from har.pipeline.splits import describe_splits

    if options.output:
        check_output(options.output, [Path(path) for path in (options.split_file, options.archive) if path])
    text = describe_splits(options.dataset, split_choice(options), options.validation_subjects, options.archive, options.output)
    lines = text.split("\n")
    if options.output:
        path = shlex.quote(str(options.output))
        lines += [f"wrote {options.output}", f"next: har train --dataset {options.dataset} --split file --split-file {path}"]
    answer(options, lines, {"written": [options.output] if options.output else [], "splits": lines})


def filters(options: argparse.Namespace) -> None:
    from har.pipeline.filter_report import write_filter_report

    with progress(options, "Filtering"):
        written = write_filter_report(options.report, typed())
    answer_written(options, written)


def spectra(options: argparse.Namespace) -> None:
    from har.pipeline.spectra import write_spectra

    with progress(options, "Comparing spectra"):
        paths, summary = write_spectra(options.output, archive=options.archive)
    answer_written(options, paths, f"SYNTHETIC data: density over that of UCI HAR, training subjects, 0.3 to 15 Hz\n{summary}")


def reproduce(options: argparse.Namespace) -> None:
    from har.pipeline.reproduce import write_reproduction

    with progress(options, "Finding every window in the recordings"):
        written = write_reproduction(options.report, typed(), options.archive, options.uci_archive)
    answer_written(options, written)
