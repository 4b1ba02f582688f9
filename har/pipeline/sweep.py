"""`har sweep`: run the jobs of a study that are not done yet, and write its tables."""

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from har.config import RunConfig
from har.contract import TEST_SUBJECTS, HarError
from har.data.folds import make_splits
from har.evaluation.metrics import per_subject, scores
from har.evaluation.pooling import pool_folds, write_pooled
from har.files import write_whole
from har.pipeline.engine import Progress, default_workers, run_jobs
from har.pipeline.evaluate import evaluate_run, results_folder
from har.pipeline.run_folder import INFO, RunFolder
from har.pipeline.search import search
from har.pipeline.splits import prepared
from har.pipeline.study import Job, load_study, plan, study_configs
from har.pipeline.study_report import write_study
from har.pipeline.task_report import write_task_study
from har.pipeline.task_run import evaluate_task_run, score_text
from har.pipeline.tasks import task_of
from har.pipeline.train import CONFIG_FOLDER, train_any
from har.pipeline.train_common import Say
from har.pipeline.work import close_dead_runs
from har.tracking import closing_orphans, confirm_finished, parent_run

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


def sweep(
    path: Path,
    runs: Path,
    results: Path,
    *,
    archive: str | None = None,
    workers: int | None = None,
    folder: Path = CONFIG_FOLDER,
    command: str = "har sweep",
    say: Say = print,
) -> list[Path]:
    """Run a study and write its tables; what is done already is not run again.

    Args:
        path: of the study.
        runs: folder of all runs.
        results: folder of the results; the tables go to ``DATASET/studies``.
        archive: a copy of the data set.
        workers: processes; by default one a core.
        folder: of the model configs.
        command: that was typed, named in the report.
        say: gets one line a job.

    Returns:
        The files written.

    Raises:
        HarError: the study is wrong, or a job failed; the tables of the others are written all the same.
    """
    study, name = load_study(path), path.stem
    configs = study_configs(study, folder, str(path))
    dataset, digest, folds = _data(name, configs, archive)
    base = runs / dataset / STUDIES / name
    other = _task_name(name, configs)
    write = write_study if other is None else write_task_study
    report = results_folder(results, dataset) / (STUDIES if other is None else TASK_TABLES)
    close_dead_runs(runs, say)
    parent = parent_run(runs, dataset, name, study.question)
    if study.search is not None:
        return search(
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
            workers=workers,
            command=command,
            say=say,
        )
    jobs = plan(name, study, configs, folds)
    tasks = []
    for job in jobs:
        key = job.key(digest)
        target = base / job.run / f"fold-{job.fold}-seed-{job.config.training.seed}-{key}"
        tasks.append(Task(job, key, target, runs, results, archive, parent))
    done = [task for task in tasks if (task.folder / RESULT).is_file()]
    left = [task for task in tasks if task not in done]
    workers = min(workers or default_workers(), max(1, len(left)))
    say(f"study {name}: {len(tasks)} jobs, {len(done)} done before, {len(left)} to do in {workers} processes")
    progress, problems, written = Progress(len(tasks), len(done), workers, say), [], []
    with closing_orphans(runs), closing(run_jobs(left, run_task, workers=workers)) as outcomes:
        for outcome in outcomes:
            task = outcome.job
            what = f"{task.job.run}, fold {task.job.fold}, seed {task.job.config.training.seed}"
            if outcome.result is None:
                problems.append(f"{what}: {outcome.problem}")
                progress.add(f"{what} FAILED: {outcome.problem}", failed=True)
                continue
            done.append(task)
            progress.add(f"{what}: {_told(outcome.result)}, {outcome.result['train_seconds']:.0f} s")
            write(name, study, [read_result(task.folder) for task in done], report, command)
    if done:
        ordered = [task for task in tasks if task in done]
        written = write(name, study, [read_result(task.folder) for task in ordered], report, command)
        if study.keep_predictions:
            written += _keep_predictions(ordered, tasks, report / f"{name}{PREDICTIONS}")
    if problems:
        raise HarError(f"{len(problems)} of {len(tasks)} jobs failed, first {problems[0]}; type the same command again to try them again")
    return written


def _keep_predictions(done: list[Task], tasks: list[Task], folder: Path) -> list[Path]:
    """Pool the folds of every run and seed of which all are done."""
    written = []
    for run, seed in dict.fromkeys((task.job.run, task.job.config.training.seed) for task in tasks):
        own = [task for task in tasks if (task.job.run, task.job.config.training.seed) == (run, seed)]
        if all(task in done for task in own):
            folds = [RunFolder(task.folder).predictions("test") for task in own]
            written.append(write_pooled(pool_folds([fold for fold in folds if fold is not None]), folder))
    return written


def _told(result: dict[str, Any]) -> str:
    return score_text(result["scores"]) if "scores" in result else f"accuracy {100 * result['accuracy']:.2f} %"


def _task_name(name: str, configs: dict[str, RunConfig]) -> str | None:
    """The one task of a study's models; None for the activity of a window."""
    tasks = {config.model.name: task_of(config.model.name) for config in configs.values()}
    names = {model: None if task is None else task.name for model, task in tasks.items()}
    if len(set(names.values())) > 1:
        found = ", ".join(f"{model} ({task or 'window'})" for model, task in names.items())
        raise HarError(f"study {name} mixes tasks: {found}; write one study for each")
    return next(iter(names.values()))


def _data(name: str, configs: dict[str, RunConfig], archive: str | None) -> tuple[str, str, int]:
    """Name and digest of the data set, and number of folds; also fills the cache, once, before the processes start."""
    sets = {config.data.dataset for config in configs.values()}
    if len(sets) > 1:
        raise HarError(f"study {name} mixes the data sets {', '.join(sorted(sets))}; write one study for each")
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
        train_any(config)(
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
    if task_of(task.job.config.model.name) is None:
        predictions = evaluate_run(run, "test", task.results, task.archive)
        found: dict[str, Any] = {**scores(predictions), "windows": len(predictions.table)}
        subjects = per_subject(predictions)
    else:
        score = evaluate_task_run(run, "test", results_folder(task.results, run.info().origin.dataset), task.archive)
        found = {"scores": score.values, "references": score.references, "windows": int(score.subjects.windows.sum())}
        subjects = score.subjects
    return found | {
        "opens_test_subjects": bool(set(subjects.subject.tolist()) & set(TEST_SUBJECTS)),
        "subjects": subjects.to_dict("records"),
    }


def read_result(folder: Path) -> dict[str, Any]:
    """The result of a finished job."""
    return json.loads((folder / RESULT).read_text())
