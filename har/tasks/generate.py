"""The task ``generate``: new windows of an activity that is asked for, judged by a classifier of real windows."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from har.config import GenerateConfig, RunConfig, parse_config
from har.contract import GYRO, SAMPLE_RATE_HZ, TOTAL_ACC
from har.data.windowset import WindowSet
from har.evaluation.figures import AXIS_COLOURS, SENSORS, words
from har.evaluation.predictions import Origin
from har.models.classifier import WindowClassifier
from har.models.synthesiser import Synthesiser
from har.reporting import data_title
from har.tasks.base import TaskData, TaskScore, WindowTask, options_of, tensor
from har.training.fit import fit

MODEL = "cnn1d"


def judge_of(config: RunConfig, train: WindowSet) -> WindowClassifier:
    """A classifier of windows, such as real or generated ones: a small CNN with `task.judge_epochs`, the last one kept."""
    content = config.model_dump()
    content |= {
        "model": {"name": MODEL},
        "frontend": {"compression": (1.0,), "differences": (1.0,)},
        "augmentation": {},
        "task": {"name": "window"},
        "training": {
            "epochs": options_of(config, GenerateConfig).judge_epochs,
            "learning_rate": 0.005,
            "keep": "last",
            "threads": config.training.threads,
        },
    }
    with tempfile.TemporaryDirectory() as work:
        return fit(parse_config(content, "judge"), train, None, Path(work)).classifier


def named_right(judge: WindowClassifier, windows: WindowSet) -> float:
    """Share of the windows that the judge names as they are labelled, averaged over the activities that occur."""
    found = judge.predict_proba(torch.from_numpy(np.array(windows.x, dtype=np.float32))).argmax(dim=1).numpy()
    return float(np.mean([(found[windows.y == label] == label).mean() for label in np.unique(windows.y)]))


BAND_HZ = (0.3, 15.0)  # what a waist does; the published windows are low-passed at 20 Hz
SIGNALS = {
    "total_acc": (TOTAL_ACC, "Acceleration", "g²/Hz"),
    "gyro": (GYRO, "Angular velocity", "(rad/s)²/Hz"),
}
SHOWN = 2  # windows of each kind in the figure
PER_ACTIVITY = 200  # generated windows that are judged
SEED = 2014  # of the latent vectors of every scoring, so that it can be repeated


class Generate(WindowTask[Synthesiser]):
    """Make windows of an activity.

    A classifier trained on the real training windows says whether they are what was asked for; spectra, variety and the distance to
    the nearest training window are compared with those of real windows of held-out people. Beside the network stand the held-out people's
    own windows (``real windows``) and a normal distribution with mean and covariance of the training windows (``linear model``). There is
    no ONNX file, for the reason that the network's class gives.
    """

    name, primary, higher_is_better = "generate", "negative_elbo", False
    module = Synthesiser

    def build(self, config: RunConfig, data: TaskData) -> Synthesiser:
        train: WindowSet = data.parts["train"]
        module = Synthesiser(
            model=config.model.name,
            options=dict(config.model.options),
            channels=config.data.channels,
            window_size=train.window_size,
            num_classes=len(train.labels),
            learning_rate=config.training.learning_rate,
            weight_decay=config.training.weight_decay,
        )
        module.spec = train.spec(config.windowing.step)
        module.fit_scaling(tensor(train))
        return module

    def score(self, module: Synthesiser, config: RunConfig, data: TaskData, part: str, origin: Origin) -> TaskScore:
        train, real = data.parts["train"], data.parts[part]
        elbo = module.score(tensor(real), torch.from_numpy(np.array(real.y, dtype=np.int64))).double().numpy()
        labels = asked(train)
        linear = made_windows(linear_windows(train, labels, np.random.default_rng(SEED)), labels, train)
        judge, deviation = judge_of(config, train), module.std.cpu().numpy()

        def judged(windows: WindowSet) -> dict[str, float]:
            return {"named_as_asked": named_right(judge, windows)} | likeness(windows, real, train, deviation)

        made = synthesise(module, labels, train)
        values = {"negative_elbo": float(elbo.mean())} | judged(made)
        values["trained_on_it"] = named_right(judge_of(config, made), real)
        references = {
            "real windows": judged(real) | {"spectral_distance_db": decibels(train, real)},
            "linear model": judged(linear),
        }
        references["linear model"]["trained_on_it"] = named_right(judge_of(config, linear), real)
        references["real windows"]["trained_on_it"] = references["real windows"]["named_as_asked"]  # the judge itself, on held-out people
        table = pd.DataFrame({"subject": real.subject, "negative_elbo": elbo})
        rows = table.groupby("subject").agg(windows=("negative_elbo", "size"), negative_elbo=("negative_elbo", "mean")).reset_index()
        return TaskScore(values, rows, references)

    def figures(self, module: Synthesiser, config: RunConfig, data: TaskData, part: str, score: TaskScore) -> dict[str, Any]:
        train, real = data.parts["train"], data.parts[part]
        title = f"{data_title(data)}, {part} subjects, beside SYNTHETIC windows made by {config.model.name}"
        return {"generated_windows_synthetic": generation_figure(real, synthesise(module, asked(train), train), title)}


def asked(train: WindowSet) -> np.ndarray:
    """(window,) activities to make: `PER_ACTIVITY` of each that was trained."""
    return np.repeat(np.unique(train.y), PER_ACTIVITY)


def synthesise(module: Synthesiser, labels: np.ndarray, like: WindowSet) -> WindowSet:
    """Generated windows of the activities `labels`, the same at every call."""
    made: Tensor = module.generate(torch.from_numpy(labels), torch.Generator().manual_seed(SEED))
    return made_windows(made.numpy(), labels, like)


def made_windows(x: np.ndarray, labels: np.ndarray, like: WindowSet) -> WindowSet:
    """Generated windows as a `WindowSet` that says so."""
    nobody = np.zeros(len(x), dtype=np.int64)
    names = np.full(len(x), "generated")
    return WindowSet(x, labels, nobody, names, np.arange(len(x)), like.channels, f"{like.dataset}-generated", True, labels=like.labels)


def decibels(a: WindowSet, b: WindowSet) -> float:
    """Mean of `spectral_distance` over activities and sensors."""
    return float(np.mean(list(spectral_distance(a, b).values())))


def likeness(windows: WindowSet, real: WindowSet, train: WindowSet, deviation: np.ndarray) -> dict[str, float]:
    """How like `real` windows of held-out people others are.

    Returns:
        ``spectral_distance_db``, mean over activities and sensors; ``variety`` and ``nearest``, the mean distance of two windows of
        an activity and that to the nearest training window, both as shares of the same for `real`: 1 is like real windows, variety near 0
        is always the same window, nearest near 0 is a copy.
    """
    return {
        "spectral_distance_db": decibels(windows, real),
        "variety": pairwise_distance(windows, deviation) / pairwise_distance(real, deviation),
        "nearest": nearest_distance(windows, train, deviation) / nearest_distance(real, train, deviation),
    }


def length_spectra(windows: WindowSet) -> pd.DataFrame:
    """Power spectral density of the length of a triad: the median over the windows of an activity.

    Welch's method, one Hann segment of the window's size with its mean removed. The length does not depend on how the
    phone was worn.

    Args:
        windows: with the channels total_acc and gyro.

    Returns:
        A row per activity, signal (``total_acc``, ``gyro``) and frequency inside `BAND_HZ`, with the columns ``activity``,
        ``signal``, ``frequency_hz`` and ``density`` in g²/Hz or (rad/s)²/Hz.
    """
    from scipy.signal import welch

    parts = []
    for signal, (channels, _, _) in SIGNALS.items():
        columns = [windows.channels.index(channel) for channel in channels]
        length = np.linalg.norm(windows.x[:, :, columns], axis=2)
        frequency, density = welch(length, fs=windows.sample_rate_hz, nperseg=windows.window_size, axis=1)
        inside = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
        for index, activity in enumerate(windows.labels):
            median = np.median(density[windows.y == index][:, inside], axis=0)
            parts.append(pd.DataFrame({"activity": activity, "signal": signal, "frequency_hz": frequency[inside], "density": median}))
    return pd.concat(parts, ignore_index=True)


def spectral_distance(a: WindowSet, b: WindowSet) -> dict[tuple[str, str], float]:
    """Log-spectral distance in decibels by activity and signal: root mean square over the frequencies of 10 log10 of the ratio.

    Gray and Markel 1976, equation 2, between the median spectra of `length_spectra`. Activities that one of both lacks are left out.
    """
    keys = ["activity", "signal", "frequency_hz"]
    both = {label for label in a.labels if all((w.y == w.labels.index(label)).any() for w in (a, b))}
    table = length_spectra(a).merge(length_spectra(b), on=keys, suffixes=("_a", "_b"), validate="1:1")
    table = table[table.activity.isin(both)]
    table["squared"] = np.square(10 * np.log10(table.density_a.clip(1e-12) / table.density_b.clip(1e-12)))
    grouped = table.groupby(["activity", "signal"], sort=False)["squared"].mean().reset_index()
    return {(row["activity"], row["signal"]): float(row["squared"] ** 0.5) for row in grouped.to_dict("records")}


def pairwise_distance(windows: WindowSet, deviation: np.ndarray, most: int = 200) -> float:
    """Mean distance of two windows of one activity, averaged over the activities; 0 where all are equal.

    Args:
        windows: of which the first `most` of each activity are looked at.
        deviation: (channel,) unit of the distance, a root mean square over samples and channels.
    """
    found = []
    for label in np.unique(windows.y):
        rows = _flat(windows.x[windows.y == label][:most], deviation)
        if len(rows) > 1:
            distance = torch.cdist(rows, rows)
            found.append(float(distance.sum() / (len(rows) * (len(rows) - 1))))
    return float(np.mean(found))


def nearest_distance(windows: WindowSet, memory: WindowSet, deviation: np.ndarray, most: int = 200) -> float:
    """Mean distance to the nearest window of the same activity in `memory`, in the unit of `pairwise_distance`; 0 is a copy."""
    found = []
    for label in np.intersect1d(windows.y, memory.y):
        rows = _flat(windows.x[windows.y == label][:most], deviation)
        known = _flat(memory.x[memory.y == label], deviation)
        found.append(float(torch.cdist(rows, known).amin(dim=1).mean()))
    return float(np.mean(found))


def _flat(x: np.ndarray, deviation: np.ndarray) -> torch.Tensor:
    """(window, time, channel) -> (window, time * channel), so that a Euclidean distance is a root mean square."""
    flat = (x / deviation).reshape(len(x), -1)
    return torch.from_numpy(flat / np.sqrt(flat.shape[1])).float()


def linear_windows(train: WindowSet, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Windows of the linear model beside the network: a normal distribution with the training windows' mean and covariance.

    Args:
        train: windows of the training subjects.
        labels: (window,) activities to draw; each must be among those of `train`.
        rng: source of the draws.

    Returns:
        (window, time, channel) in g and rad/s.
    """
    made = np.empty((len(labels), *train.x.shape[1:]), dtype=np.float32)
    for label in np.unique(labels):
        known, rows = train.x[train.y == label], np.flatnonzero(labels == label)
        mean = known.mean(axis=0)
        # A random mixture of the centred windows has exactly their covariance.
        mixture = rng.standard_normal((len(rows), len(known))).astype(np.float32) / np.sqrt(max(1, len(known) - 1))
        made[rows] = mean + np.tensordot(mixture, known - mean, axes=1)
    return made


