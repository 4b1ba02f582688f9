"""The search of a study: Optuna over the held-out training subjects, resumable, every trial an MLflow run."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pandas as pd
import torch
from filelock import FileLock
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState

from har.config import RunConfig
from har.contract import TEST_SUBJECTS, HarError
from har.data import synthetic
from har.files import write_whole
from har.runs.engine import Engine
from har.runs.provenance import git_commit, versions, write_table
from har.runs.train import fit_task, origin_of, run_facts
from har.studies.board import Board
from har.studies.study import SearchSpace, StudyConfig, example
from har.studies.study_report import dataset_of, whose_tests
from har.tasks import Task, task_of
from har.tasks.code import KEY_LENGTH, code_digest
from har.tracking.runs import closing_orphans, tracked_run
from har.training.trainer import quiet_lightning

STARTUP_TRIALS = 5  # before a trial is compared with the others and may be pruned
OVER = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Slot:
    """One trial to be run by a process; which values it tries is decided when it starts."""

    name: str
    run: str
    config: RunConfig
    space: dict[str, SearchSpace]
    folds: tuple[int, ...]
    storage: Path
    runs: Path
    archive: str | None
    parent: str
    seed: int
    data_digest: str


class Ended(NamedTuple):
    """How a trial ended: what is said of it, and its value as it is printed; none where it was pruned."""

    text: str
    value: float | None


def storage_name(name: str, run: str, config: RunConfig, study: StudyConfig, data_digest: str) -> str:
    """Name of an Optuna study; trials of other code, another config, space or data are never mixed with these.

    What the config says about the keys that are searched does not count, so that the best values can be written into it.
    """
    assert study.search is not None
    space = study.search.model_dump(mode="json", exclude={"trials"})
    fixed = config.changed({key: example(option) for key, option in study.search.space.items()}, name)
    content = [code_digest(config.model.name), fixed.model_dump(mode="json"), data_digest, space, study.folds]
    return f"{name}-{run}-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]}"


def search(
    name: str,
    study: StudyConfig,
    configs: dict[str, RunConfig],
    folds: int,
    data_digest: str,
    *,
    runs: Path,
    base: Path,
    report: Path,
    archive: str | None,
    parent: str,
    engine: Engine,
    command: str,
    say: Callable[[str], None],
    live: bool,
) -> list[Path]:
    """Run the trials of a search that are not done yet, for every config, and write the table.

    Raises:
        HarError: a trial failed, or a key of the space does not fit; the trials of the others are kept.
    """
    assert study.search is not None
    wanted = tuple(range(folds)) if study.folds is None else study.folds
    storage = base / "trials.log"
    base.mkdir(parents=True, exist_ok=True)
    slots, names = [], {}
    task = task_of(next(iter(configs.values())).model.name)
    title = "best, %" if task.percent else f"best {task.by_subject}"
    board = Board(dict.fromkeys(configs, study.search.trials), score=title, summary=task.best, say=say, live=live)
    for run, config in configs.items():
        for key, option in study.search.space.items():  # every key must fit before the first trial starts
            config.changed({key: example(option)}, f"study {name}")
        names[run] = storage_name(name, run, config, study, data_digest)
        known = _open(storage, names[run], task)
        with FileLock(f"{storage}.stale.lock"):
            for trial in known.get_trials(states=(TrialState.RUNNING,)):  # of a driver that was killed
                known.tell(trial.number, state=TrialState.FAIL)
        trials = known.get_trials(states=OVER)
        complete = [task.shown(float(trial.value or 0)) for trial in trials if trial.state == TrialState.COMPLETE]
        times = [trial.duration.total_seconds() for trial in trials if trial.duration is not None]
        over = len(trials)
        board.before(run, min(over, study.search.trials), complete, times)
        slots += [
            Slot(names[run], run, config, study.search.space, wanted, storage, runs, archive, parent, number, data_digest)
            for number in range(over, study.search.trials)
        ]
    say(f"search {name}: {board.total} trials, {board.done} done before, {len(slots)} to do {engine.text(len(slots))}")
    problems: list[str] = []
    written: list[Path] = []
    running = engine.run(slots, run_trial, lambda slot: board.started(slot.run, slot.seed))
    with closing_orphans(runs), board, closing(running) as outcomes:
        for outcome in outcomes:
            slot = outcome.job
            if outcome.result is None:
                problems.append(f"{slot.run}: {outcome.problem}")
                board.ended(slot.run, slot.seed, f"{slot.run} FAILED: {outcome.problem}", failed=True)
                continue
            board.ended(slot.run, slot.seed, f"{slot.run}, {outcome.result.text}", value=outcome.result.value)
            written = write_search(name, study, task, storage, names, report, command)
    written = written or write_search(name, study, task, storage, names, report, command)
    if problems:
        raise HarError(f"{len(problems)} trials failed, first {problems[0]}; type the same command again to try as many others")
    return written


def _open(storage: Path, name: str, task: Task, seed: int = 0) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=name,
        storage=JournalStorage(JournalFileBackend(str(storage))),
        direction="maximize" if task.higher_is_better else "minimize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
    )


def _suggest(trial: optuna.Trial, key: str, option: SearchSpace) -> Any:
    if option.choices is not None:
        return trial.suggest_categorical(key, option.choices)
    low, high = option.low, option.high
    assert low is not None
    assert high is not None
    if option.integer:
        return trial.suggest_int(key, int(low), int(high), log=option.log)
    return trial.suggest_float(key, low, high, log=option.log)


def run_trial(slot: Slot) -> Ended:
    """One trial: train on every fold's training subjects, score its held-out subjects, stop early where it falls behind.

    Its MLflow run ends FINISHED, KILLED where it was pruned, FAILED after an error.
    """
    quiet_lightning()
    task = task_of(slot.config.model.name)
    study = _open(slot.storage, slot.name, task, slot.seed)
    trial = study.ask()
    try:
        values = {key: _suggest(trial, key, option) for key, option in slot.space.items()}
        config = slot.config.changed(values, "search")
        torch.set_num_threads(config.training.threads)
        dataset = config.data.dataset
        tags = run_facts(config, slot.run, dataset, slot.data_digest, git_commit(), synthetic=dataset == synthetic.NAME)
        tags |= {"study": slot.name, "trial": str(trial.number), "fold": " ".join(map(str, slot.folds))}
        if slot.parent:
            tags["mlflow.parentRunId"] = slot.parent
        scores: list[float] = []
        with tracked_run(slot.runs, dataset, f"{slot.run}-trial{trial.number}", tags) as tracked:
            tracked.log_params(values)
            for step, fold in enumerate(slot.folds):
                scores += _fold_scores(task, config.changed({"data.split.fold": fold}, "search"), slot.archive)
                value = sum(scores) / len(scores)
                tracked.log_metrics({f"subject_mean_{task.by_subject}": value}, step=step)
                trial.report(value, step)
                if step < len(slot.folds) - 1 and trial.should_prune():
                    tracked.log_params({"state": "pruned"})
                    tracked.killed = True
                    break
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise
    if tracked.killed:
        study.tell(trial, state=TrialState.PRUNED)
        return Ended(f"trial {trial.number}: pruned at {task.line(value)}", None)
    study.tell(trial, value)
    return Ended(f"trial {trial.number}: {task.line(value)}", task.shown(value))


def _fold_scores(task: Task, config: RunConfig, archive: str | None) -> list[float]:
    """The score of each held-out subject of a fold, by the weights that are kept."""
    data = task.load(config, archive)
    if set(data.split.test) & set(TEST_SUBJECTS) and not data.synthetic:
        raise HarError("a search must not see the official test subjects; use split: {kind: kfold, subjects: training}")
    with tempfile.TemporaryDirectory() as folder:
        module, fitted = fit_task(task, config, data, Path(folder))
        origin = origin_of(config.model.name, config, data, module, fitted, git_commit())
    return task.score(module, config, data, "test", origin).subjects[task.by_subject].tolist()


def write_search(name: str, study: StudyConfig, task: Task, storage: Path, names: dict[str, str], folder: Path, command: str) -> list[Path]:
    """Write ``NAME_trials.csv``, a row a trial, and ``NAME.md`` with the best of every config."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, lines = [], ["| config | trials | pruned | best | values of the best |", "|---|---:|---:|---:|---|"]
    for run, stored in names.items():
        trials = [trial for trial in _open(storage, stored, task).get_trials() if trial.state.is_finished()]
        for trial in trials:
            last = trial.value if trial.value is not None else trial.intermediate_values.get(max(trial.intermediate_values, default=-1))
            rows.append({"run": run, "trial": trial.number, "state": trial.state.name, "value": last, **trial.params})
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        if complete:
            best = task.best(complete, key=lambda trial: float(trial.value or 0))
            values = ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in best.params.items())
            pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
            lines.append(
                f"| {run} | {len(trials)} | {pruned} | {task.shown(float(best.value or 0)):.{2 if task.percent else 4}f} | {values} |"
            )
    table = write_table(pd.DataFrame(rows), folder / f"{name}_trials.csv", "%.6g")
    made = ", ".join(f"{package} {number}" for package, number in versions().items())
    text = folder / f"{name}.md"
    unit = ", per cent" * task.percent
    about = (
        f"Best: mean over held-out subjects of their {task.by_subject}{unit}, of the {study.split.kind} split"
        f"{whose_tests(dataset_of(folder), opened=False)}."
    )
    when = f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}."
    write_whole(text, "\n".join([f"# {study.question}", "", *lines, "", about, when, f"Versions: {made}.", ""]))
    return [table, text]
