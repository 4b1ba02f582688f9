"""``python -m research.stream``: a state carried along a recording against networks trained on windows, on the same stream.

All train on the same people and are scored on every labelled sample of the same recordings of others, the held-out training subjects of
one fold; no official test subject takes part.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from har.config import RunConfig, SequenceConfig
from har.contract import LABELS, RAW6, TEST_SUBJECTS, UCI9, HarError
from har.data import hapt
from har.data.prepare import prepared, read_recordings
from har.data.streams import streams_of
from har.data.windowset import Stretch
from har.evaluation.figures import save_figure, stream_figure
from har.evaluation.segments import Labelled, stream_scores, subject_scores
from har.models.classifier import ActivityClassifier
from har.models.labeller import StreamLabeller
from har.reporting import markdown, spread
from har.runs.evaluate import results_folder
from har.runs.run_folder import INFO, RunFolder
from har.runs.train import train_run
from har.signals.chain import PUBLISHED
from har.signals.windows import cut_windows, window_starts
from har.studies.study import Job
from har.tasks.base import options_of
from har.tasks.sequence import label_streams
from har.training.checkpoint import load_checkpoint, load_module
from research.common import Bench, experiment, held_out_config, write_table

NO_ANSWER = -1  # before the first window has ended
STREAM, WINDOW = "stream_gru", "gru"
TRAININGS: dict[str, tuple[str, dict]] = {  # name: config, and what is changed in it
    "carried": (STREAM, {"task.carry_state": True}),
    "zero_state": (STREAM, {"task.carry_state": False}),
    "window": (WINDOW, {}),
}
QUICK = {"training.epochs": 1, "model.options": {"hidden_size": 8, "num_layers": 1}}
ANSWERS = {  # whose answers to each sample: the training, and how it is run
    "carried": ("carried", "the state carried in training and along the recording"),
    "zero_state": ("zero_state", "trained on chunks from a zero state; the state carried along the recording all the same"),
    "zero_state_chunks": ("zero_state", "trained on chunks from a zero state, and run so: forgets at every chunk"),
    "window": ("window", "each sample has the answer of the latest window that has ended, as on a device"),
    "window_centred": ("window", "each sample has the answer of the window whose centre is nearest: looks 0.6 to 1.9 s ahead"),
}


def run(bench: Bench) -> list[Path]:
    """Train what is not trained yet, label the held-out recordings, and write ``streams.csv``, ``streams.md`` and a timeline.

    Raises:
        HarError: the data are absent, or a training failed; what is trained already is not trained again.
    """
    rows: list[dict[str, Any]] = []
    people: list[pd.DataFrame] = []
    shown: dict[str, list[Labelled]] | None = None
    for seed in bench.seeds:
        runs = {name: trained(bench, name, seed) for name in TRAININGS}
        held_out = held_out_streams(bench, runs)
        found = answers(runs, held_out, filtered=bench.dataset == hapt.NAME)
        for name, items in found.items():
            origin = runs[ANSWERS[name][0]].info().origin
            facts = {"answers": name, "seed": seed, "parameters": origin.parameters, "train_seconds": round(origin.train_seconds, 1)}
            rows.append(facts | stream_scores(items, len(LABELS)))
            people.append(subject_scores(items, len(LABELS)).assign(answers=name, seed=seed))
        shown = shown or found
        bench.say(f"seed {seed}: " + ", ".join(f"{row['answers']} {100 * row['macro_f1']:.1f} %" for row in rows[-len(found) :]))
    if shown is None:
        raise HarError("no seed is named; name some: --seed 0 1 2")
    table, synthetic = pd.DataFrame(rows), bench.dataset == "synthetic"
    folder, stem = results_folder(bench.results, bench.dataset), bench.stem("streams", synthetic=synthetic)
    written = [write_table(table, folder, stem), write_table(pd.concat(people), folder, f"{stem}_subjects")]
    first = shown["carried"][0]
    rest = {name: next(item.answer for item in items if item.recording == first.recording) for name, items in shown.items()}
    title = f"{'SYNTHETIC data' if synthetic else bench.dataset}, {first.recording}, the first of those held out; seed {bench.seeds[0]}"
    written += save_figure(stream_figure(first.truth, rest, LABELS, title), folder, stem)
    return [*written, bench.write_report(folder, stem, *text(table, pd.concat(people), synthetic=synthetic), seeds=bench.seeds)]


def experiment_config(bench: Bench, name: str, seed: int) -> RunConfig:
    """The config of a training: that of the shipped model, on the people of the experiment's fold, for a fixed number of epochs."""
    model, change = TRAININGS[name]
    config = held_out_config(model, bench.dataset, training__seed=seed)
    return config.changed(change | (QUICK if bench.quick else {}), "experiment stream")


