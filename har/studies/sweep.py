"""`har sweep`: run the jobs of a study that are not done yet, and write its tables."""

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from har.contract import TEST_SUBJECTS
from har.data import synthetic
from har.data.prepare import prepared
from har.data.splits import make_splits
from har.errors import HarError
from har.evaluation.predictions import pool_folds, write_pooled
from har.files import write_whole
from har.runs.checks import CONFIG_FOLDER
from har.runs.engine import Engine, Outcome
from har.runs.evaluate import evaluate, results_folder
from har.runs.run_folder import INFO, RunFolder
from har.runs.train import train_run
from har.runs.work import Say, close_dead_runs
from har.studies.board import Board
from har.studies.search import search
from har.studies.study import STUDIES, TASK_TABLES, Job, Study, checked_study, plan
from har.studies.study_report import write_study
from har.tasks import task_of
from har.tracking.runs import confirm_finished, note_study, parent_run
from har.tracking.store import FOLDER

RESULT = "result.json"
PREDICTIONS = "_predictions"  # behind the name of a study, the folder of its pooled predictions


@dataclass(frozen=True)
class PlacedJob:
    """A job with everything a process needs to run it."""

    job: Job
    key: str
    folder: Path
    runs: Path
    results: Path
    archive: str | None
    parent: str

    @property
    def run(self) -> str:
        """Name of its run."""
        return self.job.run

    @property
    def text(self) -> str:
        """What it is, for people."""
        return f"{self.run}, fold {self.job.fold}, seed {self.job.config.training.seed}"


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
    task, dataset = task_of(first.model.name), windows.dataset
    report = results_folder(results, dataset) / (STUDIES if task.gains else TASK_TABLES)
    close_dead_runs(runs, say)
    if engine == "ray" and os.environ.get("RAY_ADDRESS") and not os.environ.get(FOLDER):
        say(f"a cluster of several machines needs a server, named in MLFLOW_TRACKING_URI, and a store of each machine, named in {FOLDER}")
    parent = parent_run(runs, dataset, path.stem, config.question)
    place = (runs, results, report, archive, parent, where, command, say, live)
    study = Study(path.stem, config, configs, task, dataset, windows.digest, len(make_splits(first.data, windows)), *place)
    return _run_jobs(study) if config.search is None else _noted(study, search(study))


def _run_jobs(study: Study) -> list[Path]:
    """Run the jobs that are not done yet, and write the report of all that are."""
    jobs = []
    for planned in plan(study.name, study.config, study.configs, study.folds):
        key = planned.key(study.digest)
        target = study.base / planned.run / f"fold-{planned.fold}-seed-{planned.config.training.seed}-{key}"
        jobs.append(PlacedJob(planned, key, target, study.runs, study.results, study.archive, study.parent))
    done = [job for job in jobs if (job.folder / RESULT).is_file()]
    left = [job for job in jobs if job not in done]
    study.say(f"study {study.name}: {len(jobs)} jobs, {len(done)} done before, {len(left)} to do {study.engine.text(len(left))}")
    task = study.task

    def value(result: dict[str, Any]) -> float:
        return task.shown(result["scores"][task.by_subject])

    def over(outcome: Outcome[PlacedJob, dict[str, Any]]) -> tuple[str, float]:
        result = outcome.result
        assert result is not None
        done.append(outcome.job)
        write_study(study, [read_result(job.folder) for job in done])
        again = f", attempt {outcome.attempts}" * (outcome.attempts > 1)  # its process died before
        return f"{outcome.job.text}: {task.text(result['scores'])}, {result['train_seconds']:.0f} s{again}", value(result)

    score = f"mean {task.by_subject}{', %' * task.percent}"
    board = Board(Counter(job.run for job in jobs), score=score, say=study.say, live=study.live)
    for placed in done:
        board.before(placed.run, [value(read_result(placed.folder))], 1)
    problems, written = board.run(study.engine, left, run_job, study.runs, over), []
    if done:
        ordered = [job for job in jobs if job in done]
        written = write_study(study, [read_result(job.folder) for job in ordered])
        if study.config.keep_predictions:
            written += _keep_predictions(ordered, jobs, study.report / f"{study.name}{PREDICTIONS}")
        _noted(study, written)
    if problems:
        raise HarError(
            "jobs-failed", f"{len(problems)} of {len(jobs)} jobs failed, first {problems[0]}; type the same command again to try them again"
        )
    return written


def _noted(study: Study, written: list[Path]) -> list[Path]:
    """What was found, on the page of the study in MLflow."""
    what = "**SYNTHETIC data: these numbers say nothing about people.**\n\n" if study.dataset == synthetic.NAME else ""
    note_study(study.runs, study.name, study.parent, what + (study.report / f"{study.name}.md").read_text())
    return written


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
    job, config = placed.job, placed.job.config
    torch.set_num_threads(config.training.threads)
    tags = {"study": job.study, "fold": str(job.fold), "setting": job.setting, "run_key": placed.key}
    if placed.parent:
        tags["mlflow.parentRunId"] = placed.parent
    run = RunFolder(placed.folder)
    if (placed.folder / INFO).is_file():  # its process may have died between its end and the word of it
        confirm_finished(placed.runs, run.info().mlflow_run_id)
    else:
        options: dict[str, Any] = {"target": placed.folder, "export": False, "tags": tags}
        options |= {"progress": False, "say": lambda text: None, "resume": True}  # its folder is of this key alone, and the driver speaks
        train_run(config, job.run, placed.runs, archive=placed.archive, **options)
    origin = run.info().origin
    score = evaluate(run, "test", placed.results, placed.archive).score
    subjects = score.subjects
    result = {"run": job.run, "setting": job.setting, "model": origin.model, "fold": job.fold, "seed": origin.seed}
    result |= {"scores": score.values, "references": score.references, "windows": int(subjects.windows.sum())}
    result |= {"opens_test_subjects": bool(set(subjects.subject.tolist()) & set(TEST_SUBJECTS)), "subjects": subjects.to_dict("records")}
    result |= {name: getattr(origin, name) for name in ("parameters", "epochs", "commit", "checkpoint_sha256", "data_digest")}
    result |= {"train_seconds": round(origin.train_seconds, 1), "key": placed.key}
    write_whole(placed.folder / RESULT, json.dumps(result, default=float) + "\n")
    return result


def read_result(folder: Path) -> dict[str, Any]:
    """The result of a finished job."""
    return json.loads((folder / RESULT).read_text())
