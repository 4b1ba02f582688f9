"""The comparison report: one table over runs and seeds, and the files every number of it comes from."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from har.contract import SPLITS, TRAIN_SUBJECTS, artefact
from har.data.prepare import describe
from har.errors import HarError
from har.evaluation.calibration import MIN_ERRORS, MIN_SUBJECTS, calibration_table
from har.evaluation.figures import (
    critical_difference_figure,
    reliability_figure,
    risk_coverage_figure,
    save_figure,
    subjects_figure,
)
from har.evaluation.metrics import per_class, per_subject, scores
from har.evaluation.predictions import Origin, Predictions, by_run, collect, pooled_tables, read_pooled, write_predictions
from har.evaluation.statistics import mean_interval, paired_tests, subject_intervals, subject_scores
from har.files import write_whole
from har.reporting import footer, markdown, spread, write_table
from har.runs.run_folder import REFIT

PREDICTIONS = "predictions"  # below a report: those that it was made of
PEERS = "peers"  # below a report: what benchmarks/peers.py predicted for the official test subjects
PEOPLE = ("studies/people_predictions", "studies/peers_predictions")  # of all 30 subjects, held out fold by fold
HELD_OUT = "studies/crossvalidation*_predictions"  # of the training subjects, held out fold by fold
SCORED, METRICS = SPLITS[1:], ("macro_f1", "accuracy")
TRAINING = ("best_epoch", "epochs", "train_seconds", "commit", "checkpoint_sha256")
Systems = Mapping[str, Sequence[Predictions]]


def comparison(folder: Path, transitions: str | None = None) -> tuple[list[Predictions], str]:
    """Predictions below `folder`, all or those over one set of labels (`collect`), and their table as Markdown."""
    predictions = collect(folder, transitions)
    return predictions, summary_markdown(summary(predictions))


def _facts(item: Predictions, *names: str) -> dict[str, Any]:
    return {name: getattr(item.origin, name) for name in names}


def per_run(predictions: list[Predictions]) -> pd.DataFrame:
    """A row per run, seed and split: accuracy, macro-F1 and the worst subject's accuracy."""
    rows = []
    for item in predictions:
        by_subject = per_subject(item).set_index("subject").accuracy
        worst = {"worst_subject": by_subject.idxmin(), "worst_subject_accuracy": by_subject.min()}
        about = _facts(item, "run", "model", "seed", "split", "channels", "parameters")
        rows.append(about | scores(item) | worst | _facts(item, *TRAINING))
    return pd.DataFrame(rows).round({"train_seconds": 1}).sort_values(["run", "split", "seed"], ignore_index=True)


def summary(predictions: list[Predictions]) -> pd.DataFrame:
    """A row per run: mean and standard deviation over seeds of both splits, best validation macro-F1 first.

    Raises:
        HarError: the seeds of a run are of different models, or were scored on different subjects.
    """
    _check_seeds(predictions)
    table = per_run(predictions)
    found = table.groupby("run")[["channels", "parameters"]].first()
    # A row per seed, that of the test subjects where there is one; the validation of a refit is of several trainings.
    trainings = table.sort_values("split", kind="stable").drop_duplicates(["run", "seed"])
    found["train_seconds"] = trainings.groupby("run").train_seconds.mean()
    for split in SCORED:
        seeds = table[table.split == split].groupby("run")
        found[f"{split}_seeds"] = seeds.size().reindex(found.index, fill_value=0)
        for metric in METRICS:
            found[f"{split}_{metric}_mean"], found[f"{split}_{metric}_sd"] = seeds[metric].mean(), seeds[metric].std()
    return found.reset_index().sort_values("validation_macro_f1_mean", ascending=False, ignore_index=True)


def _check_seeds(predictions: list[Predictions]) -> None:
    """Refuse seeds of other models or subjects, as those of a split file that was changed in between."""
    for run, seeds in sorted(by_run(predictions).items()):
        for split in SCORED:
            if len({tuple(sorted(set(item.table.subject))) for item in seeds if item.origin.split == split}) > 1:
                raise HarError(
                    "not-comparable",
                    f"the seeds of {run} were scored on different {split} subjects and are not comparable; train them on one split",
                )
        for name in ("model", "channels", "parameters"):
            different = dict.fromkeys(str(getattr(item.origin, name)) for item in seeds)
            if len(different) > 1:
                raise HarError(
                    "not-comparable",
                    f"the seeds of {run} differ in {name} ({', '.join(different)}) and are not comparable; train them with one config",
                )


