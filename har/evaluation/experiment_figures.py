"""Figures of the experiments: how weights grow, how gradients fade, and what is remembered."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from har.contract import SAMPLE_RATE_HZ
from har.evaluation.figures import words


def growth_figure(table: pd.DataFrame) -> Figure:
    """Weights against the seconds of a window, a line a model, both axes logarithmic.

    Args:
        table: ``model``, ``window_size`` in samples, ``parameters``.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for model, rows in table.groupby("model", sort=False):
        axes.loglog(rows.window_size / SAMPLE_RATE_HZ, rows.parameters, marker="o", markersize=3, label=str(model))
    axes.xaxis.set_major_formatter("{x:g}")  # plain numbers; powers of ten would need fonts for formulas
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter("")
    axes.set(xlabel="length of the window, s", ylabel="weights", title="What reads the whole window at once grows with it")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(alpha=0.3)
    return figure


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


def memory_figure(table: pd.DataFrame, chance: float) -> Figure:
    """Share of right answers against the time that a memory has to last, mean and range over the seeds, a line a cell.

    Args:
        table: ``cell``, ``delay`` in samples, ``accuracy``; a row a seed.
        chance: share of right answers by guessing.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    places = {delay: number for number, delay in enumerate(sorted(table.delay.unique()))}
    for number, (cell, rows) in enumerate(table.groupby("cell", sort=False)):
        found = rows.groupby("delay").accuracy.agg(["mean", "min", "max"])
        at = np.array([places[delay] for delay in found.index]) + 0.03 * number  # beside each other, so that ranges can be seen
        spread = np.abs(found[["min", "max"]].to_numpy().T - found["mean"].to_numpy())
        axes.errorbar(at, 100 * found["mean"], yerr=100 * spread, marker="o", markersize=4, capsize=2, label=str(cell))
    axes.axhline(100 * chance, color="0.5", linestyle=":", label="guessing")
    axes.set_xticks(list(places.values()), [f"{delay / SAMPLE_RATE_HZ:.3g}" for delay in places])
    axes.set(xlabel="seconds ago", ylabel="right answers, %", title="Which activity was it?", ylim=(0, 102))
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(alpha=0.3)
    return figure


def clipping_figure(curves: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Norm of the gradients of the recurrent weights over a training, one panel a cell, a line a kind of clipping.

    Args:
        curves: by name of the cell and of the clipping: (step,) norms before clipping.
    """
    figure = Figure(figsize=(3.2 * len(curves), 3.4), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (cell, kinds) in zip(panels, curves.items(), strict=True):
        for kind, norms in kinds.items():
            with np.errstate(divide="ignore", invalid="ignore"):
                axes.plot(np.log10(norms), label=kind, linewidth=0.7)
        axes.set(xlabel="step", title=cell)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("gradient of the recurrent weights,\npowers of ten")
    panels[-1].legend(title="clipping", fontsize=8)
    return figure


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
