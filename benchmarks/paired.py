"""Ways of doing one thing, timed in turns: other work on the machine touches all of them, and ratios are taken within a round."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tables import made

SHORTEST_S = 0.02  # what is timed at once: a call that takes less is repeated


class Spent(NamedTuple):
    """Seconds of one call on the clock and on the CPU."""

    wall: float
    cpu: float


Times = dict[str, list[Spent]]
Row = dict[str, object]


def rounds(ways: Mapping[str, Callable[[], object]], count: int, *, shortest_s: float = SHORTEST_S) -> Times:
    """Time every way once a round; the first call of each, which pays for imports and caches, is not counted.

    Args:
        ways: what to call, by name. One that gives a `Spent` was timed by itself, in a process of its own.
        count: of rounds.
        shortest_s: a quicker call is repeated for so long.
    """
    times: Times = {name: [] for name in ways}
    repeats = {}
    for name, way in ways.items():
        once = way()
        repeats[name] = 1 if isinstance(once, Spent) else max(1, round(shortest_s / max(_spent(way, 1).cpu, 1e-7)))
    for number in range(count):
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:  # nobody is always first
            times[name].append(_spent(ways[name], repeats[name]))
    return times


def _spent(way: Callable[[], object], repeats: int) -> Spent:
    """The median call on the clock, which an interruption of a few leaves as it is, and the mean on the CPU."""
    walls, cpu = [], time.process_time()
    for _ in range(repeats):
        started = time.perf_counter()
        found = way()
        walls.append(time.perf_counter() - started)
    if isinstance(found, Spent):
        return found
    return Spent(statistics.median(walls), (time.process_time() - cpu) / repeats)


def row(measure: str, values: Sequence[float], unit: str, target: str = "", *, cpu: Sequence[float] = ()) -> Row:
    """A line of a table: median, smallest and largest over the rounds, and the median of the same on the CPU where it was taken."""
    return {
        "measure": measure,
        "median": f"{statistics.median(values):.4g}",
        "smallest": f"{min(values):.4g}",
        "largest": f"{max(values):.4g}",
        "median_cpu": f"{statistics.median(cpu):.4g}" if cpu else "",
        "unit": unit,
        "target": target,
        "runs": len(values),
    }


def ratio(times: Times, above: str, below: str, measure: str = "", target: str = "") -> Row:
    """Time of `above` over that of `below`, within each round."""
    pairs = list(zip(times[above], times[below], strict=True))
    clock, cpu = [a.wall / b.wall for a, b in pairs], [a.cpu / b.cpu for a, b in pairs if b.cpu]
    return row(measure or f"{above} / {below}", clock, "ratio", target, cpu=cpu)


def seconds(times: Times, name: str, target: str = "", *, measure: str = "", unit: str = "s", scale: float = 1.0) -> Row:
    """Time of one way, `scale` to the second."""
    return row(measure or name, [scale * t.wall for t in times[name]], unit, target, cpu=[scale * t.cpu for t in times[name]])


def in_child(command: Sequence[str], code: int = 0) -> Spent:
    """Run a command in a process of its own: seconds from its start to its end, and those on the CPU.

    Args:
        command: its words.
        code: the exit code that is expected.

    Raises:
        RuntimeError: it ended with another one.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile() as complaint:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=complaint)  # nosec B603 # fixed words, no shell
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != code:
            complaint.seek(0)
            raise RuntimeError(f"{command[:4]} ended with {child.returncode}:\n{complaint.read().decode(errors='replace')[-1500:]}")
    return Spent(wall, used.ru_utime + used.ru_stime)


def python_json(*words: object) -> Any:
    """What this very Python, in a process of its own, prints last: JSON. The words are those behind its name.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)  # nosec B603 # this very Python, no shell
    if done.returncode:
        raise RuntimeError(f"a process of this benchmark failed:\n{done.stderr[-1500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def memory_mb(entry: str = "VmHWM") -> float:
    """An entry of this process's status, in MB; by default the most memory it ever held (Linux)."""
    with open("/proc/self/status", encoding="utf-8") as lines:
        return int(next(line.split()[1] for line in lines if line.startswith(f"{entry}:"))) / 1024


def processor() -> str:
    """Name of the processor, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


class Measured:
    """A table in the making: what was typed, on which machine, and how busy that was meanwhile."""

    def __init__(self, *packages: str) -> None:
        self.packages, self.loads = packages, [os.getloadavg()[0]]

    def stamp(self) -> dict[str, str]:
        """The columns behind the measured ones."""
        self.loads.append(os.getloadavg()[0])
        load = f"load average {min(self.loads):.1f} to {max(self.loads):.1f}"
        return {"machine": f"{processor()}, {os.cpu_count()} cores, {load}"} | made(*self.packages)


def show(rows: Sequence[Row]) -> None:
    """Print a table for the person who waits."""
    width = max(len(str(r["measure"])) for r in rows)
    for r in rows:
        cpu = f", CPU {r['median_cpu']}" if r["median_cpu"] else ""
        print(f"{r['measure']:{width}}  {r['median']} {r['unit']} ({r['smallest']} to {r['largest']}{cpu}) {r['target']}")
