"""`har sweep`: run the jobs of a study that are not done yet, and write its tables."""

import json
import os
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from har.config import RunConfig
from har.contract import TEST_SUBJECTS, HarError
from har.data import synthetic
from har.data.prepare import prepared
from har.data.splits import make_splits
from har.evaluation.predictions import pool_folds, write_pooled
from har.files import write_whole
from har.models.registry import WINDOW
from har.runs.checks import CONFIG_FOLDER
from har.runs.engine import Engine, Outcome
from har.runs.evaluate import evaluate_run, results_folder
from har.runs.run_folder import INFO, RunFolder
from har.runs.train import train_run
from har.runs.work import Say, close_dead_runs
from har.studies.board import Board
from har.studies.search import search
from har.studies.study import Job, checked_study, plan
from har.studies.study_report import write_study
from har.studies.task_report import write_task_study
from har.tasks import task_of
from har.tracking.runs import closing_orphans, confirm_finished, note_study, parent_run
from har.tracking.store import FOLDER

RESULT = "result.json"
STUDIES = "studies"
TASK_TABLES = "tasks"  # tables of studies of other tasks than the activity of a window
PREDICTIONS = "_predictions"  # behind the name of a study, the folder of its pooled predictions


@dataclass(frozen=True)
class Task:
    """A job with everything a process needs to run it."""

    job: Job
    key: str
    folder: Path
    runs: Path
    results: Path
    archive: str | None
    parent: str

    @property
    def text(self) -> str:
        """What it is, for people."""
        return f"{self.job.run}, fold {self.job.fold}, seed {self.job.config.training.seed}"


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
    name = path.stem
    study, configs = checked_study(path, archive, folder)
    dataset, digest, folds = _data(configs, archive)
    base = runs / dataset / STUDIES / name
    windows = task_of(next(iter(configs.values())).model.name).name == WINDOW
    write = write_study if windows else write_task_study
    report = results_folder(results, dataset) / (STUDIES if windows else TASK_TABLES)
    close_dead_runs(runs, say)
    if engine == "ray" and os.environ.get("RAY_ADDRESS") and not os.environ.get(FOLDER):
        say(f"a cluster of several machines needs a server, named in MLFLOW_TRACKING_URI, and a store of each machine, named in {FOLDER}")
    parent = parent_run(runs, dataset, name, study.question)
    if study.search is not None:
        written = search(
            name,
            study,
            configs,
            folds,
            digest,
            runs=runs,
            base=base,
            report=report,
            archive=archive,
            parent=parent,
            engine=where,
            command=command,
            say=say,
            live=live,
        )
        _note(runs, dataset, name, parent, report)
        return written
    jobs = plan(name, study, configs, folds)
    tasks = []
    for job in jobs:
        key = job.key(digest)
        target = base / job.run / f"fold-{job.fold}-seed-{job.config.training.seed}-{key}"
        tasks.append(Task(job, key, target, runs, results, archive, parent))
    done = [task for task in tasks if (task.folder / RESULT).is_file()]
    left = [task for task in tasks if task not in done]
    say(f"study {name}: {len(tasks)} jobs, {len(done)} done before, {len(left)} to do {where.text(len(left))}")
    board, problems, written = _board(tasks, done, say, live=live), [], []
    with closing_orphans(runs), board, closing(where.run(left, run_task, lambda task: board.started(task.job.run, task.key))) as outcomes:
        for outcome in outcomes:
            task = outcome.job
            if outcome.result is None:
                problems.append(f"{task.text}: {outcome.problem}")
                board.ended(task.job.run, task.key, f"{task.text} FAILED: {outcome.problem}", failed=True)
                continue
            done.append(task)
            board.ended(task.job.run, task.key, _line(outcome), value=_value(task, outcome.result))
            write(name, study, [read_result(task.folder) for task in done], report, command)
    if done:
        ordered = [task for task in tasks if task in done]
        written = write(name, study, [read_result(task.folder) for task in ordered], report, command)
        if study.keep_predictions:
            written += _keep_predictions(ordered, tasks, report / f"{name}{PREDICTIONS}")
        _note(runs, dataset, name, parent, report)
    if problems:
        raise HarError(f"{len(problems)} of {len(tasks)} jobs failed, first {problems[0]}; type the same command again to try them again")
    return written


def _note(runs: Path, dataset: str, name: str, parent: str, report: Path) -> None:
    """What was found, on the page of the study in MLflow."""
    what = "**SYNTHETIC data: these numbers say nothing about people.**\n\n" if dataset == synthetic.NAME else ""
    note_study(runs, name, parent, what + (report / f"{name}.md").read_text())


