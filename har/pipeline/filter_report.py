"""Causal against zero-phase filters on the synthetic recordings, as committed files."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from har.contract import GRAVITY_CUTOFF_HZ, GYRO, NOISE_CUTOFF_HZ, SAMPLE_RATE_HZ, TOTAL_ACC, UNITS, artefact
from har.data import synthetic
from har.files import write_whole
from har.pipeline.provenance import git_commit, versions
from har.pipeline.table_file import write_table
from har.signals.causal import CausalFilter, gravity_filter, noise_filter
from har.signals.phase import both_forms, designed_response, distance, measured_response

STEM = "causal_vs_zero_phase"
SUBJECTS = tuple(range(1, synthetic.NUM_SUBJECTS + 1))
TRIADS = {"total_acc": (slice(0, 3), UNITS[TOTAL_ACC[0]]), "gyro": (slice(3, 6), UNITS[GYRO[0]])}
# Up to twice the gravity cutoff, and near half the sampling rate: beyond, a zero-phase output holds nothing to compare with.
CASES: tuple[tuple[str, CausalFilter, float, str, tuple[float, ...]], ...] = (
    ("gravity", gravity_filter(), GRAVITY_CUTOFF_HZ, "total_acc", (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6)),
    ("noise", noise_filter(), NOISE_CUTOFF_HZ, "total_acc", (0.5, 1, 2, 3, 5, 8, 10, 12, 15, 18, 20, 22)),
    ("noise", noise_filter(), NOISE_CUTOFF_HZ, "gyro", (0.5, 1, 2, 3, 5, 8, 10, 12, 15, 18, 20, 22)),
)


def write_filter_report(folder: Path, command: str, *, seed: int = 0, subjects: tuple[int, ...] = SUBJECTS) -> list[Path]:
    """Measure delay and amplitude of the causal filters on synthetic recordings and write a CSV and its Markdown summary.

    Args:
        folder: for ``causal_vs_zero_phase_synthetic.csv`` and ``.md``; earlier ones are replaced.
        command: that was typed, named in the summary.
        seed: of the recordings.
        subjects: virtual people, one recording each.

    Returns:
        The files written.
    """
    recordings = [synthetic.generate(subject, seed).samples.astype(np.float64) for subject in subjects]
    rows, summary = [], []
    for name, causal, cutoff_hz, triad, frequencies in CASES:
        columns, unit = TRIADS[triad]
        pairs = [both_forms(causal, samples[:, columns], SAMPLE_RATE_HZ) for samples in recordings]
        rows.append(_frequencies(name, causal, cutoff_hz, triad, np.array(frequencies), pairs))
        apart = distance(pairs, SAMPLE_RATE_HZ)
        summary.append(
            f"| {name}, {cutoff_hz:g} Hz | {triad} ({unit}) | {apart.rms:.4f} | {apart.largest:.3f} "
            f"| {apart.lag_samples} ({apart.lag_samples / SAMPLE_RATE_HZ:.2f} s) | {apart.rms_aligned:.4f} |"
        )
    table = write_table(pd.concat(rows), folder / artefact(STEM, ".csv", synthetic=True), "%.4f")
    text = folder / artefact(STEM, ".md", synthetic=True)
    write_whole(text, _text(summary, command, len(recordings), seed))
    return [table, text]


def _frequencies(
    name: str, causal: CausalFilter, cutoff_hz: float, triad: str, frequencies: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]
) -> pd.DataFrame:
    measured = measured_response(pairs, frequencies, SAMPLE_RATE_HZ)
    delay_s, ratio = designed_response(causal.sos, frequencies, SAMPLE_RATE_HZ)
    return pd.DataFrame(
        {
            "data": synthetic.NAME,
            "filter": name,
            "cutoff_hz": cutoff_hz,
            "signal": triad,
            "frequency_hz": frequencies,
            "delay_s": measured.delay_s,
            "delay_samples": measured.delay_s * SAMPLE_RATE_HZ,
            "amplitude_error_percent": 100 * (measured.amplitude_ratio - 1),
            "coherence": measured.coherence,
            "designed_delay_s": delay_s,
            "designed_amplitude_error_percent": 100 * (ratio - 1),
            "causal_gain": 1 / ratio,
            "zero_phase_gain": 1 / ratio**2,
        }
    )


def _text(summary: list[str], command: str, recordings: int, seed: int) -> str:
    made = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"""# Causal against zero-phase filters, on SYNTHETIC recordings

How the causal form of each filter (3rd-order Butterworth, started settled on the first sample) differs from the zero-phase
form, the same sections run forward and backward. The table by frequency is `{artefact(STEM, ".csv", synthetic=True)}`: `delay_s` is
positive where the causal form comes later, `amplitude_error_percent` is its amplitude over that of the zero-phase form, less
one; both are measured from cross-spectra of the recordings and stand beside what the coefficients say. The zero-phase form
passes the filter twice, so it is the narrower one: the causal form lets more through near the cutoff.

| filter | signal (unit) | rms difference | largest | best-fitting shift, samples | rms difference after it |
|---|---|---|---|---|---|
{chr(10).join(summary)}

What the gravity filter adds or lacks is missing from body acceleration or added to it, so the first row holds for body
acceleration too.

SYNTHETIC data, {recordings} recordings of generator version {synthetic.GENERATOR_VERSION}, seed {seed}: these numbers say nothing
about people.
Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}.
Versions: {made}.
"""
