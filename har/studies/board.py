"""What a study is doing: bars on a terminal, one line per finished job anywhere else."""

import statistics
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from har.redaction import shown
from har.runs import engine
from har.tracking import closing_orphans

LONGEST_S = 86_400  # the time left is estimated from the jobs of so many seconds


class Board:
    """Counts the jobs of a study, and shows them.

    Args:
        totals: jobs of each row.
        score: what the values are.
        summary: of the values of a row; by default their mean.
        say: gets a line for each finished job, where there are no bars.
        live: draw bars on the terminal, one for all jobs and one for each row of which a job runs.
        console: to draw on; by default the standard output.
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
    ) -> None:
        self.total, self.done, self.failed = sum(totals.values()), 0, 0
        self._score, self._summary, self._say = score, summary, say
        self._values: dict[str, list[float]] = {name: [] for name in totals}
        self._running: dict[str, set[str]] = {name: set() for name in totals}
        self._console = console or Console()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[score]}"))
        times = (TimeElapsedColumn(), TextColumn("so far,"), TimeRemainingColumn(), TextColumn("left"))
        self.bars = Progress(*columns, *times, console=self._console, speed_estimate_period=LONGEST_S)
        # A dumb terminal cannot go back over what it has written.
        self._live = live and self._console.is_terminal and not self._console.is_dumb_terminal
        self._all = self.bars.add_task("all", total=self.total, score="")
        self._rows = {name: self.bars.add_task(shown(name), total=total, score="", visible=False) for name, total in totals.items()}

    def __enter__(self) -> Self:
        self._lines = engine.Progress(self.total, self.done, self._say)
        if self._live:
            self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        for row in self._rows.values():
            self.bars.update(row, visible=self._live)
        if self._live:
            self.bars.stop()

    def before(self, name: str, values: Sequence[float], count: int) -> None:
        """Count jobs that were done before, with their scores."""
        self.done += count
        self._values[name] += values
        self.bars.update(self._all, completed=self.done)
        self.bars.update(self._rows[name], completed=count)

    def started(self, name: str, job: str) -> None:
        """A job runs, from now on."""
        self._running[name].add(job)
        self.bars.update(self._rows[name], visible=True)

    def ended(self, name: str, job: str, text: str, *, value: float | None = None, failed: bool = False) -> None:
        """A job is over."""
        self._running[name].discard(job)
        self.done += not failed
        self.failed += failed
        self._values[name] += [] if value is None else [value]
        score = f"{self._score} {self._summary(self._values[name]):.4g}" if self._values[name] else ""
        self.bars.update(self._rows[name], advance=1, score=score, visible=bool(self._running[name]))
        self.bars.update(self._all, advance=1, score=f"{self.failed} failed" if self.failed else "")
        if not self._live:
            self._lines.add(text, failed=failed)
        elif failed:
            self._console.print(shown(text), style="red", markup=False, highlight=False)

    def run(
        self,
        where: engine.Engine,
        jobs: Sequence[Any],
        work: Callable[[Any], Any],
        runs: Path,
        over: Callable[[engine.Outcome], tuple[str, float | None]],
    ) -> list[str]:
        """Run jobs and show them.

        Args:
            where: they run.
            jobs: each with ``run``, its row, and ``text``, by which people know it.
            work: a function of a module.
            runs: folder of all runs.
            over: gets every job that has a result; returns its line and its score.

        Returns:
            What went wrong with the others.
        """
        problems = []
        with closing_orphans(runs), self, closing(where.run(jobs, work, lambda job: self.started(job.run, job.text))) as outcomes:
            for outcome in outcomes:
                job = outcome.job
                if outcome.result is None:
                    problems.append(f"{job.text}: {outcome.problem}")
                    self.ended(job.run, job.text, f"{job.text} FAILED: {outcome.problem}", failed=True)
                else:
                    text, value = over(outcome)
                    self.ended(job.run, job.text, text, value=value)
        return problems