def tables_by(predictions: list[Predictions], what: str) -> pd.DataFrame:
    """All per-class (`what` = ``class``) or per-subject (``subject``) tables in one, with run, seed and split."""
    function = {"class": per_class, "subject": per_subject}[what]
    keys = [tuple(_facts(item, "run", "seed", "split").values()) for item in predictions]
    table = pd.concat([function(item) for item in predictions], keys=keys, names=["run", "seed", "split"])
    return table.reset_index([0, 1, 2]).sort_values(["run", "split", "seed"], kind="stable", ignore_index=True)


def interval_table(predictions: list[Predictions]) -> pd.DataFrame:
    """A row per run and split: accuracy and macro-F1, mean and deviation over seeds, with 95 % intervals by resampling subjects."""
    rows = []
    for split in dict.fromkeys(item.origin.split for item in predictions):
        for seeds in by_run(item for item in predictions if item.origin.split == split).values():
            row = _facts(seeds[0], "run", "split", "channels", "parameters") | {"seeds": len(seeds)}
            deviation = pd.DataFrame([scores(item) for item in seeds]).std()
            for metric, found in subject_intervals(seeds).items():
                row |= {metric: found.value, f"{metric}_sd": deviation[metric], f"{metric}_low": found.low, f"{metric}_high": found.high}
            rows.append(row)
    return pd.DataFrame(rows).sort_values(["split", "macro_f1"], ascending=False, ignore_index=True)


def people_table(systems: Systems) -> pd.DataFrame:
    """A row per system, the best mean over subjects first.

    Args:
        systems: predictions pooled over the folds, one a seed, by run.

    Returns:
        Columns ``run``, ``channels``, ``parameters``, ``seeds``, ``accuracy`` and ``macro_f1`` over windows, ``subject_mean`` with its
        95 % interval ``low`` to ``high`` by resampling subjects, ``seed_sd`` (of the subject mean over seeds), ``worst_subject``,
        ``worst_accuracy`` and ``train_seconds`` of all folds together.
    """
    rows = []
    for run, seeds in systems.items():
        by_subject = subject_scores(list(seeds))
        interval = mean_interval(by_subject.to_numpy())
        row = {"run": run} | _facts(seeds[0], "channels", "parameters") | {"seeds": len(seeds)}
        row |= pd.DataFrame([scores(item) for item in seeds]).mean().to_dict()
        row |= {"subject_mean": interval.value, "low": interval.low, "high": interval.high}
        row |= {"seed_sd": pd.Series([subject_scores([item]).mean() for item in seeds]).std()}
        row |= {"worst_subject": by_subject.idxmin(), "worst_accuracy": by_subject.min()}
        rows.append(row | {"train_seconds": np.mean([item.origin.train_seconds for item in seeds])})
    return pd.DataFrame(rows).sort_values("subject_mean", ascending=False, ignore_index=True)


def subject_table(systems: Systems) -> pd.DataFrame:
    """(subject, run) accuracy, averaged over seeds."""
    return pd.DataFrame({run: subject_scores(list(seeds)) for run, seeds in systems.items()})


