"""Reports of results: tables as Markdown and CSV, and the footer that names command, date, commit and versions.

CSV files are written whole or not at all, and no text in them is read as a formula.
"""

import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

import har
from har.files import whole_file
from har.redaction import csv_text

PACKAGES = ("torch", "pytorch-lightning", "mlflow", "numpy", "scipy", "scikit-learn", "onnx", "onnxruntime")


def git_commit() -> str:
    """Commit of the code, with ``-dirty`` behind it where tracked files differ, or ``unknown`` outside a checkout.

    Files under ``results/`` do not count: they are what the commands write.
    """
    folder = Path(har.__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", *arguments]  # fixed words, and the git of whoever runs this
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20, check=True)  # nosec B603
        return done.stdout.strip()

    try:
        root = git("rev-parse", "--show-toplevel")
        if Path(root) != folder.parent:
            return "unknown"  # installed inside somebody else's repository
        dirty = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/results", ":!/README.md")
        dirty += git("ls-files", "--others", "--exclude-standard", "--", ":/har", ":/configs")
        return git("rev-parse", "HEAD")[:12] + ("-dirty" if dirty else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    found = {"python": platform.python_version(), "wearable-har": har.__version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def data_title(data: Any) -> str:
    """What data are called in reports, generated ones marked; `data` has ``dataset`` and ``synthetic``."""
    return "SYNTHETIC data" if data.synthetic else data.dataset


def footer(command: str, facts: str = "", *, trained: Iterable[str] = ()) -> str:
    """The last lines of a report.

    Args:
        command: that was typed.
        facts: what else decided the numbers, each sentence with a space before it.
        trained: commits of the code that trained what is reported, where it may be another.
    """
    at = ", ".join(sorted(set(trained)))
    made = ", ".join(f"{package} {number}" for package, number in versions().items())
    return (
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}{f'; trained at commit {at}' * bool(at)}."
        f"{facts}\nVersions: {made}.\n"
    )


def markdown(heads: Iterable[str], rows: Iterable[Iterable[object]], align: str = "lr", *, padded: bool = False) -> str:
    """A table as Markdown.

    Args:
        heads: of the columns.
        rows: of cells, each written as `str` gives it.
        align: ``l`` or ``r`` for each column from the first, the last letter for all further ones.
        padded: make the cells of a column equally wide, all to the left, for reading in a terminal.
    """
    lines = [[str(cell) for cell in line] for line in (heads, *rows)]
    if padded:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
        rule = f"| {' | '.join('-' * width for width in widths)} |"
    else:
        letters = align.ljust(len(lines[0]), align[-1])
        rule = f"|{'|'.join('---:' if letter == 'r' else '---' for letter in letters)}|"
    head, *body = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, rule, *body])


def spread(mean: float | None, deviation: float = float("nan"), spec: str = ".2f", absent: str = "-") -> str:
    """A mean, with its deviation where there is one: ``91.67 ± 2.36``.

    Args:
        mean: None or NaN where there is none.
        deviation: NaN of a single value.
        spec: format of both; a sign belongs to the mean alone.
        absent: is written for a missing mean.
    """
    if mean is None or pd.isna(mean):
        return absent
    return f"{mean:{spec}}" if pd.isna(deviation) else f"{mean:{spec}} ± {deviation:{spec.lstrip('+')}}"


def write_table(table: pd.DataFrame, path: Path, digits: str = "%.6f") -> Path:
    """Write a table without its index; numbers are written as they are, texts as `csv_text` gives them.

    Args:
        table: any.
        path: of the CSV file; its folder is made.
        digits: format of its floating-point numbers.

    Returns:
        `path`.

    Raises:
        HarError: the file cannot be written.
    """
    own = table.reset_index(drop=True)
    columns = {csv_text(str(name)): own[name] if is_numeric_dtype(own[name]) else own[name].map(_cell) for name in own.columns}
    with whole_file(path) as temporary:
        pd.DataFrame(columns).to_csv(temporary, index=False, float_format=digits, lineterminator="\n")
    return path


def _cell(value: object) -> object:
    return csv_text(value) if isinstance(value, str) else value
