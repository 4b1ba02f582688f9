"""What a study is doing: a live table on a terminal, one line a finished job anywhere else."""

import statistics
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from har.redaction import shown
from har.runs.engine import Progress

REFRESH_HZ = 2.0
FRAME = 7  # lines of the table that are no rows, and one for the cursor


@dataclass
class Row:
    """One line of the table: the jobs of one run, or the trials of one config.

    Attributes:
        total: jobs.
        done: of them, those of earlier calls included.
        failed: of them.
        running: when each running job was started, by its key, on the clock of the board.
        seconds: how long each finished job took.
        values: scores so far.
    """

    total: int
    done: int = 0
    failed: int = 0
    running: dict[Hashable, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Jobs that nobody has begun."""
        return self.total - self.done - self.failed - len(self.running)


class Board:
    """Counts the jobs of a study, and shows them.

    Args:
        totals: jobs of each row.
        score: what the values are, for the head of their column.
        summary: of the values of a row; by default their mean.
        say: gets a line for each finished job, where there is no live table.
        live: draw the table on the terminal.
        console: to draw on; by default the standard output.
        clock: seconds.
    """

    def __init__(
        self,
        totals: dict[str, int],
        *,
        score: str,
        summary: Callable[[list[float]], float] = statistics.fmean,
        say: Callable[[str], None],
        live: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rows = {name: Row(total) for name, total in totals.items()}
        self._score, self._summary, self._clock = score, summary, clock
        self._console = console or Console()
        # A dumb terminal cannot go back over what it has written.
        drawn = live and self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, refresh_per_second=REFRESH_HZ, get_renderable=self.table) if drawn else None
        self._progress: Progress | None = None
        self._say = say

    def __enter__(self) -> Self:
        self._progress = Progress(self.total, self.done, 0, self._say)
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            for row in self.rows.values():
                row.running.clear()
            self._live.stop()

    @property
    def total(self) -> int:
        """Jobs of all rows."""
        return sum(row.total for row in self.rows.values())

    @property
    def done(self) -> int:
        """Jobs that are done."""
        return sum(row.done for row in self.rows.values())

    def before(self, name: str, count: int, values: list[float], seconds: list[float]) -> None:
        """Count jobs that were done before, with their scores and times."""
        row = self.rows[name]
        row.done += count
        row.values += values
        row.seconds += seconds

    def started(self, name: str, key: Hashable) -> None:
        """A job runs, from now on."""
        self.rows[name].running[key] = self._clock()

    def ended(self, name: str, key: Hashable, text: str, *, value: float | None = None, failed: bool = False) -> None:
        """A job is over."""
        row, now = self.rows[name], self._clock()
        begin = row.running.pop(key, now)
        row.failed += failed
        row.done += not failed
        row.values += [] if value is None else [value]
        row.seconds += [] if failed else [now - begin]
        if self._live is None:
            assert self._progress is not None
            self._progress.add(text, failed=failed)
        elif failed:
            self._console.print(shown(text), style="red", markup=False, highlight=False)

    def seconds_left(self) -> float | None:
        """Until all is done, from the time that the jobs of the same row took, else all jobs; None where none has ended yet."""
        every = [one for row in self.rows.values() for one in row.seconds]
        if not every:
            return None
        now, work, longest, at_once = self._clock(), 0.0, 0.0, 0
        for row in self.rows.values():
            each = statistics.fmean(row.seconds or every)
            rests = [max(0.0, each - (now - begin)) for begin in list(row.running.values())]
            work += each * row.left + sum(rests)
            longest, at_once = max([longest, *rests]), at_once + len(rests)
        return max(longest, work / max(1, at_once))

    def table(self) -> Table:
        """The table as it is now, with as many rows as the terminal has room for: those that run and fail first."""
        room = max(1, self._console.height - FRAME)
        names = sorted(self.rows, key=lambda name: (not self.rows[name].running, not self.rows[name].failed, not self.rows[name].left))
        visible, hidden = names[:room], names[room:]
        table = Table(caption=self._caption(len(hidden)), caption_justify="left")
        table.add_column("run", no_wrap=True)
        for head in ("done", "running", "failed", "left", self._score):
            table.add_column(head, justify="right", no_wrap=True)
        for name in (name for name in self.rows if name in visible):
            row = self.rows[name]
            value = "" if not row.values else f"{self._summary(row.values):.4g}"
            oldest = self._clock() - min(list(row.running.values()), default=0.0)
            running = f"{len(row.running)}, {duration(oldest)}" if row.running else ""
            style = "dim" if row.done == row.total else "red" if row.failed else "green" if row.running else ""
            table.add_row(shown(name), str(row.done), running, str(row.failed or ""), str(row.left), value, style=style)
        return table

    def _caption(self, hidden: int) -> str:
        failed, seconds = sum(row.failed for row in self.rows.values()), self.seconds_left()
        parts = [f"{self.done} of {self.total} done", f"{failed} failed" if failed else ""]
        if self.done + failed < self.total:
            parts.append("time left not known yet" if seconds is None else f"about {duration(seconds)} left")
        parts.append(f"{hidden} more rows" if hidden else "")
        return ", ".join(filter(None, parts))


def duration(seconds: float) -> str:
    """``38 s``, ``4 min``, ``1 h 20 min`` or ``2 d 3 h``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, days = minutes // 60, minutes // 1440
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{days} d {hours % 24} h"
