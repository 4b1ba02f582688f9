"""The comparison report: one table over runs and seeds, and the files every number of it comes from."""

import os
import re
import shutil
from dataclasses import replace
from math import nan
from pathlib import Path
from statistics import fmean

import pandas as pd

from har.contract import TRAIN_SUBJECTS, artefact
from har.data.prepare import describe
from har.errors import HarError
from har.evaluation.calibration import MIN_ERRORS, MIN_SUBJECTS, calibration_table
from har.evaluation.compare import (
    collect,
    interval_table,
    intervals_markdown,
    pairs_markdown,
    people_markdown,
    people_table,
    per_run,
    subject_table,
    summary,
    summary_markdown,
    tables_by,
)
from har.evaluation.figures import (
    critical_difference_figure,
    reliability_figure,
    risk_coverage_figure,
    save_figure,
    subjects_figure,
)
from har.evaluation.metrics import scores
from har.evaluation.predictions import Origin, Predictions, by_run, pooled_tables, read_pooled, write_predictions
from har.evaluation.statistics import paired_tests
from har.files import write_whole
from har.reporting import footer, markdown, spread, write_table
from har.runs.run_folder import REFIT

PREDICTIONS = "predictions"  # below a report: those that it was made of
PEERS = "peers"  # below a report: what benchmarks/peers.py predicted for the official test subjects
PEOPLE = ("studies/people_predictions", "studies/peers_predictions")  # of all 30 subjects, held out fold by fold
HELD_OUT = "studies/crossvalidation*_predictions"  # of the training subjects, held out fold by fold


def comparison(folder: Path, transitions: str | None = None) -> tuple[list[Predictions], str]:
    """Predictions below `folder`, all or those over one set of labels (`collect`), and their table as Markdown."""
    predictions = collect(folder, transitions)
    return predictions, summary_markdown(summary(predictions))


def write_report(predictions: list[Predictions], report: Path, command: str, source: Path | None = None) -> list[Path]:
    """Write the comparison with its tables and figures, and the predictions they come from.

    Intervals and tests are over people. What `har sweep` and ``benchmarks/peers.py`` left below the folder is part of it: peers on
    the official test subjects, the scores of all subjects held out by the five folds, and the cross-validated predictions on which
    the temperature of a refitted run is fitted.

    Args:
        predictions: of all runs.
        report: folder; files of an earlier report are replaced.
        command: that was typed, named in the Markdown file.
        source: folder that the predictions were read from, of which no file may get lost.

    Returns:
        The files written.

    Raises:
        HarError: the folder ``predictions`` of the report, which is replaced, holds what this report does not write again.
    """
    synthetic = predictions[0].origin.synthetic
    predictions = [*predictions, *cross_validated(predictions, report)]
    _check_replaced(Path(os.path.realpath(report / PREDICTIONS)), {_file_name(item, synthetic=synthetic) for item in predictions}, source)
    report.mkdir(parents=True, exist_ok=True)
    peers = [item for seeds in read_pooled(report / PEERS).values() for item in seeds]
    intervals = interval_table([*predictions, *peers])
    tested_items = [item for item in predictions if item.origin.split == "test"]
    tested = by_run(tested_items)
    calibration = calibration_table(tested, by_run([item for item in predictions if item.origin.split == "validation"]))
    tables = {
        "comparison": summary(predictions),
        "runs": per_run([*predictions, *peers]),
        "per_class": tables_by([*predictions, *peers], "class"),
        "per_subject": tables_by([*predictions, *peers], "subject"),
        "intervals": intervals,
        "calibration": calibration,
    }
    written = [write_table(table, report / artefact(stem, ".csv", synthetic=synthetic)) for stem, table in tables.items() if len(table)]
    sections = [summary_markdown(summary(predictions)), _what(predictions, synthetic=synthetic)]
    if tested:
        names = ", ".join(f"`{run}`" for run in by_run(peers))
        subjects = max(item.table.subject.nunique() for item in tested_items)
        text = INTERVALS.format(subjects=subjects) + (BASELINES.format(names=names) if names else "")
        sections += [f"## Test subjects{', with peers' * bool(names)}\n", intervals_markdown(intervals), text]
    if len(calibration):
        sections += ["## Calibration on the test subjects\n", _calibration_markdown(calibration), CALIBRATION]
        for stem, figure in (("reliability", reliability_figure(tested)), ("risk_coverage", risk_coverage_figure(tested))):
            written += save_figure(figure, report, artefact(stem, "", synthetic=synthetic))
    people, paths = _write_people(report, chosen(predictions), synthetic=synthetic)
    sections += people
    sections.append(footer(command, trained={p.origin.commit for p in predictions}))
    path = report / artefact("comparison", ".md", synthetic=synthetic)
    write_whole(path, "\n\n".join(section.strip("\n") for section in sections) + "\n")
    return [*written, *paths, path, _write_predictions(predictions, report, synthetic=synthetic)]


