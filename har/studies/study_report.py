"""The tables of a study, and the research log: one row per idea with its cross-validated gain."""

from collections.abc import Hashable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from har.data.prepare import describe
from har.evaluation.statistics import Lead, holm, leading, paired_tests
from har.files import write_whole
from har.runs.provenance import git_commit, versions, write_table
from har.studies.study import StudyConfig

LOG = "LOG.md"
GAIN = ("gain", "better", "worse", "p")


def write_study(name: str, study: StudyConfig, results: list[dict[str, Any]], folder: Path, command: str) -> list[Path]:
    """Write ``NAME.csv`` (a row per setting), ``NAME_jobs.csv``, ``NAME_subjects.csv`` and ``NAME.md``, and the log beside the folder.

    Args:
        name: of the study.
        study: its question and ideas.
        results: of the finished jobs.
        folder: ``results/DATASET/studies``.
        command: that was typed.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = pd.DataFrame([{k: v for k, v in result.items() if k != "subjects"} for result in results])
    subjects = pd.DataFrame([{"run": r["run"], "seed": r["seed"], "fold": r["fold"], **row} for r in results for row in r["subjects"]])
    summary = summarise(study, jobs, subjects)
    summary.insert(0, "study", name)
    written = []
    for suffix, table in (("", summary), ("_jobs", jobs), ("_subjects", subjects)):
        written.append(write_table(table, folder / f"{name}{suffix}.csv"))
    made = ", ".join(f"{package} {number}" for package, number in versions().items())
    path = folder / f"{name}.md"
    write_whole(
        path,
        f"# {study.question}\n\n{finding(summary, leader(study, subjects))}\n\n{study_table(summary)}\n\n"
        f"{explanation(study, jobs, dataset_of(folder))}\n"
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}; trained at commit "
        f"{', '.join(sorted(set(jobs.commit)))}.\nVersions: {made}.\n",
    )
    written.append(path)
    return [*written, write_log(folder)]


def summarise(study: StudyConfig, jobs: pd.DataFrame, subjects: pd.DataFrame) -> pd.DataFrame:
    """A row per run: accuracy over windows and over subjects, and the gain over the first setting of the same config.

    The gain is the mean over subjects of the difference in accuracy (both averaged over the seeds that both have), on the
    folds that both have finished; `better` and `worse` count subjects. `p` is that of Wilcoxon's signed-rank test over them, `p_holm`
    with Holm's correction over all gains of the study.
    """
    settings = study.settings or {}
    first = next(iter(settings), None)
    rows = []
    for run, group in jobs.groupby("run", sort=False):
        own = subjects[subjects.run == run]
        setting = group.setting.iloc[0]
        by_subject = own.groupby("subject").accuracy.mean()
        row: dict[str, Any] = {
            "setting": setting,
            "idea": settings[setting].idea if setting in settings else "",
            "run": run,
            "model": group.model.iloc[0],
            "parameters": int(group.parameters.iloc[0]),
            "folds": group.fold.nunique(),
            "seeds": group.seed.nunique(),
            "accuracy": (group.accuracy * group.windows).sum() / group.windows.sum(),
            "macro_f1_folds": group.macro_f1.mean(),
            "subject_mean": by_subject.mean(),
            "worst_subject": by_subject.idxmin(),
            "worst_accuracy": by_subject.min(),
            "train_seconds": group.train_seconds.mean(),
        }
        reference = str(run).removesuffix(f"-{setting}") + f"-{first}" if first else run
        if run != reference and (subjects.run == reference).any():
            keys = ["seed", "fold", "subject"]
            pairs = own.merge(subjects[subjects.run == reference], on=keys, suffixes=("", "_reference"))
            means = pairs.groupby("subject")[["accuracy", "accuracy_reference"]].mean()
            if len(means):
                tested = paired_tests({str(run): means["accuracy"], str(reference): means["accuracy_reference"]}).iloc[0]
                row |= {"gain": tested.difference, "better": tested.better, "worse": tested.worse, "p": tested.p}
        rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=[*rows[0], *(c for c in GAIN if c not in rows[0])])
    table["p_holm"] = holm(table.p)
    return table


def leader(study: StudyConfig, subjects: pd.DataFrame) -> Lead | None:
    """The run with the best mean of subjects against the first setting of a study of one config, else against the next best run."""
    wide = subjects.pivot_table(index=["seed", "fold", "subject"], columns="run", values="accuracy").dropna()
    runs = list(dict.fromkeys(subjects.run))
    control = runs[0] if study.settings and len(study.configs) == 1 else None
    return leading(wide.groupby("subject").mean(), control)


def study_table(summary: pd.DataFrame) -> str:
    """The summary as Markdown, in per cent."""
    lines = ["| run | idea | parameters | accuracy | mean of subjects | worst subject | gain | better / worse | p (Holm) | folds x seeds |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in summary.to_dict("records"):
        lines.append(
            f"| {row['run']} | {row['idea']} | {row['parameters']:,} | {100 * row['accuracy']:.2f} | {100 * row['subject_mean']:.2f} | "
            f"{row['worst_subject']}: {100 * row['worst_accuracy']:.1f} | {gain(row)} | {row['folds']} x {row['seeds']} |"
        )
    return "\n".join(lines)


def gain(row: dict[Hashable, Any]) -> str:
    """Gain in points, subjects better and worse, and corrected p, as three cells of a Markdown table."""
    if pd.isna(row.get("gain")):
        return "- | - | -"
    p = "-" if pd.isna(row.get("p_holm")) else f"{row['p_holm']:.2g}"  # tables of an older version have none
    return f"{100 * row['gain']:+.2f} | {row['better']:.0f} / {row['worse']:.0f} | {p}"


def finding(summary: pd.DataFrame, lead: Lead | None) -> str:
    """Which run is ahead in a sentence, or that the best two are not distinguishable."""
    if lead is None:
        best = summary.sort_values("subject_mean", ascending=False, kind="stable").iloc[0]
        return f"`{best.run}`: {100 * best.subject_mean:.2f} % in the mean of subjects. No two runs can be compared on the same subjects."
    mean = 100 * summary.set_index("run").subject_mean[lead.best]
    compared = lead.text(f"{100 * lead.difference:+.2f} points")
    if lead.ahead:
        return f"Ahead: `{lead.best}`, {mean:.2f} % in the mean of subjects; {compared}."
    return f"Not distinguishable: `{lead.best}` has the highest mean of subjects, {mean:.2f} %, but {compared}."


def dataset_of(folder: Path) -> str:
    """Name of the data set of a folder ``results/DATASET/studies``; the inverse of `har.runs.evaluate.results_folder`."""
    return folder.parent.name.replace("_", "-")


def whose_tests(dataset: str, *, opened: bool) -> str:
    """Whether official test subjects are among the scored, of data sets that have some."""
    if not describe(dataset).official:
        return ""
    return "; official test subjects are among the scored" if opened else "; no official test subject is scored or trained on"


def explanation(study: StudyConfig, jobs: pd.DataFrame, dataset: str) -> str:
    """What the numbers of a table are."""
    opened = bool(jobs.opens_test_subjects.any())
    return (
        f"Per cent, of subjects held out by the split {study.split.kind}{whose_tests(dataset, opened=opened)}. Gain: mean over subjects of "
        "the difference in accuracy to the first setting, in points; p of Wilcoxon's signed-rank test over subjects, with Holm's "
        "correction over the gains."
    )


def write_log(folder: Path) -> Path:
    """Write ``LOG.md`` beside `folder` from all its ``NAME.csv``: every idea with its gain, also those that failed."""
    synthetic = " on SYNTHETIC data" if folder.parent.name == "synthetic" else ""
    about = "Gains are in points of accuracy on the subjects that the study's split held out, averaged over them."
    lines = [f"# Research log{synthetic}", "", f"One row per idea, from `studies/*.csv`; written by `har sweep`. {about}"]
    lines += ["Each is against the first row of its study.", ""]
    for path in sorted(folder.glob("*.csv")):
        if path.stem.endswith(("_jobs", "_subjects")):
            continue
        table = pd.read_csv(path)
        if "idea" not in table or table.idea.isna().all():
            continue
        question = (folder / f"{path.stem}.md").read_text().split("\n")[0].removeprefix("# ")
        lines += [
            f"## {path.stem}: {question}",
            "",
            "| run | idea | accuracy | mean of subjects | gain | better / worse | p (Holm) | folds x seeds |",
        ]
        lines.append("|---|---|---:|---:|---:|---:|---:|---:|")
        for row in table.to_dict("records"):
            lines.append(
                f"| {row['run']} | {row['idea']} | {100 * row['accuracy']:.2f} | {100 * row['subject_mean']:.2f} | {gain(row)} | "
                f"{row['folds']} x {row['seeds']} |"
            )
        lines.append("")
    log = folder.parent / LOG
    write_whole(log, "\n".join(lines))
    return log
