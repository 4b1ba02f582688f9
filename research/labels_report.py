"""Table and figure of the label-efficiency curve."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from har.evaluation.figures import panel, save_figure
from har.reporting import markdown, spread
from research.common import Bench

NAMES = {"random": "from random weights", "pretrained": "pretrained by forecasting"}
STYLES = {"random": ("o-", "#D55E00"), "pretrained": ("s--", "#0072B2")}  # apart for every eye, and without colour


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A row per number of labelled people.

    Args:
        table: a row per cell with ``fold``, ``seed``, ``labelled``, ``start`` and ``macro_f1`` from 0 to 1.

    Returns:
        ``labelled``, mean and deviation over folds and seeds of both starts, mean ``gain`` and its deviation over the pairs that share
        fold and seed, ``better`` (pairs that gain) and ``pairs``.
    """
    wide = table.pivot(index=["labelled", "fold", "seed"], columns="start", values="macro_f1")
    wide["gain"] = wide.pretrained - wide.random
    rows = []
    for labelled, part in wide.groupby("labelled"):
        row: dict[str, Any] = {"labelled": labelled}
        for name in ("random", "pretrained", "gain"):
            row |= {f"{name}_mean": part[name].mean(), f"{name}_sd": part[name].std()}
        rows.append(row | {"better": int((part.gain > 0).sum()), "pairs": len(part)})
    return pd.DataFrame(rows)


def write_report(table: pd.DataFrame, folder: Path, stem: str, bench: Bench, budget: dict[str, Any], *, official: bool) -> list[Path]:
    """Write ``STEM.md``, ``.png`` and ``.svg``."""
    summary, synthetic = summarise(table), "synthetic" in stem
    what = "SYNTHETIC data" if synthetic else "UCI HAR, pretrained on HAPT's recordings of the same training people"
    heads = ("labelled people", "from random weights", "pretrained", "gain", "pairs that gain")
    rows = []
    for row in summary.to_dict("records"):
        means = [(100 * row[f"{name}_mean"], 100 * row[f"{name}_sd"]) for name in ("random", "pretrained", "gain")]
        cells = [spread(*each, spec) for each, spec in zip(means, (".1f", ".1f", "+.1f"), strict=True)]
        rows.append((row["labelled"], *cells, f"{row['better']} of {row['pairs']}"))
    folds = f"{table.fold.nunique()} fold{'s' * (table.fold.nunique() > 1)}"
    who = (
        "the test subjects, each scoring in the ledger; nothing was decided on them"
        if official
        else f"the held-out people of {folds} of the training subjects; no test subject took part"
    )
    text = (
        f"Macro-F1 in per cent of `gru` on {who}; mean ± deviation over folds and seeds, gain within the same fold and seed. {what}. "
        f"Both starts have the same scaling, labels and steps of training ({budget['steps']}, to whole epochs); the recurrent layers of "
        f"one start from an encoder that learnt to forecast a second in {budget['pretraining_epochs']} epochs over recordings without "
        "labels, of those people alone who may be labelled."
    )
    sections = ("# How many labelled people does a classifier need?", markdown(heads, rows, "r"), text)
    path = bench.write_report(folder, stem, *sections, seeds=tuple(sorted(table.seed.unique())))
    return [path, *save_figure(curve_figure(summary, what), folder, stem)]


def curve_figure(summary: pd.DataFrame, what: str) -> Figure:
    """Macro-F1 against the number of labelled people, a line per start, bars one deviation over folds and seeds."""
    figure, axes = panel(7, 4.4)
    for place, (start, (style, colour)) in enumerate(STYLES.items()):
        x = summary.labelled * (0.985 + 0.03 * place)  # side by side, so that the bars can be told apart
        mean, spread = 100 * summary[f"{start}_mean"], 100 * summary[f"{start}_sd"].fillna(0)
        axes.errorbar(x, mean, yerr=spread, fmt=style, color=colour, capsize=3, label=NAMES[start])
    axes.set_xscale("log")
    axes.set_xticks(summary.labelled, [f"{count}" for count in summary.labelled])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="labelled people", ylabel="macro-F1 of people never seen (%)", title=f"Label efficiency\n{what}")
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
