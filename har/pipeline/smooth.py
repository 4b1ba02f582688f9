"""`har smooth`: temporal smoothing of a model's answers on continuous recordings, fitted on training subjects, scored on the test subjects.

Everything that smoothing needs is decided on the 21 training subjects: the transitions between activities are counted in their
recordings, and weight and lag are chosen on the probabilities of models of the cross-validation that never saw them. The recordings are
HAPT's, in true time order and whole; the smoother is reset where a recording starts and nowhere else.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from har.contract import HAPT_LABELS, LABELS, SAMPLE_RATE_HZ, TEST_SUBJECTS, TRAIN_SUBJECTS, UCI9, HarError, channel_names
from har.data import hapt
from har.data.archives import HAPT, open_source
from har.data.prepare import source_of
from har.evaluation.predictions import METADATA_KEY
from har.evaluation.report_figures import save_figure, timeline_figure
from har.evaluation.streams import Stream, change_delays, stream_errors, transition_answers
from har.models.classifier import ActivityClassifier
from har.pipeline.ledger import record_opening, required_ledger
from har.pipeline.provenance import git_commit, versions
from har.pipeline.run_folder import RunFolder, find_runs
from har.pipeline.sweep import RESULT, STUDIES
from har.pipeline.table_file import write_table
from har.recording import Recording
from har.signals.chain import PUBLISHED
from har.signals.smoothing import StreamSmoother, estimate_transitions, smooth
from har.signals.windows import cut_windows, window_starts
from har.training.checkpoint import load_checkpoint

STUDY = "crossvalidation"
WEIGHTS = (0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
LAGS = (0, 1, 2, 3, 4, 6, 8)  # windows
WANTED = 0.5  # share of errors that smoothing shall leave; the smallest lag that gives it on the training subjects is taken


class Choice(NamedTuple):
    """A smoother's settings and what they leave of the errors on the training subjects."""

    weight: float
    lag: int
    wrong: int
    wrong_smoothed: int


def write_smoothing(model: str, runs: Path, results: Path, command: str, archive: Path | str | None = None) -> list[Path]:
    """Fit a smoother on training subjects, score every refitted seed of `model` with it, and write tables and a figure.

    Args:
        model: name of the config; needs its ``crossvalidation`` study and its ``--refit`` runs.
        runs: folder of all runs.
        results: the report goes to ``hapt/`` below it, each scoring of the test subjects to ``hapt/test_openings.csv``.
        command: that was typed.
        archive: a copy of HAPT.

    Raises:
        HarError: the archive, the refitted runs or the cross-validation are missing, or do not belong together.
    """
    finals = find_runs(runs, "uci-har", [f"{model}-refit"])
    folds = crossvalidated(model, runs, finals)
    with open_source(source_of(hapt.NAME, HAPT, archive), HAPT) as (read_file, _):
        recordings = hapt.read(read_file, transitions="keep")
    trained = [
        stream
        for run, subjects in folds
        for stream in streams(load_checkpoint(run.checkpoint), [r for r in recordings if r.subject in subjects])
    ]
    transitions, shares = estimate_transitions([np.where(s.scored, s.y, -1) for s in trained], len(LABELS))
    choices = [choose(trained, transitions, shares, lag) for lag in LAGS]
    chosen = next((c for c in choices if c.wrong_smoothed <= WANTED * c.wrong), min(choices, key=lambda c: c.wrong_smoothed))
    smoother = StreamSmoother(transitions, shares, weight=chosen.weight, lag=chosen.lag)
    report = results / "hapt"
    rows, tables, shown = [], [], None
    tested = [r for r in recordings if r.subject in TEST_SUBJECTS]
    ledger = required_ledger(report, TEST_SUBJECTS, synthetic=False)
    assert ledger is not None
    for run in finals:
        found = streams(load_checkpoint(run.checkpoint), tested)
        answers = [smooth(stream.p, smoother).argmax(axis=1) for stream in found]
        errors = stream_errors(found, answers)
        origin = run.info().origin
        accuracy = 1 - errors.wrong_smoothed.sum() / errors.windows.sum()
        record_opening(ledger, origin, accuracy=accuracy, note="smoothed")
        rows.append({"seed": origin.seed, **summarise(found, answers, errors, chosen.lag)})
        tables.append(errors.assign(seed=origin.seed))
        _write_answers(found, answers, report / f"smoothing_predictions/{origin.run}_seed{origin.seed}.parquet", asdict(origin))
        shown = shown or (found, answers)
    assert shown is not None
    summary, subjects = pd.DataFrame(rows), pd.concat(tables)
    written = []
    for stem, table in (("smoothing", summary), ("smoothing_subjects", subjects), ("smoothing_choice", pd.DataFrame(choices))):
        written.append(write_table(table, report / f"{stem}.csv"))
    written += save_figure(timeline_figure(*_worst(*shown)), report, "smoothing")
    path = report / "smoothing.md"
    path.write_text(_text(model, summary, subjects, choices, chosen, command))
    return [*written, path, report / "smoothing_predictions"]


