"""Kill a process with SIGKILL at random moments while it writes the cache, and count what that leaves behind.

    python benchmarks/faults/kill_cache_writer.py [--trials 40] [--seed 0] [--archive "UCI HAR Dataset.zip"]

Each trial starts ``har data prepare`` as a process of its own on an empty cache, waits until its temporary folder appears,
waits a random part of the time an undisturbed write takes, and kills it. A kill counts as within the write only where the
process died of it and left its temporary folder. Then the cache is looked at: a whole entry, no entry, or a damaged one;
and prepared again, which must give the windows of an undisturbed run and leave no temporary files. Writes
results/reliability/cache_kill.csv, a row per data set, UCI HAR where --archive names a copy; exit code 1 where an entry was
damaged, was not rebuilt, or temporary files stayed.
"""

import os
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from trials import Har, arguments, cached, finish, workplace

from har.data.prepare import load_dataset
from har.errors import HarError
from har.files import PARTIAL

COUNTS = ("killed_within_write", "killed_before_write", "killed_after_write", "entry_absent", "entry_whole", "entry_damaged")
COUNTS += ("temporary_folders_left", "rebuilt_right", "temporary_folders_after_rebuild")
PATIENCE_S = 120.0


class Writer(NamedTuple):
    """The cache of one data set, below a folder, and the command that writes it."""

    dataset: str
    archive: Path | None
    root: Path

    def start(self) -> Har:
        """Empty the cache, but for what was generated, and begin to write it."""
        shutil.rmtree(self.root / "cache")
        (self.root / "cache").mkdir()
        return Har("data", "prepare", "--dataset", self.dataset, *(["--archive", self.archive] if self.archive else []))

    def partial(self) -> list[Path]:
        """Temporary folders of entries."""
        return [path for path in (self.root / "cache").glob(f"{PARTIAL}*") if not path.name.startswith(f"{PARTIAL}uci-har.json")]

    def wait_for(self, child: Har, *, there: bool) -> float:
        """Wait until the temporary folder is there, or gone; returns when that was."""
        deadline = time.perf_counter() + PATIENCE_S
        while bool(self.partial()) != there:
            if time.perf_counter() > deadline or (there and not child.runs()):
                raise SystemExit("the writer did not write; run har data prepare by hand to see why")
            time.sleep(0.0002)
        return time.perf_counter()

    def write_seconds(self) -> float:
        """How long the temporary folder of an undisturbed writer lives."""
        child = self.start()
        begin = self.wait_for(child, there=True)
        end = self.wait_for(child, there=False)
        child.wait()
        return end - begin

    def trial(self, delay: float, expected: str) -> Counter[str]:
        """Kill one writer `delay` seconds into its write, look, and prepare again."""
        child = self.start()
        begin = self.wait_for(child, there=True)
        while time.perf_counter() < begin + delay:
            pass  # a sleep would be too coarse
        if child.runs():
            os.kill(child.pid, signal.SIGKILL)
        killed, left, entries = child.wait().code == -signal.SIGKILL, len(self.partial()), cached(self.root).values()
        found = Counter(killed_within_write=int(killed and left > 0), temporary_folders_left=left)
        found.update({"killed_after_write" if entries else "killed_before_write": int(left == 0)})
        found["entry_absent" if not entries else "entry_whole" if {*entries} == {expected} else "entry_damaged"] = 1
        try:
            found["rebuilt_right"] = int(load_dataset(self.dataset, archive=self.archive).digest == expected)
        except HarError as error:
            print(f"not rebuilt: {error}", file=sys.stderr)
        found["temporary_folders_after_rebuild"] = len(list((self.root / "cache").glob(f"{PARTIAL}*")))
        return found


def main() -> int:
    parser = arguments(__doc__, trials=(40, "of each data set"), seed=(0, "of the moments"))
    parser.add_argument("--archive", type=Path, default=None, help="a copy of UCI HAR, for its row")
    options = parser.parse_args()
    rows = []
    with workplace() as root:
        for dataset, archive in {"synthetic": None, "uci-har": options.archive}.items():
            if dataset == "uci-har" and archive is None:
                continue
            writer, rng = Writer(dataset, archive, root / "data"), np.random.default_rng(options.seed)
            expected = load_dataset(dataset, archive=archive).digest
            length = float(np.median([writer.write_seconds() for _ in range(3)]))
            totals = Counter[str]()
            for _ in range(options.trials):
                totals.update(writer.trial(rng.uniform(0, length), expected))
            rows.append({"dataset": dataset, "trials": options.trials, **{name: totals[name] for name in COUNTS}})
            rows[-1] |= {"write_ms": f"{1000 * length:.0f}"}
            print(rows[-1], flush=True)
    return finish("cache_kill.csv", rows, "numpy", seed=options.seed)


if __name__ == "__main__":
    sys.exit(main())
