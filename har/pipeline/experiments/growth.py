"""``har experiment growth``: how the number of weights grows with the length of the window."""

from pathlib import Path

import pandas as pd
import torch

from har.config import load_config
from har.contract import LABELS
from har.evaluation.experiment_figures import growth_figure
from har.evaluation.report_figures import save_figure
from har.models.frontend import network_inputs
from har.models.registry import MODELS, build_network
from har.pipeline.checks import config_path
from har.pipeline.experiments.base import Bench, write_table

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
    lines = ["# Weights by the length of the window", "", f"| model | {' | '.join(f'{size}' for size in wide)} |"]
    lines.append(f"|---|{'---:|' * len(wide.columns)}")
    lines += [f"| {model} | {' | '.join(f'{value:,}' for value in row)} |" for model, row in zip(wide.index, wide.to_numpy(), strict=True)]
    path = folder / f"{stem}.md"
    path.write_text("\n".join([*lines, "", "Samples at 50 Hz; one network of each config.", "", bench.signature()]))
    return [*written, path]
