"""Set the clock forth and back by an hour or a day, again and again, while `har` works.

    python benchmarks/faults/clock_jumps.py [--trials 8] [--seed 0]

The clock of the tried processes is the machine's plus an offset (``clock.c``, which takes a C compiler), so that no other process's is
touched; file times and the monotonic clock stay true, as on a machine whose clock is set. Tried are a training; two preparations of the
same data at once, of which neither may take the other's fresh files for old ones; and a sweep with two workers. Each must end as with an
untouched clock: the same weights, scores and windows, times of training between nothing and what really passed, tracked runs that end no
earlier than they began, no temporary folder left. Small networks on SYNTHETIC data; Linux. Writes results/reliability/clock_jumps.csv, a
row a command; exit code 1 where anything differed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from trials import Har, arguments, cached, finish, running, tracked, trained, workplace, write_config, write_study

from har.files import PARTIAL
from har.runs.run_folder import INFO, RunFolder

CLOCK = "HAR_CLOCK"  # names the file with the offset
JUMPS_S = (0, 3600, -3600, 86_400, -86_400)
COUNTS = ("jumps", "exit_code_0", "same_content", "times_wrong", "runs_end_before_start", "running_left", "folders_left")


class Clock:
    """The clock of this process and of those it starts."""

    def __init__(self, file: Path, rng: np.random.Generator) -> None:
        self.file, self.rng, self.jumps = file, rng, 0
        before = time.time()
        self.set(3600)
        if not 3599 < time.time() - before < 3700:
            raise SystemExit("clock_jumps: the clock cannot be set")
        self.set(0)

    def set(self, seconds: int) -> None:
        with open(self.file, "r+b", buffering=0) as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    @contextmanager
    def jumping(self) -> Iterator[None]:
        """Set it to another hour or day a few times per second."""
        over = threading.Event()

        def jump() -> None:
            while not over.wait(float(self.rng.uniform(0.02, 0.5))):
                self.set(int(self.rng.choice(JUMPS_S)))
                self.jumps += 1

        thread = threading.Thread(target=jump)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.set(0)


class Command(NamedTuple):
    """What is tried.

    Attributes:
        name: in the table.
        words: of the command line; it works in its own folder of runs and cache below a place.
        content: of what it wrote below its place.
        at_once: how many of it.
    """

    name: str
    words: list[str]
    content: Callable[[Path], dict[str, Any]]
    at_once: int = 1

    def run(self, place: Path) -> int:
        """How many of the processes failed."""
        words = [word.replace("{}", str(place)) for word in self.words]
        environment = {"HAR_CACHE_DIR": str(place)} if self.content is cached else {}
        answers = [one.wait() for one in [Har(*words, environment=environment) for _ in range(self.at_once)]]
        for answer in answers:
            print(*answer.errors, sep="\n", end="", file=sys.stderr, flush=True)
        return sum(answer.code != 0 for answer in answers)

    def trial(self, place: Path, clock: Clock, expected: dict[str, Any]) -> Counter[str]:
        before, begin = clock.jumps, time.monotonic()
        with clock.jumping():
            failed = self.run(place)
        passed = time.monotonic() - begin
        found = Counter(jumps=clock.jumps - before, exit_code_0=int(not failed), same_content=int(self.content(place) == expected))
        seconds = [RunFolder(path.parent).origin.train_seconds for path in place.rglob(INFO)]
        found["times_wrong"] = sum(not 0 <= value <= passed for value in seconds)
        found["running_left"] = running(place)
        found["runs_end_before_start"] = sum(end is not None and end < start for _, start, end, _ in tracked(place))
        found["folders_left"] = len(list(place.rglob(f"{PARTIAL}*")))
        return found


def restart(folder: Path) -> None:
    """Start this program again with a clock that can be set, which has to be there before anything else is."""
    compiler, library, file = shutil.which("cc"), folder / "clock.so", folder / "offset"
    if compiler is None:
        raise SystemExit("clock_jumps: found no C compiler cc; install gcc or clang")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(Path(__file__).with_name("clock.c")), "-ldl"]
    subprocess.run(command, check=True)  # nosec B603 # fixed words, no shell
    file.write_bytes(bytes(8))
    os.environ |= {"LD_PRELOAD": str(library), CLOCK: str(file)}
    os.execv(sys.executable, [sys.executable, *sys.argv])  # nosec B606 # this very program again


def main() -> int:
    options = arguments(__doc__, trials=(8, "of each command; of the sweep half as many"), seed=(0, "of the jumps")).parse_args()
    if CLOCK not in os.environ:
        restart(Path(tempfile.mkdtemp()))
    clock, rows = Clock(Path(os.environ[CLOCK]), np.random.default_rng(options.seed)), []
    with workplace() as root:
        config = write_config(root / "small.yaml")
        study = write_study(root / "study.yaml", config)
        commands = [
            Command("har data prepare, twice at once", ["data", "prepare", "--dataset", "synthetic"], cached, 2),
            Command("har train", ["train", "--config", str(config), "--runs", "{}"], trained),
            Command("har sweep", ["sweep", str(study), "--workers", "2", "--results", "{}/results", "--runs", "{}"], trained),
        ]
        for command in commands:
            trials = options.trials // 2 if command.name == "har sweep" else options.trials
            if command.run(root / command.name):
                raise SystemExit(f"{command.name} failed with an untouched clock")
            expected, totals = command.content(root / command.name), Counter[str]()
            for number in range(trials):
                totals.update(command.trial(root / f"{command.name} {number}", clock, expected))
            rows.append({"command_tried": command.name, "trials": trials} | {count: totals[count] for count in COUNTS})
            print(rows[-1], flush=True)
            # It takes long: what was tried so far stands there.
            code = finish("clock_jumps.csv", rows, "torch", "mlflow", seed=options.seed)
    shutil.rmtree(clock.file.parent)
    return code


if __name__ == "__main__":
    sys.exit(main())
