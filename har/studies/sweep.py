"""`har sweep`: run the jobs of a study that are not done yet, and write its tables."""

import json
import os
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from har.contract import TEST_SUBJECTS
from har.data.prepare import prepared
from har.data.splits import make_splits
from har.errors import HarError
from har.evaluation.predictions import pool_folds, write_pooled
from har.files import write_whole
from har.redaction import shown
from har.runs.checks import CONFIG_FOLDER
from har.runs.engine import Engine, Outcome, Progress
from har.runs.evaluate import evaluate
from har.runs.run_folder import INFO, RunFolder
from har.runs.train import Say, close_dead_runs, train_run
from har.studies.search import search
from har.studies.study import Job, Study, checked_study, plan
from har.studies.study_report import write_study
from har.tasks.run_key import run_key
from har.tracking.runs import closing_orphans, confirm_finished, note_study, parent_run
from har.tracking.store import FOLDER

RESULT = "result.json"
PREDICTIONS = "_predictions"  # behind the name of a study, the folder of its pooled predictions
LONGEST_S = 86_400  # the time left is estimated from the jobs of so many seconds


class Board:
    """Runs the jobs of a study, counts them, and shows them.

    Args:
        engine: where they run.
        say: gets a line for each finished job, where there are no bars.
        live: draw bars on the terminal, one for all jobs and one for each row of which a job runs.
        console: to draw on; by default the standard output.
    """

    def __init__(self, engine: Engine, *, say: Callable[[str], None], live: bool = False, console: Console | None = None) -> None:
        self.engine, self.say, self.total, self.done, self.failed = engine, say, 0, 0, 0
        self._console = console or Console()
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[score]}"))
        times = (TimeElapsedColumn(), TextColumn("so far,"), TimeRemainingColumn(), TextColumn("left"))
        self.bars = Bars(*columns, *times, console=self._console, speed_estimate_period=LONGEST_S)
        # A dumb terminal cannot go back over what it has written.
        self._live = live and self._console.is_terminal and not self._console.is_dumb_terminal

    def rows(self, totals: dict[str, int], score: str, summary: Callable[[list[float]], float] = statistics.fmean) -> None:
        """What is counted.

        Args:
            totals: jobs of each row.
            score: what the values are.
            summary: of the values of a row; by default their mean.
        """
        self.total, self._score, self._summary = sum(totals.values()), score, summary
        self._values: dict[str, list[float]] = {name: [] for name in totals}
        self._running: dict[str, set[str]] = {name: set() for name in totals}
        self._all = self.bars.add_task("all", total=self.total, score="")
        self._rows = {name: self.bars.add_task(shown(name), total=total, score="", visible=False) for name, total in totals.items()}

    def __enter__(self) -> Self:
        self._lines = Progress(self.total, self.done, self.say)
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
        self, jobs: Sequence[Any], work: Callable[[Any], Any], runs: Path, over: Callable[[Outcome], tuple[str, float | None]]
    ) -> list[str]:
        """Run jobs and show them.

        Args:
            jobs: each with ``run``, its row, and ``text``, by which people know it.
            work: a function of a module.
            runs: folder of all runs.
            over: gets every job that has a result; returns its line and its score.

        Returns:
            What went wrong with the others.
        """
        problems = []
        with closing_orphans(runs), self, closing(self.engine.run(jobs, work, lambda job: self.started(job.run, job.text))) as outcomes:
            for outcome in outcomes:
                job = outcome.job
                if outcome.result is None:
                    problems.append(f"{job.text}: {outcome.problem}")
                    self.ended(job.run, job.text, f"{job.text} FAILED: {outcome.problem}", failed=True)
                else:
                    text, value = over(outcome)
                    self.ended(job.run, job.text, text, value=value)
        return problems


@dataclass(frozen=True)
class PlacedJob:
    """A job with everything a process needs to run it."""

    study: Study
    job: Job
    key: str

    @property
    def run(self) -> str:
        """Name of its run."""
        return self.job.run

    @property
    def text(self) -> str:
        """What it is, for people."""
        return self.job.text

    @property
    def folder(self) -> Path:
        """Of its run."""
        return self.study.base / self.run / f"fold-{self.job.fold}-seed-{self.job.config.training.seed}-{self.key}"

    @property
    def result(self) -> dict[str, Any]:
        """What it found; it has finished."""
        return json.loads((self.folder / RESULT).read_text())


