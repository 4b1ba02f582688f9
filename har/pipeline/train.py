"""One run: audit, train, score the saved weights, export, track."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from har.config import RunConfig
from har.contract import SPLITS, HarError, artefact
from har.data.audit import audit
from har.data.folds import make_split
from har.data.prepare import label_names
from har.data.splits import SubjectSplit
from har.data.windowset import WindowSet
from har.evaluation.calibration import has_probabilities
from har.evaluation.figures import confusion_figure
from har.evaluation.metrics import per_class, per_subject, scores
from har.evaluation.predictions import Origin, Predictions, make_predictions, write_predictions
from har.evaluation.report_figures import reliability_figure
from har.export.onnx_file import refusal
from har.files import CannotWriteError
from har.models.classifier import ActivityClassifier
from har.models.frontend import network_inputs
from har.models.registry import check_network
from har.pipeline.checks import planned_runs
from har.pipeline.onnx_of_run import export_weights, parity_windows, try_export
from har.pipeline.provenance import git_commit, versions
from har.pipeline.run_folder import CONFIG, ONNX, RunFolder, RunInfo, run_path, write_info
from har.pipeline.splits import SplitChoice, prepared
from har.pipeline.study import code_digest, run_key
from har.pipeline.task_run import train_task_run
from har.pipeline.tasks import task_of
from har.pipeline.train_common import Say, log_start, run_facts
from har.pipeline.work import close_dead_runs, finished_before, work_folder
from har.runtime.bundle import replace_folder, sha256
from har.tracking import TrackedRun, tracked_run
from har.training.fit import FitResult, fit
from har.training.trainer import quiet_lightning

# Between the score of the training and the one recomputed from the saved weights; a GPU may decide a tie otherwise.
SCORE_TOLERANCE = 5e-3 if torch.cuda.is_available() else 1e-6


def load_windows(config: RunConfig, archive: Path | str | None = None) -> tuple[WindowSet, SubjectSplit]:
    """The windows a config asks for, and its split."""
    windows = prepared(config, archive).select_channels(config.data.channels)
    return windows, make_split(config.data, windows)


def score_weights(classifier: ActivityClassifier, windows: WindowSet, origin: Origin) -> Predictions:
    """Predictions of a classifier on windows."""
    x = torch.from_numpy(np.array(windows.x, dtype=np.float32))
    return make_predictions(windows, classifier.predict_proba(x).numpy(), origin)


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
        archive: a copy of UCI HAR.
        progress: show progress bars.
        say: gets one line a step.
        target: where the run is left; by default in its place below `runs`.
        export: also make the ONNX file, where the network can be one; a study has no use for it.
        tags: more tags of the MLflow run.
        resume: go on with an interrupted training of the same code, config and data, and leave a finished one as it is.

    Raises:
        HarError: the data are absent, a split leaks or has too few windows, the network cannot be exported, or the training diverged.
    """
    quiet_lightning()
    windows, split = load_windows(config, archive)
    parts = split.parts(windows)
    watched = parts.get("validation")
    counts = audit(parts)
    checked = parity_windows(parts) if export else None
    synthetic, who = windows.synthetic, f"{run}, seed {config.training.seed}"
    what = "SYNTHETIC data" if synthetic else windows.dataset
    say(
        f"{who}: {what}, {counts['train']} training windows of {len(split.train)} subjects, "
        + (f"{len(watched)} validation windows of subjects {', '.join(map(str, split.validation))}" if watched else "nobody validates")
        + "; no leak found"
    )
    target = target or run_path(runs, windows.dataset, run, config.training.seed)
    key, commit = run_key(config, windows.digest), git_commit()
    done = finished_before(target, key, runs, who=who, say=say) if resume else None
    if done is not None:
        return done
    if checked is not None:
        try_export(config, parts["train"], checked, who)
    facts = run_facts(config, run, windows.dataset, windows.digest, commit, synthetic=synthetic) | (tags or {})
    title = f"{run}-seed{config.training.seed}" + ("-synthetic" if synthetic else "")
    with work_folder(target, key, resume=resume, who=who, say=say) as work:
        (work.path / CONFIG).write_text(config.to_yaml())
        with tracked_run(runs, windows.dataset, title, facts, work.run_id) as tracked:
            work.remember(tracked.run_id)
            log_start(tracked, config, split, counts, windows.digest)
            result = fit(config, parts["train"], watched, work.path, logger=tracked.logger, progress=progress)
            origin = Origin(
                run=run,
                model=config.model.name,
                seed=config.training.seed,
                dataset=windows.dataset,
                synthetic=synthetic,
                split="validation",
                channels=config.data.channels,
                parameters=result.classifier.num_parameters,
                epochs=result.epochs,
                best_epoch=result.best_epoch,
                train_seconds=result.seconds,
                commit=commit,
                checkpoint_sha256=sha256(result.checkpoint),
                data_digest=windows.digest,
                config=config.recipe(),
                code=code_digest(config.model.name),
            )
            predictions = None if watched is None else _score_watched(result, watched, origin)
            score = None if predictions is None else scores(predictions)["macro_f1"]
            subjects = {part: list(split.subjects(part)) for part in SPLITS}
            write_info(work.path, RunInfo(origin, score, tracked.run_id, versions(), subjects, key))
            if predictions is not None:
                write_predictions(predictions, RunFolder(work.path).predictions_path("validation"))
            metrics = {"best/epoch": float(result.best_epoch), "parameters": float(origin.parameters), "train_seconds": result.seconds}
            reason = refusal(result.classifier.network)
            if export and reason is not None:
                say(f"{who}: no ONNX file: {reason}")
            elif checked is not None:
                try:
                    metrics["onnx_largest_difference"] = export_weights(
                        result.classifier, checked, windows.labels, origin, work.path, config.windowing.step
                    )
                except HarError as error:
                    if isinstance(error, CannotWriteError):
                        raise
                    (work.path / ONNX).unlink(missing_ok=True)
                    say(f"{who}: no ONNX file: {error}; the checkpoint is kept: har export tries again")
            _log_end(tracked, predictions, result, metrics, work.path)
            work.finish()
            replace_folder(work.path, target)
    say(f"{who}: {_outcome(result, predictions)}" + (", SYNTHETIC data" if synthetic else ""))
    return RunFolder(target)


