"""Curves of what models lose when a phone is worn or read otherwise."""

import pandas as pd
from matplotlib.figure import Figure

COLUMNS = 4
SINGLE = 2  # a curve has at least so many points; the others are bars of one panel


def robustness_figure(table: pd.DataFrame, *, synthetic: bool = False) -> Figure:
    """A panel a disturbance, a line a run: accuracy against the level; those of one level together in the last panel.

    Args:
        table: ``run``, ``disturbance``, ``level``, ``unit``, ``accuracy``; several seeds of a run are averaged.
        synthetic: said in the title.
    """
    mean = table.groupby(["run", "disturbance", "level", "unit"], sort=False, as_index=False, dropna=False).accuracy.mean()
    levels = mean.groupby("disturbance", sort=False)["level"].nunique()
    curves, single = [name for name in levels.index if levels[name] >= SINGLE], [name for name in levels.index if levels[name] < SINGLE]
    count = -(-(len(curves) + 1) // COLUMNS)
    figure = Figure(figsize=(3.4 * COLUMNS, 2.6 * count), layout="constrained")
    panels = figure.subplots(count, COLUMNS, squeeze=False).flatten()
    runs = list(dict.fromkeys(mean.run))
    base = mean[mean.disturbance == "none"].set_index("run").accuracy
    for axes, name in zip(panels, curves, strict=False):
        for number, run in enumerate(runs):
            part = mean[(mean.disturbance == name) & (mean.run == run)]
            axes.axhline(100 * base[run], color=f"C{number}", linewidth=0.8, linestyle=":")
            axes.plot(
                [f"{level:g}" for level in part["level"]], 100 * part.accuracy, marker="o", markersize=3, color=f"C{number}", label=run
            )
        axes.set(xlabel=mean[mean.disturbance == name].unit.iloc[0], ylim=(0, 103))
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
    last, height = panels[len(curves)], 0.8 / len(runs)
    for number, run in enumerate(runs):
        part = mean[mean.run == run].set_index("disturbance").accuracy
        last.barh([i + height * number for i in range(len(single))], [100 * part[name] for name in single], height, color=f"C{number}")
    last.set_yticks([i + 0.4 - height / 2 for i in range(len(single))], single, fontsize=8)
    last.set(xlabel="per cent right", xlim=(0, 103))
    for axes in panels[len(curves) + 1 :]:
        axes.set_axis_off()
    for axes in panels[: len(curves) : COLUMNS]:
        axes.set_ylabel("per cent right")
    panels[0].legend(fontsize=8, loc="lower left")
    figure.suptitle(("SYNTHETIC data: " if synthetic else "") + "Accuracy on validation subjects; dotted: undisturbed", fontsize=11)
    return figure
