"""Choose a run by its validation score and make its bundle."""

import glob
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from har.contract import TEST_SUBJECTS, artefact
from har.errors import HarError
from har.evaluation.calibration import fit_temperature, probabilities, risk_coverage, too_few, with_temperature
from har.evaluation.metrics import per_class, per_subject
from har.evaluation.predictions import Predictions, same_but_fold
from har.evaluation.statistics import subject_intervals
from har.exporting.bundle_writer import DEFAULT_THRESHOLD, NOT_FITTED, Answering, BundleResult, Evidence, Jury, write_bundle
from har.exporting.mounting_export import MountingPart
from har.exporting.onnx_file import refusal
from har.exporting.stream_bundle import write_stream_bundle
from har.models.labeller import StreamLabeller
from har.models.mounting_estimator import MountingEstimator
from har.models.registry import SEQUENCE, WINDOW, find_model
from har.runs.comparison import held_out_by_folds
from har.runs.evaluate import load_data, results_folder
from har.runs.robustness import card_rows
from har.runs.run_folder import INFO, REFIT, RunFolder, exportable, opened
from har.runs.train import device_facts
from har.tasks import TaskData
from har.tasks.classify import parity_windows
from har.tasks.estimate_mounting import EstimateMounting
from har.training.trainer import load_checkpoint, load_module

BY_FOLDS = "each predicted by a fold of the cross-validation that did not train on them"
PARITY_SAMPLES, PARITY_STREAMS = 30_000, 4  # ten minutes at 50 Hz
RIGHT = 0.99  # share of the answers that shall be right where a client says "unknown" below a threshold


def best_run(runs: list[RunFolder]) -> RunFolder:
    """The run with the best macro-F1 on the validation subjects among those a phone can run: trained on what it delivers,
    and of a network that ONNX can hold.

    The test subjects have no say.

    Raises:
        HarError: no run can be exported, or they tell different activities apart.
    """
    device = exportable(runs)
    if device[0].task == SEQUENCE:
        return device[0]  # a stream model, which is compared with no other
    reasons = {run.path: refusal(find_model(run.origin.model).network) for run in device}
    device = [run for run in device if reasons[run.path] is None] or device[:1]  # a refusal is said by the export itself
    # Scores on other people cannot be compared; a fold is exported where it alone is named.
    device = [run for run in device if run.config().data.split.kind == "official"] or device[:1] * (len(device) == 1)
    if not device:
        raise HarError("not-comparable", "every run is a fold of some other split, so that none is best; name one with --model and --seed")
    scored = [run.info() for run in device if run.info().score is not None]
    watched = {tuple(info.split["validation"]): info.origin.run for info in scored}
    if len(watched) > 1:
        found = "; ".join(f"{run} ({', '.join(map(str, who))})" for who, run in watched.items())
        raise HarError(
            "not-comparable", f"scores on different validation subjects cannot be compared: {found}; name runs of one kind with --model"
        )
    kinds = {run.config().data.transitions: run.origin.run for run in device}
    if len(kinds) > 1:
        found = ", ".join(f"{run} (transitions: {kind})" for kind, run in sorted(kinds.items()))
        raise HarError("not-comparable", f"scores over different labels cannot be compared: {found}; name runs of one kind with --model")
    if len(device) == 1:
        return device[0]
    ranked = [(score, run) for run in device if (score := run.info().score) is not None]
    if not ranked:
        raise HarError(
            "not-comparable", f"nobody validated these {len(device)} runs, so that none is best; name one with --model and --seed"
        )
    return max(ranked, key=lambda pair: pair[0])[1]


