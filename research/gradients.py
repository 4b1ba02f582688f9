"""``python -m research.gradients``: how far back in time the gradient of a recurrent network reaches, before any training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from har.config import parse_config
from har.contract import SAMPLE_RATE_HZ, TRAIN_SUBJECTS
from har.data.prepare import prepared
from har.data.windowset import WindowSet
from har.models.frontend import SensorFrontend
from research.common import Bench, experiment, listed, markdown
from research.recurrent_cells import CELLS, build_cell, recurrent_norm

LENGTHS = (128, 1024)  # samples, 2.56 and 20.5 s
WINDOWS = 128  # of each length
FADED = 0.01  # of the gradient at the last step


def run(bench: Bench) -> list[Path]:
    """Measure the gradient with respect to the input at every step, and of the recurrent weights, on windows of training subjects.

    The loss is that of naming the activity from the last state. Medians over windows, geometric means over seeds.
    """
    rows, steps, curves = [], [], {}
    for length in (64, 128) if bench.quick else LENGTHS:
        windows = _windows(bench, length)
        frontend = SensorFrontend("raw6", length)
        x = torch.from_numpy(windows.x.copy())
        frontend.fit(x)
        features, y = frontend(x).detach(), torch.from_numpy(windows.y.copy())
        found = {cell: _curve(cell, features, y, bench.seeds) for cell in CELLS}
        curves[length] = {cell: norms for cell, (norms, _) in found.items()}
        for cell, (norms, weights) in found.items():
            relative = norms / norms[-1]
            reach = int(length - np.flatnonzero(relative >= FADED)[0])
            row = {"cell": cell, "length": length, "last_step": norms[-1], "first_over_last": relative[0], "reach_steps": reach}
            rows.append(row | {"recurrent_weights": weights})
            steps.append(pd.DataFrame({"cell": cell, "length": length, "step": range(length), "norm": norms}))
    table = pd.DataFrame(rows)
    text = [
        "# How far back does the gradient reach?",
        markdown(table, {"last_step": ".2g", "first_over_last": ".1e", "recurrent_weights": ".2g"}),
        "Networks of one layer before any training, read out from the last state alone. first_over_last: norm of the gradient of the "
        "loss with respect to the input at the first sample of the window, over that at the last; median over windows, geometric mean "
        f"over seeds. reach_steps: steps back from the end after which it stays below {100 * FADED:g} % of the last step's. "
        "recurrent_weights: norm of the gradient of the mean loss.",
    ]
    stem, tables = bench.stem("gradients", synthetic=windows.synthetic), {"": table, "_steps": pd.concat(steps)}
    facts = {"data": windows.dataset, "seeds": listed(bench.seeds)}
    return bench.write(bench.results / "models", stem, text, tables, gradient_figure(curves), **facts)


def input_gradients(network: nn.Module, x: Tensor, y: Tensor) -> tuple[np.ndarray, float]:
    """Gradients of the cross-entropy of each window.

    Args:
        network: (window, time, feature) -> (window, num_classes).
        x: (window, time, feature).
        y: (window,) index of the activity.

    Returns:
        (time,) norm over the features, median over the windows; and the norm for the recurrent weights, of the mean loss.
    """
    x = x.clone().requires_grad_()
    network.zero_grad()
    nn.functional.cross_entropy(network(x), y).backward()
    assert x.grad is not None
    norms = x.grad.double().norm(dim=2) * len(x)  # (window, time); the mean had divided by the number of windows
    return norms.median(dim=0).values.numpy(), recurrent_norm(network)


def _curve(cell: str, features: Tensor, y: Tensor, seeds: Sequence[int]) -> tuple[np.ndarray, float]:
    found = []
    for seed in seeds:
        pl.seed_everything(seed, verbose=False)
        norms, weights = input_gradients(build_cell(cell, features.shape[2], features.shape[1], int(y.max()) + 1), features, y)
        found.append(np.append(norms, weights))
    means = np.exp(np.mean(np.log(np.maximum(found, np.finfo(float).tiny)), axis=0))  # the logarithm of zero could not be averaged
    return means[:-1], float(means[-1])


def _windows(bench: Bench, length: int) -> WindowSet:
    content = {
        "data": {"dataset": bench.dataset, "validation_subjects": []},
        "windowing": {"window_size": length, "stride": length, "cross_labels": True},
        "model": {"name": "rnn"},
        "training": {"keep": "last"},
    }
    windows = prepared(parse_config(content, "experiment"), bench.archive)
    own = np.flatnonzero(np.isin(windows.subject, TRAIN_SUBJECTS))
    return windows.subset(np.random.default_rng(0).permutation(own)[:WINDOWS])


def gradient_figure(curves: Mapping[int, Mapping[str, np.ndarray]]) -> Figure:
    """Gradient of the loss with respect to the input at each step, relative to the last step, one panel a length.

    Args:
        curves: by length in samples and name of the cell: (time,) norms, oldest sample first.
    """
    figure = Figure(figsize=(5 * len(curves), 4), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (length, cells) in zip(panels, curves.items(), strict=True):
        back = (np.arange(length) - length + 1) / SAMPLE_RATE_HZ
        for name, norms in cells.items():
            with np.errstate(divide="ignore"):
                axes.plot(back, np.log10(norms / norms[-1]), label=name, linewidth=1.2)
        axes.set(xlabel="seconds before the end of the window", title=f"{length:,} steps", ylim=(-12, 4))
        axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("gradient at the input,\npowers of ten against the last step")
    panels[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


if __name__ == "__main__":
    raise SystemExit(experiment("gradients"))
