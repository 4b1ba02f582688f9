"""Spectra of real and synthetic windows side by side."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from har.contract import GYRO, LABELS, TOTAL_ACC
from har.data.windowset import WindowSet
from har.evaluation.figures import words

BAND_HZ = (0.3, 15.0)  # what a waist does; the published windows are low-passed at 20 Hz
SIGNALS = {
    "total_acc": (TOTAL_ACC, "Acceleration", "g²/Hz"),
    "gyro": (GYRO, "Angular velocity", "(rad/s)²/Hz"),
}
COLOURS = {"real": "#0072B2", "synthetic": "#D55E00"}  # blue and vermilion of Okabe and Ito 2008, apart for every eye
STYLES = {"real": "-", "synthetic": "--"}  # and apart without colour


def length_spectra(windows: WindowSet) -> pd.DataFrame:
    """Power spectral density of the length of a triad: the median over the windows of an activity.

    Welch's method, one Hann segment of the window's size with its mean removed. The length does not depend on how the
    phone was worn.

    Args:
        windows: with the channels total_acc and gyro.

    Returns:
        A row per activity, signal (``total_acc``, ``gyro``) and frequency inside `BAND_HZ`, with the columns ``activity``,
        ``signal``, ``frequency_hz`` and ``density`` in g²/Hz or (rad/s)²/Hz.
    """
    from scipy.signal import welch

    parts = []
    for signal, (channels, _, _) in SIGNALS.items():
        columns = [windows.channels.index(channel) for channel in channels]
        length = np.linalg.norm(windows.x[:, :, columns], axis=2)
        frequency, density = welch(length, fs=windows.sample_rate_hz, nperseg=windows.window_size, axis=1)
        inside = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
        for index, activity in enumerate(windows.labels):
            median = np.median(density[windows.y == index][:, inside], axis=0)
            parts.append(pd.DataFrame({"activity": activity, "signal": signal, "frequency_hz": frequency[inside], "density": median}))
    return pd.concat(parts, ignore_index=True)


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