def trained(bench: Bench, name: str, seed: int) -> RunFolder:
    """The run of a training, finished before or now; its folder's name holds everything that it depends on."""
    config = experiment_config(bench, name, seed)
    key = Job("stream", name, name, config).key(prepared(config, bench.archive).digest)
    target = bench.runs / bench.dataset / "experiments" / "stream" / name / f"seed-{seed}-{key}"
    if not (target / INFO).is_file():
        options: dict[str, Any] = {"progress": False, "say": bench.say, "export": False, "resume": True}
        tags = {"experiment": "stream", "run_key": key}
        train_run(config, f"stream-{name}", bench.runs, archive=bench.archive, target=target, tags=tags, **options)
    return RunFolder(target)


def held_out_streams(bench: Bench, runs: dict[str, RunFolder]) -> list[Stretch]:
    """The raw recordings of the people that the fold holds out.

    Raises:
        HarError: the runs trained on different people, or an official test subject is among those held out.
    """
    splits = {name: run.info().split or {} for name, run in runs.items()}
    for name, split in splits.items():
        if split != splits["carried"]:
            raise HarError(f"{runs[name].path} trained on other people than {runs['carried'].path}; use one windowing in both configs")
    subjects = splits["carried"]["test"]
    if set(subjects) & set(TEST_SUBJECTS):
        raise HarError(f"official test subjects are held out in {runs['carried'].path}; this experiment must not see them: train it again")
    return streams_of([item for item in read_recordings(bench.dataset, archive=bench.archive) if item.subject in subjects])


def answers(runs: dict[str, RunFolder], streams: list[Stretch], *, filtered: bool) -> dict[str, list[Labelled]]:
    """What each system of `ANSWERS` says to every sample of the streams.

    Args:
        runs: by name of the training.
        streams: raw.
        filtered: whether windows go through the published filters, as they did in training; the labellers read raw samples.
    """
    carried, zero = (load_module(runs[name].checkpoint, StreamLabeller) for name in ("carried", "zero_state"))
    chunk = options_of(runs["zero_state"].config(), SequenceConfig).chunk
    classifier, step = load_checkpoint(runs["window"].checkpoint), runs["window"].config().windowing.step
    windows = [window_answers(classifier, stream, step, filtered=filtered) for stream in streams]
    size = classifier.frontend.window_size

    def labelled(answer: Callable[[int], np.ndarray]) -> list[Labelled]:
        return [Labelled(s.recording, s.subject, s.labels, answer(number)) for number, s in enumerate(streams)]

    return {
        "carried": label_streams(carried, streams),
        "zero_state": label_streams(zero, streams),
        "zero_state_chunks": labelled(lambda number: chunk_answers(zero, streams[number], chunk)),
        "window": labelled(lambda number: lay_out(*windows[number], size, len(streams[number].samples), centred=False)),
        "window_centred": labelled(lambda number: lay_out(*windows[number], size, len(streams[number].samples), centred=True)),
    }


