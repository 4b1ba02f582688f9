"""``python -m research.memory``: which activity was it N seconds ago, asked of recurrent networks, with and without clipping."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import Tensor

from har.config import RunConfig, parse_config
from har.contract import SAMPLE_RATE_HZ, HarError
from har.data.prepare import prepared
from har.data.splits import make_split
from har.evaluation.figures import panel, save_figure
from har.models.frontend import SensorFrontend
from har.reporting import markdown
from research.cells import Cell, run_cells
from research.common import Bench, experiment, write_table
from research.recurrent_cells import CELLS, Clipping, build_cell, train_steps

DELAYS = (0, 64, 256, 896)  # samples; with the window itself up to 1,024
STEPS, BATCH, LEARNING_RATE = 400, 32, 3e-3
QUESTIONS = 1200  # sequences of held-out people that are asked
CLIPPINGS = {"none": Clipping("none"), "norm 1": Clipping("norm", 1.0), "value 0.01": Clipping("value", 0.01)}
USUAL = "norm 1"
CLIPPED_DELAY = 64  # at which kinds of clipping are compared
CLIPPED_CELLS = ("RNN", "IRNN", "LSTM", "GRU")


@dataclass(frozen=True)
class MemorySequences:
    """Sequences put together from windows of one person: first the one to remember, then others that tell nothing about it.

    The activity of every window is drawn by itself, so that what comes later holds no hint; the last `delay` samples are to be
    sat through. Windows are real; their order is not, which no network is told.

    Args:
        features: (window, time, feature) what a network reads.
        y: (window,) index of the activity.
        subject: (window,) number of the person.
        delay: samples between the end of the first window and the end of the sequence.

    Raises:
        HarError: somebody has no window of some activity.
    """

    features: Tensor
    y: np.ndarray
    subject: np.ndarray
    delay: int

    def __post_init__(self) -> None:
        people, labels = np.unique(self.subject), np.arange(self.num_classes)
        for person in people:
            missing = np.setdiff1d(labels, self.y[self.subject == person])
            if len(missing):
                raise HarError(f"subject {person} has no window of activity {missing[0]}; leave the person out of the memory task")

    @property
    def num_classes(self) -> int:
        """Activities to tell apart."""
        return int(self.y.max()) + 1

    @property
    def length(self) -> int:
        """Samples of a sequence."""
        return self.features.shape[1] + self.delay

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Random sequences.

        Returns:
            (count, length, feature) and (count,) the activity of the first window.
        """
        window = self.features.shape[1]
        later = -(-self.delay // window)  # windows that follow, the last one cut off
        person = rng.choice(np.unique(self.subject), count)
        activity = rng.integers(self.num_classes, size=(count, 1 + later))
        chosen = np.empty_like(activity)
        for row, who in enumerate(person):
            for column, what in enumerate(activity[row]):
                chosen[row, column] = rng.choice(np.flatnonzero((self.subject == who) & (self.y == what)))
        x = self.features[torch.from_numpy(chosen)].flatten(1, 2)[:, : self.length]  # (count, length, feature)
        return x, torch.from_numpy(activity[:, 0])


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
    return [*written, bench.write_report(folder, stem, *_text(main, compared, clipped), data=windows.dataset, seeds=bench.seeds)]


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


def _text(main: pd.DataFrame, compared: pd.DataFrame, delay: int) -> list[str]:
    def right(rows: pd.DataFrame) -> str:
        return f"{100 * rows.accuracy.mean():.1f} ± {100 * rows.accuracy.std():.1f}"

    delays = sorted(main.delay.unique())
    answers = [(cell, *(right(rows[rows.delay == value]) for value in delays)) for cell, rows in main.groupby("cell", sort=False)]
    clipping = []
    for both, rows in compared.groupby(["cell", "clipping"], sort=False):
        norms = f"{rows.largest_norm.max():.3g}", f"{rows.median_norm.median():.2g}", f"{rows.steps_not_finite.sum():.0f}"
        clipping.append((*both, right(rows), *norms))
    return [
        "# Which activity was it N seconds ago?",
        markdown(("cell", *(f"{value / 50:.3g} s" for value in delays)), answers),
        "Right answers in per cent, mean ± standard deviation over seeds, of seven held-out training subjects; guessing gives 16.7. A "
        "window of one activity is followed by windows of others, drawn at random from the same person, for as long as the column says; "
        f"the answer is read from the last state. One layer of 64 units, {STEPS} steps of {BATCH} sequences, gradients clipped at norm 1.",
        f"## Clipping, {delay / 50:.3g} s",
        markdown(("cell", "clipping", "right answers", "largest norm", "median norm", "steps lost"), clipping, "llr"),
        "Norm: of the gradient of the recurrent weights before clipping. Steps lost: loss or gradient not finite.",
    ]


def memory_figure(table: pd.DataFrame, chance: float) -> Figure:
    """Share of right answers against the time that a memory has to last, mean and range over the seeds, a line a cell.

    Args:
        table: ``cell``, ``delay`` in samples, ``accuracy``; a row a seed.
        chance: share of right answers by guessing.
    """
    figure, axes = panel(7, 4)
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


if __name__ == "__main__":
    raise SystemExit(experiment("memory"))
