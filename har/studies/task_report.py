"""The table of a task: a row per model or setting and per reference, mean and spread over the seeds."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from har.evaluation.statistics import leading, mean_interval
from har.files import write_whole
from har.runs.provenance import git_commit, versions, write_table
from har.studies.study import StudyConfig
from har.studies.study_report import dataset_of, whose_tests
from har.tasks import task_of

NESTED = ("scores", "references", "subjects")


def write_task_study(name: str, study: StudyConfig, results: list[dict[str, Any]], folder: Path, command: str) -> list[Path]:
    """Write ``NAME.csv`` (a row per run and reference), ``NAME_jobs.csv``, ``NAME_subjects.csv`` and ``NAME.md``.

    Where the task asks for intervals, ``NAME_intervals.csv`` too.

    Args:
        name: of the study.
        study: its question and ideas.
        results: of the finished jobs, all of one task.
        folder: ``results/DATASET/tasks``.
        command: that was typed.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    task = task_of(results[0]["model"])
    if task is None:
        raise ValueError(f"{results[0]['model']} names activities of windows; that is reported by har.studies.study_report")
    jobs = pd.DataFrame([{k: v for k, v in r.items() if k not in NESTED} | r["scores"] for r in results])
    subjects = pd.DataFrame([{"run": r["run"], "seed": r["seed"], "fold": r["fold"], **row} for r in results for row in r["subjects"]])
    table = summarise(study, results)
    written = []
    tables = {"": table, "_jobs": jobs, "_subjects": subjects}
    if task.intervals:
        tables["_intervals"] = score_intervals(subjects)
    for suffix, content in tables.items():
        written.append(write_table(content, folder / f"{name}{suffix}.csv"))
    whose = whose_tests(dataset_of(folder), opened=bool(jobs.opens_test_subjects.any()))
    way = "higher" if task.higher_is_better else "lower"
    made = ", ".join(f"{package} {number}" for package, number in versions().items())
    found = finding(table, subjects, task.primary, higher_is_better=task.higher_is_better)
    path = folder / f"{name}.md"
    write_whole(
        path,
        f"# {study.question}\n\n{found}\n\n{task_table(table)}\n\n"
        f"Task {task.name}; {task.primary} chooses, {way} is better. Mean ± deviation over the seeds of the mean over the folds; "
        f"split {study.split.kind}{whose}. Rows without parameters are no networks.\n\n"
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}; trained at commit "
        f"{', '.join(sorted(set(jobs.commit)))}.\nVersions: {made}.\n",
    )
    return [*written, path]


def summarise(study: StudyConfig, results: list[dict[str, Any]]) -> pd.DataFrame:
    """A row per run, then per reference: ``NAME_mean`` and ``NAME_sd`` of every score over the seeds.

    References are averaged over the folds; what needs no seed is the same in all. A reference that settings change, because they change
    the task, has a row a setting.
    """
    settings = study.settings or {}
    rows = []
    for run in dict.fromkeys(result["run"] for result in results):
        own = [result for result in results if result["run"] == run]
        setting = own[0]["setting"]
        row = {"run": run, "idea": settings[setting].idea if setting in settings else "", "model": own[0]["model"]}
        row |= {"parameters": own[0]["parameters"], "folds": len({r["fold"] for r in own}), "seeds": len({r["seed"] for r in own})}
        seconds = sum(r["train_seconds"] for r in own) / len(own)
        rows.append(row | _spread([(r["seed"], r["scores"]) for r in own]) | {"train_seconds": seconds})
    for reference in dict.fromkeys(name for result in results for name in result["references"]):
        for run, own in _by_setting(reference, [result for result in results if reference in result["references"]]).items():
            row = {"run": run, "idea": "", "model": "", "parameters": 0, "folds": len({r["fold"] for r in own}), "seeds": 1}
            rows.append(row | _spread([(0, r["references"][reference]) for r in own]))
    return pd.DataFrame(rows)


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
    names = [str(name) for name in subjects if name not in ("run", "seed", "fold", "subject", "windows")]
    rows = []
    for run, own in subjects.groupby("run", sort=False):
        people = own.groupby("subject")[names].mean()
        for name in names:
            values = people[name].dropna().to_numpy()
            if len(values):
                found = mean_interval(values)
                row = {"run": run, "score": name, "subjects": len(values)}
                rows.append(row | {"mean": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def _spread(found: list[tuple[int, dict[str, float]]]) -> dict[str, float]:
    """Mean and standard deviation over the seeds of each score, first averaged over the folds of a seed."""
    by_seed = pd.DataFrame([{"seed": seed, **values} for seed, values in found]).groupby("seed").mean()
    mean, spread = by_seed.mean(), by_seed.std()
    return {f"{name}_{what}": float(values[str(name)]) for name in by_seed for what, values in (("mean", mean), ("sd", spread))}


def task_table(table: pd.DataFrame) -> str:
    """The summary as Markdown."""
    names = [str(column).removesuffix("_mean") for column in table if str(column).endswith("_mean")]
    lines = [f"| run | idea | parameters | {' | '.join(names)} | folds x seeds |", f"|---|---|---:|{'---:|' * (len(names) + 1)}"]
    for row in table.to_dict("records"):
        cells = [_cell(row[f"{name}_mean"], row[f"{name}_sd"]) for name in names]
        size = f"{row['parameters']:,}" if row["parameters"] else "-"
        lines.append(f"| {row['run']} | {row['idea']} | {size} | {' | '.join(cells)} | {row['folds']} x {row['seeds']} |")
    return "\n".join(lines)


def finding(table: pd.DataFrame, subjects: pd.DataFrame, primary: str, *, higher_is_better: bool) -> str:
    """Which network is ahead in the score that chooses, or that the best two are not distinguishable, and the best reference.

    References are not tested: they have no scores by subject.
    """
    score, networks = f"{primary}_mean", table[table.parameters > 0]
    wide = subjects.pivot_table(index=["seed", "fold", "subject"], columns="run", values=primary).dropna()
    lead = leading(wide.groupby("subject").mean(), higher_is_better=higher_is_better)
    if lead is None:
        best = networks.sort_values(score, ascending=not higher_is_better, kind="stable").iloc[0]
        text = f"`{best.run}`: {primary} {best[score]:.4f}. No two networks can be compared on the same subjects."
    else:
        mean, compared = networks.set_index("run")[score][lead.best], lead.text(f"{lead.difference:+.4f}")
        what = "Ahead" if lead.ahead else "Not distinguishable"
        but = ";" if lead.ahead else " is the best mean, but"
        text = f"{what}: `{lead.best}`, {primary} {mean:.4f}{but} {compared}."
    references = table[table.parameters == 0]
    if references.empty:
        return text
    best = references.sort_values(score, ascending=not higher_is_better, kind="stable").iloc[0]
    return f"{text} Best reference: `{best.run}`, {primary} {best[score]:.4f}, without scores by subject and so not tested."


def _cell(mean: float, spread: float) -> str:
    if pd.isna(mean):
        return "-"
    return f"{mean:.4f}" if pd.isna(spread) else f"{mean:.4f} ± {spread:.4f}"
