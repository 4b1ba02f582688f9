"""``har experiment memory``: which activity was it N seconds ago, asked of recurrent networks, with and without clipping."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch

from har.config import RunConfig, parse_config
from har.data.folds import make_split
from har.data.memory import MemorySequences
from har.evaluation.experiment_figures import clipping_figure, memory_figure
from har.evaluation.report_figures import save_figure
from har.models.frontend import SensorFrontend
from har.pipeline.experiments.base import Bench, write_table
from har.pipeline.experiments.cells import Cell, run_cells
from har.pipeline.experiments.recurrent_cells import CELLS, build_cell
from har.pipeline.splits import prepared
from har.training.steps import Clipping, train_steps

DELAYS = (0, 64, 256, 896)  # samples; with the window itself up to 1,024
STEPS, BATCH, LEARNING_RATE = 400, 32, 3e-3
QUESTIONS = 1200  # sequences of held-out people that are asked
CLIPPINGS = {"none": Clipping("none"), "norm 1": Clipping("norm", 1.0), "value 0.01": Clipping("value", 0.01)}
USUAL = "norm 1"
CLIPPED_DELAY = 64  # at which kinds of clipping are compared
CLIPPED_CELLS = ("RNN", "IRNN", "LSTM", "GRU")


def run(bench: Bench) -> list[Path]:
    """Train every cell for every delay and seed, then cells with each kind of clipping, and write what held-out people's sequences gave."""
    windows = prepared(_config(bench), bench.archive)
    delays, named = ((0, 16), ("RNN", "LSTM")) if bench.quick else (DELAYS, tuple(CELLS))
    settings = [
        {"cell": cell, "delay": delay, "clipping": USUAL, "seed": seed} for seed in bench.seeds for delay in delays for cell in named
    ]
    clipped = delays[1] if bench.quick else CLIPPED_DELAY
    also = [
        {"cell": cell, "delay": clipped, "clipping": clipping, "seed": seed}
        for seed in bench.seeds
        for cell in CLIPPED_CELLS
        if cell in named
        for clipping in CLIPPINGS
        if clipping != USUAL
    ]
    networks = [_config(bench, model) for model in dict.fromkeys(model for model, _ in CELLS.values())]
    results = run_cells(bench, "memory", settings + also, remember, windows.digest, networks)
    table = pd.DataFrame([{k: v for k, v in row.items() if k != "norms"} for row in results])
    folder, stem = bench.results / "models", bench.stem("memory", synthetic=windows.synthetic)
    written = [write_table(table, folder, stem)]
    main = table[table.clipping == USUAL]
    written += save_figure(memory_figure(main, 1 / len(windows.labels)), folder, stem)
    compared = table[(table.delay == clipped) & table.cell.isin(CLIPPED_CELLS)]
    curves = {cell: {c: _mean_norms(results, cell, clipped, c) for c in CLIPPINGS} for cell in CLIPPED_CELLS if cell in named}
    written += save_figure(clipping_figure(curves), folder, stem.replace("memory", "clipping"))
    path = folder / f"{stem}.md"
    path.write_text(_text(main, compared, clipped) + "\n" + bench.signature(data=windows.dataset, seeds=", ".join(map(str, bench.seeds))))
    return [*written, path]


