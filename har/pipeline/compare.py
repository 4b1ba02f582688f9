"""The comparison report: one table over runs and seeds, and the files every number of it comes from."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from har.contract import artefact
from har.evaluation.compare import collect, markdown, per_run, summary, tables_by
from har.evaluation.predictions import Predictions, write_predictions
from har.pipeline.provenance import git_commit, versions


def comparison(folder: Path, transitions: str | None = None) -> tuple[list[Predictions], str]:
    """Predictions below `folder`, all or those over one set of labels (`collect`), and their table as Markdown."""
    predictions = collect(folder, transitions)
    return predictions, markdown(summary(predictions))


def write_report(predictions: list[Predictions], report: Path, command: str) -> list[Path]:
    """Write the comparison (Markdown, CSV), per-run, per-class and per-subject tables, and the predictions themselves.

    Args:
        predictions: of all runs.
        report: folder; files of an earlier report are replaced.
        command: that was typed, named in the Markdown file.

    Returns:
        The files written.
    """
    synthetic = predictions[0].origin.synthetic
    report.mkdir(parents=True, exist_ok=True)
    tables = {
        "comparison": summary(predictions),
        "runs": per_run(predictions),
        "per_class": tables_by(predictions, "class"),
        "per_subject": tables_by(predictions, "subject"),
    }
    written = []
    for stem, table in tables.items():
        path = report / artefact(stem, ".csv", synthetic=synthetic)
        table.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")
        written.append(path)
    made = ", ".join(f"{name} {number}" for name, number in versions().items())
    commits = ", ".join(sorted({p.origin.commit for p in predictions}))
    path = report / artefact("comparison", ".md", synthetic=synthetic)
    path.write_text(
        f"{markdown(summary(predictions))}\n\n"
        + ("SYNTHETIC data: these numbers say nothing about people.\n\n" if synthetic else "")
        + f"Per cent, mean ± standard deviation over seeds. Data digest `{predictions[0].origin.data_digest[:16]}`.\n"
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}; trained at commit {commits}.\n"
        f"Versions: {made}.\n"
    )
    written.append(path)
    folder = report / "predictions"
    staged = report / ".predictions"
    shutil.rmtree(staged, ignore_errors=True)
    for item in predictions:
        origin = item.origin
        name = artefact(f"predictions_{origin.split}_{origin.run}_seed{origin.seed}", ".parquet", synthetic=synthetic)
        write_predictions(item, staged / name)
    shutil.rmtree(folder, ignore_errors=True)
    staged.rename(folder)
    return [*written, folder]
