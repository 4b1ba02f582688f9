"""``python -m research.growth``: how the number of weights grows with the length of the window."""

from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure

from har.config import load_config
from har.contract import LABELS, SAMPLE_RATE_HZ
from har.models.frontend import network_inputs
from har.models.registry import MODELS, create_model
from har.runs.checks import config_path
from research.common import Bench, experiment, markdown

WINDOW_SIZES = (32, 64, 128, 256, 512, 1024)  # samples, 0.64 to 20.5 s


def run(bench: Bench) -> list[Path]:
    """Count the weights of every registered network of windows, as its config says, at six window sizes; nothing is trained."""
    rows = []
    for name in (name for name, entry in MODELS.items() if entry.task == "window"):
        config = load_config(config_path(name))
        inputs = network_inputs(config.data.channels, config.frontend.compression, config.frontend.differences)
        for size in WINDOW_SIZES:
            with torch.device("meta"):
                network = create_model(name, inputs, size, len(LABELS), config.model.options)
            rows.append({"model": name, "window_size": size, "parameters": sum(p.numel() for p in network.parameters())})
    table = pd.DataFrame(rows)
    wide = table.pivot_table(index="model", columns="window_size", values="parameters", sort=False).astype(int)
    text = ["# Weights by the length of the window", markdown(wide.reset_index(), {f"{size}": "," for size in wide})]
    text.append("Samples at 50 Hz; one network of each config.")
    stem = bench.stem("parameter_growth", synthetic=False)
    return bench.write(bench.results / "models", stem, text, {"": table}, growth_figure(wide))


def growth_figure(wide: pd.DataFrame) -> Figure:
    """Weights against the seconds of a window, a line a model, both axes logarithmic.

    Args:
        wide: (model, window size in samples) number of weights.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    wide.T.set_index(wide.columns.to_numpy() / SAMPLE_RATE_HZ).plot(ax=axes, loglog=True, marker="o", markersize=3, grid=True)
    axes.xaxis.set_major_formatter("{x:g}")  # plain numbers; powers of ten would need fonts for formulas
    axes.yaxis.set_major_formatter("{x:,.0f}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter("")
    axes.set(xlabel="length of the window, s", ylabel="weights", title="What reads the whole window at once grows with it")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


if __name__ == "__main__":
    raise SystemExit(experiment("growth"))
