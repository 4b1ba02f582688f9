"""``python -m research.memory``: which activity was it N seconds ago, asked of recurrent networks, with and without clipping."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from torch import Tensor

from har.config import RunConfig, parse_config
from har.contract import SAMPLE_RATE_HZ
from har.errors import HarError
from har.evaluation.figures import save_figure
from har.models.frontend import SensorFrontend
from har.tasks.base import load_windows
from research.common import Bench, Settings, experiment, listed, markdown, run_cells, spread
from research.recurrent_cells import CELLS, HIDDEN_SIZE, Clipping, build_cell, train_steps

DELAYS = (0, 64, 256, 896)  # samples; with the window itself up to 1,024
STEPS, BATCH, LEARNING_RATE = 400, 32, 3e-3
ASKED = 60  # sequences of held-out subjects per batch of questions
QUESTIONS = 20  # such batches
CLIPPINGS = {"none": Clipping("none"), "norm 1": Clipping("norm", 1.0), "value 0.01": Clipping("value", 0.01)}
USUAL = "norm 1"
CLIPPED_DELAY = 64  # at which kinds of clipping are compared
CLIPPED_CELLS = ("RNN", "IRNN", "LSTM", "GRU")


@dataclass(frozen=True)
class MemorySequences:
    """Sequences put together from windows of one subject: first the one to remember, then others that tell nothing about it.

    The activity of every window is drawn independently, so that what comes later holds no hint; the last `delay` samples are the time
    over which it has to be remembered. Windows are real; their order is not, which no network is told.

    Args:
        features: (window, time, feature) what a network reads.
        y: (window,) index of the activity.
        subject: (window,) number of the subject.
        delay: samples between the end of the first window and the end of the sequence.

    Raises:
        HarError: a subject has no window of some activity.
    """

    features: Tensor
    y: np.ndarray
    subject: np.ndarray
    delay: int

    def __post_init__(self) -> None:
        for person in np.unique(self.subject):
            missing = np.setdiff1d(np.arange(self.num_classes), self.y[self.subject == person])
            if len(missing):
                raise HarError(
                    "argument", f"subject {person} has no window of activity {missing[0]}; leave the subject out of the memory task"
                )

    @property
    def num_classes(self) -> int:
        """Number of activities."""
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
        later = -(-self.delay // self.features.shape[1])  # windows that follow, the last one cut off
        person = rng.choice(np.unique(self.subject), count)
        activity = rng.integers(self.num_classes, size=(count, 1 + later))
        chosen = [
            [rng.choice(np.flatnonzero((self.subject == who) & (self.y == what))) for what in row]
            for who, row in zip(person, activity, strict=True)
        ]
        x = self.features[torch.tensor(np.array(chosen))].flatten(1, 2)[:, : self.length]  # (count, length, feature)
        return x, torch.from_numpy(activity[:, 0])


def run(bench: Bench) -> list[Path]:
    """Train every cell for every delay and seed, then cells with each kind of clipping, and score sequences of held-out subjects."""
    windows, _ = load_windows(_config(bench), bench.archive)
    delays, cells, clipped = ((0, 16), ("RNN", "LSTM"), 16) if bench.quick else (DELAYS, tuple(CELLS), CLIPPED_DELAY)
    compared_cells, others = [cell for cell in CLIPPED_CELLS if cell in cells], [kind for kind in CLIPPINGS if kind != USUAL]
    wanted = [*product(bench.seeds, delays, cells, [USUAL]), *product(bench.seeds, [clipped], compared_cells, others)]
    settings = [{"cell": cell, "delay": delay, "clipping": kind, "seed": seed} for seed, delay, cell, kind in wanted]
    networks = [_config(bench, model) for model in dict.fromkeys(model for model, _ in CELLS.values())]
    results = pd.DataFrame(run_cells(bench, "memory", settings, remember, windows.digest, networks))
    table = results.drop(columns="norms")
    main, compared = table[table.clipping == USUAL], table[(table.delay == clipped) & table.cell.isin(compared_cells)]
    norms = results.loc[compared.index].groupby(["cell", "clipping"]).norms.agg(_geometric_mean)
    curves = {cell: {kind: norms[cell, kind] for kind in CLIPPINGS} for cell in compared_cells}
    folder, stem = bench.results / "models", bench.stem("memory", synthetic=windows.synthetic)
    figure, facts = memory_figure(main, 1 / len(windows.labels)), {"data": windows.dataset, "seeds": listed(bench.seeds)}
    written = bench.write(folder, stem, _text(main, compared, clipped), {"": table}, figure, **facts)
    return [*written, *save_figure(clipping_figure(curves), folder, stem.replace("memory", "clipping"))]


def remember(bench: Bench, settings: Settings) -> dict[str, Any]:
    """Train one network on sequences of training subjects and ask it about held-out ones."""
    torch.set_num_threads(1)
    windows, split = load_windows(_config(bench), bench.archive)
    frontend = SensorFrontend("raw6", windows.window_size)
    frontend.fit(torch.from_numpy(split.select(windows, "train").x.copy()))
    sequences = {}
    for name in ("train", "test"):
        part = split.select(windows, name)
        with torch.no_grad():
            features = frontend(torch.from_numpy(part.x.copy()))
        sequences[name] = MemorySequences(features, part.y, part.subject, settings["delay"])
    pl.seed_everything(settings["seed"], verbose=False)
    rng = np.random.default_rng(settings["seed"])
    size, steps, questions = (8, 6, 1) if bench.quick else (HIDDEN_SIZE, STEPS, QUESTIONS)
    network = build_cell(settings["cell"], frontend.out_channels, sequences["train"].length, len(windows.labels), size)
    clipping = CLIPPINGS[settings["clipping"]]
    seen = train_steps(network, lambda: sequences["train"].draw(BATCH, rng), steps=steps, learning_rate=LEARNING_RATE, clipping=clipping)
    network.eval()
    asked, right = np.random.default_rng(0), 0  # the same questions for every network and seed
    with torch.no_grad():
        for _ in range(questions):
            x, y = sequences["test"].draw(ASKED, asked)
            right += int((network(x).argmax(dim=1) == y).sum())
    norms = pd.Series(seen.norm)
    finite = norms[np.isfinite(norms)]
    return {
        "accuracy": right / (ASKED * questions),
        "last_loss": float(np.mean(seen.loss[-max(1, steps // 20) :])),
        "largest_norm": finite.max(),
        "median_norm": finite.median(),
        "steps_not_finite": len(norms) - len(finite),
        "norms": [float(f"{norm:.4g}") for norm in norms],
    }


def _config(bench: Bench, model: str = "rnn") -> RunConfig:
    """Windows as published; seven of the 21 training subjects are held out, no test subject is used."""
    split = {"kind": "kfold", "folds": 3, "subjects": "training", "validation": 0}
    content = {"data": {"dataset": bench.dataset, "split": split}, "model": {"name": model}, "training": {"keep": "last"}}
    return parse_config(content, "experiment")


def _geometric_mean(norms: pd.Series) -> np.ndarray:
    """(step,) geometric mean over the seeds."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.exp(np.log(np.array(norms.tolist(), dtype=float)).mean(axis=0))