INTERVALS = (
    "Per cent, mean ± standard deviation over seeds, with the 95 % interval of the mean by resampling the {subjects} test subjects. "
    "A difference within the intervals is no evidence."
)
BASELINES = " {names}: baselines, written by `benchmarks/peers.py`; their parameters are the fitted coefficients or support vectors alone."
CALIBRATION = (
    "Expected calibration error (15 bins) and negative log-likelihood, before and after one temperature fitted on held-out training "
    f"subjects; it is 1 where fewer than {MIN_SUBJECTS} subjects were held out or fewer than {MIN_ERRORS} of their windows are wrong. "
    "Wrong answers, per cent, where only the surest share of windows is answered. Mean over seeds."
)
ACROSS = (
    "Each of the {subjects} subjects is held out once, by the folds of the study{design}. Mean of subjects: "
    "± standard deviation over seeds, interval by resampling subjects. Pairs: Wilcoxon's signed-rank test over the subjects, whose "
    "scores are averaged over seeds, with Holm's correction over all pairs."
)


AGAINST = (
    "`{champion}`, the model that cross-validation inside the training subjects chose, against each other one (corrected over these pairs; "
    "Demsar 2006, 3.2.2):"
)


def held_out_by_folds(origin: Origin, report: Path) -> list[Predictions]:
    """Predictions for the training subjects of a refitted run, each made by a fold of its config that did not train on them.

    Args:
        origin: of the run, ``NAME-refit``.
        report: folder of the data set's results, where ``har sweep`` keeps the folds' predictions.
    """
    pooled = pooled_tables(*sorted(report.glob(HELD_OUT)))
    same = [item for item in pooled if f"{item.origin.run}{REFIT}" == origin.base and item.origin.same_config(origin)]
    return [item for item in same if item.origin.data_digest == origin.data_digest]


def cross_validated(predictions: list[Predictions], report: Path) -> list[Predictions]:
    """What stands for the validation of refitted runs: each training subject, predicted by a fold that did not train on it."""
    refitted = {item.origin.run: item.origin for item in predictions}
    return [
        replace(item, origin=replace(item.origin, run=run, split="validation", config=origin.config, code=origin.code))
        for run, origin in refitted.items()
        for item in held_out_by_folds(origin, report)
    ]


def chosen(predictions: list[Predictions]) -> str | None:
    """Model with the best macro-F1 on held-out training subjects, mean over seeds; nobody else's score has a say.

    A config of another name than its model's is a variant for some purpose (``device``) and no candidate.
    """
    own = [item for item in predictions if item.origin.run.removesuffix(REFIT) == item.origin.model]
    runs = by_run([item for item in own if item.origin.split == "validation"])
    scored = {run: fmean(scores(item)["macro_f1"] for item in seeds) for run, seeds in runs.items()}
    return max(scored, key=lambda run: (scored[run], run)).removesuffix(REFIT) if scored else None


