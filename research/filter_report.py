"""``python -m research.filter_report``: causal against zero-phase filters, their delay and amplitude, on synthetic recordings."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import butter, csd, sosfreqz

from har.contract import GRAVITY_CUTOFF_HZ, GRAVITY_ORDER, NOISE_CUTOFF_HZ, NOISE_ORDER, SAMPLE_RATE_HZ, artefact
from har.data import synthetic
from har.signals.filters import lowpass
from research.common import Bench, experiment, markdown

OPTIONS = ()
STEM = "causal_vs_zero_phase"
SEGMENT_S = 80.0  # of the spectra: a resolution of 0.0125 Hz, and twenty-four times finer than the gravity cutoff
STEADY_S = 10.0  # at both ends: the causal filter settles, and the zero-phase one sees padding
LARGEST_LAG_S = 3.0
Pairs = Sequence[tuple[np.ndarray, np.ndarray]]  # (time, channel) of two signals of each recording


class Case(NamedTuple):
    """A Butterworth low-pass, the triad of channels that it filters, and where its response is measured."""

    name: str
    order: int
    cutoff_hz: float
    signal: str
    unit: str
    columns: slice
    frequencies_hz: tuple[float, ...]


# Up to twice the gravity cutoff, and near half the sampling rate: beyond, a zero-phase output holds nothing to compare with.
LOW, HIGH = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6), (0.5, 1, 2, 3, 5, 8, 10, 12, 15, 18, 20, 22)
CASES = (
    Case("gravity", GRAVITY_ORDER, GRAVITY_CUTOFF_HZ, "total_acc", "g", slice(0, 3), LOW),
    Case("noise", NOISE_ORDER, NOISE_CUTOFF_HZ, "total_acc", "g", slice(0, 3), HIGH),
    Case("noise", NOISE_ORDER, NOISE_CUTOFF_HZ, "gyro", "rad/s", slice(3, 6), HIGH),
)


def both_forms(samples: np.ndarray, order: int, cutoff_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """The zero-phase and the causal form of a filter over a recording (time, channel), without their ends.

    The causal form starts settled on the first sample.

    Raises:
        ValueError: the recording is not longer than what is cut off at its ends.
    """
    ends = round(STEADY_S * SAMPLE_RATE_HZ)
    if len(samples) <= 2 * ends:
        raise ValueError(f"a recording of {len(samples)} samples has no steady part; expected more than {2 * ends}")
    forms = (lowpass(samples, order=order, cutoff_hz=cutoff_hz, zero_phase=zero, settled=not zero) for zero in (True, False))
    zero_phase, causal = (form[ends:-ends] for form in forms)
    return zero_phase, causal


def measured_response(pairs: Pairs, frequencies_hz: np.ndarray) -> pd.DataFrame:
    """Delay and amplitude of the second signal of each pair against the first, from their cross-spectra.

    Spectra are averaged over Hann segments, channels and recordings (Welch 1967; Bendat and Piersol, Random Data, 6). The
    phase is unwrapped upwards from 0 Hz, because nothing else distinguishes a delay of more than half a period from an advance.

    Args:
        pairs: two signals of each recording.
        frequencies_hz: (frequency,) where to measure; the nearest line of the spectrum is taken.

    Returns:
        A row per frequency: ``delay_s``, ``amplitude_ratio`` and ``coherence`` (share of the power that the first explains linearly).

    Raises:
        ValueError: no recording is as long as one segment.
    """
    segment = round(SEGMENT_S * SAMPLE_RATE_HZ)
    pairs = [pair for pair in pairs if len(pair[0]) >= segment]
    if not pairs:
        raise ValueError(f"no recording has {segment} samples for one segment of {SEGMENT_S:g} s")
    grid = np.fft.rfftfreq(segment, 1 / SAMPLE_RATE_HZ)
    line = np.abs(grid[:, None] - frequencies_hz).argmin(axis=0)

    def mean(first: int, second: int) -> np.ndarray:
        options = {"fs": SAMPLE_RATE_HZ, "nperseg": segment, "axis": 0, "detrend": "constant"}
        spectra = [csd(pair[first], pair[second], **options)[1].sum(axis=1) for pair in pairs]
        return np.average(spectra, axis=0, weights=[len(pair[0]) for pair in pairs])

    auto, other, cross = mean(0, 0).real[line], mean(1, 1).real[line], mean(0, 1)
    phase = np.unwrap(np.angle(cross[1:]))[line - 1]  # a recording's mean, at 0 Hz, is taken away
    size = np.abs(cross[line])
    delay_s = -phase / (2 * np.pi * grid[line])
    return pd.DataFrame({"delay_s": delay_s, "amplitude_ratio": size / auto, "coherence": size**2 / (auto * other)})


def designed_response(order: int, cutoff_hz: float, frequencies_hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Delay in seconds and amplitude ratio of causal to zero-phase, from the coefficients: (frequency,) each.

    Forward and backward has the response |H|^2, one pass H; so the ratio is 1 / |H| and the delay that of H alone.
    """
    sos = butter(order, cutoff_hz, fs=SAMPLE_RATE_HZ, output="sos")
    dense = np.linspace(0, SAMPLE_RATE_HZ / 2, 20_001)[1:-1]  # fine enough to unwrap the phase
    phase = np.interp(frequencies_hz, dense, np.unwrap(np.angle(sosfreqz(sos, dense, fs=SAMPLE_RATE_HZ)[1])))
    return -phase / (2 * np.pi * frequencies_hz), 1 / np.abs(sosfreqz(sos, frequencies_hz, fs=SAMPLE_RATE_HZ)[1])


