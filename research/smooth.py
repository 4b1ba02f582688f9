"""``python -m research.smooth``: temporal smoothing of a model's answers on continuous recordings.

It is scored on the test subjects. Everything that smoothing needs is decided on the 21 training subjects: the transitions between
activities are counted in their recordings, and weight and lag are chosen on the probabilities of models of the cross-validation that
never saw them. The recordings are HAPT's, in true time order and whole; the smoother is reset where a recording starts and nowhere else.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from matplotlib.figure import Figure

from har.contract import HAPT_LABELS, LABELS, SAMPLE_RATE_HZ, TEST_SUBJECTS, TRAIN_SUBJECTS, UCI9, HarError, channel_names
from har.data import hapt
from har.data.archives import HAPT, open_source
from har.data.prepare import source_of
from har.evaluation.figures import panel, save_figure, words
from har.evaluation.predictions import METADATA_KEY
from har.models.classifier import ActivityClassifier
from har.recording import Recording
from har.reporting import footer, markdown, write_table
from har.runs.ledger import record_opening, required_ledger
from har.runs.run_folder import RunFolder, find_runs
from har.signals.chain import PUBLISHED
from har.signals.smoothing import StreamSmoother, estimate_transitions, smooth
from har.signals.windows import cut_windows, window_starts
from har.studies.sweep import RESULT, STUDIES
from har.training.checkpoint import load_checkpoint
from research.common import options_of, run_script

STUDY = "crossvalidation"
WEIGHTS = (0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
LAGS = (0, 1, 2, 3, 4, 6, 8)  # windows
WANTED = 0.5  # share of errors that smoothing shall leave; the smallest lag that gives it on the training subjects is taken


@dataclass(frozen=True)
class Stream:
    """The windows of one continuous recording in time order.

    Attributes:
        recording: its name.
        subject: number of the person.
        start: (window,) first sample.
        y: (window,) index into the labels, activities first, then transitions; negative where unlabelled.
        p: (window, num_classes) probabilities of the activities.
    """

    recording: str
    subject: int
    start: np.ndarray
    y: np.ndarray
    p: np.ndarray

    @property
    def num_classes(self) -> int:
        """Activities that a window can be taken for."""
        return self.p.shape[1]

    @property
    def scored(self) -> np.ndarray:
        """(window,) whether the window is of an activity; transitions between postures and unlabelled ones are not scored."""
        return (self.y >= 0) & (self.y < self.num_classes)


def stream_errors(streams: Sequence[Stream], answers: Sequence[np.ndarray]) -> pd.DataFrame:
    """A row per subject: windows of the activities, wrong ones before (highest probability) and after smoothing.

    Args:
        streams: the recordings.
        answers: (window,) index of the activity that the smoother names, for each stream.
    """
    rows = []
    for stream, answer in zip(streams, answers, strict=True):
        own = stream.scored
        raw = stream.p.argmax(axis=1)
        wrong = {"wrong": (raw != stream.y)[own].sum(), "wrong_smoothed": (answer != stream.y)[own].sum()}
        rows.append({"subject": stream.subject, "windows": own.sum(), **wrong})
    return pd.DataFrame(rows).groupby("subject", as_index=False).sum()


def change_delays(stream: Stream, answer: np.ndarray) -> list[int | None]:
    """Windows from each change of activity to the first right answer; None where the activity is over before one comes.

    A change is the first window of an activity behind another activity, whatever transition lies between.
    """
    index = np.flatnonzero(stream.scored)
    first = [here for before, here in pairwise(index) if stream.y[before] != stream.y[here]]
    found: list[int | None] = []
    for here in first:
        rest = index[index >= here]
        other = rest[stream.y[rest] != stream.y[here]]
        own = rest[rest < other[0]] if len(other) else rest
        right = own[answer[own] == stream.y[here]]
        found.append(int(right[0] - here) if len(right) else None)
    return found


def transition_answers(streams: Sequence[Stream], answers: Sequence[np.ndarray]) -> pd.DataFrame:
    """What is said in windows of postural transitions: the activity before, the one after, or another.

    Returns:
        One row: ``windows`` and the shares ``before``, ``after``, ``other``; a window between twice the same counts as before.
    """
    counts = {"windows": 0, "before": 0, "after": 0, "other": 0}
    for stream, answer in zip(streams, answers, strict=True):
        scored = np.flatnonzero(stream.scored)
        for here in np.flatnonzero(stream.y >= stream.num_classes):
            earlier, later = scored[scored < here], scored[scored > here]
            counts["windows"] += 1
            if len(earlier) and answer[here] == stream.y[earlier[-1]]:
                counts["before"] += 1
            elif len(later) and answer[here] == stream.y[later[0]]:
                counts["after"] += 1
            else:
                counts["other"] += 1
    total = max(1, counts["windows"])
    return pd.DataFrame([{"windows": counts["windows"], **{name: counts[name] / total for name in ("before", "after", "other")}}])


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
    wanted = finals[0].info().origin
    found: list[tuple[RunFolder, set[int]]] = []
    for path in sorted((runs / "uci-har" / STUDIES / STUDY / model).glob(f"fold-*-seed-0-*/{RESULT}")):
        run = RunFolder(path.parent)
        if run.info().origin.same_config(wanted):
            found.append((run, {int(row["subject"]) for row in json.loads(path.read_text())["subjects"]}))
    held_out = sorted(subject for _, subjects in found for subject in subjects)
    if held_out != sorted(TRAIN_SUBJECTS):
        raise HarError(
            f"the cross-validation of {model} holds out {len(held_out)} subjects with the config of {finals[0].path}, expected each of the "
            f"{len(TRAIN_SUBJECTS)} training subjects once; run har sweep configs/study/{STUDY}.yaml"
        )
    return found


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
    accuracy, smoothed = (f"{100 * value:.2f}" for value in (mean.accuracy, mean.accuracy_smoothed))
    whole = [
        ("accuracy of the six activities (%)", accuracy, smoothed),
        (f"wrong windows of {mean.windows:.0f}", f"{mean.wrong:.1f}", f"{mean.wrong_smoothed:.1f}"),
        (f"changes of activity never told, of {mean.changes:.0f}", f"{mean.missed:.1f}", f"{mean.missed_smoothed:.1f}"),
    ]
    subject_rows = [(s, f"{row.windows:.0f}", f"{row.wrong:.1f}", f"{row.wrong_smoothed:.1f}") for s, row in by_subject.iterrows()]
    lags = [(c.lag, f"{c.weight:g}", c.wrong, c.wrong_smoothed) for c in choices]
    sections = [
        "# What does temporal smoothing give on continuous recordings?",
        f"`{model}-refit`, {len(summary)} seeds, on the HAPT recordings of the nine test subjects, whole and in time order.",
        markdown(("", "window alone", "smoothed"), whole),
        f"{100 * mean.errors_gone:.1f} % of the errors are gone ({', '.join(f'{100 * v:.0f}' for v in summary.errors_gone)} % by seed). "
        f"Added delay of a change, lag included: mean {mean.added_delay_mean_s:.1f} s, 95 % below {mean.added_delay_p95_s:.1f} s. "
        f"In the {mean.transition_windows:.0f} windows of postural transitions, which are not scored, the smoothed answer is the "
        f"activity before in {100 * mean.transition_before:.0f} %, the one after in {100 * mean.transition_after:.0f} %, another in "
        f"{100 * mean.transition_other:.0f} %.",
        markdown(("subject", "windows", "wrong", "wrong, smoothed"), subject_rows, "r"),
        "Chosen on the 21 training subjects, each predicted by a model of the cross-validation that never saw him: weight of the "
        f"likelihoods {chosen.weight:g}, lag {chosen.lag} windows of 1.28 s, the smallest that halves their errors, else the one that "
        "leaves the fewest. Transitions are counted on the same subjects.",
        markdown(("lag (windows)", "best weight", "wrong", "wrong, smoothed"), lags, "r"),
        footer(command),
    ]
    return "\n\n".join(sections)


def timeline_figure(stream: Stream, answer: np.ndarray) -> Figure:
    """Truth, answers and smoothed answers of one recording over time; windows of transitions and without label are left white."""
    figure, axes = panel(10, 3.4)
    seconds = stream.start / SAMPLE_RATE_HZ
    truth = np.where(stream.scored, stream.y, np.nan)
    lines = (
        ("truth", truth, -0.22, "black"),
        ("window alone", stream.p.argmax(axis=1), 0.0, "tab:orange"),
        ("smoothed", answer, 0.22, "tab:blue"),
    )
    for label, values, offset, colour in lines:
        axes.plot(seconds, values + offset, "|", markersize=8, color=colour, label=label)
    axes.set_yticks(range(len(LABELS)), [words(label) for label in LABELS])
    axes.set_xlabel("Time (s)")
    axes.set_title(f"HAPT {stream.recording}: the recording of the test subjects with the most errors", fontsize=10)
    axes.grid(color="0.92")
    axes.legend(fontsize=8, loc="lower right")
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Write tables and figure; see `write_smoothing`."""
    parser = options_of("smooth", "Smooth a model's answers over whole recordings and score the test subjects", archive="HAPT", runs=True)
    parser.add_argument("--model", default="dilated_cnn", metavar="NAME", help="config (default: %(default)s)")

    def work(options: argparse.Namespace, command: str) -> list[Path]:
        paths = write_smoothing(options.model, options.runs, options.results, command, options.archive)
        print(paths[-2].read_text().split("\nChosen")[0])
        return paths

    return run_script(parser, arguments, work)


if __name__ == "__main__":
    raise SystemExit(main())
