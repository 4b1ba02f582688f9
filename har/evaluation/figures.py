"""Figures, drawn without a display."""

import pandas as pd
from matplotlib.figure import Figure

from har.evaluation.metrics import confusion, scores
from har.evaluation.predictions import Predictions


def words(label: str) -> str:
    """A label as a person reads it: WALKING_UPSTAIRS -> Walking upstairs."""
    return label.replace("_", " ").capitalize()


def confusion_figure(predictions: Predictions) -> Figure:
    """Confusion matrix: a row per true activity, coloured by the share of that row, with counts."""
    counts = confusion(predictions)
    share = counts / counts.sum(axis=1, keepdims=True).clip(1)
    names = [words(label) for label in predictions.labels]
    origin, score = predictions.origin, scores(predictions)
    figure = Figure(figsize=(7.2, 6.2), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    for row in range(len(names)):
        for column in range(len(names)):
            dark = share[row, column] > 0.5
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color="white" if dark else "black", fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("Predicted activity")
    axes.set_ylabel("True activity")
    what = "SYNTHETIC data, " if origin.synthetic else f"{origin.dataset}, "
    axes.set_title(
        f"{origin.run}, seed {origin.seed}: {what}{origin.split} subjects\n"
        f"accuracy {100 * score['accuracy']:.1f} %, macro-F1 {100 * score['macro_f1']:.1f} %, {counts.sum()} windows",
        fontsize=11,
    )
    figure.colorbar(image, ax=axes, label="Share of the true activity", shrink=0.8)
    return figure


def reproduction_figure(table: pd.DataFrame, chains: tuple[str, ...]) -> Figure:
    """Errors of reproduced channels on a logarithmic axis: median, 95 %, 99 % and largest, for each of `chains`.

    Args:
        table: a row per chain and channel with ``median``, ``p95``, ``p99`` and ``max`` in g or rad/s.
        chains: names in the column ``chain``.
    """
    figure = Figure(figsize=(9.0, 1.2 + 2.6 * len(chains)), layout="constrained")
    grid = figure.subplots(len(chains), 1, sharex=True, squeeze=False)
    marks = {"median": "o", "p95": "s", "p99": "D", "max": "|"}
    for axes, chain in zip(grid[:, 0], chains, strict=True):
        rows = table[table.chain == chain].reset_index(drop=True)
        axes.hlines(rows.index, rows["median"], rows["max"], color="0.8", linewidth=3)
        for column, mark in marks.items():
            axes.plot(rows[column], rows.index, mark, label={"p95": "95 %", "p99": "99 %"}.get(column, column), markersize=7)
        axes.set_yticks(rows.index, [f"{channel} ({unit})" for channel, unit in zip(rows.channel, rows.unit, strict=True)], fontsize=8)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.grid(axis="x", color="0.9")
        axes.set_title(f"HAPT raw: {chain}", fontsize=10)
    grid[0, 0].legend(loc="lower right", fontsize=8, ncols=4)
    grid[-1, 0].set_xlabel("Difference to the published windows of UCI HAR (g or rad/s)")
    return figure