def export(
    run: RunFolder | Path | str,
    output: Path | str,
    archive: Path | str | None = None,
    results: Path | str = "results",
    mounting: tuple[RunFolder, RunFolder] | None = None,
) -> BundleResult:
    """Write the bundle of a run, after parity with torch on windows of its validation, or else training, subjects.

    A run of ``har train --refit`` has no validation subjects. Its parity is checked on training subjects, its temperature comes from
    the crossvalidation study below `results`, and smaller files are judged by the run of the same config and seed that has validation
    subjects; what is not there is left out, and the manifest says so.

    Args:
        run: what `har.train` returned, or its folder; of a model of windows on raw sensors, or of a stream model.
        output: folder of the bundle.
        archive: a copy of the data set.
        results: folder of all results.
        mounting: run that tells the mounting, and run for phones in their place: for streams of a bundle of any mounting.

    Returns:
        ``folder`` of the bundle, for `har.load_model`, its files, their size, and ``parity``, the largest difference to torch of a
        probability.

    Raises:
        HarError: a check failed.

    Examples:
        >>> import har
        >>> run = har.train("cnn1d", dataset="synthetic", epochs=1)
        >>> bundle = har.export(run, "bundle")
        >>> bundle.parity < 1e-4
        True
        >>> har.load_model(bundle.folder).labels[:2]
        ['WALKING', 'WALKING_UPSTAIRS']
    """
    run, folder, results = opened(run), Path(output), Path(results)
    if run.task == SEQUENCE and mounting is not None:
        raise HarError("run-kind", f"{run.origin.run} labels streams by itself; --mounting is for models of windows")
    _, data = load_data(run, archive)
    if run.task == SEQUENCE:
        return _export_stream_run(run, folder, data)
    held_out, judge = _held_out(run, results), _judge_run(run)
    return write_bundle(
        load_checkpoint(run.checkpoint),
        folder,
        facts=device_facts(run.origin),
        windows=parity_windows(data.parts),
        mounting=_mounting_part(*mounting, results) if mounting is not None else None,
        evidence=Evidence(
            metrics=_metrics(held_out, run.predictions("test")),
            answering=_calibration(run, results),
            jury=_jury(judge, run, data, archive) if judge else None,
            tested=tested_files(results),
            robustness=card_rows(results, judge.origin) if judge else [],
        ),
    )


def _mounting_part(estimator: RunFolder, classifier: RunFolder, results: Path) -> MountingPart:
    if estimator.task != EstimateMounting.name:
        raise HarError("run-kind", f"{estimator.path} does not tell the mounting; name a run of mounting_cnn with --mounting")
    if classifier.task != WINDOW:
        raise HarError("run-kind", f"{classifier.path} does not name activities of windows; name a run that does with --mounted")
    for run in (estimator, classifier):
        run.check_weights()
    answering = _calibration(classifier, results)
    return MountingPart(
        estimator=load_module(estimator.checkpoint, MountingEstimator),
        estimator_run=_named(estimator),
        classifier=load_checkpoint(classifier.checkpoint),
        classifier_run=_named(classifier),
        **answering.said(),
    )


def _named(run: RunFolder) -> str:
    origin = run.origin
    return f"{origin.run}, seed {origin.seed}"


def _export_stream_run(run: RunFolder, folder: Path, data: TaskData) -> BundleResult:
    """Of a network that labels every sample and carries a state; parity is checked over ten minutes of its first training people."""
    origin, module = run.origin, load_module(run.checkpoint, StreamLabeller)
    metrics = {}
    for part in ("validation", "test"):
        score = run.path / artefact(f"scores_{part}", ".json", synthetic=origin.synthetic)
        people = run.path / artefact(f"subjects_{part}", ".csv", synthetic=origin.synthetic)
        if score.is_file() and people.is_file():
            metrics[part] = _stream_scores(json.loads(score.read_text())["values"], pd.read_csv(people), f"{part} subjects")
    samples = np.concatenate([stream.samples for stream in data.parts["train"][:PARITY_STREAMS]])[:PARITY_SAMPLES]
    return write_stream_bundle(module, folder, facts=device_facts(origin), samples=samples.astype(np.float32), metrics=metrics)


def _stream_scores(values: dict[str, float], people: pd.DataFrame, who: str) -> dict[str, Any]:
    rows = people[["subject", "windows", "accuracy"]].rename(columns={"windows": "samples"})
    about = {"who": who, "subjects": len(rows), "samples": int(rows.samples.sum())}
    return about | {name: round(values[name], 6) for name in ("accuracy", "macro_f1")} | {"per_subject": _records(rows)}


def _validation_of_all_folds(run: RunFolder) -> Predictions | None:
    """Validation predictions of all folds of a run's split, its own first and each window once; None where there is one fold.

    The test subjects of the run are left out, and official test subjects: nothing is fitted on subjects whose scores are reported.
    """
    info, own, split = run.info(), run.predictions("validation"), run.config().data.split
    if split.kind == "official" or own is None:
        return None
    stem = info.origin.run.removesuffix(str(split.fold))
    folders = sorted(path.parent for path in run.path.parent.parent.glob(f"{glob.escape(stem)}*/{run.path.name}/{INFO}"))
    tables = [own.table]
    for other in (RunFolder(path) for path in folders if path != run.path and path.parent.name.removeprefix(stem).isdigit()):
        found = other.predictions("validation")
        if found is not None and same_but_fold(found.origin, info.origin):
            tables.append(found.table[~found.table.subject.isin({*info.split["test"], *TEST_SUBJECTS})])
    table = pd.concat(tables).drop_duplicates(["subject", "recording", "start"], ignore_index=True)
    return Predictions(table, own.origin) if len(tables) > 1 else None