def crossvalidated(model: str, runs: Path, finals: Sequence[RunFolder]) -> list[tuple[RunFolder, set[int]]]:
    """Runs of the cross-validation with the config of the refitted runs, and the training subjects each has never seen.

    Raises:
        HarError: they do not hold out every training subject once.
    """
    wanted = _settings(finals[0])
    found: list[tuple[RunFolder, set[int]]] = []
    for path in sorted((runs / "uci-har" / STUDIES / STUDY / model).glob(f"fold-*-seed-0-*/{RESULT}")):
        run = RunFolder(path.parent)
        if _settings(run) == wanted:
            found.append((run, {int(row["subject"]) for row in json.loads(path.read_text())["subjects"]}))
    held_out = sorted(subject for _, subjects in found for subject in subjects)
    if held_out != sorted(TRAIN_SUBJECTS):
        raise HarError(
            f"the cross-validation of {model} holds out {len(held_out)} subjects with the config of {finals[0].path}, expected each of the "
            f"{len(TRAIN_SUBJECTS)} training subjects once; run har sweep configs/study/{STUDY}.yaml"
        )
    return found


def _settings(run: RunFolder) -> dict[str, Any]:
    content = run.config().model_dump(mode="json")
    content["data"] = content["data"]["channels"]
    del content["training"]["seed"]
    return content


