"""What a command prints: text for people, one JSON value for machines, or nothing."""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any


@contextmanager
def speaking(options: argparse.Namespace) -> Iterator[None]:
    """With --json, what is said on the way goes to standard error, and standard output holds the answer alone; with --quiet, nowhere."""
    options.answers_to = sys.stdout
    if not (options.json or options.quiet):
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere if options.quiet else sys.stderr):
        yield


def answer(options: argparse.Namespace, text: str, data: Any) -> None:
    """The answer of a command.

    Args:
        options: of the command.
        text: for people.
        data: the same for machines; paths become text.
    """
    if options.json:
        print(json.dumps(_plain(data), allow_nan=False), file=options.answers_to, flush=True)
    elif not options.quiet:
        print(text, flush=True)


def answer_written(options: argparse.Namespace, paths: Iterable[Path], text: str = "") -> None:
    """The answer of a command that wrote files: a line each, before them `text`."""
    written = list(paths)
    answer(options, "\n".join([text] * bool(text) + [f"wrote {path}" for path in written]), {"written": written})


def _plain(value: Any) -> Any:
    """Paths as text, numpy's numbers as Python's, and what is no number as null, which JSON has no other word for."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