def generation_figure(real: WindowSet, made: WindowSet, title: str) -> Figure:
    """Real and generated windows side by side: a row per activity, `SHOWN` of each kind, acceleration and angular velocity."""
    shown = [label for label in range(len(real.labels)) if (real.y == label).any() and (made.y == label).any()]
    kinds = [
        (f"{name} {number + 1}", windows, number) for name, windows in (("real", real), ("SYNTHETIC", made)) for number in range(SHOWN)
    ]
    figure = Figure(figsize=(16.0, 1.0 + 2.6 * len(shown)), layout="constrained")
    grid = figure.subplots(2 * len(shown), len(kinds), sharex=True, sharey="row", squeeze=False)
    time = np.arange(real.window_size) / SAMPLE_RATE_HZ
    for row, label in enumerate(shown):
        for column, (kind, windows, number) in enumerate(kinds):
            rows = np.flatnonzero(windows.y == label)
            window = windows.x[rows[number * (len(rows) // SHOWN)]]
            for place, (sensor, unit) in enumerate(SENSORS.items()):
                axis = grid[2 * row + place, column]
                for colour, name in zip(AXIS_COLOURS, "xyz", strict=True):
                    axis.plot(time, window[:, windows.channels.index(f"{sensor}_{name}")], color=colour, linewidth=0.9, label=name)
                axis.grid(alpha=0.3)
                if not column:
                    axis.set_ylabel(unit.replace(" (", "\n("), fontsize=8)
            grid[2 * row, column].set_title(f"{words(real.labels[label])}, {kind}", fontsize=9, loc="left")
    for axis in grid[-1]:
        axis.set_xlabel("Time (s)")
    grid[0, 0].legend(fontsize=7, ncols=3, loc="lower left")
    figure.suptitle(title, fontsize=13)
    return figure
