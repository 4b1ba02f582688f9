"""Fill a real disk at many different points of what `har` writes, free it, and type the same command again.

    sudo python benchmarks/faults/disk_full.py [--trials 12] [--seed 0]

The disk is a small tmpfs, which takes root to mount (or ``unshare -rm``). Each trial leaves a random room on it, between nothing and what
the command needs at its peak, and runs a command that writes there: the recordings and the cache, the run of a training with its MLflow
store, a bundle over an earlier one, a report, predictions. It must end with exit code 2 and one line that names the place and the full
disk, and leave nothing that a later command would take for whole; an earlier bundle stays. Then space is freed and the same command must
give what it gives on a disk of any size. Small networks on SYNTHETIC data; Linux. Writes results/reliability/disk_full.csv, a row a place;
exit code 1 where anything else was seen.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from trials import Answer, Har, arguments, cached, finish, running, succeeded, trained, workplace, write_config

from har.data import synthetic
from har.errors import HarError
from har.files import PARTIAL
from har.recording import write_csv
from har.runtime.bundle import read_bundle

DISK_BYTES, BALLAST = 96 * 2**20, ".ballast"
FULL = ("No space left on device", "disk is full", "takes no more")
COUNTS = ("refused", "had_room", "one_line", "place_named", "disk_named", "half_written", "done_after", "same_content", "rubbish_left")


def bundled(folder: Path) -> dict[str, Any]:
    """The files of a bundle, and their digests."""
    try:
        return read_bundle(folder).manifest["files"] if folder.exists() else {}
    except HarError as error:
        return {"refused": str(error)}


def files(folder: Path) -> dict[str, str]:
    """Checksums of everything below a folder, except what is hidden."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("[!.]*") if path.is_file()}


class Case(NamedTuple):
    """A command that writes to the disk.

    Attributes:
        name: of what is written.
        words: of the command, with its place on the disk put in for ``{}``.
        content: of what it wrote, to be compared; empty where it is not there.
        environment: names the place, where no option does.
        earlier: what is there already.
    """

    name: str
    words: list[str]
    content: Callable[[Path], dict[str, Any]]
    environment: str = "HAR_PLACE"
    earlier: Path | None = None

    def prepare(self, disk: Path) -> Path:
        """Empty the disk but for what is there already; the place of the command on it."""
        for path in disk.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        place = disk / self.name.replace(" ", "-")
        if self.earlier is not None:
            shutil.copytree(self.earlier, place)
        return place

    def run(self, place: Path) -> Answer:
        """Let the command end."""
        words = [word.replace("{}", str(place)) for word in self.words]
        return Har(*words, environment={self.environment: str(place)}).wait()


@contextmanager
def small_disk() -> Iterator[Path]:
    """A tmpfs."""
    with tempfile.TemporaryDirectory() as name:
        mount, umount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", name], ["umount", "--lazy", name]
        subprocess.run(mount, check=True)  # nosec B603 # fixed words and a folder of its own, no shell
        try:
            yield Path(name)
        finally:
            subprocess.run(umount, check=True)  # nosec B603


def needed(case: Case, disk: Path) -> tuple[int, dict[str, Any]]:
    """The most bytes that a command takes at once on a disk with room for all, and what it writes."""
    place = case.prepare(disk)
    before, over = shutil.disk_usage(disk).used, threading.Event()
    seen = [before]

    def look() -> None:
        while not over.wait(0.002):
            seen[0] = max(seen[0], shutil.disk_usage(disk).used)

    thread = threading.Thread(target=look)
    thread.start()
    answer = case.run(place)
    over.set()
    thread.join()
    if answer.code:
        raise SystemExit(f"{case.name}: {answer}")
    return seen[0] - before, case.content(place)


def cases(root: Path) -> list[Case]:
    """What is tried, with what has to be there before."""
    model = {"options": {"width": 24, "depth": 3}}
    config = write_config(root / "small.yaml", model=model, training={"epochs": 2, "batch_size": 128})
    runs, recording, earlier = root / "runs", root / "recording.csv", root / "earlier"
    train, export = ["train", "--config", str(config), "--runs"], ["export", "--dataset", "synthetic", "--runs", str(runs), "--output"]
    succeeded(Har(*train, runs))
    succeeded(Har(*export, earlier))
    write_csv(synthetic.generate(1, 0, bout_seconds=60.0), recording)
    predict = ["predict", "--bundle", str(earlier), str(recording), "--output", "{}/activities.csv"]
    return [
        Case("cache", ["data", "prepare", "--dataset", "synthetic"], cached, environment="HAR_CACHE_DIR"),
        Case("runs", [*train, "{}"], trained),
        Case("bundle", [*export, "{}"], bundled),
        Case("bundle over an earlier one", [*export, "{}"], bundled, earlier=earlier),
        Case("report", ["compare", "--dataset", "synthetic", "--runs", str(runs), "--report", "{}"], files),
        Case("predictions", predict, files),
    ]


def trial(case: Case, disk: Path, room: int, expected: dict[str, Any]) -> Counter[str]:
    """Fill the disk, look, free it and look again."""
    place = case.prepare(disk)
    earlier = case.content(place)
    with open(disk / BALLAST, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(disk).free - room))
    answer = case.run(place)
    found = Counter(had_room=int(answer.code == 0), refused=int(answer.code == 2))
    if answer.code:
        lines = [line for line in answer.errors if not line.startswith("har: warning: ")]
        text, left = " ".join(lines), case.content(place)
        found.update(one_line=int(len(lines) == 1), place_named=int(str(place) in text), disk_named=int(any(word in text for word in FULL)))
        found["half_written"] = int(left != earlier and not left.items() <= expected.items())  # some of several files, each of them whole
    (disk / BALLAST).unlink()
    again = case.run(place)
    found.update(done_after=int(again.code == 0), same_content=int(case.content(place) == expected))
    hidden = [path.name for path in disk.rglob(".*")]
    found["rubbish_left"] = sum(name.startswith(PARTIAL) or name.rpartition(".")[2].isdigit() for name in hidden) + running(place)
    print(f"{case.name}, {room} bytes: {dict(found)}, exit codes {answer.code} and {again.code}, {answer.errors}", flush=True)
    return found


def main() -> int:
    options = arguments(__doc__, trials=(12, "of each place"), seed=(0, "of the room that is left")).parse_args()
    rng, rows = np.random.default_rng(options.seed), []
    with workplace() as root, small_disk() as disk:
        for case in cases(root):
            (most, expected), totals = needed(case, disk), Counter[str]()
            for _ in range(options.trials):
                totals.update(trial(case, disk, int(rng.integers(most)), expected))
            rows.append({"place": case.name, "trials": options.trials} | {count: totals[count] for count in COUNTS})
            rows[-1] |= {"needed_kb": f"{most / 1000:.0f}"}
            # It takes long: what was tried so far stands there.
            code = finish("disk_full.csv", rows, "torch", "mlflow", "onnxruntime", seed=options.seed)
    return code


if __name__ == "__main__":
    sys.exit(main())
