"""Which code and which versions made a result."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import har

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