def _text(main: pd.DataFrame, compared: pd.DataFrame, delay: int) -> list[str]:
    wide = main.groupby(["cell", "delay"]).accuracy.agg(spread).unstack().loc[main.cell.unique()]
    wide.columns = [f"{value / SAMPLE_RATE_HZ:.3g} s" for value in wide.columns.to_numpy()]
    kinds = compared.groupby(["cell", "clipping"], sort=False).agg(
        {"accuracy": spread, "largest_norm": "max", "median_norm": "median", "steps_not_finite": "sum"}
    )
    return [
        "# Which activity was it N seconds ago?",
        markdown(wide.reset_index()),
        "Right answers in per cent, mean ± standard deviation over seeds, of seven held-out training subjects; guessing gives 16.7. A "
        "window of one activity is followed by windows of others, drawn at random from the same subject, for as long as the column says; "
        f"the answer is read from the last state. One layer of 64 units, {STEPS} steps of {BATCH} sequences, gradients clipped at norm 1.",
        f"## Clipping, {delay / SAMPLE_RATE_HZ:.3g} s",
        markdown(kinds.reset_index(), {"largest_norm": ".3g", "median_norm": ".2g"}),
        "Norm: of the gradient of the recurrent weights before clipping. steps_not_finite: loss or gradient is not, the step is left out.",
    ]


def memory_figure(table: pd.DataFrame, chance: float) -> Figure:
    """Share of right answers against the time that a memory has to last, mean and range over the seeds, a line a cell.

    Args:
        table: ``cell``, ``delay`` in samples, ``accuracy``; a row a seed.
        chance: share of right answers by guessing.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    delays = np.unique(table.delay)
    for number, (cell, rows) in enumerate(table.groupby("cell", sort=False)):
        found = 100 * rows.groupby("delay").accuracy.agg(["mean", "min", "max"])
        at = np.searchsorted(delays, found.index) + 0.03 * number  # next to each other, so that ranges can be seen
        ranges = [found["mean"] - found["min"], found["max"] - found["mean"]]
        axes.errorbar(at, found["mean"], yerr=ranges, marker="o", markersize=4, capsize=2, label=str(cell))
    axes.axhline(100 * chance, color="0.5", linestyle=":", label="guessing")
    axes.set_xticks(range(len(delays)), [f"{delay / SAMPLE_RATE_HZ:.3g}" for delay in delays])
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