def sweep(
    path: Path,
    runs: Path,
    results: Path,
    *,
    archive: str | None = None,
    workers: int | None = None,
    engine: str = "local",
    gpus_per_job: float = 0.0,
    folder: Path = CONFIG_FOLDER,
    command: str = "har sweep",
    say: Say = print,
    live: bool = False,
) -> list[Path]:
    """Run a study and write its tables; what is done already is not run again.

    Args:
        path: of the study.
        runs: folder of all runs.
        results: folder of the results; the tables go to ``DATASET/studies``.
        archive: a copy of the data set.
        workers: jobs at a time; by default one a core.
        engine: ``local``, or ``ray``.
        gpus_per_job: a part of a GPU for each, with Ray.
        folder: of the model configs.
        command: that was typed, named in the report.
        say: gets one line a job.
        live: instead, draw a table where the standard output is a terminal.

    Returns:
        The files written.

    Raises:
        HarError: the study is wrong, or a job failed; the tables of the others are written all the same.
    """
    where = Engine(engine, workers, gpus_per_job)
    config, configs = checked_study(path, archive, folder)
    first = next(iter(configs.values()))
    windows = prepared(first, archive)  # fills the cache, once, before the processes start
    close_dead_runs(runs, say)
    if engine == "ray" and os.environ.get("RAY_ADDRESS") and not os.environ.get(FOLDER):
        say(f"a cluster of several machines needs a server, named in MLFLOW_TRACKING_URI, and a store of each machine, named in {FOLDER}")
    parent, folds = parent_run(runs, windows.dataset, path.stem, config.question), len(make_splits(first.data, windows))
    study = Study(path.stem, config, configs, windows.dataset, windows.digest, folds, runs, results, archive, parent)
    board = Board(where, say=say, live=live)
    written, problem = (_run_jobs if config.search is None else search)(study, board, command)
    if written:
        what = "**SYNTHETIC data: these numbers say nothing about people.**\n\n" * windows.synthetic
        note_study(runs, study.name, parent, what + (study.report / f"{study.name}.md").read_text())
    if problem is not None:
        raise HarError("jobs-failed", problem)
    return written


def _run_jobs(study: Study, board: Board, command: str) -> tuple[list[Path], str | None]:
    """Run the jobs that are not done yet, and write the report of all that are; returns its files and what went wrong."""
    task, planned = study.task, plan(study.name, study.config, study.configs, study.folds)
    jobs = [PlacedJob(study, job, run_key(job.config, study.digest)) for job in planned]
    done = [job for job in jobs if (job.folder / RESULT).is_file()]
    left = [job for job in jobs if job not in done]
    board.say(f"study {study.name}: {len(jobs)} jobs, {len(done)} done before, {len(left)} to do {board.engine.text(len(left))}")

    def value(result: dict[str, Any]) -> float:
        return task.shown(result["scores"][task.by_subject])

    def over(outcome: Outcome[PlacedJob, dict[str, Any]]) -> tuple[str, float]:
        result = outcome.result
        assert result is not None
        done.append(outcome.job)
        write_study(study, [job.result for job in done], command)
        again = f", attempt {outcome.attempts}" * (outcome.attempts > 1)  # its process died before
        return f"{outcome.job.text}: {task.text(result['scores'])}, {result['train_seconds']:.0f} s{again}", value(result)

    board.rows(Counter(job.run for job in jobs), f"mean {task.by_subject}{', %' * task.percent}")
    for placed in done:
        board.before(placed.run, [value(placed.result)], 1)
    problems, written = board.run(left, run_job, study.runs, over), []
    if done:
        ordered = [job for job in jobs if job in done]
        written = write_study(study, [job.result for job in ordered], command)
        if study.config.keep_predictions:
            written += _keep_predictions(ordered, jobs, study.report / f"{study.name}{PREDICTIONS}")
    if not problems:
        return written, None
    again = "type the same command again to try them again"
    return written, f"{len(problems)} of {len(jobs)} jobs failed, first {problems[0]}; {again}"


def _keep_predictions(done: list[PlacedJob], jobs: list[PlacedJob], folder: Path) -> list[Path]:
    """Pool the folds of every run and seed of which all are done."""
    written = []
    for run, seed in dict.fromkeys((job.run, job.job.config.training.seed) for job in jobs):
        own = [job for job in jobs if (job.run, job.job.config.training.seed) == (run, seed)]
        if all(job in done for job in own):
            folds = [RunFolder(job.folder).predictions("test") for job in own]
            written.append(write_pooled(pool_folds([fold for fold in folds if fold is not None]), folder))
    return written


def run_job(placed: PlacedJob) -> dict[str, Any]:
    """Train one job, score the subjects of its fold, and leave the result in its folder.

    Official test subjects are only scored where the split makes them a fold's test part; each such score is in the ledger.
    """
    study, job, config = placed.study, placed.job, placed.job.config
    torch.set_num_threads(config.training.threads)
    tags = study.tags(study=study.name, fold=str(job.fold), setting=job.setting, run_key=placed.key)
    run = RunFolder(placed.folder)
    if (placed.folder / INFO).is_file():  # its process may have died between its end and the word of it
        confirm_finished(study.runs, run.info().mlflow_run_id)
    else:
        options: dict[str, Any] = {"target": placed.folder, "export": False, "tags": tags}
        options |= {"progress": False, "say": lambda text: None, "resume": True}  # its folder is of this key alone, and the driver speaks
        train_run(config, job.run, study.runs, archive=study.archive, **options)
    origin = run.origin
    score = evaluate(run, "test", study.results, study.archive).score
    subjects = score.subjects
    result = {"run": job.run, "setting": job.setting, "model": origin.model, "fold": job.fold, "seed": origin.seed}
    result |= {"scores": score.values, "references": score.references, "windows": int(subjects.windows.sum())}
    result |= {"opens_test_subjects": bool(set(subjects.subject.tolist()) & set(TEST_SUBJECTS)), "subjects": subjects.to_dict("records")}
    result |= {name: getattr(origin, name) for name in ("parameters", "epochs", "commit", "checkpoint_sha256", "data_digest")}
    result |= {"train_seconds": round(origin.train_seconds, 1), "key": placed.key}
    write_whole(placed.folder / RESULT, json.dumps(result, default=float) + "\n")
    return result
