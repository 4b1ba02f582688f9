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
import json
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
from typing import NamedTuple

import numpy as np
from forked import arguments, har, made, running, small, succeeds, weights_of, write_table

from har.contract import HarError
from har.data.cache import Damage, load_entry
from har.data.staging import PREFIX
from har.recording import write_csv
from har.runs.run_folder import INFO
from har.runtime.bundle import read_bundle

RESULT = Path("results/reliability/disk_full.csv")
DISK_BYTES, BALLAST = 96 * 2**20, ".ballast"
FULL = ("No space left on device", "disk is full", "takes no more")
COUNTS = ("refused", "had_room", "one_line", "place_named", "disk_named", "half_written", "done_after", "same_content", "rubbish_left")
CONFIG = small(2, 128, {"options": {"width": 24, "depth": 3}})


class Case(NamedTuple):
    """Something that is written to the disk.

    Attributes:
        place: name of it there.
        words: of the command, with the place put in for ``{}``.
        content: of what it wrote, to be compared; None where it is not there.
        environment: names the place, where no option does.
        before: puts there what is there already.
    """

    place: str
    words: list[str]
    content: Callable[[Path], object]
    environment: str | None = None
    before: Callable[[Path], object] = lambda place: None


@contextmanager
def small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        mount, umount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", name], ["umount", "--lazy", name]
        subprocess.run(mount, check=True)  # nosec B603 # fixed words and a folder of its own, no shell
        try:
            yield Path(name)
        finally:
            subprocess.run(umount, check=True)  # nosec B603


def fill(disk: Path, room: int) -> None:
    """Leave so many bytes."""
    with open(disk / BALLAST, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(disk).free - room))


def empty(disk: Path) -> None:
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def watched(disk: Path) -> Iterator[list[int]]:
    """The most that was in use at once, in bytes; yields a list that gets it at the end."""
    seen, over, peak = [0], threading.Event(), []

    def look() -> None:
        while not over.wait(0.002):
            seen[0] = max(seen[0], shutil.disk_usage(disk).used)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()
        peak.append(seen[0])


def cached(root: Path) -> dict[str, str] | None:
    """Digests of the entries of the cache; what is damaged counts as such."""
    found = {}
    for entry in root.glob("cache/[!.]*"):
        try:
            found[entry.name] = load_entry(entry).digest
        except Damage:
            found[entry.name] = "damaged"
    return found or None


def trained(runs: Path) -> tuple | None:
    """Weights and score of the run."""
    (folder,) = list(runs.glob("synthetic/small/seed-0")) or [None]
    if folder is None:
        return None
    digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in weights_of(folder).values())).hexdigest()
    return digest, json.loads((folder / INFO).read_text())["score"]


def bundled(folder: Path) -> dict[str, str] | str | None:
    if not folder.exists():
        return None
    try:
        return read_bundle(folder).manifest["files"]
    except HarError as error:
        return str(error)


