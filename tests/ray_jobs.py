"""Work for the processes of a Ray cluster, which find this module by its name."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from har.errors import HarError
from har.runs.engine import Engine


def answer(text: str) -> Any:
    """What an expression is worth, or a mistake that is told in words."""
    if text == "wrong":
        raise HarError("argument", "not this one")
    return eval(text)


def wait_for_the_end(folder: Path) -> None:
    """Say which process this is, and that it was told to end where it was."""
    (folder / f"begun-{os.getpid()}").touch()
    try:
        while True:
            time.sleep(0.05)
    except KeyboardInterrupt:
        (folder / f"told-{os.getpid()}").touch()
        raise


def wait_for_a_sign(job: tuple[int, Path]) -> int:
    """Say who does this job, in which process of which node, and wait until it may be done."""
    number, folder = job
    (folder / f"{number}-{os.getpid()}-{os.getppid()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.05)
    return 2 * number


def drive(folder: Path) -> None:
    """Run one job that has no end, as the command line does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    list(Engine("ray", workers=1).run([folder], wait_for_the_end))


if __name__ == "__main__":
    from tests import ray_jobs  # whose functions have a name that others know

    ray_jobs.drive(Path(sys.argv[1]))
