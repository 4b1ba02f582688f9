"""``python -m research.stream``: a state carried along a recording against networks trained on windows, on the same stream.

All train on the same subjects and are scored on every labelled sample of the same recordings of others, the held-out training subjects of
one fold; no official test subject takes part.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from har.config import RunConfig, SequenceConfig, load_config
from har.contract import LABELS, RAW6, TEST_SUBJECTS, UCI9
from har.data import hapt
from har.data.prepare import prepared, read_recordings
from har.data.windowset import Stretch, stretches_of
from har.errors import HarError
from har.evaluation.figures import stream_figure
from har.evaluation.segments import Labelled, stream_scores, subject_scores
from har.models.classifier import WindowClassifier
from har.models.labeller import StreamLabeller
from har.runs.checks import config_path
from har.runs.evaluate import results_folder
from har.runs.run_folder import INFO, RunFolder
from har.runs.train import train_run
from har.signals.filters import PUBLISHED
from har.signals.windows import cut_windows, window_starts
from har.tasks.base import options_of
from har.tasks.run_key import run_key
from har.tasks.sequence import label_streams
from har.training.trainer import load_checkpoint, load_module
from research.common import SYNTHETIC, Bench, experiment, listed, markdown, spread

NO_ANSWER = -1  # before the first window has ended
TRAININGS: dict[str, tuple[str, dict]] = {  # name: config, and what is changed in it
    "carried": ("stream_gru", {"task.carry_state": True}),
    "zero_state": ("stream_gru", {"task.carry_state": False}),
    "window": ("gru", {}),
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
    people, figure = [], None
    for seed in bench.seeds:
        runs = {name: trained(bench, name, seed) for name in TRAININGS}
        held_out = held_out_streams(bench, runs)
        found = answers(runs, held_out, filtered=bench.dataset == hapt.NAME)
        for name, items in found.items():
            origin = runs[ANSWERS[name][0]].origin
            row = {"answers": name, "seed": seed, "parameters": origin.parameters, "train_seconds": round(origin.train_seconds, 1)}
            scores = stream_scores(items, len(LABELS))
            rows.append(row | scores)
            people.append(subject_scores(items, len(LABELS)).assign(answers=name, seed=seed))
            bench.say(f"seed {seed}: {name} {100 * scores['macro_f1']:.1f} %")
        if figure is None:
            first = held_out[0]
            title = f"{bench.dataset.replace(SYNTHETIC, 'SYNTHETIC data')}, {first.recording}, the first of those held out; seed {seed}"
            figure = stream_figure(first.labels, {name: items[0].answer for name, items in found.items()}, LABELS, title)
    table, subjects, synthetic = pd.DataFrame(rows), pd.concat(people), bench.dataset == SYNTHETIC
    grouped = table.groupby("answers", sort=False)
    shown = grouped[list(table.columns[4:])].agg(_spread)
    shown = shown.assign(parameters=grouped.parameters.first(), train_seconds=grouped.train_seconds.mean())
    by_subject = subjects.groupby(["answers", "subject"], sort=False).accuracy.mean().reset_index()
    worst = by_subject.sort_values("accuracy").groupby("answers", as_index=False, sort=False).first()
    text = [
        f"# A state carried along the recording against windows{', SYNTHETIC data' * synthetic}",
        markdown(shown.reset_index(), {"parameters": ",", "train_seconds": ".0f"}),
        "\n".join(f"- `{name}`: {meaning}." for name, (_, meaning) in ANSWERS.items()),
        f"Mean ± deviation over the seeds, on the labelled samples of {subjects.subject.nunique()} held-out training subjects (fold 0 of "
        "3), who decided nothing; postural transitions have no label and are not scored. segment_f1 is F1@50 (Lea et al. 2017), edit its "
        "companion, fragmented the share of segments whose right answer is interrupted (Ward et al. 2011), delay_s the time from a change "
        "to a right answer that lasts for 1 s, untold the share of changes without one.",
        "The labellers read raw samples; windows go through the published causal filters where the data are HAPT's, as in their training. "
        "Epochs and augmentation are those of the configs. Where everybody follows one protocol, as in HAPT, a state that is carried in "
        "training may also learn the order of the activities, which does not hold in daily life.",
        f"The worst subject of each by accuracy:\n\n{markdown(worst, {'accuracy': '.1%'})}",
    ]
    folder, stem = results_folder(bench.results, bench.dataset), bench.stem("streams", synthetic=synthetic)
    return bench.write(folder, stem, text, {"": table, "_subjects": subjects}, figure, seeds=listed(bench.seeds))


def experiment_config(bench: Bench, name: str, seed: int) -> RunConfig:
    """The config of a training: that of the shipped model, on the subjects of the experiment's fold, for a fixed number of epochs."""
    model, change = TRAININGS[name]
    config = load_config(config_path(model)).with_overrides(data__dataset=bench.dataset, training__keep="last", training__seed=seed)
    config = config.with_split(kind="kfold", folds=3, subjects="training", validation=0, fold=0)
    return config.changed(change | (QUICK if bench.quick else {}), "experiment stream")


