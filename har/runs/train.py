"""One run of any task: audit, train, score the saved weights, export, track."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib import colormaps
from matplotlib.colors import to_hex
from pytorch_lightning.loggers import Logger

from har.config import RunConfig
from har.contract import SPLITS, artefact
from har.data.prepare import describe, label_names
from har.data.splits import split_document
from har.errors import HarError
from har.evaluation.predictions import Origin, write_predictions
from har.exporting.onnx_file import one_line
from har.files import FULL, CannotWriteError, InUseError, cannot_write, remove_stale, staging, write_whole
from har.models.frontend import network_inputs
from har.models.module import TaskModule
from har.models.registry import MODELS, check_network
from har.reporting import data_title, git_commit, versions, write_table
from har.runs.checks import check_task, planned_runs
from har.runs.run_folder import CONFIG, INFO, ONNX, RunFolder, RunInfo
from har.runtime.bundle import replace_folder, sha256
from har.tasks import Task, TaskData, TaskScore, task_of
from har.tasks.run_key import code_digest, run_key
from har.tracking.runs import TrackedRun, close_orphans, confirm_finished, tracked_run
from har.training.trainer import RESUME, Fitted, load_module, quiet_lightning, run_trainer, save_weights

WORK = "work.json"
Say = Callable[[str], None]  # gets one line of what a command prints


@dataclass(frozen=True)
class Work:
    """A folder that is renamed to its final name when everything is in it.

    Attributes:
        path: of the folder.
        key: of the run, see `har.tasks.run_key.run_key`.
        run_id: of the MLflow run that the interrupted training had; None where there was none.
    """

    path: Path
    key: str
    run_id: str | None

    def remember(self, run_id: str | None) -> None:
        """Note where the training is tracked, for a resumed one, and its process, for another one that is refused meanwhile."""
        write_whole(self.path / WORK, json.dumps({"key": self.key, "run_id": run_id, "pid": os.getpid()}) + "\n")

    def finish(self) -> None:
        """Take away what only an unfinished training needs."""
        for name in (WORK, RESUME):
            (self.path / name).unlink(missing_ok=True)


@contextmanager
def work_folder(target: Path, key: str, *, resume: bool, who: str, say: Say) -> Iterator[Work]:
    """A folder next to `target` to train in, which one process at a time has.

    The operating system's lock on it ends with its process, so that a killed training blocks none.
    An error removes it. Ctrl-C, SIGTERM and a killed process leave it where an epoch was over, for the next call with `resume` and the
    same key; without it, or with another key, what was left is removed.

    Args:
        target: where the run will lie.
        key: of the run.
        resume: go on with an interrupted training of this key, where there is one.
        who: the run, for messages.
        say: gets one line on what is gone on with, or was left.

    Raises:
        HarError: another process trains into `target`, or the disk is full.
    """

    def worth_keeping(path: Path) -> bool:
        return (path / RESUME).is_file() and _noted(path).get("key") == key

    if not resume:
        remove_stale(target.parent, target.name)
    with ExitStack() as stack:
        try:
            path = stack.enter_context(staging(target.parent, target.name, keep=worth_keeping))
        except InUseError as error:
            process = _noted(error.path).get("pid")
            by = f"process {process}" if process is not None else "another process"
            raise HarError(
                "run-busy",
                f"{target} is being trained by {by}; wait until that ends, or train with another --seed or into another folder with --runs",
            ) from None
        path.chmod(0o755)
        run_id = _noted(path).get("run_id")
        if run_id is not None:
            say(f"{who}: goes on where it was interrupted")
        try:
            work = Work(path, key, run_id)
            work.remember(run_id)
            yield work
        except (OSError, CannotWriteError) as error:
            if isinstance(error, OSError) and error.errno not in FULL:
                raise
            raise cannot_write(target, error, "the run") from None
        except (KeyboardInterrupt, SystemExit):
            if worth_keeping(path):
                say(f"{who}: interrupted; the same command with --resume goes on after its last whole epoch")
            raise


def finished_before(target: Path, key: str) -> RunInfo | None:
    """Of the run that lies at `target`, where it has this key and is whole."""
    run = RunFolder(target)
    with suppress(HarError):
        info = run.info()
        return info if info.key == key and run.checkpoint.is_file() else None
    return None


def close_dead_runs(runs: Path, say: Say) -> None:
    """End what processes that died left RUNNING in MLflow, and say so."""
    closed = close_orphans(runs)
    if closed:
        say(f"{closed} tracked runs of processes that died are closed as KILLED")


def _noted(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / WORK).read_text())
    except (OSError, ValueError):
        return {}


CONTEXTS = {"train": "training", "validation": "validation"}  # the test subjects are no input of a training


def spans(numbers: Sequence[int]) -> str:
    """Numbers in short: 1, 2, 3, 5 -> ``1-3 5``."""
    ordered = np.sort(np.array(numbers))
    runs = np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1)
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def run_facts(config: RunConfig, run: str, dataset: str, digest: str, commit: str, *, synthetic: bool) -> dict[str, str]:
    """The tags of a run."""
    facts = {
        "model": config.model.name,
        "task": config.task.name,
        "run": run,
        "seed": str(config.training.seed),
        "dataset": dataset,
        "synthetic": str(synthetic).lower(),
        "data_digest": digest,
        "git_commit": commit,
        "split": config.data.split.kind,
        "run_key": run_key(config, digest),
        "mlflow.runColor": _colour(config.model.name),
    }
    facts |= {} if config.data.split.kind == "official" else {"fold": str(config.data.split.fold)}
    return facts if config.data.difficulty is None else facts | {"difficulty": f"{config.data.difficulty:g}"}


def _colour(model: str) -> str:
    """One colour a model in MLflow's charts, whatever the seed; MLflow would draw one by the run's id, often one twice."""
    index = list(MODELS).index(model) if model in MODELS else len(MODELS)  # all of other packages share one
    colours = colormaps["tab20"](range(20))  # ten hues, each strong and then light
    return to_hex(colours[(2 * index + index // 10) % 20])


def _log_start(tracked: TrackedRun, config: RunConfig, data: TaskData) -> None:
    """Log config, data, split, counts and versions of a run.

    MLflow knows a data set by name and digest alone, so that the people who train and who validate stand in the name.
    """
    content = config.model_dump(mode="json")
    flat = {f"{section}.{key}": value for section, part in content.items() for key, value in part.items()}
    tracked.log_params(flat | {f"windows.{name}": count for name, count in data.counts.items()})
    tracked.log_dict(content, "config.yaml")
    url = describe(data.dataset).url
    made = {"type": "code", "tags": {"mlflow.source.name": f"har data prepare --dataset {data.dataset}"}}
    for part, context in CONTEXTS.items():
        people = data.split.subjects(part)
        if people:
            profile = {"subjects": list(people), "digest": data.digest, "synthetic": data.synthetic}
            source = {"type": "http", "url": url} if url else made
            tracked.log_dataset(f"{data.dataset}: subjects {spans(people)}", data.digest, context, source, profile)
    tracked.log_dict(split_document([data.split], config.data.split.kind, data.dataset), "split.json")
    tracked.log_dict(versions(), "versions.json")


def device_facts(origin: Origin) -> dict[str, Any]:
    """What an exported file says about where it comes from."""
    return {name: getattr(origin, name) for name in ("model", "run", "seed", "dataset", "synthetic", "data_digest", "commit")}


def train_run(
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
    """Train one model and leave a run folder that describes itself.

    The folder appears under its final name only when everything is in it; an earlier run of the same name is replaced. A training that
    is interrupted after its first epoch can be resumed. Where the export fails at the end, the run is kept without an ONNX file.

    Args:
        config: the run.
        run: its name, as used in tables.
        runs: folder of all runs.
        archive: a copy of the data set.
        progress: show progress bars.
        say: gets one line a step.
        target: where the run is left; by default in its place below `runs`.
        export: also make the ONNX file, where the network can be one; a study has no use for it.
        tags: more tags of the MLflow run.
        resume: resume an interrupted training of the same code, config and data, and leave a finished one as it is.

    Raises:
        HarError: the data are absent or do not fit the task, a split leaks, the network cannot be exported, or the training diverged.
    """
    quiet_lightning()
    check_task(config)
    task = task_of(config.model.name)
    data = task.load(config, archive)
    who = f"{run}, seed {config.training.seed}"
    say(f"{who}: {_about(task, data)}; no leak found")
    target = target or runs / data.dataset / run / f"seed-{config.training.seed}"
    key, commit = run_key(config, data.digest), git_commit()
    done = finished_before(target, key) if resume else None
    if done is not None:
        confirm_finished(runs, done.mlflow_run_id)
        say(f"{who}: finished before")
        return RunFolder(target)
    if export:
        _try_export(task, config, data, who)
    facts = run_facts(config, run, data.dataset, data.digest, commit, synthetic=data.synthetic) | (tags or {})
    title = f"{run}-seed{config.training.seed}" + ("-synthetic" if data.synthetic else "")
    with work_folder(target, key, resume=resume, who=who, say=say) as work:
        (work.path / CONFIG).write_text(config.to_yaml())
        with tracked_run(runs, data.dataset, title, facts, work.run_id) as tracked:
            work.remember(tracked.run_id)
            _log_start(tracked, config, data)
            module, fitted = fit_task(task, config, data, work.path, logger=tracked, progress=progress)
            origin = origin_of(run, config, data, module, fitted, commit)
            score = task.score(module, config, data, "validation", origin) if "validation" in data.parts else None
            if score is not None:
                compare_scores(task, score, fitted.best_score, "training")
                write_score(score, origin, work.path)
                _log_score(tracked, task, module, config, data, score)
            subjects = {part: list(data.split.subjects(part)) for part in SPLITS}
            primary = None if score is None else score.values[task.primary]
            info = RunInfo(origin, primary, tracked.run_id, versions(), subjects, key)
            write_whole(work.path / INFO, json.dumps(asdict(info), indent=1) + "\n")
            metrics = {"best/epoch": float(fitted.best_epoch), "parameters": float(module.num_parameters), "train_seconds": fitted.seconds}
            difference = _export(task, module, work.path / ONNX, config, data, origin, who, say) if export else None
            tracked.log_metrics(metrics | ({} if difference is None else {"onnx_largest_difference": difference}))
            tracked.log_file(fitted.checkpoint, "checkpoint")
            if (work.path / ONNX).is_file():
                signature = task.signature(module)
                tracked.log_file(work.path / ONNX, "model") if signature is None else tracked.log_onnx(work.path / ONNX, *signature)
            work.finish()
            replace_folder(work.path, target)
    about = f"epoch {fitted.best_epoch + 1} of {fitted.epochs}, {module.num_parameters:,} parameters, {fitted.seconds:.0f} s"
    found = "trained on all training subjects" if score is None else f"validation {task.text(score.values)}"
    say(f"{who}: {found} ({about})" + (", SYNTHETIC data" if data.synthetic else ""))
    return RunFolder(target)


def fit_task(
    task: Task, config: RunConfig, data: TaskData, folder: Path, *, logger: Logger | bool = False, progress: bool = False
) -> tuple[TaskModule, Fitted]:
    """Train the module of a task; on CPU the same config, data and seed give the same weights.

    Args:
        task: of the config.
        config: the run.
        data: of the task.
        folder: where ``best.ckpt`` is written.
        logger: of Lightning; gets per-epoch curves.
        progress: show a progress bar.

    Returns:
        The module with the saved weights, read from the checkpoint, and what the training left.

    Raises:
        HarError: the loss became NaN or infinite, or the split has no validation subjects to choose the epoch.
    """
    torch.set_num_threads(config.training.threads)
    pl.seed_everything(config.training.seed, verbose=False)
    fitted = run_trainer(
        task.build(config, data),
        task.batches(config, data),
        config.training,
        folder,
        name=config.model.name,
        validates="validation" in data.parts,
        logger=logger,
        progress=progress,
    )
    module = load_module(fitted.checkpoint, task.module)
    if task.finish(module, config, data):
        save_weights(fitted.checkpoint, module)
        module = load_module(fitted.checkpoint, task.module)
    return module, fitted


def origin_of(run: str, config: RunConfig, data: TaskData, module: TaskModule, fitted: Fitted, commit: str) -> Origin:
    """Where the predictions of a trained module for its validation subjects come from.

    Args:
        run: its name.
        config: of the run.
        data: it was trained on.
        module: with the saved weights.
        fitted: what the training left.
        commit: of the code that trained.
    """
    return Origin(
        run=run,
        model=config.model.name,
        seed=config.training.seed,
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


def compare_scores(task: Task, score: TaskScore, reported: float | None, who: str) -> None:
    """Refuse a score of saved weights that is not the one of their training.

    Args:
        task: of the run.
        score: of the saved weights.
        reported: by `who`.
        who: for the message.

    Raises:
        HarError: they differ by more than the task's tolerance.
    """
    found = score.values[task.primary]
    if reported is None or abs(found - reported) > task.tolerance * max(1.0, abs(reported)):
        raise HarError(
            "run-damaged",
            f"the saved weights give {task.primary} {found:.6f}, {who} reported {reported}; the config or the weights are not those of the "
            "training; train again",
        )


def write_score(score: TaskScore, origin: Origin, folder: Path) -> None:
    """Write ``predictions_PART.parquet``, or of tasks without predictions ``scores_PART.json`` and ``subjects_PART.csv``."""

    def path(stem: str, suffix: str) -> Path:
        return folder / artefact(f"{stem}_{origin.split}", suffix, synthetic=origin.synthetic)

    if score.predictions is not None:
        write_predictions(score.predictions, path("predictions", ".parquet"))
        return
    content = {"values": score.values, "references": score.references}
    write_whole(path("scores", ".json"), json.dumps(content, indent=1) + "\n")
    write_table(score.subjects, path("subjects", ".csv"))


def _about(task: Task, data: TaskData) -> str:
    """Data, task and parts of a run in a line."""
    parts = [f"{data.counts['train']:,} training {task.unit} of {len(data.split.train)} subjects"]
    if "validation" in data.counts:
        subjects = ", ".join(map(str, data.split.validation))
        parts.append(f"{data.counts['validation']:,} validation {task.unit} of subjects {subjects}")
    else:
        parts.append("no validation subjects")
    return ", ".join([data_title(data), f"task {task.name}", *parts])


def _try_export(task: Task, config: RunConfig, data: TaskData, who: str) -> None:
    try:
        task.try_export(config, data)
    except CannotWriteError:
        raise
    except HarError as error:
        raise HarError(
            "not-exportable",
            f"{who}: nothing was trained, since the export fails on fresh weights: {error}; change the network, or, to train it "
            'without an ONNX file, set onnx = "refused" and onnx_refusal on its class',
        ) from error


def _export(
    task: Task, module: TaskModule, path: Path, config: RunConfig, data: TaskData, origin: Origin, who: str, say: Say
) -> float | None:
    """Write the ONNX file; the run is kept where that fails."""
    reason = task.refusal(module)
    if reason is not None:
        say(f"{who}: no ONNX file: {reason}")
        return None
    facts = {"task": task.name} | device_facts(origin)
    try:
        with one_line(f"{config.model.name} cannot be exported to ONNX"):
            return task.export(module, path, {name: json.dumps(value) for name, value in facts.items()}, config, data)
    except CannotWriteError:
        raise
    except HarError as error:
        path.unlink(missing_ok=True)
        say(f"{who}: no ONNX file: {error}; the checkpoint is kept: har export tries again")
        return None


def _log_score(tracked: TrackedRun, task: Task, module: TaskModule, config: RunConfig, data: TaskData, score: TaskScore) -> None:
    tracked.log_metrics({f"best/val_{name}": value for name, value in score.values.items()})
    for stem, figure in task.figures(module, config, data, "validation", score).items():
        tracked.log_figure(figure, artefact(f"{stem}_validation", ".png", synthetic=data.synthetic))
    for stem, table in task.tables(score).items():
        tracked.log_text(table.to_csv(index=False), artefact(f"{stem}_validation", ".csv", synthetic=data.synthetic))


def train(
    config: RunConfig | Path | str,
    *,
    dataset: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    split: Mapping[str, Any] | None = None,
    change: Mapping[str, Any] | None = None,
    archive: Path | str | None = None,
    runs: Path | str = "runs",
    name: str | None = None,
    resume: bool = False,
    progress: bool = False,
    say: Say | None = None,
) -> RunFolder:
    """Train one model and leave a run folder with config, weights, scores and ONNX file; the run is tracked in MLflow below `runs`.

    Before the training, an audit proves that no subject, sample or stretch of signal is in two parts of the split. On one machine's CPU
    the same config, data and seed give the same weights.

    Args:
        config: name of a model, whose config comes with the project, path of a YAML file, or a `har.config.RunConfig`.
        dataset, epochs, seed: instead of the config's.
        split: instead of the config's, with the keys of ``data.split``, such as ``{"kind": "loso", "fold": 2}``.
        change: values of other keys of the config, by dotted key, such as ``{"training.batch_size": 32}``.
        archive: a copy of the data set.
        runs: folder of all runs.
        name: of the run, as used in tables; by default that of the config.
        resume: resume an interrupted training of the same code, config and data, and leave a finished one as it is.
        progress: show progress bars.
        say: gets one line per step, such as `print`; by default nothing is printed.

    Returns:
        The run, for `har.evaluate` and `har.export`; ``path`` is its folder ``RUNS/DATASET/NAME/seed-N``. An earlier run there is replaced.

    Raises:
        HarError: the config or an option is wrong, the data are absent, a split leaks, or the training diverged.

    Examples:
        >>> import har
        >>> run = har.train("cnn1d", dataset="synthetic", epochs=1, seed=3)
        >>> print(run.path)
        runs/synthetic/cnn1d/seed-3
        >>> run.config().training.epochs
        1
    """
    named = {"data.dataset": dataset, "training.epochs": epochs, "training.seed": seed}
    wanted: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    if split is not None:
        wanted |= {"data.split": dict(split), "data.validation_subjects": None}
    wanted |= change or {}
    ((planned, run),) = planned_runs([config], wanted, origin="train", archive=archive)
    (trained,) = train_planned(
        [(planned, name or run)], Path(runs), archive=archive, progress=progress, say=say or (lambda line: None), resume=resume
    )
    return trained


def train_planned(
    jobs: list[tuple[RunConfig, str]],
    runs: Path,
    *,
    archive: Path | str | None,
    progress: bool,
    say: Say = print,
    resume: bool = False,
) -> list[RunFolder]:
    """Train what `planned_runs` gave, one after the other; every network is tried before the first training starts."""
    for config, _ in jobs:
        check_network(
            config.model.name,
            config.model.options,
            in_channels=network_inputs(config.data.channels, config.frontend.compression, config.frontend.differences),
            window_size=config.windowing.window_size,
            num_classes=len(label_names(config.data.dataset, config.data.transitions)),
        )
    close_dead_runs(runs, say)
    return [train_run(config, run, runs, archive=archive, progress=progress, say=say, resume=resume) for config, run in jobs]
