"""``python -m research.attention``: which samples a recurrent network with additive attention looks at, and whether it matters."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.special import entr

from har.config import RunConfig, load_config
from har.contract import SAMPLE_RATE_HZ
from har.data.audit import audit
from har.data.windowset import WindowSet
from har.evaluation.figures import words
from har.models.classifier import WindowClassifier
from har.models.recurrent import RecurrentNetwork
from har.runs.checks import config_path
from har.tasks.base import load_windows, tensor
from har.training.fit import fit
from har.training.trainer import quiet_lightning
from research.common import Bench, Settings, experiment, listed, markdown, run_cells

TAKEN_AWAY = 0.1  # of the samples of a window
MOST = 256  # windows whose weights are computed at once
QUICK_WINDOWS = 60


def run(bench: Bench) -> list[Path]:
    """Train a GRU with attention once per seed, look at its weights on held-out subjects, and remove the samples that it looks at."""
    config = _config(bench)
    windows, split = load_windows(config, bench.archive)
    results = run_cells(bench, "attention", [{"seed": seed} for seed in bench.seeds], look, windows.digest, [config])
    table = pd.DataFrame([row | {"seed": result["seed"]} for result in results for row in result["activities"]])
    mean = table.groupby("activity", sort=False).mean().drop(columns=["windows", "seed"])
    mean.loc["all"] = pd.DataFrame([result["all"] for result in results]).mean()
    formats = {"effective_samples": ".0f", "last_quarter": ".0%", "correlation_with_movement": "+.2f"}
    formats |= {str(name): ".1%" for name in mean if str(name).startswith("accuracy")}
    text = [
        "# What does the attention look at, and does it matter?",
        markdown(mean.reset_index(), formats),
        f"GRU with additive attention, mean over seeds, windows of the held-out training subjects {listed(split.test)}. effective_samples: "
        "exponential of the entropy of the weights, of 128 samples; last_quarter: their share on the last quarter of the window. "
        "Correlation: of weight and distance of the acceleration from its mean, ranks within a window. Accuracy without: "
        f"{100 * TAKEN_AWAY:g} % of the samples, those with the largest weights or as many at random, are replaced by the line between "
        "their neighbours.",
    ]
    examples = [(one["label"], np.array(one["acceleration"]), np.array(one["weights"])) for one in results[0]["examples"]]
    stem, facts = bench.stem("attention", synthetic=windows.synthetic), {"data": windows.dataset, "seeds": listed(bench.seeds)}
    return bench.write(bench.results / "models", stem, text, {"": table}, attention_figure(examples), **facts)


def look(bench: Bench, settings: Settings) -> dict[str, Any]:
    """Train one network and describe its weights, activity by activity."""
    quiet_lightning()
    config = _config(bench).with_overrides(training__seed=settings["seed"])
    windows, split = load_windows(config, bench.archive)
    parts = split.parts(windows)
    audit(parts)
    with TemporaryDirectory() as folder:
        classifier = fit(config, parts["train"], None, Path(folder)).classifier
    test = parts["test"]
    if bench.quick:
        test = test.subset(np.arange(0, len(test), max(1, len(test) // QUICK_WINDOWS)))
    weights = attention_of(classifier, test)
    rng = np.random.default_rng(0)
    chance = rng.permuted(np.tile(np.arange(test.window_size), (len(test), 1)), axis=1)
    seen = {"all": test.x, "without_attended": without(test.x, np.argsort(-weights, axis=1), TAKEN_AWAY)}
    seen |= {"without_random": without(test.x, chance, TAKEN_AWAY)}
    by_window = pd.DataFrame(
        {
            "effective_samples": effective_samples(weights),
            "last_quarter": weights[:, -test.window_size // 4 :].sum(axis=1),
            "correlation_with_movement": correlations(weights, movement(test.x)),
        }
    )
    for what, x in seen.items():
        answer = classifier.predict_proba(torch.from_numpy(np.array(x, dtype=np.float32))).argmax(dim=1).numpy()
        by_window[f"accuracy_{what}"] = answer == test.y
    activities, examples = [], []
    for label, name in enumerate(test.labels):
        own = by_window[test.y == label]
        activities.append({"activity": name, "windows": len(own), **own.mean()})
        typical = int(own.index[np.argsort(own.effective_samples.to_numpy())[len(own) // 2]])  # the median spread of its activity
        acceleration = test.x[typical, :, :3].round(4).tolist()
        examples.append({"label": name, "acceleration": acceleration, "weights": weights[typical].round(6).tolist()})
    return {"activities": activities, "all": by_window.mean().to_dict(), "examples": examples}


@torch.no_grad()
def attention_of(classifier: WindowClassifier, windows: WindowSet) -> np.ndarray:
    """Weights of a classifier whose network has ``pooling: attention``, (window, time)."""
    network = classifier.eval().network
    if not isinstance(network, RecurrentNetwork):
        raise ValueError(f"{type(network).__name__} has no attention over time")
    return torch.cat([network.attention_weights(classifier.frontend(part)) for part in tensor(windows).split(MOST)]).double().numpy()


def _config(bench: Bench) -> RunConfig:
    """The shipped GRU with attention in place of statistics; seven of the 21 training subjects are held out."""
    config = load_config(config_path("gru"))
    options = dict(config.model.options) | {"pooling": "attention"}
    changed = config.with_overrides(training__keep="last").with_split(kind="kfold", folds=3, subjects="training", validation=0, fold=0)
    small = {"model__options": {"pooling": "attention", "hidden_size": 8, "num_layers": 1}, "training__epochs": 1}
    return changed.with_overrides(data__dataset=bench.dataset, **(small if bench.quick else {"model__options": options}))


def effective_samples(weights: np.ndarray) -> np.ndarray:
    """How many samples a window's weights are spread over: the exponential of their entropy, 1 to time.

    Args:
        weights: (window, time), summing to 1 over time.

    Returns:
        (window,).
    """
    return np.exp(entr(weights).sum(axis=1))


def movement(x: np.ndarray) -> np.ndarray:
    """How far the total acceleration is from its mean over the window: (window, time, 6) raw6 -> (window, time), g."""
    acceleration = x[:, :, :3]
    return np.linalg.norm(acceleration - acceleration.mean(axis=1, keepdims=True), axis=2)


def correlations(weights: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(window,) rank correlation over the samples of each window (Spearman).

    Args:
        weights: (window, time).
        other: (window, time).
    """
    ranks = [values.argsort(axis=1).argsort(axis=1).astype(float) for values in (weights, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def without(x: np.ndarray, order: np.ndarray, share: float) -> np.ndarray:
    """Windows with some samples replaced by the line between their neighbours that are left, as if they had never been recorded.

    Args:
        x: (window, time, channel).
        order: (window, time) samples, those to take away first.
        share: of the samples that are taken away.

    Returns:
        (window, time, channel) float32.
    """
    time = np.arange(x.shape[1])
    made = np.empty_like(x, dtype=np.float32)
    for number, window in enumerate(x):
        left = np.setdiff1d(time, order[number, : round(share * len(time))])
        for channel in range(x.shape[2]):
            made[number, :, channel] = np.interp(time, left, window[left, channel])
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
        axes.plot(seconds, window[:, :3], linewidth=0.9, label=[f"acceleration {name}" for name in "xyz"])
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
