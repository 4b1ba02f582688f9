"""``python -m research.smooth``: temporal smoothing of a model's answers on continuous recordings, scored on the test subjects.

Everything that smoothing needs is decided on the 21 training subjects: the transitions between activities are counted in their recordings,
and weight and lag are chosen on the probabilities of models of the cross-validation that never saw them. The recordings are HAPT's, in
true time order and whole; the smoother is reset where a recording starts and nowhere else.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from matplotlib.figure import Figure

from har.contract import HAPT_LABELS, LABELS, SAMPLE_RATE_HZ, TEST_SUBJECTS, TRAIN_SUBJECTS, UCI9, channel_names
from har.data import hapt
from har.data.archives import HAPT, open_source
from har.data.prepare import source_of
from har.errors import HarError
from har.evaluation.figures import words
from har.evaluation.predictions import METADATA_KEY
from har.files import whole_file
from har.models.classifier import WindowClassifier
from har.recording import Recording
from har.runs.ledger import record_opening, required_ledger
from har.runs.run_folder import RunFolder, find_runs
from har.signals.filters import PUBLISHED
from har.signals.windows import cut_windows, window_starts
from har.studies.study import STUDIES
from har.studies.sweep import RESULT
from har.training.trainer import load_checkpoint
from research.common import Bench, experiment, listed, markdown

OPTIONS = ("--archive", "--runs", "--model")
STUDY = "crossvalidation"
WEIGHTS = (0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
LAGS = (0, 1, 2, 3, 4, 6, 8)  # windows
FLOOR = 1e-6  # least probability an activity keeps, so that no window can rule one out for ever
WANTED = 0.5  # share of errors that smoothing shall leave; the smallest lag that gives it on the training subjects is taken


def estimate_transitions(sequences: Iterable[np.ndarray], num_classes: int, *, pseudo_count: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Transition matrix and shares of the activities, counted in labelled streams.

    Args:
        sequences: (window,) index of the activity in true time order, a recording each; negative entries (transitions between
            postures, no label) are passed over, so that what stands before and behind them counts as neighbours.
        num_classes: activities.
        pseudo_count: added to every count, so that what was never seen stays possible.

    Returns:
        (num_classes, num_classes) probabilities of the next activity (rows sum to one), and (num_classes,) shares.
    """
    counts = np.full((num_classes, num_classes), float(pseudo_count))
    shares = np.full(num_classes, float(pseudo_count))
    for sequence in sequences:
        known = np.asarray(sequence)[np.asarray(sequence) >= 0]
        np.add.at(counts, (known[:-1], known[1:]), 1.0)
        np.add.at(shares, known, 1.0)
    return counts / counts.sum(axis=1, keepdims=True), shares / shares.sum()


class StreamSmoother:
    """Forward filter, or fixed-lag smoother, over the windows of a stream (Rabiner 1989; fixed lag: Anderson and Moore 1979).

    The network's probabilities divided by the shares of the activities stand for the likelihoods. Neighbouring windows share
    samples and repeat each other's mistakes, so likelihoods are raised to `weight`, below 1.

    Args:
        transitions: (num_classes, num_classes) of `estimate_transitions`.
        shares: (num_classes,) of the activities where the transitions come from.
        weight: exponent of the likelihoods.
        lag: windows that are awaited before an answer; 0 answers at once.
    """

    def __init__(self, transitions: np.ndarray, shares: np.ndarray, *, weight: float = 1.0, lag: int = 0) -> None:
        if transitions.shape != (len(shares), len(shares)) or not np.allclose(transitions.sum(axis=1), 1):
            raise ValueError(f"transitions have shape {transitions.shape}; expected rows that sum to one for {len(shares)} activities")
        if not weight > 0 or lag < 0:
            raise ValueError(f"weight is {weight} and lag {lag}; expected a weight above 0 and a lag of 0 or more")
        self.transitions, self.shares, self.weight, self.lag = transitions, shares, weight, lag
        self.reset()

    def reset(self) -> None:
        """Forget the stream, as at the start of a recording; never at a change of activity."""
        self._forward: list[np.ndarray] = []
        self._likelihood: list[np.ndarray] = []

    def push(self, probabilities: np.ndarray) -> np.ndarray | None:
        """Take the (num_classes,) probabilities of the next window.

        Returns:
            Those of the window `lag` windows ago, given all windows so far; None while there is none.
        """
        likelihood = (np.maximum(probabilities, FLOOR) / self.shares) ** self.weight
        before = self._forward[-1] @ self.transitions if self._forward else self.shares
        forward = before * likelihood
        # Only the last windows are ever looked at again.
        self._forward = [*self._forward[-self.lag :], forward / forward.sum()] if self.lag else [forward / forward.sum()]
        self._likelihood = [*self._likelihood[-self.lag :], likelihood] if self.lag else [likelihood]
        return self._smoothed(self.lag) if len(self._forward) > self.lag else None

    def finish(self) -> list[np.ndarray]:
        """Probabilities of the windows that still waited for their lag, at the end of the stream."""
        waiting = min(self.lag, len(self._forward))
        return [self._smoothed(back) for back in range(waiting - 1, -1, -1)]

    def _smoothed(self, back: int) -> np.ndarray:
        backward = np.ones(len(self.shares))
        for likelihood in self._likelihood[len(self._likelihood) - back :][::-1]:
            backward = self.transitions @ (likelihood * backward)
            backward /= backward.sum()
        result = self._forward[len(self._forward) - 1 - back] * backward
        return result / result.sum()