def distance(pairs: Pairs) -> tuple[int, np.ndarray]:
    """How far the second signal of each pair is from the first.

    Returns:
        The shift to earlier times that fits best, in samples, and (lag,) root mean square of the difference after every shift.
    """

    def rms(lag: int) -> float:
        squares = [np.square(delayed[lag:] - reference[: len(reference) - lag]) for reference, delayed in pairs]
        return float(np.sqrt(sum(s.sum() for s in squares) / sum(s.size for s in squares)))

    by_lag = np.array([rms(lag) for lag in range(round(LARGEST_LAG_S * SAMPLE_RATE_HZ) + 1)])
    return int(by_lag.argmin()), by_lag


def run(bench: Bench, *, seed: int = 0, subjects: Sequence[int] = range(1, synthetic.NUM_SUBJECTS + 1)) -> list[Path]:
    """Measure delay and amplitude of the causal filters on synthetic recordings and write a CSV and its Markdown summary.

    Args:
        bench: where to write.
        seed: of the recordings.
        subjects: virtual subjects, one recording each.
    """
    recordings = [synthetic.generate(subject, seed).samples.astype(np.float64) for subject in subjects]
    tables, summary = [], []
    for case in CASES:
        frequencies = np.array(case.frequencies_hz)
        pairs = [both_forms(samples[:, case.columns], case.order, case.cutoff_hz) for samples in recordings]
        measured, (delay_s, ratio) = measured_response(pairs, frequencies), designed_response(case.order, case.cutoff_hz, frequencies)
        columns = {"data": synthetic.NAME, "filter": case.name, "cutoff_hz": case.cutoff_hz, "signal": case.signal}
        columns |= {"frequency_hz": frequencies, "delay_s": measured.delay_s, "delay_samples": measured.delay_s * SAMPLE_RATE_HZ}
        columns |= {"amplitude_error_percent": 100 * (measured.amplitude_ratio - 1), "coherence": measured.coherence}
        columns |= {"designed_delay_s": delay_s, "designed_amplitude_error_percent": 100 * (ratio - 1)}
        tables.append(pd.DataFrame(columns | {"causal_gain": 1 / ratio, "zero_phase_gain": 1 / ratio**2}))
        lag, rms = distance(pairs)
        row: dict[str, object] = {"filter": f"{case.name}, {case.cutoff_hz:g} Hz", "signal (unit)": f"{case.signal} ({case.unit})"}
        row |= {"rms difference": rms[0], "largest": max(np.abs(causal - zero_phase).max() for zero_phase, causal in pairs)}
        shift = f"{lag} ({lag / SAMPLE_RATE_HZ:.2f} s)"
        summary.append(row | {"best-fitting shift, samples": shift, "rms difference after it": rms[lag]})
    formats = {"rms difference": ".4f", "largest": ".3f", "rms difference after it": ".4f"}
    stem = artefact(STEM, "", synthetic=True)
    text = [
        "# Causal against zero-phase filters, on SYNTHETIC recordings",
        "How the causal form of each filter (3rd-order Butterworth, started settled on the first sample) differs from the zero-phase form, "
        f"the same sections run forward and backward. The table by frequency is `{stem}.csv`: `delay_s` is positive where the causal form "
        "comes later, `amplitude_error_percent` is its amplitude over that of the zero-phase form, less one; both are measured from "
        "cross-spectra of the recordings and stand next to the values from the coefficients. The zero-phase form passes the filter twice, "
        "so it is the narrower one: the causal form lets more through near the cutoff.",
        markdown(pd.DataFrame(summary), formats),
        "What the gravity filter adds or lacks is missing from body acceleration or added to it, so the first row holds for body "
        "acceleration too.",
        f"SYNTHETIC data, {len(recordings)} recordings of generator version {synthetic.GENERATOR_VERSION}, seed {seed}: these numbers "
        "describe no real subjects.",
    ]
    return bench.write(bench.results / "signals", stem, text, {"": pd.concat(tables)}, digits="%.4f")


if __name__ == "__main__":
    raise SystemExit(experiment("filter_report"))
