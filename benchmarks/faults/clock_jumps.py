"""Set the clock forth and back by an hour or a day, again and again, while `har` works.

    python benchmarks/faults/clock_jumps.py [--trials 8] [--seed 0]

The clock of the tried processes is the machine's plus an offset (``clock.c``, which takes a C compiler), so that nobody else's is touched;
file times and the monotonic clock stay true, as on a machine whose clock somebody sets. Tried are a training; two preparations of the same
data at once, of which neither may take the other's fresh files for old ones; and a sweep with two workers. Each must end as with an
untouched clock: the same weights, scores and windows, times of training between nothing and what really passed, tracked runs that end no
earlier than they began, no temporary folder left. Small networks on SYNTHETIC data; Linux. Writes results/reliability/clock_jumps.csv, a
row a command; exit code 1 where anything differed.
"""

import json
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

import numpy as np
from forked import Har, arguments, made, small, tracked, weights_of, write_table

from har.data.cache import load_entry
from har.data.staging import PREFIX
from har.runs.run_folder import RunFolder
from har.studies.sweep import RESULT as JOB_RESULT

RESULT = Path("results/reliability/clock_jumps.csv")
CLOCK = "HAR_CLOCK"  # names the file with the offset
JUMPS_S = (0, 3600, -3600, 86_400, -86_400)
COUNTS = ("jumps", "exit_code_0", "same_content", "times_wrong", "runs_end_before_start", "running_left", "folders_left")
CONFIG = small(3, 64)
STUDY = {
    "question": "What time is it?",
    "split": {"kind": "kfold", "folds": 3, "subjects": "training", "validation": 0},
    "folds": [0, 1],
    "change": {"training.keep": "last"},
}


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
        """Set it to another hour or day a few times a second."""
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


def values_of(folder: Path) -> dict[str, list[float]]:
    return {name: value.flatten().tolist() for name, value in weights_of(folder).items()}


def times_of(runs: Path) -> tuple[list[tuple[str, int, int]], list[float]]:
    """Status, start and end of every tracked run, and how long each training says it took."""
    return tracked(runs, "status", "start_time", "end_time"), [
        RunFolder(path.parent).info().origin.train_seconds for path in runs.rglob("run.json")
    ]


def trained(place: Path) -> object:
    return [(values_of(path.parent), RunFolder(path.parent).info().score) for path in sorted(place.glob("runs/synthetic/*/*/run.json"))]


def prepared(place: Path) -> object:
    return {entry.name: load_entry(entry).digest for entry in place.glob("cache/[!.]*")}


def swept(place: Path) -> object:
    found = {}
    for path in place.glob(f"runs/**/{JOB_RESULT}"):
        result = json.loads(path.read_text())
        found[path.parent.name] = values_of(path.parent), result["scores"], result["subjects"]
    return found


class Command:
    """What is tried.

    Args:
        name: in the table.
        words: of the command line, with its place put in for ``{}``.
        content: of what it wrote below its place.
        at_once: how many of it.
        environment: with the place put in as well.
    """

    def __init__(
        self, name: str, words: list[str], content: Callable[[Path], object], at_once: int = 1, environment: dict[str, str] | None = None
    ) -> None:
        self.name, self.words, self.content, self.at_once, self.environment = name, words, content, at_once, environment or {}

    def run(self, place: Path) -> list[int]:
        words = [word.replace("{}", str(place)) for word in self.words]
        environment = {name: value.replace("{}", str(place)) for name, value in self.environment.items()}
        answers = [one.wait() for one in [Har(*words, environment=environment) for _ in range(self.at_once)]]
        for answer in answers:
            if answer.code:
                print(answer, file=sys.stderr, flush=True)
        return [answer.code for answer in answers]

    def trial(self, place: Path, clock: Clock, expected: object) -> Counter[str]:
        before, begin = clock.jumps, time.monotonic()
        with clock.jumping():
            codes = self.run(place)
        passed = time.monotonic() - begin
        ended, seconds = times_of(place / "runs")
        found = Counter(
            {"jumps": clock.jumps - before, "exit_code_0": int(not any(codes)), "same_content": int(self.content(place) == expected)}
        )
        found["times_wrong"] = sum(not 0 <= value <= passed for value in seconds)
        found["running_left"] = sum(status == "RUNNING" for status, _, _ in ended)
        found["runs_end_before_start"] = sum(end is not None and end < start for _, start, end in ended)
        found["folders_left"] = len(list(place.rglob(f"{PREFIX}*")))
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
    options = arguments(__doc__, 8, "of each command; of the sweep half as many", "of the jumps").parse_args()
    if CLOCK not in os.environ:
        restart(Path(tempfile.mkdtemp()))
    file = Path(os.environ[CLOCK])
    clock, rows, bad = Clock(file, np.random.default_rng(options.seed)), [], 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        config, study = root / "small.yaml", root / "study.yaml"
        config.write_text(json.dumps(CONFIG))
        study.write_text(json.dumps(STUDY | {"configs": [str(config)]}))
        os.environ["HAR_CACHE_DIR"] = str(root / "data")
        runs = ["--runs", "{}/runs"]
        commands = [
            Command("har data prepare, twice at once", ["data", "prepare", "--dataset", "synthetic"], prepared, 2, {"HAR_CACHE_DIR": "{}"}),
            Command("har train", ["train", "--config", str(config), *runs], trained),
            Command("har sweep", ["sweep", str(study), "--workers", "2", "--results", "{}/results", *runs], swept),
        ]
        for command in commands:
            trials = options.trials // 2 if command.content is swept else options.trials
            undisturbed = root / f"{command.content.__name__}-undisturbed"
            if any(command.run(undisturbed)):
                raise SystemExit(f"{command.name} failed with an untouched clock")
            expected, totals = command.content(undisturbed), Counter[str]()
            for number in range(trials):
                totals.update(command.trial(root / f"{command.content.__name__}-{number}", clock, expected))
            rows.append(
                {"command_tried": command.name, "trials": trials} | {count: totals[count] for count in COUNTS} | {"seed": options.seed}
            )
            print(rows[-1], flush=True)
            bad += 2 * trials - totals["exit_code_0"] - totals["same_content"]
            bad += sum(totals[count] for count in COUNTS[3:])
            write_table(RESULT, rows, made("torch", "mlflow"))  # it takes long: what was tried so far stands there
    shutil.rmtree(file.parent)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