def _keep_predictions(done: list[Task], tasks: list[Task], folder: Path) -> list[Path]:
    """Pool the folds of every run and seed of which all are done."""
    written = []
    for run, seed in dict.fromkeys((task.job.run, task.job.config.training.seed) for task in tasks):
        own = [task for task in tasks if (task.job.run, task.job.config.training.seed) == (run, seed)]
        if all(task in done for task in own):
            folds = [RunFolder(task.folder).predictions("test") for task in own]
            written.append(write_pooled(pool_folds([fold for fold in folds if fold is not None]), folder))
    return written


def _board(tasks: list[Task], done: list[Task], say: Say, *, live: bool) -> Board:
    """A row a run, with what was done before."""
    asked = task_of(tasks[0].job.config.model.name)
    score = f"mean {asked.by_subject}{', %' * asked.percent}"
    board = Board(Counter(task.job.run for task in tasks), score=score, say=say, live=live)
    for task in done:
        result = read_result(task.folder)
        board.before(task.job.run, 1, [_value(task, result)], [result["train_seconds"]])
    return board


def _value(task: Task, result: dict[str, Any]) -> float:
    """The one score of a job as it is printed."""
    asked = task_of(task.job.config.model.name)
    return asked.shown(result.get("scores", result)[asked.by_subject])


def _line(outcome: Outcome[Task, dict[str, Any]]) -> str:
    result = outcome.result
    assert result is not None
    asked = task_of(outcome.job.job.config.model.name)
    scored = asked.text(result["scores"]) if "scores" in result else f"accuracy {_value(outcome.job, result):.2f} %"
    again = f", attempt {outcome.attempts}" * (outcome.attempts > 1)  # its process died before
    return f"{outcome.job.text}: {scored}, {result['train_seconds']:.0f} s{again}"


def _data(configs: dict[str, RunConfig], archive: str | None) -> tuple[str, str, int]:
    """Name and digest of the data set, and number of folds; also fills the cache, once, before the processes start."""
    config = next(iter(configs.values()))
    windows = prepared(config, archive)
    return windows.dataset, windows.digest, len(make_splits(config.data, windows))


def run_task(task: Task) -> dict[str, Any]:
    """Train one job, score the subjects of its fold, and leave the result in its folder.

    Official test subjects are only scored where the split makes them a fold's test part; each such score is in the ledger.
    """
    torch.set_num_threads(task.job.config.training.threads)
    config = task.job.config
    tags = {"study": task.job.study, "fold": str(task.job.fold), "setting": task.job.setting, "run_key": task.key}
    if task.parent:
        tags["mlflow.parentRunId"] = task.parent
    quiet: Say = lambda text: None  # noqa: E731 - the driver speaks
    if (task.folder / INFO).is_file():  # its process may have died between its end and the word of it
        confirm_finished(task.runs, RunFolder(task.folder).info().mlflow_run_id)
    else:
        train_run(
            config,
            task.job.run,
            task.runs,
            archive=task.archive,
            progress=False,
            say=quiet,
            target=task.folder,
            export=False,
            tags=tags,
            resume=True,  # its folder is of this key alone
        )
    run = RunFolder(task.folder)
    origin = run.info().origin
    result = {
        "run": task.job.run,
        "setting": task.job.setting,
        "model": origin.model,
        "fold": task.job.fold,
        "seed": origin.seed,
        **_scored(task, run),
        "parameters": origin.parameters,
        "epochs": origin.epochs,
        "train_seconds": round(origin.train_seconds, 1),
        "commit": origin.commit,
        "checkpoint_sha256": origin.checkpoint_sha256,
        "key": task.key,
        "data_digest": origin.data_digest,
    }
    write_whole(task.folder / RESULT, json.dumps(result, default=float) + "\n")
    return result


def _scored(task: Task, run: RunFolder) -> dict[str, Any]:
    """Scores of the held-out people: of windows as columns, of another task below ``scores``."""
    score = evaluate_run(run, "test", task.results, task.archive).score
    subjects = score.subjects
    found = score.values if score.predictions is not None else {"scores": score.values, "references": score.references}
    return found | {
        "windows": int(subjects.windows.sum()),
        "opens_test_subjects": bool(set(subjects.subject.tolist()) & set(TEST_SUBJECTS)),
        "subjects": subjects.to_dict("records"),
    }


def read_result(folder: Path) -> dict[str, Any]:
    """The result of a finished job."""
    return json.loads((folder / RESULT).read_text())