def files(folder: Path) -> dict[str, str] | None:
    """Checksums of all that lies below a folder, but what is hidden."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("[!.]*") if path.is_file()}
    return found or None


def cases(root: Path) -> list[Case]:
    """What is tried, with what has to be there before."""
    from har.data import synthetic

    (root / "small.yaml").write_text(json.dumps(CONFIG))
    os.environ["HAR_CACHE_DIR"] = str(root / "data")
    runs, recording, earlier = root / "runs", root / "recording.csv", root / "earlier"
    train = ["train", "--config", str(root / "small.yaml"), "--runs"]
    succeeds(*train, runs)
    export = ["export", "--dataset", "synthetic", "--runs", str(runs), "--output"]
    succeeds(*export, earlier)
    write_csv(synthetic.generate(1, 0, bout_seconds=60.0), recording)
    predict = ["predict", "--bundle", str(earlier), str(recording), "--output", "{}/activities.csv"]
    return [
        Case("cache", ["data", "prepare", "--dataset", "synthetic"], cached, environment="HAR_CACHE_DIR"),
        Case("runs", [*train, "{}"], trained),
        Case("bundle", [*export, "{}"], bundled),
        Case("bundle over an earlier one", [*export, "{}"], bundled, before=lambda place: shutil.copytree(earlier, place)),
        Case("report", ["compare", "--dataset", "synthetic", "--runs", str(runs), "--report", "{}"], files),
        Case("predictions", predict, files),
    ]


def run(case: Case, place: Path):  # type: ignore[no-untyped-def]
    words = [word.replace("{}", str(place)) for word in case.words]
    return har(*words, environment={case.environment: str(place)} if case.environment else None)


def rubbish(place: Path) -> int:
    """Hidden things beside or below what was written that nobody needs any more."""
    return len([path for path in place.parent.rglob(".*") if path.name.startswith(PREFIX) or path.name.rpartition(".")[2].isdigit()])


def fresh(case: Case, disk: Path) -> Path:
    """The place of a case on an empty disk, with what is there before."""
    empty(disk)
    place = disk / case.place.replace(" ", "-")
    case.before(place)
    return place


def trial(case: Case, disk: Path, room: int, expected: object) -> Counter[str]:
    """Fill the disk, look, free it and look again."""
    place = fresh(case, disk)
    earlier = case.content(place)
    fill(disk, room)
    answer = run(case, place)
    found = Counter({"had_room": int(answer.code == 0), "refused": int(answer.code == 2)})
    if answer.code:
        said = [line for line in answer.errors if not line.startswith("har: warning: ")]
        found["one_line"] = int(len(said) == 1)
        found["place_named"] = int(str(place) in " ".join(said))
        found["disk_named"] = int(any(word in " ".join(said) for word in FULL))
        left = case.content(place)
        whole = left in (None, earlier, expected)
        if isinstance(left, dict) and isinstance(expected, dict):
            whole = whole or left.items() <= expected.items()  # some of several files, each of them whole
        found["half_written"] = int(not whole)
        if found.total() != 4 or found["half_written"]:
            print(f"{case.place}, {room} bytes: exit code {answer.code}, {answer.errors}, {left}", file=sys.stderr, flush=True)
    (disk / BALLAST).unlink()
    again = run(case, place)
    found["done_after"] = int(again.code == 0)
    found["same_content"] = int(case.content(place) == expected)
    found["rubbish_left"] = rubbish(place)
    if case.content is trained and again.code == 0:
        found["rubbish_left"] += running(place)
    if again.code or found["rubbish_left"] or not found["same_content"]:
        print(f"{case.place}, {room} bytes, afterwards: {again}, {dict(found)}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    options = arguments(__doc__, 12, "of each place", "of the room that is left").parse_args()
    rng, rows, bad = np.random.default_rng(options.seed), [], 0
    with tempfile.TemporaryDirectory() as name, small_disk() as disk:
        for case in cases(Path(name)):
            place = fresh(case, disk)
            used = shutil.disk_usage(disk).used
            with watched(disk) as peak:
                answer = run(case, place)
            if answer.code:
                raise SystemExit(f"{case.place}: {answer}")
            expected, totals = case.content(place), Counter[str]()
            for _ in range(options.trials):
                totals.update(trial(case, disk, int(rng.integers(peak[0] - used)), expected))
            rows.append({"place": case.place, "trials": options.trials} | {count: totals[count] for count in COUNTS})
            rows[-1] |= {"needed_kb": f"{(peak[0] - used) / 1000:.0f}", "seed": options.seed}
            print(rows[-1], flush=True)
            bad += sum(totals[count] != totals["refused"] for count in ("one_line", "place_named", "disk_named"))
            bad += sum(totals[count] != options.trials for count in ("done_after", "same_content"))
            bad += totals["half_written"] + totals["rubbish_left"] + options.trials - totals["refused"] - totals["had_room"]
            write_table(RESULT, rows, made("torch", "mlflow", "onnxruntime"))  # it takes long: what was tried so far stands there
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
