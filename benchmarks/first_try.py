"""From nothing to a prediction: what a newcomer sees, and after how long.

    python benchmarks/first_try.py

Clones the last commit of this repository into a temporary folder and does there what the README says, by shell commands alone: ``make
demo``, which sets up ``.venv`` (packages come from wherever pip finds them), the dashboard, an export, a check of it, and a prediction on a
recording in the README's columns. All data are SYNTHETIC. Writes ``results/benchmarks/first_try.csv``: seconds since ``git clone``
began, and the target for the whole.
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tables import made, write_table

from har.contract import SAMPLE_RATE_HZ
from har.recording.types import COLUMNS

RESULT = Path("results/benchmarks/first_try.csv")
TARGET_S = 600
SEEN = {  # a line that `make demo` prints, and what it shows
    r"== 1\.": ".venv is set up (make demo)",
    r"seed 0: validation macro-F1": "the first model is trained",
    r"== 3\.": "five models are trained",
    r"== 4\.": "they are compared",
    r"golden synthetic windows hold": "the best one is exported and checked",
    r"== Done": "a recording is predicted; make demo is done",
}


class Clock:
    """Seconds since its start, written down with what was seen."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.rows: list[dict[str, object]] = []

    def seen(self, what: str) -> None:
        """Write a milestone down."""
        spent = time.monotonic() - self.started
        self.rows.append({"measure": what, "median": f"{spent:.0f}", "unit": "s", "target": ""})
        print(f"{spent:6.0f} s  {what}", flush=True)


def run(folder: Path, words: Sequence[str]) -> None:
    """A command that has to succeed.

    Raises:
        SystemExit: it did not.
    """
    done = subprocess.run(words, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # nosec B603
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}, expected 0:\n{done.stdout[-2000:]}")


def environment() -> dict[str, str]:
    """Of a newcomer: nothing that this project reads, and no other environment of Python. Lines come when they are printed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HAR_", "MLFLOW_", "PYTHON", "VIRTUAL_ENV"))}
    return own | {"PYTHONUNBUFFERED": "1"}


def demo(folder: Path, clock: Clock) -> None:
    """`make demo`, line by line."""
    left = dict(SEEN)
    with subprocess.Popen(  # nosec B603 B607 # the make of this machine
        ["make", "demo"], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            for pattern in [pattern for pattern in left if re.search(pattern, line)]:
                clock.seen(left.pop(pattern))
    if child.returncode or left:
        raise SystemExit(f"make demo ended with {child.returncode}, not seen: {', '.join(left.values()) or 'nothing'}")


def dashboard(folder: Path, limit_s: float = 120.0) -> None:
    """Start it, wait until it answers, stop it.

    Raises:
        SystemExit: it did not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["make", "dashboard", f"PORT={port}"]
    with subprocess.Popen(
        words, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    ) as child:  # nosec B603
        try:
            until = time.monotonic() + limit_s
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()  # nosec B310 # this machine, http
                    return
                except (urllib.error.URLError, OSError):
                    if time.monotonic() > until or child.poll() is not None:
                        raise SystemExit(f"make dashboard did not answer within {limit_s:.0f} s") from None
                    time.sleep(0.2)
        finally:
            os.killpg(child.pid, 15)


def write_walk(path: Path) -> None:
    """A minute of something like a walk, in the columns of the README."""
    time_s = np.arange(round(60 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    step = 2 * np.pi * 1.9 * time_s
    waves = (
        1 + 0.25 * np.sin(step),
        0.15 * np.cos(step / 2),
        0.1 * np.sin(step + 1),
        0.3 * np.sin(step / 2),
        np.cos(step),
        0.4 * np.sin(step),
    )
    head = ",".join(["time_s", *COLUMNS])
    np.savetxt(path, np.stack([time_s, *waves], axis=1), delimiter=",", header=head, comments="", fmt="%.5f")


def main() -> int:
    """Try, print and write."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    git = shutil.which("git") or "git"
    har, bundle = ".venv/bin/har", "export/bundle-synthetic"
    with tempfile.TemporaryDirectory() as place:
        folder, clock = Path(place) / "repository", Clock()
        run(Path.cwd(), [git, "clone", "--quiet", ".", str(folder)])
        demo(folder, clock)
        dashboard(folder)
        clock.seen("the dashboard answers (make dashboard)")
        run(folder, ["make", "export", "DATASET=synthetic"])
        run(folder, [har, "verify", "--bundle", bundle])
        clock.seen("the best one exported once more and verified, by hand")
        write_walk(folder / "walk.csv")
        run(folder, [har, "predict", "--bundle", bundle, "walk.csv", "--output", "activities.csv"])
        run(folder, [har, "predict", "walk.csv"])
        clock.seen("a recording of its own predicted, by this bundle and by the pretrained one")
    clock.rows[-1]["target"] = f"< {TARGET_S}"
    write_table(RESULT, clock.rows, made())
    return int(float(str(clock.rows[-1]["median"])) >= TARGET_S)


if __name__ == "__main__":
    sys.exit(main())
