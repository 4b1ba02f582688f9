"""What a command prints: text for people, one JSON value for machines, or nothing."""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from har.redaction import shown


@contextmanager
def speaking(options: argparse.Namespace) -> Iterator[None]:
    """With --json, what is said on the way goes to standard error, and standard output holds the answer alone; with --quiet, nowhere."""
    options.answers_to = sys.stdout
    if not (options.json or options.quiet):
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere if options.quiet else sys.stderr):
        yield


def on_terminal(options: argparse.Namespace) -> bool:
    """Whether progress is shown: on a terminal, without ``--quiet``."""
    return sys.stderr.isatty() and not options.quiet


def loading(options: argparse.Namespace) -> AbstractContextManager[object]:
    """On a terminal, a line while packages such as torch are imported, which takes seconds; it is erased afterwards."""
    return nullcontext() if options.json else progress(options, "Loading")


@contextmanager
def progress(options: argparse.Namespace, text: str, total: float | None = None, unit: str = "") -> Iterator[Callable[..., None]]:
    """On a terminal, a bar with the time left, or a clock where the total is not known; elsewhere, and on a device without rich, nothing.

    Args:
        options: of the command.
        text: what is going on.
        total: how many steps there are.
        unit: of the steps, to be counted without a total.

    Yields:
        A function to call after each step, with the steps that it was where that is not one.
    """
    if not on_terminal(options) or find_spec("rich") is None:
        yield lambda steps=1: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    known = (BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
    counted = (TextColumn(f"{{task.completed:,.0f}} {unit}"),) if unit else ()
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), *(known if total else counted), TextColumn("so far"))
    # Where standard output is no terminal, what is printed meanwhile must not be drawn above the bar on standard error.
    redirect = sys.stdout.isatty()
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), redirect_stdout=redirect, transient=True) as bar:
        task = bar.add_task(shown(text), total=total)
        yield lambda steps=1: bar.advance(task, steps)


def answer(options: argparse.Namespace, lines: list[str], data: Any) -> None:
    """Print the answer of a command.

    Args:
        options: of the command.
        lines: for people, each one line: a line break inside, as in a name, is spelled out as all control characters are.
        data: the same for machines; paths become text.
    """
    if options.json:
        print(json.dumps(_plain(data), allow_nan=False), file=options.answers_to, flush=True)
    elif not options.quiet:
        for line in lines:
            say(line)


def say(line: str) -> None:
    """Print one line on standard output, its control characters spelled out."""
    print(shown(line), flush=True)


def say_all(text: str) -> None:
    """Print the lines of a text whose line breaks are its own; no name from outside may be in it that has any."""
    for line in text.split("\n"):
        say(line)


def complain(line: str, code: str = "") -> None:
    """Print one line on standard error, as `say`, with the code of an error."""
    print(f"har: {shown(line)}{f' [{code}]' if code else ''}", file=sys.stderr)


def answer_written(options: argparse.Namespace, paths: Iterable[Path], text: str = "") -> None:
    """Print the answer of a command that wrote files: a line each, before them `text`."""
    written = list(paths)
    answer(options, [*(text.split("\n") if text else []), *(f"wrote {path}" for path in written)], {"written": written})


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
