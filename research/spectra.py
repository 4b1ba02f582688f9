"""``python -m research.spectra``: spectra of real and synthetic windows side by side."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from har.contract import LABELS, TRAIN_SUBJECTS, artefact
from har.data import synthetic, uci_har
from har.data.prepare import prepare
from har.data.windowset import WindowSet
from har.evaluation.figures import save_figure, words
from har.evaluation.generation import SIGNALS, length_spectra
from har.reporting import write_table
from research.common import options_of, run_script

COLOURS = {"real": "#0072B2", "synthetic": "#D55E00"}  # blue and vermilion of Okabe and Ito 2008, apart for every eye
STYLES = {"real": "-", "synthetic": "--"}  # and apart without colour


def write_spectra(folder: Path, *, archive: Path | str | None = None) -> tuple[list[Path], str]:
    """Compare the spectra of both data sets over the training subjects and write them into `folder`.

    Args:
        folder: gets ``spectra_synthetic.png``, ``.svg`` and ``.csv`` (a row per activity, signal and frequency), and
            ``spectra_ratio_synthetic.csv`` (a row per activity and signal).
        archive: a copy of UCI HAR.

    Returns:
        The files, and the summary of ratios as text.

    Raises:
        HarError: UCI HAR is not prepared, or `folder` cannot be written.
    """
    table = compare_spectra(_training(uci_har.NAME, archive), _training(synthetic.NAME))
    summary, figure = ratio_summary(table), spectra_figure(table)
    stems = {"spectra": table, "spectra_ratio": summary}
    paths = [write_table(content, folder / artefact(stem, ".csv", synthetic=True), "%.4g") for stem, content in stems.items()]
    paths = [*save_figure(figure, folder, artefact("spectra", "", synthetic=True)), *paths]
    return paths, summary.to_string(index=False, float_format="%.2f")


def _training(dataset: str, archive: Path | str | None = None) -> WindowSet:
    windows = prepare(dataset, archive=archive)
    return windows.subset(np.isin(windows.subject, TRAIN_SUBJECTS))


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
    """Real and synthetic spectra side by side: a column per activity, a row per signal, both axes logarithmic.

    Args:
        table: of `compare_spectra`.
    """
    figure = Figure(figsize=(16.0, 6.4), layout="constrained")
    axes = figure.subplots(len(SIGNALS), len(LABELS), sharex=True, sharey="row")
    for row, (signal, (_, name, unit)) in zip(axes, SIGNALS.items(), strict=True):
        for axis, activity in zip(row, LABELS, strict=True):
            part = table[(table.activity == activity) & (table.signal == signal)]
            for kind in ("real", "synthetic"):
                axis.loglog(part.frequency_hz, part[f"density_{kind}"], STYLES[kind], color=COLOURS[kind], label=kind)
            axis.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
            axis.tick_params(axis="x", which="minor", labelbottom=False)
            axis.grid(alpha=0.3)
        row[0].set_ylabel(f"{name},\npower spectral density ({unit})")
    for axis, activity in zip(axes[0], LABELS, strict=True):
        axis.set_title(words(activity), fontsize=11)
    for axis in axes[-1]:
        axis.set_xlabel("Frequency (Hz)")
    axes[0, 0].legend(loc="lower left")
    figure.suptitle("Real (UCI HAR) and SYNTHETIC data, training subjects: median spectrum of the length of the vector", fontsize=13)
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Write figure and tables and print the ratios; see `write_spectra`."""
    parser = options_of("spectra", "Compare the spectra of UCI HAR and of synthetic data, training subjects alone", archive="UCI HAR")

    def work(options: argparse.Namespace, command: str) -> list[Path]:
        paths, summary = write_spectra(options.results / "synthetic", archive=options.archive)
        print(f"SYNTHETIC data: density over that of UCI HAR, training subjects, 0.3 to 15 Hz\n{summary}")
        return paths

    return run_script(parser, arguments, work)


if __name__ == "__main__":
    raise SystemExit(main())