def _spread(values: pd.Series) -> str:
    return spread(values, digits=3, scale=1)


def trained(bench: Bench, name: str, seed: int) -> RunFolder:
    """The run of a training, finished before or now; its folder's name holds everything that it depends on."""
    config = experiment_config(bench, name, seed)
    key = run_key(config, prepared(config, bench.archive).digest)
    target = bench.runs / bench.dataset / "experiments" / "stream" / name / f"seed-{seed}-{key}"
    if not (target / INFO).is_file():
        tags = {"experiment": "stream", "run_key": key}
        options: dict[str, Any] = {"archive": bench.archive, "progress": False, "say": bench.say, "target": target, "export": False}
        train_run(config, f"stream-{name}", bench.runs, **options, tags=tags, resume=True)
    return RunFolder(target)


def held_out_streams(bench: Bench, runs: dict[str, RunFolder]) -> list[Stretch]:
    """The raw recordings of the subjects that the fold holds out.

    Raises:
        HarError: the runs trained on different subjects, or an official test subject is among those held out.
    """
    splits = {name: run.info().split for name, run in runs.items()}
    for name, split in splits.items():
        if split != splits["carried"]:
            raise HarError(
                "not-comparable",
                f"{runs[name].path} trained on other subjects than {runs['carried'].path}; use one windowing in both configs",
            )
    subjects = splits["carried"]["test"]
    if set(subjects) & set(TEST_SUBJECTS):
        raise HarError(
            "test-subjects",
            f"official test subjects are held out in {runs['carried'].path}; this experiment must not see them: train it again",
        )
    return list(stretches_of(item for item in read_recordings(bench.dataset, archive=bench.archive) if item.subject in subjects))


def answers(runs: dict[str, RunFolder], streams: list[Stretch], *, filtered: bool) -> dict[str, list[Labelled]]:
    """The answer of each system of `ANSWERS` to every sample of the streams.

    Args:
        runs: by name of the training.
        streams: raw.
        filtered: whether windows go through the published filters, as they did in training; the labellers read raw samples.
    """
    carried, zero = (load_module(runs[name].checkpoint, StreamLabeller) for name in ("carried", "zero_state"))
    chunk = options_of(runs["zero_state"].config(), SequenceConfig).chunk
    classifier, step = load_checkpoint(runs["window"].checkpoint), runs["window"].config().windowing.step
    found: dict[str, list[Labelled]] = {"carried": label_streams(carried, streams), "zero_state": label_streams(zero, streams)}
    for stream in streams:
        windows = window_answers(classifier, stream, step, filtered=filtered)
        size, count = classifier.frontend.window_size, len(stream.samples)
        samples = torch.from_numpy(np.array(stream.samples, dtype=np.float32))
        # A labeller that starts from zero with every chunk, as it was trained.
        own = {"zero_state_chunks": np.concatenate([p.argmax(dim=1).numpy() for p in zero.predict(samples.split(chunk))])}
        own |= {"window": lay_out(*windows, size, count, centred=False), "window_centred": lay_out(*windows, size, count, centred=True)}
        for name, answer in own.items():
            found.setdefault(name, []).append(Labelled(stream.recording, stream.subject, stream.labels, answer))
    return found


def window_answers(classifier: WindowClassifier, stream: Stretch, step: int, *, filtered: bool) -> tuple[np.ndarray, np.ndarray]:
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


if __name__ == "__main__":
    raise SystemExit(experiment("stream"))