def _held_out(run: RunFolder, results: Path) -> tuple[Predictions, str] | None:
    """Predictions for subjects who did not train the model that made them and are no test subjects, and who they are."""
    own = run.predictions("validation")
    if own is not None:
        return own, "validation subjects"
    origin = run.origin
    if not origin.run.endswith(REFIT):
        return None
    pooled = held_out_by_folds(origin, results_folder(results, origin.dataset))
    same = [item for item in pooled if item.origin.seed == origin.seed] or pooled
    return (same[0], f"training subjects, {BY_FOLDS}") if same else None


def _calibration(run: RunFolder, results: Path) -> Answering:
    """Temperature and threshold: from all folds of the run's split where it is a fold, else from its own held-out subjects."""
    folds = _validation_of_all_folds(run)
    if folds is not None:
        return fit_answering(folds, f"subjects, {BY_FOLDS}")
    held_out = _held_out(run, results)
    return Answering() if held_out is None else fit_answering(*held_out)


def fit_answering(held_out: Predictions, who: str) -> Answering:
    """Temperature, and the lowest probability from which `RIGHT` of the answers are right.

    Where subjects or errors are too few (`har.evaluation.calibration.too_few`), the temperature is 1, the threshold its default.

    Args:
        held_out: predictions for subjects who did not train the model.
        who: they are, for the manifest.
    """
    p, y = probabilities(held_out)
    fitted_on = f"{len(set(held_out.table.subject))} {who} ({len(y)} windows)"
    reason = too_few([held_out])
    if reason is not None:
        temperature, below, fitted_on = 1.0, DEFAULT_THRESHOLD, f"{NOT_FITTED} {reason}"
        scaled = p
    else:
        temperature = round(fit_temperature(p, y), 4)
        scaled = with_temperature(p, temperature)
        curve = risk_coverage(scaled, y)
        good = np.flatnonzero(curve.risk <= 1 - RIGHT)
        # In steps of a hundredth, so that a client can show it.
        below = max(DEFAULT_THRESHOLD, float(np.ceil(100 * curve.threshold[good[-1]]) / 100)) if len(good) else DEFAULT_THRESHOLD
    answered = scaled.max(axis=1) >= below
    right = float((scaled.argmax(axis=1) == y)[answered].mean()) if answered.any() else 0.0
    return Answering(temperature, below, fitted_on, float(answered.mean()), right)


def tested_files(results: Path) -> list[dict[str, str]]:
    """What `benchmarks/conformance.py` found to hold."""
    path = results / "device" / "conformance.csv"
    if not path.is_file():
        return []
    table = pd.read_csv(path, dtype=str)
    return table[table.holds == "True"][["runtime", "version", "processor", "sha256"]].to_dict("records")  # type: ignore[return-value]


def _metrics(held_out: tuple[Predictions, str] | None, tested: Predictions | None) -> dict[str, Any]:
    found = {}
    if held_out is not None:
        found["validation"] = _scores(*held_out)
    if tested is not None:
        found["test"] = _scores(tested, "test subjects")
    return found


def _scores(predictions: Predictions, who: str) -> dict[str, Any]:
    intervals = subject_intervals([predictions])
    return {
        "who": who,
        "subjects": len(set(predictions.table.subject)),
        "windows": len(predictions.table),
        **{name: {key: round(value, 6) for key, value in asdict(interval).items()} for name, interval in intervals.items()},
        "per_class": _records(per_class(predictions)[["activity", "windows", "f1"]]),
        "per_subject": _records(per_subject(predictions)[["subject", "windows", "accuracy"]]),
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows for JSON, which has no NaN."""
    return [{str(name): None if pd.isna(value) else value for name, value in row.items()} for row in table.round(6).to_dict("records")]


def _judge_run(run: RunFolder) -> RunFolder | None:
    """The run itself where people were held out, else the one of the same config and seed that held some out; None where there is none."""
    name = run.origin.run
    if not name.endswith(REFIT):
        return run if run.info().score is not None else None
    sibling = RunFolder(run.path.parent.with_name(name.removesuffix(REFIT)) / run.path.name)
    if not (sibling.path / INFO).is_file() or sibling.info().score is None or not sibling.origin.same_config(run.origin):
        return None
    return sibling


def _jury(judge: RunFolder, exported: RunFolder, data: TaskData, archive: Path | str | None) -> Jury:
    other = None
    if judge.path != exported.path:
        other, (_, data) = load_checkpoint(judge.checkpoint), load_data(judge, archive)
    judges, taught = data.parts["validation"], data.parts["train"]
    who = f"the {len(data.split.validation)} validation subjects of run {judge.origin.run}"
    return Jury(other, np.array(judges.x), np.array(judges.y), np.array(taught.x), who)
