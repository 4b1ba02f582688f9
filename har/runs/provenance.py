"""Which code and which versions made a result, and its tables as CSV files.

Tables are written whole or not at all, and no text in them is read as a formula.
"""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
