"""``python -m research.growth``: how the number of weights grows with the length of the window."""

from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure

from har.config import load_config
from har.contract import LABELS, SAMPLE_RATE_HZ
from har.evaluation.figures import panel, save_figure
from har.models.frontend import network_inputs
from har.models.registry import MODELS, build_network
from har.reporting import markdown
from har.runs.checks import config_path
from research.common import Bench, experiment, write_table

WINDOW_SIZES = (32, 64, 128, 256, 512, 1024)  # samples, 0.64 to 20.5 s


def run(bench: Bench) -> list[Path]:
    """Count the weights of every registered network of windows, as its config says, at six window sizes; nothing is trained."""
    rows = []
    for name, entry in MODELS.items():
        if entry.task == "window":
            config = load_config(config_path(name))
            inputs = network_inputs(config.frontend.compression, config.frontend.differences)
            for size in WINDOW_SIZES:
                with torch.device("meta"):
                    network = build_network(name, inputs, size, len(LABELS), config.model.options)
                rows.append({"model": name, "window_size": size, "parameters": sum(p.numel() for p in network.parameters())})
    table = pd.DataFrame(rows)
    folder = bench.results / "models"
    stem = bench.stem("parameter_growth")
    written = [write_table(table, folder, stem), *save_figure(growth_figure(table), folder, stem)]
    wide = table.pivot(index="model", columns="window_size", values="parameters").loc[list(dict.fromkeys(table.model))]
    lines = [(model, *(f"{value:,}" for value in row)) for model, row in zip(wide.index, wide.to_numpy(), strict=True)]
    sections = ("# Weights by the length of the window", markdown(("model", *wide), lines), "Samples at 50 Hz; one network of each config.")
    path = bench.write_report(folder, stem, *sections)
    return [*written, path]


def growth_figure(table: pd.DataFrame) -> Figure:
    """Weights against the seconds of a window, a line a model, both axes logarithmic.

    Args:
        table: ``model``, ``window_size`` in samples, ``parameters``.
    """
    figure, axes = panel(7, 4)
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


if __name__ == "__main__":
    raise SystemExit(experiment("growth"))
