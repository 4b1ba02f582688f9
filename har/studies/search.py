"""The search of a study: Optuna over the held-out training subjects, resumable, every trial an MLflow run."""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import optuna
import pandas as pd
import torch
from filelock import FileLock
from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState

from har.config import RunConfig
from har.contract import TEST_SUBJECTS
from har.data import synthetic
from har.errors import HarError
from har.files import write_whole
from har.reporting import footer, git_commit, markdown, write_table
from har.runs.engine import Outcome
from har.runs.train import fit_task, origin_of, run_facts
from har.studies.study import SearchSpace, Study, example
from har.studies.study_report import whose_tests
from har.tasks import Task
from har.tasks.run_key import KEY_LENGTH, code_digest
from har.tracking.runs import tracked_run
from har.training.trainer import quiet_lightning

if TYPE_CHECKING:
    from har.studies.sweep import Board

STARTUP_TRIALS = 5  # before a trial is compared with the others and may be pruned
OVER = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Slot:
    """One trial to be run by a process; which values it tries is decided when it starts."""

    study: Study
    run: str
    name: str
    seed: int

    @property
    def text(self) -> str:
        """What it is, for people."""
        return f"{self.run}, seed {self.seed}"


class Ended(NamedTuple):
    """How a trial ended: what is said of it, and its value as it is printed; none where it was pruned."""

    text: str
    value: float | None


def storage_name(study: Study, run: str) -> str:
    """Name of an Optuna study; trials of other code, another config, space or data are never mixed with these.

    What the config says about the keys that are searched does not count, so that the best values can be written into it.
    """
    wanted, config = study.config.search, study.configs[run]
    assert wanted is not None
    space = wanted.model_dump(mode="json", exclude={"trials"})
    fixed = config.changed({key: example(option) for key, option in wanted.space.items()}, study.name)
    content = [code_digest(config.model.name), fixed.model_dump(mode="json"), study.digest, space, study.config.folds]
    return f"{study.name}-{run}-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:KEY_LENGTH]}"


def search(study: Study, board: "Board", command: str) -> tuple[list[Path], str | None]:
    """Run the trials of a search that are not done yet, for every config, and write the table; returns its files and what went wrong."""
    wanted, task = study.config.search, study.task
    assert wanted is not None
    study.base.mkdir(parents=True, exist_ok=True)
    names, slots = {run: storage_name(study, run) for run in study.configs}, []
    board.rows(dict.fromkeys(names, wanted.trials), "best, %" if task.percent else f"best {task.by_subject}", task.best)
    for run, name in names.items():
        known = _open(study, name)
        with FileLock(f"{_storage(study)}.stale.lock"):
            for trial in known.get_trials(states=(TrialState.RUNNING,)):  # of a driver that was killed
                known.tell(trial.number, state=TrialState.FAIL)
        trials = known.get_trials(states=OVER)
        complete = [task.shown(float(trial.value or 0)) for trial in trials if trial.state == TrialState.COMPLETE]
        board.before(run, complete, min(len(trials), wanted.trials))
        slots += [Slot(study, run, name, number) for number in range(len(trials), wanted.trials)]
    board.say(f"search {study.name}: {board.total} trials, {board.done} done before, {len(slots)} to do {board.engine.text(len(slots))}")

    def over(outcome: Outcome[Slot, Ended]) -> tuple[str, float | None]:
        write_search(study, names, command)
        assert outcome.result is not None
        return f"{outcome.job.run}, {outcome.result.text}", outcome.result.value

    problems = board.run(slots, run_trial, study.runs, over)
    again = "type the same command again to try as many others"
    return write_search(study, names, command), f"{len(problems)} trials failed, first {problems[0]}; {again}" if problems else None


def _storage(study: Study) -> Path:
    return study.base / "trials.log"


def _open(study: Study, name: str, seed: int = 0) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=name,
        storage=JournalStorage(JournalFileBackend(str(_storage(study)))),
        direction="maximize" if study.task.higher_is_better else "minimize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
    )


def _distribution(option: SearchSpace) -> optuna.distributions.BaseDistribution:
    if option.choices is not None:
        return optuna.distributions.CategoricalDistribution(option.choices)
    kind: Any = optuna.distributions.IntDistribution if option.integer else optuna.distributions.FloatDistribution
    return kind(example(option), int(option.high or 0) if option.integer else option.high, log=option.log)