def summary_markdown(table: pd.DataFrame) -> str:
    """The summary as a Markdown table, in per cent, mean ± standard deviation over seeds."""
    absent = {"validation": "-", "test": "not opened"}
    columns = [(split, metric) for split in (SCORED if (table.test_seeds > 0).any() else SCORED[:1]) for metric in METRICS]
    rows = []
    for row in table.to_dict("records"):
        found = [_percent(row, f"{split}_{metric}_mean", f"{split}_{metric}_sd", ".1f", absent[split]) for split, metric in columns]
        seconds, seeds = row["train_seconds"], max(row["validation_seeds"], row["test_seeds"])
        rows.append([*_system(row), *found, seeds, f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"])
    names = [f"{split} {metric.replace('macro_f1', 'macro-F1')}" for split, metric in columns]
    return markdown(["model", "input", "parameters", *names, "seeds", "training"], rows, padded=True)


def intervals_markdown(table: pd.DataFrame) -> str:
    """The rows of the test subjects of `interval_table`, in per cent, best macro-F1 first."""
    heads = ("model", "input", "parameters", "macro-F1", "95 % interval", "accuracy", "95 % interval", "seeds")
    rows = []
    for row in table[table.split == "test"].to_dict("records"):
        found = [cell for metric in METRICS for cell in (_percent(row, metric, f"{metric}_sd"), _interval(row, f"{metric}_"))]
        rows.append([*_system(row), *found, row["seeds"]])
    return markdown(heads, rows, "llr")


def people_markdown(table: pd.DataFrame) -> str:
    """`people_table` as Markdown, in per cent."""
    heads = ("model", "input", "parameters", "mean of subjects", "95 % interval", "accuracy", "macro-F1", "worst subject", "seeds")
    rows = []
    for row in table.to_dict("records"):
        found = [_percent(row, "subject_mean", "seed_sd"), _interval(row), _percent(row, "accuracy"), _percent(row, "macro_f1")]
        rows.append([*_system(row), *found, f"{row['worst_subject']}: {100 * row['worst_accuracy']:.1f}", row["seeds"]])
    return markdown(heads, rows, "llr")


def pairs_markdown(pairs: pd.DataFrame) -> str:
    """`statistics.paired_tests` as Markdown: points between the two, subjects better and worse, p with and without correction."""
    rows = [
        (f"{r['a']} - {r['b']}", f"{100 * r['difference']:+.2f}", f"{r['better']} / {r['worse']}", f"{r['p']:.2g}", f"{r['p_holm']:.2g}")
        for r in pairs.to_dict("records")
    ]
    return markdown(("pair", "points", "better / worse", "p", "p (Holm)"), rows)


def _system(row: dict[Any, Any]) -> list[str]:
    return [row["run"], row["channels"], f"{row['parameters']:,}"]


def _percent(row: dict[Any, Any], name: str, deviation: str = "", spec: str = ".2f", absent: str = "-") -> str:
    return spread(100 * row[name], 100 * row.get(deviation, nan), spec, absent)


def _interval(row: dict[Any, Any], prefix: str = "") -> str:
    return f"{100 * row[f'{prefix}low']:.1f} to {100 * row[f'{prefix}high']:.1f}"


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
    predictions = [*predictions, *cross_validated(predictions, report)]
    _check_replaced(Path(os.path.realpath(report / PREDICTIONS)), {_file_name(item) for item in predictions}, source)
    report.mkdir(parents=True, exist_ok=True)
    synthetic, commits = predictions[0].origin.synthetic, {item.origin.commit for item in predictions}
    peers = [item for seeds in read_pooled(report / PEERS).values() for item in seeds]
    tested, held_out = (by_run(item for item in predictions if item.origin.split == split) for split in ("test", "validation"))
    tables = {
        "comparison": summary(predictions),
        "runs": per_run([*predictions, *peers]),
        "per_class": tables_by([*predictions, *peers], "class"),
        "per_subject": tables_by([*predictions, *peers], "subject"),
        "intervals": interval_table([*predictions, *peers]),
        "calibration": calibration_table(tested, held_out),
    }
    figures = {}
    about = f"Per cent, mean ± standard deviation over seeds. Data digest `{predictions[0].origin.data_digest[:16]}`. "
    refitted = any(item.origin.base.endswith(REFIT) for item in predictions)
    sections = [summary_markdown(tables["comparison"]), *[SYNTHETIC] * synthetic, about + REFITTED * refitted]
    if tested:
        names = ", ".join(f"`{run}`" for run in by_run(peers))
        subjects = max(item.table.subject.nunique() for seeds in tested.values() for item in seeds)
        text = INTERVALS.format(subjects=subjects) + (BASELINES.format(names=names) if names else "")
        sections += [f"## Test subjects{', with peers' * bool(names)}", intervals_markdown(tables["intervals"]), text]
    if len(tables["calibration"]):
        sections += ["## Calibration on the test subjects", _calibration_markdown(tables["calibration"]), CALIBRATION]
        figures = {"reliability": reliability_figure(tested), "risk_coverage": risk_coverage_figure(tested)}
    own, others = (read_pooled(report / place) for place in PEOPLE)
    if own and len(own | others) > 1:  # else there is nothing of ours to compare yet
        sections += _across_people(own | others, chosen(predictions), tables, figures)
    written = [write_table(table, report / artefact(stem, ".csv", synthetic=synthetic)) for stem, table in tables.items() if len(table)]
    for stem, figure in figures.items():
        written += save_figure(figure, report, artefact(stem, "", synthetic=synthetic))
    path = report / artefact("comparison", ".md", synthetic=synthetic)
    write_whole(path, "\n\n".join(section.strip("\n") for section in [*sections, footer(command, trained=commits)]) + "\n")
    return [*written, path, _write_predictions(predictions, report)]


SYNTHETIC = "SYNTHETIC data: these numbers say nothing about people."
REFITTED = (
    "A run named NAME-refit trained on all training subjects with fixed epochs; its validation is the cross-validation of its config "
    "inside them (`har sweep configs/study/crossvalidation.yaml`)."
)
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


def _across_people(systems: Systems, champion: str | None, tables: dict[str, pd.DataFrame], figures: dict[str, Figure]) -> list[str]:
    """Sections on all subjects, each held out once; their tables and figures are added to those of the report."""
    table = people_table(systems)
    subjects = subject_table(systems)[table.run.tolist()]
    accuracies = {run: subjects[run] for run in subjects.columns}
    pairs = paired_tests(accuracies)
    tables |= {"people": table, "people_pairs": pairs, "people_subjects": subjects.reset_index()}
    figures |= {"people_ranks": critical_difference_figure(subjects, pairs), "people_subjects": subjects_figure(subjects)}
    dataset = next(iter(systems.values()))[0].origin.dataset
    design = f"; the {len(TRAIN_SUBJECTS)} training subjects took part in the design" if describe(dataset).official else ""
    sections = ["## Across people", people_markdown(table), ACROSS.format(subjects=len(subjects), design=design)]
    if champion in accuracies:
        tables["people_champion"] = paired_tests(accuracies, champion)
        sections += [AGAINST.format(champion=champion), pairs_markdown(tables["people_champion"])]
        sections += ["Every pair, corrected over all of them:"]
    return [*sections, pairs_markdown(pairs)]


def _calibration_markdown(table: pd.DataFrame) -> str:
    columns = {"temperature": ("temperature", 1, ".2f"), "ECE": ("ece", 100, ".2f"), "ECE scaled": ("ece_scaled", 100, ".2f")}
    columns |= {"NLL": ("nll", 1, ".3f"), "NLL scaled": ("nll_scaled", 1, ".3f")}
    columns |= {
        f"wrong at {name.removeprefix('risk_at_')} %": (name, 100, ".2f") for name in map(str, table) if name.startswith("risk_at_")
    }
    rows = [
        [row["run"], *(spread(factor * row.get(name, nan), spec=spec) for name, factor, spec in columns.values())]
        for row in table.to_dict("records")
    ]
    return markdown(("model", *columns), rows)


def _file_name(item: Predictions) -> str:
    origin = item.origin
    run = re.sub(r"[^\w.-]+", "_", origin.run).strip("_")  # what differs between trainings may hold a path
    return artefact(f"predictions_{origin.split}_{run}_seed{origin.seed}", ".parquet", synthetic=origin.synthetic)


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


def _write_predictions(predictions: list[Predictions], report: Path) -> Path:
    folder, staged = Path(os.path.realpath(report / PREDICTIONS)), report / ".predictions"
    shutil.rmtree(staged, ignore_errors=True)
    for item in predictions:
        write_predictions(item, staged / _file_name(item))
    shutil.rmtree(folder, ignore_errors=True)
    staged.rename(folder)
    return report / PREDICTIONS