def streams(classifier: ActivityClassifier, recordings: Sequence[Recording]) -> list[Stream]:
    """Every recording as a stream of half-overlapping windows through the published filters, which are causal, and a classifier.

    A window is of the label that most of its samples have, unlabelled ones counted as a label.
    """
    found = []
    size = classifier.frontend.window_size
    columns = [UCI9.index(name) for name in channel_names(classifier.hparams["channels"])]
    for recording in recordings:
        samples = PUBLISHED.apply(recording.samples.astype(np.float64))[:, columns].astype(np.float32)
        starts = window_starts(len(samples), size, size // 2)
        windows = torch.from_numpy(np.array(cut_windows(samples, starts, size)))
        labels = np.array([np.bincount(recording.labels[s : s + size] + 1, minlength=len(HAPT_LABELS) + 1).argmax() - 1 for s in starts])
        found.append(Stream(recording.name, recording.subject, starts, labels, classifier.predict_proba(windows).double().numpy()))
    return found


def choose(trained: Sequence[Stream], transitions: np.ndarray, shares: np.ndarray, lag: int) -> Choice:
    """The weight that leaves the fewest errors on the training subjects, with one lag."""
    found = []
    for weight in WEIGHTS:
        smoother = StreamSmoother(transitions, shares, weight=weight, lag=lag)
        errors = stream_errors(trained, [smooth(stream.p, smoother).argmax(axis=1) for stream in trained])
        found.append(Choice(weight, lag, int(errors.wrong.sum()), int(errors.wrong_smoothed.sum())))
    return min(found, key=lambda choice: choice.wrong_smoothed)


def summarise(found: Sequence[Stream], answers: Sequence[np.ndarray], errors: pd.DataFrame, lag: int) -> dict[str, Any]:
    """One row: accuracy of the activities with and without smoothing, delays, and what is said during transitions."""
    step_s = (found[0].start[1] - found[0].start[0]) / SAMPLE_RATE_HZ
    raw = [delay for stream in found for delay in change_delays(stream, stream.p.argmax(axis=1))]
    own = [delay for stream, answer in zip(found, answers, strict=True) for delay in change_delays(stream, answer)]
    both = [(a, b) for a, b in zip(raw, own, strict=True) if a is not None and b is not None]
    added = [(after + lag - before) * step_s for before, after in both]
    said = transition_answers(found, answers).iloc[0]
    return {
        "windows": int(errors.windows.sum()),
        "accuracy": 1 - errors.wrong.sum() / errors.windows.sum(),
        "accuracy_smoothed": 1 - errors.wrong_smoothed.sum() / errors.windows.sum(),
        "wrong": int(errors.wrong.sum()),
        "wrong_smoothed": int(errors.wrong_smoothed.sum()),
        "errors_gone": 1 - errors.wrong_smoothed.sum() / max(1, errors.wrong.sum()),
        "changes": len(raw),
        "missed": sum(delay is None for delay in raw),
        "missed_smoothed": sum(delay is None for delay in own),
        "added_delay_mean_s": float(np.mean(added)),
        "added_delay_p95_s": float(np.quantile(added, 0.95)),
        "transition_windows": int(said.windows),
        **{f"transition_{name}": float(said[name]) for name in ("before", "after", "other")},
    }


def _worst(found: Sequence[Stream], answers: Sequence[np.ndarray]) -> tuple[Stream, np.ndarray]:
    """The recording with the most errors before smoothing."""
    wrong = [int((stream.p.argmax(axis=1) != stream.y)[stream.scored].sum()) for stream in found]
    index = int(np.argmax(wrong))
    return found[index], answers[index]


def _write_answers(found: Sequence[Stream], answers: Sequence[np.ndarray], path: Path, origin: dict[str, Any]) -> None:
    names = np.array([*HAPT_LABELS, ""])  # an unlabelled window, -1, has the empty name
    parts = [
        pd.DataFrame(
            {
                "recording": stream.recording,
                "subject": stream.subject,
                "start": stream.start,
                "y_true": names[stream.y],
                "y_pred": names[stream.p.argmax(axis=1)],
                "y_smoothed": names[answer],
            }
        )
        for stream, answer in zip(found, answers, strict=True)
    ]
    table = pa.Table.from_pandas(pd.concat(parts), preserve_index=False).replace_schema_metadata({METADATA_KEY: json.dumps(origin)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd")


def _text(model: str, summary: pd.DataFrame, subjects: pd.DataFrame, choices: list[Choice], chosen: Choice, command: str) -> str:
    mean = summary.mean()
    by_subject = subjects.groupby("subject")[["windows", "wrong", "wrong_smoothed"]].mean()
    lines = [
        "# What does temporal smoothing give on continuous recordings?",
        "",
        f"`{model}-refit`, {len(summary)} seeds, on the HAPT recordings of the nine test subjects, whole and in time order.",
        "",
        "| | window alone | smoothed |",
        "|---|---:|---:|",
        f"| accuracy of the six activities (%) | {100 * mean.accuracy:.2f} | {100 * mean.accuracy_smoothed:.2f} |",
        f"| wrong windows of {mean.windows:.0f} | {mean.wrong:.1f} | {mean.wrong_smoothed:.1f} |",
        f"| changes of activity never told, of {mean.changes:.0f} | {mean.missed:.1f} | {mean.missed_smoothed:.1f} |",
        "",
        f"{100 * mean.errors_gone:.1f} % of the errors are gone ({', '.join(f'{100 * v:.0f}' for v in summary.errors_gone)} % by seed). "
        f"Added delay of a change, lag included: mean {mean.added_delay_mean_s:.1f} s, 95 % below {mean.added_delay_p95_s:.1f} s. "
        f"In the {mean.transition_windows:.0f} windows of postural transitions, which are not scored, the smoothed answer is the "
        f"activity before in {100 * mean.transition_before:.0f} %, the one after in {100 * mean.transition_after:.0f} %, another in "
        f"{100 * mean.transition_other:.0f} %.",
        "",
        "| subject | windows | wrong | wrong, smoothed |",
        "|---:|---:|---:|---:|",
        *(f"| {s} | {row.windows:.0f} | {row.wrong:.1f} | {row.wrong_smoothed:.1f} |" for s, row in by_subject.iterrows()),
        "",
        "Chosen on the 21 training subjects, each predicted by a model of the cross-validation that never saw him: weight of the "
        f"likelihoods {chosen.weight:g}, lag {chosen.lag} windows of 1.28 s, the smallest that halves their errors, else the one that "
        "leaves the fewest. Transitions are counted on the same subjects.",
        "",
        "| lag (windows) | best weight | wrong | wrong, smoothed |",
        "|---:|---:|---:|---:|",
        *(f"| {c.lag} | {c.weight:g} | {c.wrong} | {c.wrong_smoothed} |" for c in choices),
        "",
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}.",
        f"Versions: {', '.join(f'{package} {number}' for package, number in versions().items())}.",
    ]
    return "\n".join(lines) + "\n"
