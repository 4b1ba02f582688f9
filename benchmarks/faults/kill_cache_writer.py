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
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from forked import arguments, made, write_table

from har.contract import HarError
from har.data.cache import Damage, load_entry
from har.data.prepare import prepare
from har.data.staging import PREFIX

RESULT = Path("results/reliability/cache_kill.csv")
COUNTS = ("killed_within_write", "killed_before_write", "killed_after_write", "entry_absent", "entry_whole", "entry_damaged")
COUNTS += ("temporary_folders_left", "rebuilt_right", "temporary_folders_after_rebuild")
PATIENCE_S = 120.0


def partial(cache: Path) -> list[Path]:
    return [path for path in cache.glob(f"{PREFIX}*") if not path.name.startswith(f"{PREFIX}uci-har.json")]


@contextmanager
def fresh_cache(root: Path) -> Iterator[Path]:
    """An empty cache below `root`; what was generated stays."""
    cache = root / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    yield cache
    shutil.rmtree(cache, ignore_errors=True)


def start(dataset: str, archive: Path | None, root: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "har", "data", "prepare", "--dataset", dataset, *(["--archive", str(archive)] if archive else [])]
    quiet = subprocess.DEVNULL
    environment = os.environ | {"HAR_CACHE_DIR": str(root)}
    return subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment)  # nosec B603 # this very Python, no shell


def wait_for(child: subprocess.Popen, cache: Path, *, there: bool) -> float:
    """Wait until the temporary folder is there, or gone; returns when that was."""
    deadline = time.perf_counter() + PATIENCE_S
    while bool(partial(cache)) != there:
        now = time.perf_counter()
        if now > deadline or (there and child.poll() is not None):
            child.kill()
            raise SystemExit("the writer did not write; run har data prepare by hand to see why")
        time.sleep(0.0002)
    return time.perf_counter()


def write_seconds(dataset: str, archive: Path | None, root: Path) -> float:
    """How long the temporary folder of an undisturbed writer lives."""
    with fresh_cache(root) as cache:
        child = start(dataset, archive, root)
        begin = wait_for(child, cache, there=True)
        end = wait_for(child, cache, there=False)
        child.wait()
    return end - begin


def trial(dataset: str, archive: Path | None, root: Path, delay: float, expected: str) -> Counter[str]:
    """Kill one writer `delay` seconds into its write, look, and prepare again."""
    found: Counter[str] = Counter()
    with fresh_cache(root) as cache:
        child = start(dataset, archive, root)
        begin = wait_for(child, cache, there=True)
        while time.perf_counter() < begin + delay:
            pass  # a sleep would be too coarse
        child.kill()
        killed = child.wait() == -9
        left = len(partial(cache))
        entries = [path for path in cache.iterdir() if path.is_dir() and not path.name.startswith(".")]
        found["killed_within_write"] = int(killed and left > 0)
        found["killed_after_write"] = int(left == 0 and bool(entries))
        found["killed_before_write"] = int(left == 0 and not entries)
        found["temporary_folders_left"] = left
        state = "entry_absent"
        for entry in entries:
            try:
                state = "entry_whole" if load_entry(entry).digest == expected else "entry_damaged"
            except Damage as damage:
                print(f"damaged: {damage}", file=sys.stderr)
                state = "entry_damaged"
        found[state] += 1
        try:
            found["rebuilt_right"] = int(prepare(dataset, archive=archive).digest == expected)
        except HarError as error:
            print(f"not rebuilt: {error}", file=sys.stderr)
        found["temporary_folders_after_rebuild"] = len(list(cache.glob(f"{PREFIX}*")))
    return found


def count(dataset: str, archive: Path | None, trials: int, seed: int) -> dict[str, object]:
    """A row of the table."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["HAR_CACHE_DIR"] = folder
        expected = prepare(dataset, archive=archive).digest
        length = float(np.median([write_seconds(dataset, archive, root) for _ in range(3)]))
        totals: Counter[str] = Counter()
        for number in range(trials):
            totals.update(trial(dataset, archive, root, rng.uniform(0, length), expected))
            if number % 10 == 9:
                print(f"{dataset}: {number + 1} of {trials}, {dict(totals)}", flush=True)
    return {"dataset": dataset, "trials": trials, **{name: totals[name] for name in COUNTS}, "write_ms": f"{1000 * length:.0f}"}


def main() -> int:
    parser = arguments(__doc__, 40, "of each data set", "of the moments")
    parser.add_argument("--archive", type=Path, default=None, help="a copy of UCI HAR, for its row")
    options = parser.parse_args()
    sources = {"synthetic": None} | ({"uci-har": options.archive.resolve()} if options.archive else {})
    rows = [count(dataset, archive, options.trials, options.seed) for dataset, archive in sources.items()]
    write_table(RESULT, [row | {"seed": options.seed} for row in rows], made("numpy"))
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items()))
    bad = any(row["entry_damaged"] or row["temporary_folders_after_rebuild"] or row["rebuilt_right"] != options.trials for row in rows)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
