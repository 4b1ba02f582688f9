"""``python -m research.spectra``: spectra of real and synthetic windows of the training subjects, next to each other."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from har.contract import LABELS, TRAIN_SUBJECTS, artefact
from har.data import synthetic, uci_har
from har.data.prepare import load_dataset
from har.data.windowset import WindowSet
from har.evaluation.figures import save_figure, words
from har.reporting import write_table
from har.tasks.generate import SIGNALS, length_spectra
from research.common import Bench, experiment

OPTIONS = ("--archive",)
# Blue and vermilion of Okabe and Ito 2008, distinct also for the colour-blind, and different lines for print without colour.
STYLES = {"real": ("-", "#0072B2"), "synthetic": ("--", "#D55E00")}


def run(bench: Bench) -> list[Path]:
    """Compare the spectra of UCI HAR and of synthetic data over the training subjects.

    Writes ``spectra_synthetic.png``, ``.svg`` and ``.csv`` (a row per activity, signal and frequency), and ``spectra_ratio_synthetic.csv``
    (a row per activity and signal).

    Raises:
        HarError: UCI HAR is not prepared, or the folder cannot be written.
    """
    both = (load_dataset(uci_har.NAME, archive=bench.archive), load_dataset(synthetic.NAME))
    table = compare_spectra(*(windows.subset(np.isin(windows.subject, TRAIN_SUBJECTS)) for windows in both))
    summary = ratio_summary(table)
    bench.say("SYNTHETIC data: density over that of UCI HAR, training subjects, 0.3 to 15 Hz")
    bench.say(summary.to_string(index=False, float_format="%.2f"))
    folder, stems = bench.results / "synthetic", [artefact(name, "", synthetic=True) for name in ("spectra", "spectra_ratio")]
    tables = zip((table, summary), stems, strict=True)
    return [*save_figure(spectra_figure(table), folder, stems[0]), *(write_table(own, folder / f"{s}.csv", "%.4g") for own, s in tables)]


def compare_spectra(real: WindowSet, synthetic: WindowSet) -> pd.DataFrame:
    """Both spectra in one table, with their ratio.

    Returns:
        Columns ``activity``, ``signal``, ``frequency_hz``, ``density_real``, ``density_synthetic`` and ``ratio`` (synthetic
        to real).

    Raises:
        ValueError: `real` is synthetic, or `synthetic` is not.
    """
    if real.synthetic or not synthetic.synthetic:
        raise ValueError(f"expected real and synthetic windows, found {real.dataset} and {synthetic.dataset}")
    keys = ["activity", "signal", "frequency_hz"]
    table = length_spectra(real).merge(length_spectra(synthetic), on=keys, suffixes=("_real", "_synthetic"), validate="1:1")
    return table.assign(ratio=table.density_synthetic / table.density_real)


def ratio_summary(table: pd.DataFrame) -> pd.DataFrame:
    """How far the spectra of `compare_spectra` are apart, one row per activity and signal.

    Returns:
        Columns ``activity``, ``signal``, ``ratio_median`` and the extremes ``ratio_smallest`` and ``ratio_largest`` over the
        frequencies.
    """
    grouped = table.groupby(["activity", "signal"], sort=False)["ratio"]
    return grouped.agg(ratio_median="median", ratio_smallest="min", ratio_largest="max").reset_index()


def spectra_figure(table: pd.DataFrame) -> Figure:
    """Real and synthetic spectra next to each other: a column per activity, a row per signal, both axes logarithmic.

    Args:
        table: of `compare_spectra`.
    """
    figure = Figure(figsize=(16.0, 6.4), layout="constrained")
    axes = figure.subplots(len(SIGNALS), len(LABELS), sharex=True, sharey="row")
    for place, (row, (signal, (_, name, unit))) in enumerate(zip(axes, SIGNALS.items(), strict=True)):
        for axis, activity in zip(row, LABELS, strict=True):
            part = table[(table.activity == activity) & (table.signal == signal)]
            for kind, (style, colour) in STYLES.items():
                axis.loglog(part.frequency_hz, part[f"density_{kind}"], style, color=colour, label=kind)
            axis.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
            axis.tick_params(axis="x", which="minor", labelbottom=False)
            axis.grid(alpha=0.3)
            axis.set(title="" if place else words(activity), xlabel="Frequency (Hz)" if place else "")
        row[0].set_ylabel(f"{name},\npower spectral density ({unit})")
    axes[0, 0].legend(loc="lower left")
    figure.suptitle("Real (UCI HAR) and SYNTHETIC data, training subjects: median spectrum of the length of the vector", fontsize=13)
    return figure


if __name__ == "__main__":
    raise SystemExit(experiment("spectra"))
