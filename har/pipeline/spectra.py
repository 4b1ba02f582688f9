"""Write the comparison of real and synthetic spectra: figure, numbers and summary."""

from pathlib import Path

import numpy as np
from matplotlib import rc_context

from har.contract import TRAIN_SUBJECTS, HarError, artefact
from har.data import synthetic, uci_har
from har.data.prepare import prepare
from har.data.windowset import WindowSet
from har.evaluation.spectra import compare_spectra, ratio_summary, spectra_figure
from har.pipeline.table_file import write_table

DOTS_PER_INCH = 110


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
    paths = [folder / artefact("spectra", suffix, synthetic=True) for suffix in (".png", ".svg")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            # Without a date and random names inside, the same numbers give the same file.
            with rc_context({"svg.hashsalt": "spectra", "svg.fonttype": "none"}):
                figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Date": None} if path.suffix == ".svg" else None)
        for stem, content in stems.items():
            paths.append(write_table(content, folder / artefact(stem, ".csv", synthetic=True), "%.4g"))
    except OSError as error:
        raise HarError(f"cannot write the spectra to {folder} ({error.strerror}); name another folder with --output") from None
    return paths, summary.to_string(index=False, float_format="%.2f")


def _training(dataset: str, archive: Path | str | None = None) -> WindowSet:
    windows = prepare(dataset, archive=archive)
    return windows.subset(np.isin(windows.subject, TRAIN_SUBJECTS))