def smooth(probabilities: np.ndarray, smoother: StreamSmoother) -> np.ndarray:
    """(window, num_classes) of a whole stream through a smoother, from its start; same shape."""
    smoother.reset()
    found = [result for row in probabilities if (result := smoother.push(row)) is not None]
    return np.array(found + smoother.finish()).reshape(probabilities.shape)


@dataclass(frozen=True)
class Stream:
    """The windows of one continuous recording in time order.

    Attributes:
        recording: its name.
        subject: number of the subject.
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
    def raw(self) -> np.ndarray:
        """(window,) the activity with the highest probability, without smoothing."""
        return self.p.argmax(axis=1)

    @property
    def scored(self) -> np.ndarray:
        """(window,) whether the window is of an activity; transitions between postures and unlabelled ones are not scored."""
        return (self.y >= 0) & (self.y < self.p.shape[1])


Answers = Sequence[np.ndarray]  # (window,) index of the activity that the smoother names, for each stream


def stream_errors(streams: Sequence[Stream], answers: Answers) -> pd.DataFrame:
    """A row per subject: windows of the activities, wrong ones before (highest probability) and after smoothing."""
    rows = [
        {"subject": s.subject, "windows": 1, "wrong": (s.raw != s.y)[s.scored], "wrong_smoothed": (answer != s.y)[s.scored]}
        for s, answer in zip(streams, answers, strict=True)
    ]
    return pd.concat(map(pd.DataFrame, rows)).groupby("subject", as_index=False).sum()


def change_delays(stream: Stream, answer: np.ndarray) -> list[int | None]:
    """Windows from each change of activity to the first right answer; None where the activity is over before one comes.

    A change is the first window of an activity behind another activity, whatever transition lies between.
    """
    index = np.flatnonzero(stream.scored)
    first = [place for place, (a, b) in enumerate(pairwise(stream.y[index]), 1) if a != b]
    found: list[int | None] = []
    for begin, stop in pairwise([*first, len(index)]):
        own = index[begin:stop]
        right = own[answer[own] == stream.y[own]]
        found.append(int(right[0] - own[0]) if len(right) else None)
    return found


def transition_answers(streams: Sequence[Stream], answers: Answers) -> dict[str, float]:
    """The answers in windows of postural transitions: the activity before, the one after, or another.

    Returns:
        ``windows`` and the shares ``before``, ``after``, ``other``; a window between twice the same counts as before.
    """
    found = []
    for stream, answer in zip(streams, answers, strict=True):
        known = pd.Series(stream.y).where(stream.scored)
        own = stream.y >= stream.p.shape[1]
        before, after = (answer == side for side in (known.ffill(), known.bfill()))
        found.append(np.select([before, after], ["before", "after"], "other")[own])
    shares = pd.Series(np.concatenate(found)).value_counts(normalize=True)
    return {"windows": sum(map(len, found)), **{name: float(shares.get(name, 0.0)) for name in ("before", "after", "other")}}


def run(bench: Bench) -> list[Path]:
    """Fit a smoother on training subjects, score every refitted seed of a model with it, and write tables and a figure.

    The model needs its ``crossvalidation`` study and its ``--refit`` runs. Each scoring of the test subjects adds a row to the ledger.

    Raises:
        HarError: the archive, the refitted runs or the cross-validation are missing, or do not belong together.
    """
    model, report = bench.model, bench.results / "hapt"
    finals = find_runs(bench.runs, "uci-har", [f"{model}-refit"])
    folds = crossvalidated(model, bench.runs, finals)
    with open_source(source_of(HAPT, bench.archive), HAPT) as (read_file, _):
        recordings = hapt.read(read_file, transitions="keep")
    trained = [stream for fold, subjects in folds for stream in streams(fold, recordings, subjects)]
    transitions, shares = estimate_transitions([np.where(s.scored, s.y, -1) for s in trained], len(LABELS))

    def smoothed(found: Sequence[Stream], weight: float, lag: int) -> Answers:
        smoother = StreamSmoother(transitions, shares, weight=weight, lag=lag)
        return [smooth(stream.p, smoother).argmax(axis=1) for stream in found]

    tried = [
        {"weight": weight, "lag": lag, **stream_errors(trained, smoothed(trained, weight, lag))[["wrong", "wrong_smoothed"]].sum()}
        for lag in LAGS
        for weight in WEIGHTS
    ]
    choices = pd.DataFrame(tried).sort_values("wrong_smoothed", kind="stable").groupby("lag", as_index=False).first()
    choices = choices[["weight", "lag", "wrong", "wrong_smoothed"]]
    enough = np.flatnonzero(choices.wrong_smoothed <= WANTED * choices.wrong)
    chosen = choices.iloc[int(enough[0]) if len(enough) else int(choices.wrong_smoothed.argmin())]
    weight, lag = float(chosen["weight"]), int(chosen["lag"])
    ledger = required_ledger(report, TEST_SUBJECTS, synthetic=False)
    assert ledger is not None
    rows, tables, figure = [], [], None
    for final in finals:
        found, origin = streams(final, recordings, TEST_SUBJECTS), final.origin
        answers = smoothed(found, weight, lag)
        errors = stream_errors(found, answers)
        rows.append({"seed": origin.seed, **summarise(found, answers, errors, lag)})
        record_opening(ledger, origin, accuracy=rows[-1]["accuracy_smoothed"], note="smoothed")
        tables.append(errors.assign(seed=origin.seed))
        write_answers(found, answers, report / f"smoothing_predictions/{origin.run}_seed{origin.seed}.parquet", asdict(origin))
        worst = int(np.argmax([(stream.raw != stream.y)[stream.scored].sum() for stream in found]))
        figure = figure or timeline_figure(found[worst], answers[worst])
    summary, subjects = pd.DataFrame(rows), pd.concat(tables)
    mean = summary.mean()
    names = {"accuracy": "accuracy of the six activities", "wrong": "wrong windows", "missed": "changes of activity never found"}
    both = pd.DataFrame([[text, mean[name], mean[f"{name}_smoothed"]] for name, text in names.items()])
    both.columns = ["", "window alone", "smoothed"]
    by_subject = subjects.drop(columns="seed").groupby("subject", as_index=False).mean()
    text = [
        "# What does temporal smoothing give on continuous recordings?",
        f"`{model}-refit`, {len(summary)} seeds, on the HAPT recordings of the nine test subjects, whole and in time order: "
        f"{mean.windows:.0f} windows, {mean.changes:.0f} changes of activity.",
        markdown(both, {"window alone": ".4g", "smoothed": ".4g"}),
        f"{100 * mean.errors_gone:.1f} % of the errors are gone ({listed([f'{100 * v:.0f}' for v in summary.errors_gone])} % by seed). "
        f"Added delay of a change, lag included: mean {mean.added_delay_mean_s:.1f} s, 95 % below {mean.added_delay_p95_s:.1f} s. "
        f"In the {mean.transition_windows:.0f} windows of postural transitions, which are not scored, the smoothed answer is the "
        f"activity before in {100 * mean.transition_before:.0f} %, the one after in {100 * mean.transition_after:.0f} %, another in "
        f"{100 * mean.transition_other:.0f} %.",
        markdown(by_subject, {"windows": ".0f", "wrong": ".1f", "wrong_smoothed": ".1f"}),
        "Chosen on the 21 training subjects, each predicted by a model of the cross-validation that never saw them: weight of the "
        f"likelihoods {weight:g}, lag {lag} windows of 1.28 s, the smallest that halves their errors, else the one that "
        "leaves the fewest. Transitions are counted on the same subjects.",
        markdown(choices, {"weight": "g"}),
    ]
    bench.say("\n\n".join(text[:5]))
    written = bench.write(report, "smoothing", text, {"": summary, "_subjects": subjects, "_choice": choices}, figure)
    return [*written, report / "smoothing_predictions"]


def crossvalidated(model: str, runs: Path, finals: Sequence[RunFolder]) -> list[tuple[RunFolder, set[int]]]:
    """Runs of the cross-validation with the config of the refitted runs, and the training subjects each has never seen.

    Raises:
        HarError: they do not hold out every training subject once.
    """
    wanted = _settings(finals[0])
    found: list[tuple[RunFolder, set[int]]] = []
    for path in sorted((runs / "uci-har" / STUDIES / STUDY / model).glob(f"fold-*-seed-0-*/{RESULT}")):
        if _settings(RunFolder(path.parent)) == wanted:
            found.append((RunFolder(path.parent), {int(row["subject"]) for row in json.loads(path.read_text())["subjects"]}))
    held_out = sorted(subject for _, subjects in found for subject in subjects)
    if held_out != sorted(TRAIN_SUBJECTS):
        raise HarError(
            "argument",
            f"the cross-validation of {model} holds out {len(held_out)} subjects with the config of {finals[0].path}, expected each of the "
            f"{len(TRAIN_SUBJECTS)} training subjects once; run har sweep configs/study/{STUDY}.yaml",
        )
    return found


def _settings(run: RunFolder) -> dict[str, Any]:
    content = run.config().model_dump(mode="json")
    content["data"] = content["data"]["channels"]
    del content["training"]["seed"]
    return content


def streams(run: RunFolder, recordings: Sequence[Recording], subjects: Sequence[int] | set[int]) -> list[Stream]:
    """The recordings of some subjects as half-overlapping windows through the published filters, which are causal, and a classifier.

    A window is of the label that most of its samples have, unlabelled ones counted as a label.
    """
    classifier: WindowClassifier = load_checkpoint(run.checkpoint)
    found, size = [], classifier.frontend.window_size
    columns = [UCI9.index(name) for name in channel_names(classifier.hparams["channels"])]
    for recording in (recording for recording in recordings if recording.subject in subjects):
        samples = PUBLISHED.apply(recording.samples.astype(np.float64))[:, columns].astype(np.float32)
        starts = window_starts(len(samples), size, size // 2)
        windows = torch.from_numpy(np.array(cut_windows(samples, starts, size)))
        labels = np.array([np.bincount(recording.labels[s : s + size] + 1).argmax() - 1 for s in starts])
        found.append(Stream(recording.name, recording.subject, starts, labels, classifier.predict_proba(windows).double().numpy()))
    return found


def summarise(found: Sequence[Stream], answers: Answers, errors: pd.DataFrame, lag: int) -> dict[str, Any]:
    """One row: accuracy of the activities with and without smoothing, delays, and the answers during transitions."""
    step_s = (found[0].start[1] - found[0].start[0]) / SAMPLE_RATE_HZ
    raw = [delay for stream in found for delay in change_delays(stream, stream.raw)]
    own = [delay for stream, answer in zip(found, answers, strict=True) for delay in change_delays(stream, answer)]
    added = [(after + lag - before) * step_s for before, after in zip(raw, own, strict=True) if before is not None and after is not None]
    total = errors.sum()
    return {
        "windows": total.windows,
        "accuracy": 1 - total.wrong / total.windows,
        "accuracy_smoothed": 1 - total.wrong_smoothed / total.windows,
        "wrong": total.wrong,
        "wrong_smoothed": total.wrong_smoothed,
        "errors_gone": 1 - total.wrong_smoothed / max(1, total.wrong),
        "changes": len(raw),
        "missed": raw.count(None),
        "missed_smoothed": own.count(None),
        "added_delay_mean_s": float(np.mean(added)),
        "added_delay_p95_s": float(np.quantile(added, 0.95)),
        **{f"transition_{name}": value for name, value in transition_answers(found, answers).items()},
    }


def write_answers(found: Sequence[Stream], answers: Answers, path: Path, origin: dict[str, Any]) -> None:
    """Write a row per window, and where the weights come from, as Parquet."""
    names = np.array([*HAPT_LABELS, ""])  # an unlabelled window, -1, has the empty name
    columns = [
        {"recording": s.recording, "subject": s.subject, "start": s.start, "y_true": names[s.y], "y_pred": names[s.raw]}
        | {"y_smoothed": names[answer]}
        for s, answer in zip(found, answers, strict=True)
    ]
    table = pa.Table.from_pandas(pd.concat(map(pd.DataFrame, columns)), preserve_index=False)
    with whole_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata({METADATA_KEY: json.dumps(origin)}), temporary, compression="zstd")


def timeline_figure(stream: Stream, answer: np.ndarray) -> Figure:
    """Truth, answers and smoothed answers of one recording over time; windows of transitions and without label are left white."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    axes = figure.add_subplot()
    truth = np.where(stream.scored, stream.y, np.nan)
    lines = {"truth": (truth, "black"), "window alone": (stream.raw, "tab:orange"), "smoothed": (answer, "tab:blue")}
    for place, (label, (values, colour)) in enumerate(lines.items(), -1):
        axes.plot(stream.start / SAMPLE_RATE_HZ, values + 0.22 * place, "|", markersize=8, color=colour, label=label)
    axes.set_yticks(range(len(LABELS)), [words(label) for label in LABELS])
    axes.set_xlabel("Time (s)")
    axes.set_title(f"HAPT {stream.recording}: the recording of the test subjects with the most errors", fontsize=10)
    axes.grid(color="0.92")
    axes.legend(fontsize=8, loc="lower right")
    return figure


if __name__ == "__main__":
    raise SystemExit(experiment("smooth"))
