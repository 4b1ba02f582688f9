"""One run of a task other than naming the activity of a window: audit, train, score the saved weights, export, track."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch

from har.config import RunConfig
from har.contract import SPLITS, HarError, artefact
from har.evaluation.predictions import Origin
from har.export.onnx_file import one_line
from har.files import CannotWriteError, whole_file, write_whole
from har.models.module import TaskModule
from har.pipeline.ledger import record_opening, required_ledger
from har.pipeline.provenance import git_commit, versions
from har.pipeline.run_folder import CONFIG, ONNX, RunFolder, RunInfo, run_path, write_info
from har.pipeline.study import code_digest, run_key
from har.pipeline.table_file import write_table
from har.pipeline.tasks import Task, TaskData, TaskScore, task_of
from har.pipeline.train_common import Say, device_facts, log_start, run_facts
from har.pipeline.work import finished_before, work_folder
from har.runtime.bundle import replace_folder, sha256
from har.tracking import tracked_run
from har.training.checkpoint import load_module, save_weights
from har.training.trainer import Fitted, quiet_lightning, run_trainer

SCORE_TOLERANCE = 5e-3 if torch.cuda.is_available() else 1e-4  # share of the score; the training adds it up batch by batch


def train_task_run(
    config: RunConfig,
    run: str,
    runs: Path,
    *,
    archive: Path | str | None = None,
    progress: bool = True,
    say: Say = print,
    target: Path | None = None,
    export: bool = True,
    tags: dict[str, str] | None = None,
    resume: bool = False,
) -> RunFolder:
    """Train one model of a task and leave a run folder that describes itself, as `har.pipeline.train.train_run` does.

    Raises:
        HarError: the data are absent or do not fit the task, a split leaks, or the training diverged.
    """
    quiet_lightning()
    task = _task(config)
    data = task.load(config, archive)
    seed, who = config.training.seed, f"{run}, seed {config.training.seed}"
    what = "SYNTHETIC data" if data.synthetic else data.dataset
    counts = ", ".join(f"{count:,} {task.unit} of {len(data.split.subjects(part))} {part} subjects" for part, count in data.counts.items())
    say(f"{who}: {what}, task {task.name}, {counts}; no leak found")
    target = target or run_path(runs, data.dataset, run, seed)
    key, commit = run_key(config, data.digest), git_commit()
    done = finished_before(target, key, runs, who=who, say=say) if resume else None
    if done is not None:
        return done
    facts = run_facts(config, run, data.dataset, data.digest, commit, synthetic=data.synthetic) | {"task": task.name} | (tags or {})
    title = f"{run}-seed{seed}" + ("-synthetic" if data.synthetic else "")
    with work_folder(target, key, resume=resume, who=who, say=say) as work:
        (work.path / CONFIG).write_text(config.to_yaml())
        with tracked_run(runs, data.dataset, title, facts, work.run_id) as tracked:
            work.remember(tracked.run_id)
            log_start(tracked, config, data.split, data.counts, data.digest)
            torch.set_num_threads(config.training.threads)
            pl.seed_everything(seed, verbose=False)
            fitted = run_trainer(
                task.build(config, data),
                task.batches(config, data),
                config.training,
                work.path,
                name=config.model.name,
                validates="validation" in data.parts,
                logger=tracked.logger,
                progress=progress,
            )
            module = load_module(fitted.checkpoint, task.module)
            if task.finish(module, config, data):
                save_weights(fitted.checkpoint, module)
                module = load_module(fitted.checkpoint, task.module)
            origin = Origin(
                run=run,
                model=config.model.name,
                seed=seed,
                dataset=data.dataset,
                synthetic=data.synthetic,
                split="validation",
                channels=config.data.channels,
                parameters=module.num_parameters,
                epochs=fitted.epochs,
                best_epoch=fitted.best_epoch,
                train_seconds=fitted.seconds,
                commit=commit,
                checkpoint_sha256=sha256(fitted.checkpoint),
                data_digest=data.digest,
                config=config.recipe(),
                code=code_digest(config.model.name),
            )
            score = _score_watched(task, module, config, data, fitted)
            primary = None if score is None else score.values[task.primary]
            split = {part: list(data.split.subjects(part)) for part in SPLITS}
            write_info(work.path, RunInfo(origin, primary, tracked.run_id, versions(), split, key))
            metrics = {"best/epoch": float(fitted.best_epoch), "parameters": float(module.num_parameters), "train_seconds": fitted.seconds}
            if score is not None:
                write_score(score, work.path, "validation", synthetic=data.synthetic)
                metrics |= {f"best/val_{name}": value for name, value in score.values.items()}
                for stem, figure in task.figures(module, config, data, "validation").items():
                    tracked.log_figure(figure, artefact(f"{stem}_validation", ".png", synthetic=data.synthetic))
            if export:
                try:
                    with one_line(f"{config.model.name} cannot be exported to ONNX"):
                        difference = task.export(
                            module, work.path / ONNX, {"task": json.dumps(task.name)} | _json(device_facts(origin)), data
                        )
                    metrics |= {} if difference is None else {"onnx_largest_difference": difference}
                except HarError as error:
                    if isinstance(error, CannotWriteError):
                        raise
                    (work.path / ONNX).unlink(missing_ok=True)
                    say(f"{who}: no ONNX file: {error}; the checkpoint is kept")
            tracked.log_metrics(metrics)
            tracked.log_file(fitted.checkpoint, "checkpoint")
            if (work.path / ONNX).is_file():
                tracked.log_file(work.path / ONNX, "model")
            work.finish()
            replace_folder(work.path, target)
    about = f"epoch {fitted.best_epoch + 1} of {fitted.epochs}, {module.num_parameters:,} parameters, {fitted.seconds:.0f} s"
    found = "trained on all training subjects" if score is None else f"validation {score_text(score.values)}"
    say(f"{who}: {found} ({about})" + (", SYNTHETIC data" if data.synthetic else ""))
    return RunFolder(target)


def evaluate_task_run(run: RunFolder, part: str, results: Path, archive: Path | str | None = None) -> TaskScore:
    """Score the saved weights of a run on a part and write the scores beside them.

    Scoring any official test subject of a real data set adds a row to ``test_openings.csv`` before the score is shown; where the ledger
    cannot be written, nothing is scored.

    Args:
        run: of a task other than ``window``.
        part: validation or test.
        results: folder of the data set's results, with the ledger.
        archive: a copy of the data set.

    Raises:
        HarError: the weights or the data are not those of the training, or the part has no subjects.
    """
    config, info = run.config(), run.info()
    task = _task(config)
    if not run.checkpoint.is_file() or sha256(run.checkpoint) != info.origin.checkpoint_sha256:
        raise HarError(f"{run.checkpoint} is not the file that was trained; train again: har train --model {info.origin.run}")
    data = task.load(config, archive)
    if data.digest != info.origin.data_digest:
        raise HarError(f"{run.path} was trained on other data; name the same archive, or train again")
    if info.split is not None and info.split != {name: list(data.split.subjects(name)) for name in SPLITS}:
        raise HarError(f"{run.path} was trained on another split than its config gives now; restore the split file, or train again")
    if part not in data.parts:
        raise HarError(f"{run.path} has no {part} subjects, all trained; score the others: har evaluate --split test")
    ledger = required_ledger(results, data.split.subjects(part), synthetic=data.synthetic)
    module = load_module(run.checkpoint, task.module)
    score = task.score(module, config, data, part)
    if part == "validation":
        _compare(task, score, info.score, f"{run.path}: its training")
    if ledger is not None:
        note = f"({task.name}: {score_text(score.values)})"
        record_opening(ledger, replace(info.origin, split=part), accuracy=score.values.get("accuracy"), note=note)
    write_score(score, run.path, part, synthetic=data.synthetic)
    for stem, figure in task.figures(module, config, data, part).items():
        with whole_file(run.path / artefact(f"{stem}_{part}", ".png", synthetic=data.synthetic)) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
    return score


def write_score(score: TaskScore, folder: Path, part: str, *, synthetic: bool) -> None:
    """Write ``scores_PART.json`` and ``subjects_PART.csv``."""
    content = {"values": score.values, "references": score.references}
    write_whole(folder / artefact(f"scores_{part}", ".json", synthetic=synthetic), json.dumps(content, indent=1) + "\n")
    write_table(score.subjects, folder / artefact(f"subjects_{part}", ".csv", synthetic=synthetic))


def score_text(values: dict[str, float]) -> str:
    """Scores in a line: ``rmse 0.512, skill 0.431``."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def task_report(run: RunFolder, part: str, score: TaskScore) -> str:
    """Scores, those of the references and the table of people, as text."""
    origin = run.info().origin
    what = "SYNTHETIC data" if origin.synthetic else origin.dataset
    lines = [f"{origin.run}, seed {origin.seed}, {what}, {part} subjects: {score_text(score.values)}"]
    lines += [f"  beside it, {name}: {score_text(values)}" for name, values in score.references.items()]
    table: pd.DataFrame = score.subjects
    return "\n".join([*lines, "", table.to_string(index=False, float_format=lambda value: f"{value:.4f}")])


def _task(config: RunConfig) -> Task:
    task = task_of(config.model.name)
    if task is None:
        raise ValueError(f"{config.model.name} names activities of windows; that is trained by har.pipeline.train")
    if config.frontend.axes != "sensor":
        raise HarError(f"frontend.axes: {config.frontend.axes} is for models that name activities of windows, not for {config.model.name}")
    return task


def _score_watched(task: Task, module: TaskModule, config: RunConfig, data: TaskData, fitted: Fitted) -> TaskScore | None:
    if "validation" not in data.parts:
        return None
    score = task.score(module, config, data, "validation")
    _compare(task, score, fitted.best_score, "training")
    return score


def _compare(task: Task, score: TaskScore, reported: float | None, who: str) -> None:
    found = score.values[task.primary]
    if reported is None or abs(found - reported) > SCORE_TOLERANCE * max(1.0, abs(reported)):
        raise HarError(
            f"the saved weights give {task.primary} {found:.6f}, {who} reported {reported}; the checkpoint is not the model that was chosen"
        )


def _json(facts: dict[str, Any]) -> dict[str, str]:
    return {name: json.dumps(value) for name, value in facts.items()}
