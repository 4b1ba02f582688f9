"""The report of a study: a row per run and reference, the finding, and the research log with one row per idea."""

from pathlib import Path
from typing import Any

import pandas as pd

from har.data.prepare import describe
from har.evaluation.statistics import holm, leading, mean_interval, paired_tests
from har.files import write_whole
from har.reporting import footer, markdown, spread, write_table
from har.studies.study import Study, StudyConfig
from har.tasks import Task

LOG = "LOG.md"
NESTED = ("scores", "references", "subjects")
IDENTITY = ("run", "seed", "fold", "subject", "windows")
GAIN = ("gain", "better", "worse", "p")


def write_study(study: Study, results: list[dict[str, Any]], command: str) -> list[Path]:
    """Write ``NAME.csv`` (a row per run and reference), ``NAME_jobs.csv``, ``NAME_subjects.csv`` and ``NAME.md``.

    Where the task asks for intervals, ``NAME_intervals.csv`` too; where it tests gains, the research log next to the folder.

    Args:
        study: that was run.
        results: of the finished jobs.
        command: that was typed, named in the report.

    Returns:
        The files written.
    """
    task, config, folder = study.task, study.config, study.report
    folder.mkdir(parents=True, exist_ok=True)
    jobs, subjects = result_tables(results)
    table = summarise(task, config, results)
    table.insert(0, "study", study.name)
    tables = {"": table, "_jobs": jobs, "_subjects": subjects}
    if task.intervals:
        tables["_intervals"] = score_intervals(subjects)
    written = [write_table(content, folder / f"{study.name}{suffix}.csv") for suffix, content in tables.items()]
    # The first of several settings of one config was not chosen by its scores.
    control = jobs.run[0] if task.gains and config.settings and len(config.configs) == 1 else None
    sections = [
        f"# {config.question}",
        finding(task, table, subjects, control),
        study_table(task, table),
        _explanation(task) + f" Split {config.split.kind}{whose_tests(study.dataset, opened=bool(jobs.opens_test_subjects.any()))}.",
        footer(command, trained=jobs.commit),
    ]
    path = folder / f"{study.name}.md"
    write_whole(path, "\n\n".join(sections))
    return [*written, path, *([write_log(folder, task)] if task.gains else [])]