def _score_watched(result: FitResult, validation: WindowSet, origin: Origin) -> Predictions:
    predictions = score_weights(result.classifier, validation, origin)
    score = scores(predictions)["macro_f1"]
    if result.best_score is None or abs(score - result.best_score) > SCORE_TOLERANCE:
        raise HarError(
            f"the saved weights score {score:.6f}, training reported {result.best_score}; the checkpoint is not the model that was chosen"
        )
    return predictions


def _outcome(result: FitResult, predictions: Predictions | None) -> str:
    about = f"epoch {result.best_epoch + 1} of {result.epochs}, {result.classifier.num_parameters:,} parameters, {result.seconds:.0f} s"
    if predictions is None:
        return f"trained on all training subjects ({about})"
    score = scores(predictions)
    return f"validation macro-F1 {100 * score['macro_f1']:.2f} %, accuracy {100 * score['accuracy']:.2f} % ({about})"


def _log_end(tracked: TrackedRun, predictions: Predictions | None, result: FitResult, metrics: dict[str, float], folder: Path) -> None:
    tracked.log_metrics(metrics)
    if predictions is not None:
        score = scores(predictions)
        tracked.log_metrics({"best/val_macro_f1": score["macro_f1"], "best/val_accuracy": score["accuracy"]})

        def name(stem: str, suffix: str) -> str:
            return artefact(stem, suffix, synthetic=predictions.origin.synthetic)

        tracked.log_figure(confusion_figure(predictions), name("confusion_validation", ".png"))
        if has_probabilities(predictions):
            tracked.log_figure(reliability_figure({_titled(predictions.origin): [predictions]}), name("reliability_validation", ".png"))
        tracked.log_text(per_class(predictions).to_csv(index=False), name("per_class_validation", ".csv"))
        tracked.log_text(per_subject(predictions).to_csv(index=False), name("per_subject_validation", ".csv"))
    tracked.log_file(result.checkpoint, "checkpoint")
    if (folder / ONNX).is_file():
        classifier = result.classifier
        frontend = classifier.frontend
        tracked.log_onnx(folder / ONNX, (frontend.window_size, frontend.in_channels), classifier.hparams["num_classes"])


def _titled(origin: Origin) -> str:
    return f"{origin.run}, seed {origin.seed}\n{'SYNTHETIC data' if origin.synthetic else origin.dataset}, {origin.split} subjects"


def train_configs(
    names: list[str],
    runs: Path,
    *,
    seeds: list[int] | None,
    overrides: dict[str, Any],
    archive: Path | str | None,
    progress: bool,
    say: Say = print,
    split: SplitChoice | None = None,
    resume: bool = False,
) -> list[RunFolder]:
    """Train configs one after the other: each of `names` is a model (``configs/NAME.yaml``) or a path to a YAML file.

    All configs are read and checked before the first training starts. With `split`, one run for each fold it asks for; with `resume`,
    what is finished stays, and what was interrupted goes on.
    """
    return train_planned(
        planned_runs(names, overrides, seeds=seeds, split=split, archive=archive),
        runs,
        archive=archive,
        progress=progress,
        say=say,
        resume=resume,
    )


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
        _check_model(config)
    close_dead_runs(runs, say)
    return [train_any(config)(config, run, runs, archive=archive, progress=progress, say=say, resume=resume) for config, run in jobs]


def train_any(config: RunConfig) -> Callable[..., RunFolder]:
    """The function that trains the config: `train_run`, or `train_task_run` where its model has another task than ``window``."""
    return train_run if task_of(config.model.name) is None else train_task_run


def _check_model(config: RunConfig) -> None:
    """Find odd options before anything is trained."""
    check_network(
        config.model.name,
        config.model.options,
        in_channels=network_inputs(config.frontend.compression, config.frontend.differences),
        window_size=config.windowing.window_size,
        num_classes=len(label_names(config.data.dataset, config.data.transitions)),
    )


def with_split(origin: Origin, split: str) -> Origin:
    """The same origin for another split."""
    return replace(origin, split=split)
