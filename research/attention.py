"""``python -m research.attention``: which samples a recurrent network with additive attention looks at, and whether it matters."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from har.config import RunConfig
from har.contract import SAMPLE_RATE_HZ
from har.data.audit import audit
from har.data.windowset import WindowSet
from har.evaluation.attribution import attention_of
from har.evaluation.figures import save_figure, words
from har.models.classifier import ActivityClassifier
from har.reporting import markdown
from har.tasks.base import load_windows
from har.training.fit import fit
from har.training.trainer import quiet_lightning
from research.cells import Cell, run_cells
from research.common import Bench, experiment, held_out_config, write_table

TAKEN_AWAY = 0.1  # of the samples of a window
QUICK_WINDOWS = 60


def run(bench: Bench) -> list[Path]:
    """Train a GRU with attention once a seed, look at its weights on held-out people, and take the samples away that it looks at."""
    config = _config(bench)
    windows, split = load_windows(config, bench.archive)
    results = run_cells(bench, "attention", [{"seed": seed} for seed in bench.seeds], look, windows.digest, [config])
    table = pd.DataFrame([row | {"seed": result["seed"]} for result in results for row in result["activities"]])
    folder, stem = bench.results / "models", bench.stem("attention", synthetic=windows.synthetic)
    examples = [(one["label"], np.array(one["acceleration"]), np.array(one["weights"])) for one in results[0]["examples"]]
    written = [write_table(table, folder, stem), *save_figure(attention_figure(examples), folder, stem)]
    sections = _text(table, results, ", ".join(map(str, split.test)))
    return [*written, bench.write_report(folder, stem, *sections, data=windows.dataset, seeds=bench.seeds)]


def look(cell: Cell) -> dict[str, Any]:
    """Train one network and describe its weights, activity by activity."""
    quiet_lightning()
    config = _config(cell.bench).with_overrides(training__seed=cell.settings["seed"])
    windows, split = load_windows(config, cell.bench.archive)
    parts = split.parts(windows)
    audit(parts)
    with TemporaryDirectory() as folder:
        classifier = fit(config, parts["train"], None, Path(folder)).classifier
    test = parts["test"]
    if cell.bench.quick:
        test = test.subset(np.arange(0, len(test), max(1, len(test) // QUICK_WINDOWS)))
    weights = attention_of(classifier, test.x)
    assert weights is not None
    weights = weights.astype(np.float64)
    rng = np.random.default_rng(0)
    looked_at, chance = np.argsort(-weights, axis=1), rng.permuted(np.tile(np.arange(test.window_size), (len(test), 1)), axis=1)
    right = {
        "all": _right(classifier, test, test.x),
        "without_attended": _right(classifier, test, without(test.x, looked_at, TAKEN_AWAY)),
        "without_random": _right(classifier, test, without(test.x, chance, TAKEN_AWAY)),
    }
    activities = []
    for label, name in enumerate(test.labels):
        own = test.y == label
        activities.append(
            {
                "activity": name,
                "windows": int(own.sum()),
                "effective_samples": float(effective_samples(weights[own]).mean()),
                "last_quarter": float(weights[own][:, -test.window_size // 4 :].sum(axis=1).mean()),
                "correlation_with_movement": mean_correlation(weights[own], movement(test.x[own])),
                **{f"accuracy_{what}": float(answers[own].mean()) for what, answers in right.items()},
            }
        )
    chosen = [_typical(np.flatnonzero(test.y == label), weights) for label in range(len(test.labels))]
    return {
        "activities": activities,
        **{f"accuracy_{what}": float(answers.mean()) for what, answers in right.items()},
        "examples": [
            {"label": test.labels[test.y[i]], "acceleration": test.x[i, :, :3].round(4).tolist(), "weights": weights[i].round(6).tolist()}
            for i in chosen
        ],
    }


def _right(classifier: ActivityClassifier, windows: WindowSet, x: np.ndarray) -> np.ndarray:
    """(window,) whether the activity is named, from the samples `x`."""
    return classifier.predict_proba(torch.from_numpy(np.array(x, dtype=np.float32))).argmax(dim=1).numpy() == windows.y


def _typical(own: np.ndarray, weights: np.ndarray) -> int:
    """The window whose spread of weights is the median one of its activity."""
    spread = effective_samples(weights[own])
    return int(own[np.argsort(spread)[len(own) // 2]])


def _config(bench: Bench) -> RunConfig:
    """The shipped GRU with attention in place of statistics; seven of the 21 training subjects are held out."""
    config = held_out_config("gru", bench.dataset)
    options = {"hidden_size": 8, "num_layers": 1} if bench.quick else dict(config.model.options)
    return config.with_overrides(model__options=options | {"pooling": "attention"}, training__epochs=1 if bench.quick else None)


def _text(table: pd.DataFrame, results: list[dict[str, Any]], people: str) -> list[str]:
    systems = [f"accuracy_{what}" for what in ("all", "without_attended", "without_random")]
    rows = []
    for activity, own in table.groupby("activity", sort=False):
        mean = own.mean(numeric_only=True)
        about = f"{mean.effective_samples:.0f}", f"{100 * mean.last_quarter:.0f} %", f"{mean.correlation_with_movement:+.2f}"
        rows.append((activity, *about, *(f"{100 * mean[name]:.1f}" for name in systems)))
    rows.append(("all", "", "", "", *(f"{100 * np.mean([result[name] for result in results]):.1f}" for name in systems)))
    heads = ("activity", "spread over, samples", "on the last quarter", "correlation with movement")
    return [
        "# What does the attention look at, and does it matter?",
        markdown((*heads, "right", "without attended", "without random"), rows),
        f"GRU with additive attention, mean over seeds, windows of the held-out training subjects {people}. Spread: exponential of the "
        "entropy of the weights, of 128 samples. Correlation: of weight and distance of the acceleration from its mean, ranks within a "
        f"window. Right: per cent; without: {100 * TAKEN_AWAY:g} % of the samples, those with the largest weights or as many at random, "
        "are replaced by the line between their neighbours.",
    ]


def effective_samples(weights: np.ndarray) -> np.ndarray:
    """How many samples a window's weights are spread over: the exponential of their entropy, 1 to time.

    Args:
        weights: (window, time), summing to 1 over time.

    Returns:
        (window,).
    """
    return np.exp(-(weights * np.log(np.maximum(weights, np.finfo(float).tiny))).sum(axis=1))


def movement(x: np.ndarray) -> np.ndarray:
    """How far the total acceleration is from its mean over the window: (window, time, 6) raw6 -> (window, time), g."""
    acceleration = x[:, :, :3]
    return np.linalg.norm(acceleration - acceleration.mean(axis=1, keepdims=True), axis=2)


def mean_correlation(weights: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation over the samples of a window (Spearman), mean over windows.

    Args:
        weights: (window, time).
        other: (window, time).
    """
    ranks = [values.argsort(axis=1).argsort(axis=1).astype(float) for values in (weights, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    return float(((a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))).mean())


def without(x: np.ndarray, order: np.ndarray, share: float) -> np.ndarray:
    """Windows with some samples replaced by the line between their neighbours that are left, as if they had never been recorded.

    Args:
        x: (window, time, channel).
        order: (window, time) samples, those to take away first.
        share: of the samples that are taken away.

    Returns:
        (window, time, channel) float32.
    """
    time = x.shape[1]
    gone = order[:, : round(share * time)]
    made = np.empty_like(x, dtype=np.float32)
    for number, window in enumerate(x):
        left = np.setdiff1d(np.arange(time), gone[number])
        for channel in range(x.shape[2]):
            made[number, :, channel] = np.interp(np.arange(time), left, window[left, channel])
    return made


def attention_figure(examples: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> Figure:
    """Attention over the signal: total acceleration, and behind it how much every sample counts, one panel a window.

    Args:
        examples: name of the activity, (time, channel) window whose first three channels are the total acceleration in g, and (time,)
            weights that sum to 1.
    """
    columns = 3
    rows = -(-len(examples) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for axes, (label, window, weights) in zip(panels, examples, strict=False):
        seconds = np.arange(len(weights)) / SAMPLE_RATE_HZ
        for axis, name in enumerate("xyz"):
            axes.plot(seconds, window[:, axis], linewidth=0.9, label=f"acceleration {name}")
        behind = axes.twinx()
        behind.fill_between(seconds, len(weights) * weights, step="mid", color="0.75", linewidth=0, label="attention")
        behind.set_ylim(0, max(4.0, 1.1 * len(weights) * float(weights.max())))
        axes.set_zorder(behind.get_zorder() + 1)
        axes.patch.set_visible(False)
        axes.set_title(words(label), fontsize=10)
        behind.tick_params(labelsize=7)
    for axes in panels[len(examples) :]:
        axes.set_visible(False)
    figure.supxlabel("seconds; grey: how much a sample counts (right scale, 1 is the mean)")
    figure.supylabel("total acceleration, g")
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=len(lines), fontsize=9)
    return figure


if __name__ == "__main__":
    raise SystemExit(experiment("attention"))