def result_tables(results: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row per job with its scores, and a row per job and subject."""
    jobs = [{name: value for name, value in result.items() if name not in NESTED} | result["scores"] for result in results]
    subjects = [{name: r[name] for name in IDENTITY[:3]} | row for r in results for row in r.get("subjects", [])]
    return pd.DataFrame(jobs), pd.DataFrame(subjects)


def summarise(task: Task, study: StudyConfig, results: list[dict[str, Any]]) -> pd.DataFrame:
    """A row per run, then per reference.

    Every score has its mean ``NAME_mean`` and deviation ``NAME_sd`` over the seeds, of the mean over the folds. Of a task that tests
    gains, see `_accuracies` and `_gain`; `p_holm` has Holm's correction over all gains of the study. References are averaged over the
    folds; what needs no seed is the same in all. A reference that settings change, because they change the task, has a row per setting.
    """
    settings = study.settings or {}
    jobs, subjects = result_tables(results)
    scores = list(dict.fromkeys(name for result in results for name in result["scores"]))
    rows: list[dict[str, Any]] = []
    for run, own in jobs.groupby("run", sort=False):
        setting = str(own.setting.iloc[0])
        row = {"setting": setting, "idea": settings[setting].idea if setting in settings else "", "run": run, "model": own.model.iloc[0]}
        row |= {"parameters": int(own.parameters.iloc[0]), "folds": own.fold.nunique(), "seeds": own.seed.nunique()}
        row |= _accuracies(own, subjects[subjects.run == run]) if task.gains else _spread(own[["seed", *scores]])
        row |= {"train_seconds": own.train_seconds.mean()}
        if task.gains and settings:
            row |= _gain(subjects, str(run), f"{str(run).removesuffix(f'-{setting}')}-{next(iter(settings))}")
        rows.append(row)
    for reference in dict.fromkeys(name for result in results for name in result["references"]):
        for name, those in _by_setting(reference, [result for result in results if reference in result["references"]]).items():
            row = {"idea": "", "run": name, "model": "", "parameters": 0, "folds": len({r["fold"] for r in those}), "seeds": 1}
            rows.append(row | _spread(pd.DataFrame([{"seed": 0} | r["references"][reference] for r in those])))
    table = pd.DataFrame(rows)
    if task.gains:
        table = table.reindex(columns=[*table, *(name for name in GAIN if name not in table)])
        table["p_holm"] = holm(table.p)
    return table


def _accuracies(jobs: pd.DataFrame, subjects: pd.DataFrame) -> dict[str, Any]:
    """Accuracy of a run over windows and over subjects, and its worst subject."""
    by_subject = subjects.groupby("subject").accuracy.mean()
    return {
        "accuracy": (jobs.accuracy * jobs.windows).sum() / jobs.windows.sum(),
        "macro_f1_folds": jobs.macro_f1.mean(),
        "subject_mean": by_subject.mean(),
        "worst_subject": by_subject.idxmin(),
        "worst_accuracy": by_subject.min(),
    }


def _gain(subjects: pd.DataFrame, run: str, reference: str) -> dict[str, Any]:
    """Gain of a run over the first setting of the same config; nothing where there is none.

    The gain is the mean over subjects of the difference in accuracy (both averaged over the seeds that both have), on the folds that both
    have finished; `better` and `worse` count subjects, `p` is that of Wilcoxon's signed-rank test over them.
    """
    own, other = (subjects[subjects.run == name].set_index(["seed", "fold", "subject"]).accuracy for name in (run, reference))
    means = pd.DataFrame({run: own, reference: other}).dropna().groupby("subject").mean()
    if run == reference or means.empty:
        return {}
    tested = paired_tests({name: means[name] for name in (run, reference)}).iloc[0]
    return dict(zip(GAIN, (tested.difference, tested.better, tested.worse, tested.p), strict=True))


def _spread(scores: pd.DataFrame) -> dict[str, float]:
    """Mean and standard deviation over the seeds of each score, first averaged over the folds of a seed."""
    by_seed = scores.groupby("seed").mean()
    return {f"{name}_{what}": float(by_seed[name].agg(how)) for name in by_seed for what, how in (("mean", "mean"), ("sd", "std"))}


def _by_setting(reference: str, results: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The results of each row of a reference: one row, or one a setting where settings change what it scores in the same fold."""
    found = {(r["fold"], tuple((name, round(value, 9)) for name, value in sorted(r["references"][reference].items()))) for r in results}
    if len(found) == len({r["fold"] for r in results}):
        return {reference: results}
    return {f"{reference}-{s}": [r for r in results if r["setting"] == s] for s in dict.fromkeys(r["setting"] for r in results)}


def score_intervals(subjects: pd.DataFrame) -> pd.DataFrame:
    """Every score of a run as the mean over people, with its 95 % interval by resampling them.

    Args:
        subjects: a row per run, seed, fold and subject, with any number of scores; empty where a person has none.

    Returns:
        Columns ``run``, ``score``, ``subjects`` (who have it), ``mean``, ``low`` and ``high``; of a person the mean over the seeds counts.
    """
    names = [str(name) for name in subjects if name not in IDENTITY]
    rows = []
    for run, own in subjects.groupby("run", sort=False):
        for name, column in own.groupby("subject")[names].mean().items():
            if len(values := column.dropna().to_numpy()):
                found = mean_interval(values)
                about = {"run": run, "score": name, "subjects": len(values)}
                rows.append(about | {"mean": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def study_table(task: Task, table: pd.DataFrame) -> str:
    """The summary as Markdown; of a task that tests gains in per cent."""
    if task.gains:
        names = ["accuracy", "mean of subjects", "worst subject", "gain", "better / worse", "p (Holm)"]
    else:
        names = [str(column).removesuffix("_mean") for column in table if str(column).endswith("_mean")]
    rows = []
    for row in table.to_dict("records"):
        cells = _gain_cells(row) if task.gains else [spread(row[f"{name}_mean"], row[f"{name}_sd"], ".4f") for name in names]
        size = f"{row['parameters']:,}" if row["parameters"] else "-"
        rows.append([row["run"], row["idea"], size, *cells, f"{row['folds']} x {row['seeds']}"])
    return markdown(("run", "idea", "parameters", *names, "folds x seeds"), rows, "llr")


def _gain_cells(row: dict[Any, Any]) -> list[str]:
    cells = [
        f"{100 * row['accuracy']:.2f}",
        f"{100 * row['subject_mean']:.2f}",
        f"{row['worst_subject']}: {100 * row['worst_accuracy']:.1f}",
    ]
    if pd.isna(row.get("gain")):
        return [*cells, "-", "-", "-"]
    p = spread(row.get("p_holm"), spec=".2g")  # tables of an older version have none
    return [*cells, f"{100 * row['gain']:+.2f}", f"{row['better']:.0f} / {row['worse']:.0f}", p]


def finding(task: Task, table: pd.DataFrame, subjects: pd.DataFrame, control: str | None = None) -> str:
    """Which run is ahead, or that the best two are not distinguishable, and the best reference.

    References are not tested: they have no scores by subject.

    Args:
        task: of the study.
        table: of `summarise`.
        subjects: a row per run, seed, fold and subject.
        control: run that the others are compared with, see `leading`.
    """
    score = "subject_mean" if task.gains else f"{task.by_subject}_mean"
    wide = subjects.pivot_table(index=["seed", "fold", "subject"], columns="run", values=task.by_subject).dropna()
    lead = leading(wide.groupby("subject").mean(), control, higher_is_better=task.higher_is_better)
    ranked = table.sort_values(score, ascending=not task.higher_is_better, kind="stable").set_index("run")
    networks, references = ranked[ranked.parameters > 0][score], ranked[ranked.parameters == 0][score]

    def of(value: float) -> str:
        return f"{100 * value:.2f} % in the mean of subjects" if task.percent else f"{task.by_subject} {value:.4f}"

    if lead is None:
        text = f"`{networks.index[0]}`: {of(networks.iloc[0])}. No two runs can be compared on the same subjects."
    else:
        compared = lead.text(f"{100 * lead.difference:+.2f} points" if task.percent else f"{lead.difference:+.4f}")
        if lead.ahead:
            text = f"Ahead: `{lead.best}`, {of(networks[lead.best])}; {compared}."
        else:
            text = f"Not distinguishable: `{lead.best}` comes first with {of(networks[lead.best])}, but {compared}."
    if references.empty:
        return text
    return f"{text} Best reference: `{references.index[0]}`, {of(references.iloc[0])}, without scores by subject and so not tested."


def whose_tests(dataset: str, *, opened: bool) -> str:
    """Whether official test subjects are among the scored, of data sets that have some."""
    if not describe(dataset).official:
        return ""
    return "; official test subjects are among the scored" if opened else "; no official test subject is scored or trained on"


def _explanation(task: Task) -> str:
    """What the numbers of a table are."""
    if task.gains:
        return (
            "Per cent, of held-out subjects. Gain: mean over subjects of the difference in accuracy to the first setting, in points; p of "
            "Wilcoxon's signed-rank test over subjects, with Holm's correction over the gains."
        )
    return (
        f"Task {task.name}; {task.primary} chooses, {'higher' if task.higher_is_better else 'lower'} is better. Mean ± deviation over the "
        "seeds of the mean over the folds. Rows without parameters are no networks."
    )


def write_log(folder: Path, task: Task) -> Path:
    """Write ``LOG.md`` next to `folder` from all its ``NAME.csv``: every idea with its gain, also those that failed."""
    synthetic = " on SYNTHETIC data" if folder.parent.name == "synthetic" else ""
    sections = [
        f"# Research log{synthetic}",
        "One row per idea, from `studies/*.csv`; written by `har sweep`. Gains are in points of accuracy on the subjects that the study's "
        "split held out, averaged over them.\nEach is against the first row of its study.",
    ]
    for path in sorted(folder.glob("*.csv")):
        table = pd.read_csv(path)
        if not path.stem.endswith(("_jobs", "_subjects")) and "idea" in table and table.idea.notna().any():
            question = (folder / f"{path.stem}.md").read_text().split("\n")[0].removeprefix("# ")
            sections += [f"## {path.stem}: {question}", study_table(task, table)]
    log = folder.parent / LOG
    write_whole(log, "\n\n".join(sections) + "\n")
    return log