def _write_people(report: Path, champion: str | None, *, synthetic: bool) -> tuple[list[str], list[Path]]:
    own, peers = (read_pooled(report / place) for place in PEOPLE)
    systems = own | peers
    if not own or len(systems) < 2:  # nothing of ours to compare yet
        return [], []
    table = people_table(systems)
    subjects = subject_table(systems)[table.run.tolist()]
    pairs = paired_tests({run: subjects[run] for run in subjects.columns})
    tables = {"people": table, "people_pairs": pairs, "people_subjects": subjects.reset_index()}
    paths = [write_table(content, report / artefact(stem, ".csv", synthetic=synthetic)) for stem, content in tables.items()]
    for stem, figure in (("people_ranks", critical_difference_figure(subjects, pairs)), ("people_subjects", subjects_figure(subjects))):
        paths += save_figure(figure, report, artefact(stem, "", synthetic=synthetic))
    dataset = next(iter(own.values()))[0].origin.dataset
    design = f"; the {len(TRAIN_SUBJECTS)} training subjects took part in the design" if describe(dataset).official else ""
    sections = ["## Across people\n", people_markdown(table), ACROSS.format(subjects=len(subjects), design=design)]
    if champion in subjects.columns:
        against = paired_tests({run: subjects[run] for run in subjects.columns}, champion)
        paths.append(write_table(against, report / artefact("people_champion", ".csv", synthetic=synthetic)))
        sections += [AGAINST.format(champion=champion), pairs_markdown(against), "Every pair, corrected over all of them:"]
    return [*sections, pairs_markdown(pairs)], paths


def _calibration_markdown(table: pd.DataFrame) -> str:
    risks = [name for name in table.columns if name.startswith("risk_at_")]
    columns = {"temperature": ("temperature", 1, ".2f"), "ECE": ("ece", 100, ".2f"), "ECE scaled": ("ece_scaled", 100, ".2f")}
    columns |= {"NLL": ("nll", 1, ".3f"), "NLL scaled": ("nll_scaled", 1, ".3f")}
    columns |= {f"wrong at {name.removeprefix('risk_at_')} %": (name, 100, ".2f") for name in risks}
    rows = [
        [row["run"], *(spread(factor * row.get(name, nan), spec=spec) for name, factor, spec in columns.values())]
        for row in table.to_dict("records")
    ]
    return markdown(("model", *columns), rows)


def _what(predictions: list[Predictions], *, synthetic: bool) -> str:
    text = f"Per cent, mean ± standard deviation over seeds. Data digest `{predictions[0].origin.data_digest[:16]}`. "
    if any(item.origin.base.endswith(REFIT) for item in predictions):
        text += "A run named NAME-refit trained on all training subjects with fixed epochs; its validation is the cross-validation of its "
        text += "config inside them (`har sweep configs/study/crossvalidation.yaml`)."
    return ("SYNTHETIC data: these numbers say nothing about people.\n\n" if synthetic else "") + text


def _file_name(item: Predictions, *, synthetic: bool) -> str:
    origin = item.origin
    run = re.sub(r"[^\w.-]+", "_", origin.run).strip("_")  # what differs between trainings may hold a path
    return artefact(f"predictions_{origin.split}_{run}_seed{origin.seed}", ".parquet", synthetic=synthetic)


def _check_replaced(folder: Path, names: set[str], source: Path | None) -> None:
    found = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")] if folder.is_dir() else []
    other = [path for path in found if path.is_dir() or not path.match("predictions_*.parquet")]
    read = Path(os.path.realpath(source)) if source is not None else None
    if read is not None and (folder.is_relative_to(read) or read.is_relative_to(folder)):
        other += [path for path in found if path.name not in names]
    if other:
        raise HarError(
            "file",
            f"{folder} would be replaced and holds {other[0].name}, which this report does not write; name another folder with --output",
        )


def _write_predictions(predictions: list[Predictions], report: Path, *, synthetic: bool) -> Path:
    folder, staged = Path(os.path.realpath(report / PREDICTIONS)), report / ".predictions"
    shutil.rmtree(staged, ignore_errors=True)
    for item in predictions:
        write_predictions(item, staged / _file_name(item, synthetic=synthetic))
    shutil.rmtree(folder, ignore_errors=True)
    staged.rename(folder)
    return report / PREDICTIONS