def remember(cell: Cell) -> dict[str, Any]:
    """Train one network on sequences of training subjects and ask it about held-out ones."""
    bench, settings = cell.bench, cell.settings
    config = _config(bench)
    torch.set_num_threads(1)
    windows = prepared(config, bench.archive).select_channels("raw6")
    parts = make_split(config.data, windows).parts(windows)
    frontend = SensorFrontend("raw6", windows.window_size)
    frontend.fit(torch.from_numpy(parts["train"].x.copy()))
    sequences = {}
    for name in ("train", "test"):
        with torch.no_grad():
            features = frontend(torch.from_numpy(parts[name].x.copy()))
        sequences[name] = MemorySequences(features, parts[name].y, parts[name].subject, settings["delay"])
    pl.seed_everything(settings["seed"], verbose=False)
    rng = np.random.default_rng(settings["seed"])
    size, steps, questions = (8, 6, 60) if bench.quick else (64, STEPS, QUESTIONS)
    network = build_cell(settings["cell"], frontend.out_channels, sequences["train"].length, len(windows.labels), size)
    seen = train_steps(
        network,
        lambda: sequences["train"].draw(BATCH, rng),
        steps=steps,
        learning_rate=LEARNING_RATE,
        clipping=CLIPPINGS[settings["clipping"]],
    )
    network.eval()
    asked = np.random.default_rng(0)  # the same questions for every network and seed
    right = 0
    with torch.no_grad():
        for _ in range(questions // 60):
            x, y = sequences["test"].draw(60, asked)
            right += int((network(x).argmax(dim=1) == y).sum())
    norms = np.array(seen.norm)
    return {
        "accuracy": right / (60 * (questions // 60)),
        "last_loss": float(np.mean(seen.loss[-max(1, steps // 20) :])),
        "largest_norm": float(np.nanmax(np.where(np.isfinite(norms), norms, np.nan))),
        "median_norm": float(np.nanmedian(np.where(np.isfinite(norms), norms, np.nan))),
        "steps_not_finite": int((~np.isfinite(norms)).sum()),
        "norms": [float(f"{norm:.4g}") for norm in norms],
    }


def _config(bench: Bench, model: str = "rnn") -> RunConfig:
    """Windows as published; seven of the 21 training subjects are held out, no test subject is used."""
    split = {"kind": "kfold", "folds": 3, "subjects": "training", "validation": 0}
    content = {"data": {"dataset": bench.dataset, "split": split}, "model": {"name": model}, "training": {"keep": "last"}}
    return parse_config(content, "experiment")


def _mean_norms(results: list[dict[str, Any]], cell: str, delay: int, clipping: str) -> np.ndarray:
    """(step,) geometric mean over the seeds."""
    own = [row["norms"] for row in results if (row["cell"], row["delay"], row["clipping"]) == (cell, delay, clipping)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.exp(np.mean(np.log(np.array(own, dtype=float)), axis=0))


def _text(main: pd.DataFrame, compared: pd.DataFrame, delay: int) -> str:
    delays = sorted(main.delay.unique())
    heads = " | ".join(f"{value / 50:.3g} s" for value in delays)
    lines = ["# Which activity was it N seconds ago?", "", f"| cell | {heads} |", f"|---|{'---:|' * len(delays)}"]
    for cell, rows in main.groupby("cell", sort=False):
        found = [rows[rows.delay == value].accuracy for value in delays]
        lines.append(f"| {cell} | {' | '.join(f'{100 * one.mean():.1f} ± {100 * one.std():.1f}' for one in found)} |")
    lines += [
        "",
        "Right answers in per cent, mean ± standard deviation over seeds, of seven held-out training subjects; guessing gives 16.7. A "
        "window of one activity is followed by windows of others, drawn at random from the same person, for as long as the column says; "
        f"the answer is read from the last state. One layer of 64 units, {STEPS} steps of {BATCH} sequences, gradients clipped at norm 1.",
        "",
        f"## Clipping, {delay / 50:.3g} s",
        "",
        "| cell | clipping | right answers | largest norm | median norm | steps lost |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for both, rows in compared.groupby(["cell", "clipping"], sort=False):
        right = f"{100 * rows.accuracy.mean():.1f} ± {100 * rows.accuracy.std():.1f}"
        numbers = f"{rows.largest_norm.max():.3g} | {rows.median_norm.median():.2g} | {rows.steps_not_finite.sum():.0f}"
        lines.append(f"| {both[0]} | {both[1]} | {right} | {numbers} |")
    lines += ["", "Norm: of the gradient of the recurrent weights before clipping. Steps lost: loss or gradient not finite.", ""]
    return "\n".join(lines)
