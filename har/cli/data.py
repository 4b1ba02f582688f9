"""What the commands below `har data` do."""

import argparse
import os
import re
import shlex
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from har.cli.commands import split_options
from har.cli.output import answer, progress
from har.contract import LABELS
from har.errors import HarError
from har.files import check_output

if TYPE_CHECKING:
    from har.data.windowset import WindowSet

ALIKE = 0.85  # similarity of two spellings of one word; LYING and LAYING 0.91, CYCLING and LAYING 0.62


def prepare(options: argparse.Namespace) -> None:
    from har.data import synthetic, uci_har
    from har.data.prepare import data_root, load_dataset
    from har.data.splits import has_official

    choice = {"transitions": options.transitions, "difficulty": options.difficulty}
    at_hand = options.archive is not None or "HAR_DATA_DIR" in os.environ or options.dataset == synthetic.NAME
    with progress(options, f"Preparing {options.dataset}") if at_hand else nullcontext():  # a download has a bar of its own
        windows = load_dataset(options.dataset, archive=options.archive, allow_download=True, **choice)
    what = "synthetic windows" if windows.synthetic else "windows"
    lines = [
        f"{windows.dataset}: {len(windows)} {what} of {windows.window_size} samples at {windows.sample_rate_hz:g} Hz, "
        f"{len(set(windows.subject.tolist()))} subjects, {len(set(windows.recording.tolist()))} "
        f"{'continuous segments' if windows.dataset == uci_har.NAME else 'recordings'}",
        *_activities(windows, named_as_ucis=has_official(windows)).split("\n"),
        f"digest {windows.digest}, cached in {data_root() / 'cache'}",
        _next(windows, options),
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


def _next(windows: "WindowSet", options: argparse.Namespace) -> str:
    """The next command, with a split that these subjects can be split by; or why there is none."""
    from har.config import DataConfig, SplitConfig
    from har.data.splits import has_official, make_splits

    kinds: tuple[Literal["official", "kfold", "loso"], ...] = ("official",) if has_official(windows) else ("kfold", "loso")
    more = f" --difficulty {options.difficulty:g}" if options.difficulty is not None else ""
    more += f" --transitions {options.transitions}" * (options.transitions != "drop")
    problem = ""
    for kind in kinds:
        try:
            if kind != "official":
                make_splits(DataConfig(dataset=windows.dataset, split=SplitConfig(kind=kind)), windows)
            return f"next: har train --dataset {windows.dataset}{f' --split {kind}' * (kind != 'official')}{more}"
        except HarError as error:
            problem = str(error)
    return f"these windows cannot be trained on yet: {problem}"


def _activities(windows: "WindowSet", *, named_as_ucis: bool) -> str:
    """Windows of each activity; of other data sets also the names that look like UCI HAR's and are not."""
    from collections import Counter

    count = Counter(windows.y.tolist())
    text = ", ".join(f"{count[number]:,} {label}" for number, label in enumerate(windows.labels))
    near = {label: similar_label(label) for label in windows.labels if label not in LABELS and not named_as_ucis}
    alike = ", ".join(f"{label} ({found}?)" for label, found in near.items() if found)
    return text + (f"\nnames that are nearly UCI HAR's: {alike}; the same activity has the same name" if alike else "")


def similar_label(name: str) -> str | None:
    """The label of UCI HAR of which `name` is another spelling: STAIRS_UP, LYING, SITING, but not CYCLING."""
    from difflib import SequenceMatcher

    word = re.sub("[^A-Z0-9]+", "_", name.upper()).strip("_")
    parts = _parts(word)
    for label in LABELS:
        directed = len(parts) > 1 and parts <= _parts(label) and parts & {"UP", "DOWN"}  # WALKING_UP, STAIRS_DOWN, UPSTAIRS
        begins = len(word) >= 3 and label.startswith(word)  # WALK, SIT, STAND
        # Of another first letter it is another word: PLAYING, TALKING.
        alike = word[:1] == label[:1] and SequenceMatcher(None, word, label).ratio() > ALIKE
        if word == label or directed or (begins and "_" not in label) or alike:
            return label
    return None


def _parts(word: str) -> set[str]:
    return set(word.replace("STAIRS", "_STAIRS").split("_")) - {""}


def splits(options: argparse.Namespace) -> None:
    from har.runs.checks import describe_splits

    if options.output:
        check_output(options.output, [Path(path) for path in (options.split_path, options.archive) if path])
    text = describe_splits(options.dataset, split_options(options), options.validation_subjects, options.archive, options.output)
    lines = text.split("\n")
    if options.output:
        path = shlex.quote(str(options.output))
        lines += [f"wrote {options.output}", f"next: har train --dataset {options.dataset} --split file --split-path {path}"]
    answer(options, lines, {"written": [options.output] if options.output else [], "splits": lines})