def run_trial(slot: Slot) -> Ended:
    """One trial: train on every fold's training subjects, score its held-out subjects, stop early where it falls behind.

    Its MLflow run ends FINISHED, KILLED where it was pruned, FAILED after an error.
    """
    quiet_lightning()
    study, task, wanted = slot.study, slot.study.task, slot.study.config.search
    assert wanted is not None
    folds = study.config.folds or tuple(range(study.folds))
    known = _open(study, slot.name, slot.seed)
    trial = known.ask({key: _distribution(option) for key, option in wanted.space.items()})
    try:
        config = study.configs[slot.run].changed(trial.params, "search")
        torch.set_num_threads(config.training.threads)
        dataset, generated = study.dataset, study.dataset == synthetic.NAME
        tags = run_facts(config, slot.run, dataset, study.digest, git_commit(), synthetic=generated)
        tags |= study.tags(study=slot.name, trial=str(trial.number), fold=" ".join(map(str, folds)))
        scores: list[float] = []
        with tracked_run(study.runs, dataset, f"{slot.run}-trial{trial.number}", tags) as tracked:
            tracked.log_params(trial.params)
            for step, fold in enumerate(folds):
                scores += _fold_scores(task, config.changed({"data.split.fold": fold}, "search"), study.archive)
                value = sum(scores) / len(scores)
                tracked.log_metrics({f"subject_mean_{task.by_subject}": value}, step=step)
                trial.report(value, step)
                if step < len(folds) - 1 and trial.should_prune():
                    tracked.log_params({"state": "pruned"})
                    tracked.killed = True
                    break
    except BaseException:
        known.tell(trial, state=TrialState.FAIL)
        raise
    if tracked.killed:
        known.tell(trial, state=TrialState.PRUNED)
        return Ended(f"trial {trial.number}: pruned at {task.line(value)}", None)
    known.tell(trial, value)
    return Ended(f"trial {trial.number}: {task.line(value)}", task.shown(value))


def _fold_scores(task: Task, config: RunConfig, archive: str | None) -> list[float]:
    """The score of each held-out subject of a fold, by the weights that are kept."""
    data = task.load(config, archive)
    if set(data.split.test) & set(TEST_SUBJECTS) and not data.synthetic:
        raise HarError("test-subjects", "a search must not see the official test subjects; use split: {kind: kfold, subjects: training}")
    with tempfile.TemporaryDirectory() as folder:
        module, fitted = fit_task(task, config, data, Path(folder))
        origin = origin_of(config.model.name, config, data, module, fitted, git_commit())
    return task.score(module, config, data, "test", origin).subjects[task.by_subject].tolist()


def write_search(study: Study, names: dict[str, str], command: str) -> list[Path]:
    """Write ``NAME_trials.csv``, a row a trial, and ``NAME.md`` with the best of every config."""
    task, rows, lines = study.task, [], []
    for run, stored in names.items():
        trials = [trial for trial in _open(study, stored).get_trials() if trial.state.is_finished()]
        for trial in trials:
            last = trial.value if trial.value is not None else trial.intermediate_values.get(max(trial.intermediate_values, default=-1))
            rows.append({"run": run, "trial": trial.number, "state": trial.state.name, "value": last, **trial.params})
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        if complete:
            best = task.best(complete, key=lambda trial: float(trial.value or 0))
            values = ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in best.params.items())
            value = f"{task.shown(float(best.value or 0)):.{2 if task.percent else 4}f}"
            lines.append((run, len(trials), sum(trial.state == TrialState.PRUNED for trial in trials), value, values))
    table = write_table(pd.DataFrame(rows), study.report / f"{study.name}_trials.csv", "%.6g")
    text = study.report / f"{study.name}.md"
    about = (
        f"Best: mean over held-out subjects of their {task.by_subject}{', per cent' * task.percent}, of the {study.config.split.kind} split"
        f"{whose_tests(study.dataset, opened=False)}."
    )
    found = markdown(("config", "trials", "pruned", "best", "values of the best"), lines, "lrrrl")
    write_whole(text, f"# {study.config.question}\n\n{found}\n\n{about}\n{footer(command)}")
    return [table, text]
