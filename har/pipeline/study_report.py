"""The tables of a study, and the research log: one row per idea with its cross-validated gain."""

from collections.abc import Hashable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from har.files import write_whole
from har.pipeline.provenance import git_commit, versions
from har.pipeline.study import StudyConfig
from har.pipeline.table_file import write_table

LOG = "LOG.md"


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
        f"# {study.question}\n\n{finding(summary)}\n\n{study_table(summary)}\n\n{explanation(study, jobs)}\n"
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}; trained at commit "
        f"{', '.join(sorted(set(jobs.commit)))}.\nVersions: {made}.\n",
    )
    written.append(path)
    return [*written, write_log(folder)]


def summarise(study: StudyConfig, jobs: pd.DataFrame, subjects: pd.DataFrame) -> pd.DataFrame:
    """A row per run: accuracy over windows and over subjects, and the gain over the first setting of the same config.

    The gain is the mean over subjects of the difference in accuracy (both averaged over the seeds that both have), on the
    folds that both have finished; `better` and `worse` count subjects.
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
            difference = (pairs.accuracy - pairs.accuracy_reference).groupby(pairs.subject).mean()
            row |= {"gain": difference.mean(), "better": int((difference > 0).sum()), "worse": int((difference < 0).sum())}
        rows.append(row)
    return pd.DataFrame(rows).reindex(columns=[*rows[0], *(c for c in ("gain", "better", "worse") if c not in rows[0])])


def study_table(summary: pd.DataFrame) -> str:
    """The summary as Markdown, in per cent."""
    lines = ["| run | idea | parameters | accuracy | mean of subjects | worst subject | gain | better / worse | folds x seeds |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for row in summary.to_dict("records"):
        lines.append(
            f"| {row['run']} | {row['idea']} | {row['parameters']:,} | {100 * row['accuracy']:.2f} | {100 * row['subject_mean']:.2f} | "
            f"{row['worst_subject']}: {100 * row['worst_accuracy']:.1f} | {gain(row)} | {row['folds']} x {row['seeds']} |"
        )
    return "\n".join(lines)


def gain(row: dict[Hashable, Any]) -> str:
    """Gain in points and subjects better and worse, as two cells of a Markdown table."""
    if pd.isna(row.get("gain")):
        return "- | -"
    return f"{100 * row['gain']:+.2f} | {row['better']:.0f} / {row['worse']:.0f}"


def finding(summary: pd.DataFrame) -> str:
    """Who is ahead, and by how much, in a sentence."""
    best, *rest = summary.sort_values("subject_mean", ascending=False, kind="stable").to_dict("records")
    said = f"Ahead: `{best['run']}`, {100 * best['subject_mean']:.2f} % in the mean of subjects"
    if not pd.isna(best.get("gain")):
        said += f", {100 * best['gain']:+.2f} points against the first setting ({best['better']:.0f} better, {best['worse']:.0f} worse)"
    elif rest:
        said += f"; next `{rest[0]['run']}`, {100 * rest[0]['subject_mean']:.2f} %"
    return f"{said}. Whether chance would do as much was not tested."


def explanation(study: StudyConfig, jobs: pd.DataFrame) -> str:
    """What the numbers of a table are."""
    opened = jobs.opens_test_subjects.any()
    whose = "official test subjects are among the scored" if opened else "no official test subject is scored or trained on"
    return (
        f"Per cent, of subjects held out by the split {study.split.kind}; {whose}. Gain: mean over subjects of the difference in "
        "accuracy to the first setting, in points."
    )


def write_log(folder: Path) -> Path:
    """Write ``LOG.md`` beside `folder` from all its ``NAME.csv``: every idea with its gain, also those that failed."""
    synthetic = " on SYNTHETIC data" if folder.parent.name == "synthetic" else ""
    about = "Gains are cross-validated inside the 21 training subjects, in points of accuracy, averaged over subjects."
    lines = [f"# Research log{synthetic}", "", f"One row per idea, from `studies/*.csv`; written by `har sweep`. {about}"]
    lines += ["Each is against the first row of its study.", ""]
    for path in sorted(folder.glob("*.csv")):
        if path.stem.endswith(("_jobs", "_subjects")):
            continue
        table = pd.read_csv(path)
        if "idea" not in table or table.idea.isna().all():
            continue
        question = (folder / f"{path.stem}.md").read_text().split("\n")[0].removeprefix("# ")
        lines += [f"## {path.stem}: {question}", "", "| run | idea | accuracy | mean of subjects | gain | better / worse | folds x seeds |"]
        lines.append("|---|---|---:|---:|---:|---:|---:|")
        for row in table.to_dict("records"):
            lines.append(
                f"| {row['run']} | {row['idea']} | {100 * row['accuracy']:.2f} | {100 * row['subject_mean']:.2f} | {gain(row)} | "
                f"{row['folds']} x {row['seeds']} |"
            )
        lines.append("")
    log = folder.parent / LOG
    write_whole(log, "\n".join(lines))
    return log