def chunk_answers(labeller: StreamLabeller, stream: Stretch, chunk: int) -> np.ndarray:
    """(time,) answers of a labeller that starts from zero with every chunk, as it was trained."""
    samples = torch.from_numpy(np.array(stream.samples, dtype=np.float32))
    return np.concatenate([p.argmax(dim=1).numpy() for p in labeller.predict(samples.split(chunk))])


def window_answers(classifier: ActivityClassifier, stream: Stretch, step: int, *, filtered: bool) -> tuple[np.ndarray, np.ndarray]:
    """(window,) answers and (window,) first samples of all windows of a stream, whatever labels they hold; the filters are causal."""
    samples = np.asarray(stream.samples, dtype=np.float32)
    if filtered:
        samples = PUBLISHED.apply(samples.astype(np.float64))[:, [UCI9.index(name) for name in RAW6]].astype(np.float32)
    starts = window_starts(len(samples), classifier.frontend.window_size, step)
    windows = torch.from_numpy(cut_windows(samples, starts, classifier.frontend.window_size))
    return classifier.predict_proba(windows).argmax(dim=1).numpy(), starts


def lay_out(answer: np.ndarray, starts: np.ndarray, size: int, count: int, *, centred: bool) -> np.ndarray:
    """Answers of windows as answers to samples.

    Args:
        answer: (window,) of each window.
        starts: (window,) its first sample, increasing.
        size: samples in a window.
        count: samples of the stream.
        centred: whether a sample has the answer of the window whose centre is nearest, the later of two; else of the latest window whose
            last sample is not later than this one, and `NO_ANSWER` before the first has ended.

    Returns:
        (count,) answers.
    """
    sample = np.arange(count)
    if centred:
        borders = starts[1:] + size // 2 - np.diff(starts) // 2  # half-way between two centres
        return answer[np.searchsorted(borders, sample, side="right")]
    latest = np.searchsorted(starts + size - 1, sample, side="right") - 1
    return np.where(latest >= 0, answer[latest], NO_ANSWER)


def text(table: pd.DataFrame, people: pd.DataFrame, *, synthetic: bool) -> list[str]:
    """The report: mean and spread over the seeds, what each row is, and the worst person of each."""
    names = [str(c) for c in table if c not in ("answers", "seed", "parameters", "train_seconds")]
    rows, worst = [], []
    for name, own in table.groupby("answers", sort=False):
        cells = [spread(own[c].mean(), own[c].std(), ".3f") for c in names]
        rows.append((name, *cells, f"{own.parameters.iloc[0]:,}", f"{own.train_seconds.mean():.0f}"))
        accuracy = people[people.answers == name].groupby("subject").accuracy.mean()
        worst.append(f"{name} {100 * accuracy.min():.1f} % (subject {accuracy.idxmin()})")
    return [
        f"# A state carried along the recording against windows{', SYNTHETIC data' * synthetic}",
        markdown(("answers", *names, "weights", "training, s"), rows),
        "\n".join(f"- `{name}`: {meaning}." for name, (_, meaning) in ANSWERS.items()),
        f"Mean ± deviation over the seeds, on the labelled samples of {people.subject.nunique()} held-out training subjects (fold 0 of "
        "3), who decided nothing; postural transitions have no label and are not judged. segment_f1 is F1@50 (Lea et al. 2017), edit its "
        "companion, fragmented the share of segments whose right answer is interrupted (Ward et al. 2011), delay_s the time from a change "
        "to a right answer that lasts for 1 s, untold the share of changes without one.\n"
        "The labellers read raw samples; windows go through the published causal filters where the data are HAPT's, as in their training. "
        "Epochs and augmentation are those of the configs. Where everybody follows one protocol, as in HAPT, a state that is carried in "
        f"training may also learn the order of the activities, which people at large do not keep.\n"
        f"Worst person by accuracy: {', '.join(worst)}.",
    ]


if __name__ == "__main__":
    raise SystemExit(experiment("stream"))
