"""``python -m research.filter_report``: causal against zero-phase filters, their delay and amplitude, on synthetic recordings."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from har.contract import GRAVITY_CUTOFF_HZ, GYRO, NOISE_CUTOFF_HZ, SAMPLE_RATE_HZ, TOTAL_ACC, UNITS, artefact
from har.data import synthetic
from har.files import write_whole
from har.reporting import footer, markdown, write_table
from research.causal import CausalFilter, gravity_filter, noise_filter
from research.common import options_of, run_script

STEM = "causal_vs_zero_phase"
SUBJECTS = tuple(range(1, synthetic.NUM_SUBJECTS + 1))
TRIADS = {"total_acc": (slice(0, 3), UNITS[TOTAL_ACC[0]]), "gyro": (slice(3, 6), UNITS[GYRO[0]])}
# Up to twice the gravity cutoff, and near half the sampling rate: beyond, a zero-phase output holds nothing to compare with.
CASES: tuple[tuple[str, CausalFilter, float, str, tuple[float, ...]], ...] = (
    ("gravity", gravity_filter(), GRAVITY_CUTOFF_HZ, "total_acc", (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6)),
    ("noise", noise_filter(), NOISE_CUTOFF_HZ, "total_acc", (0.5, 1, 2, 3, 5, 8, 10, 12, 15, 18, 20, 22)),
    ("noise", noise_filter(), NOISE_CUTOFF_HZ, "gyro", (0.5, 1, 2, 3, 5, 8, 10, 12, 15, 18, 20, 22)),
)
HEADS = ("filter", "signal (unit)", "rms difference", "largest", "best-fitting shift, samples", "rms difference after it")
SEGMENT_S = 80.0  # of the spectra: a resolution of 0.0125 Hz, and twenty-four times finer than the gravity cutoff
STEADY_S = 10.0  # at both ends: the causal filter settles, and the zero-phase one sees padding
LARGEST_LAG_S = 3.0


class Response(NamedTuple):
    """How a filtered signal follows another at some frequencies; each field is (frequency,).

    Attributes:
        delay_s: seconds by which it comes later.
        amplitude_ratio: its amplitude over that of the other.
        coherence: 0 to 1; the share of its power that the other explains linearly.
    """

    delay_s: np.ndarray
    amplitude_ratio: np.ndarray
    coherence: np.ndarray


class Distance(NamedTuple):
    """How far two filtered signals are apart, in their own unit.

    Attributes:
        rms: root mean square of the difference.
        largest: of the absolute differences.
        lag_samples: shift of the second to earlier times that makes it fit best.
        rms_aligned: root mean square of the difference after that shift.
    """

    rms: float
    largest: float
    lag_samples: int
    rms_aligned: float


def zero_phase(sos: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Forward and backward through second-order sections: (time, channel) -> (time, channel) float64.

    The order doubles: at the cutoff the power is a quarter, where one pass leaves half.
    """
    from scipy.signal import sosfiltfilt

    return sosfiltfilt(sos, np.asarray(samples, dtype=np.float64), axis=0)


def both_forms(causal: CausalFilter, samples: np.ndarray, sample_rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """The zero-phase and the causal form of a filter over a recording (time, channel), without their ends.

    The causal form starts settled on the first sample.

    Raises:
        ValueError: the recording is not longer than what is cut off at its ends.
    """
    ends = round(STEADY_S * sample_rate_hz)
    if len(samples) <= 2 * ends:
        raise ValueError(f"a recording of {len(samples)} samples has no steady part; expected more than {2 * ends}")
    filtered, _ = causal(samples, causal.settled_on(samples[0]))
    return zero_phase(causal.sos, samples)[ends:-ends], filtered[ends:-ends]


def measured_response(pairs: list[tuple[np.ndarray, np.ndarray]], frequencies_hz: np.ndarray, sample_rate_hz: float) -> Response:
    """Delay and amplitude of the second signal of each pair against the first, from their cross-spectra.

    Spectra are averaged over Hann segments, channels and recordings (Welch 1967; Bendat and Piersol, Random Data, 6). The
    phase is unwrapped upwards from 0 Hz, because a delay of more than half a period is told from an advance by nothing else.

    Args:
        pairs: (time, channel) signals, two of each recording.
        frequencies_hz: (frequency,) where to measure; the nearest line of the spectrum is taken.
        sample_rate_hz: samples per second.

    Raises:
        ValueError: no recording is as long as one segment.
    """
    from scipy.signal import csd

    segment = round(SEGMENT_S * sample_rate_hz)
    long_enough = [pair for pair in pairs if len(pair[0]) >= segment]
    if not long_enough:
        raise ValueError(f"no recording has {segment} samples for one segment of {SEGMENT_S:g} s")
    auto, other, cross, weights = [], [], [], []
    for reference, delayed in long_enough:
        options = {"fs": sample_rate_hz, "nperseg": segment, "axis": 0, "detrend": "constant"}
        grid, power = csd(reference, reference, **options)
        auto.append(power.real.sum(axis=1))
        other.append(csd(delayed, delayed, **options)[1].real.sum(axis=1))
        cross.append(csd(reference, delayed, **options)[1].sum(axis=1))
        weights.append(len(reference))
    mean_auto, mean_other, mean_cross = (np.average(spectra, axis=0, weights=weights) for spectra in (auto, other, cross))
    line = np.abs(grid[:, None] - frequencies_hz).argmin(axis=0)
    phase = np.unwrap(np.angle(mean_cross[1:]))[line - 1]  # a recording's mean, at 0 Hz, is taken away
    return Response(
        -phase / (2 * np.pi * grid[line]),
        np.abs(mean_cross[line]) / mean_auto[line],
        np.abs(mean_cross[line]) ** 2 / (mean_auto[line] * mean_other[line]),
    )


def designed_response(sos: np.ndarray, frequencies_hz: np.ndarray, sample_rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Delay in seconds and amplitude ratio of causal to zero-phase, from the coefficients: (frequency,) each.

    Forward and backward has the response |H|^2, one pass H; so the ratio is 1 / |H| and the delay that of H alone.
    """
    from scipy.signal import sosfreqz

    dense = np.linspace(0, sample_rate_hz / 2, 20_001)[1:-1]  # fine enough to unwrap the phase
    _, response = sosfreqz(sos, dense, fs=sample_rate_hz)
    phase = np.interp(frequencies_hz, dense, np.unwrap(np.angle(response)))
    _, at = sosfreqz(sos, frequencies_hz, fs=sample_rate_hz)
    return -phase / (2 * np.pi * frequencies_hz), 1 / np.abs(at)


def distance(pairs: list[tuple[np.ndarray, np.ndarray]], sample_rate_hz: float) -> Distance:
    """How far the second signal of each pair is from the first, before and after the one shift that fits best."""
    most = round(LARGEST_LAG_S * sample_rate_hz)

    def rms(lag: int) -> float:
        squares = [np.square(delayed[lag:] - reference[: len(reference) - lag]) for reference, delayed in pairs]
        return float(np.sqrt(sum(s.sum() for s in squares) / sum(s.size for s in squares)))

    by_lag = [rms(lag) for lag in range(most + 1)]
    lag = int(np.argmin(by_lag))
    largest = max(float(np.abs(delayed - reference).max()) for reference, delayed in pairs)
    return Distance(by_lag[0], largest, lag, by_lag[lag])


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
    rows: list[pd.DataFrame] = []
    summary: list[tuple[str, ...]] = []
    for name, causal, cutoff_hz, triad, frequencies in CASES:
        columns, unit = TRIADS[triad]
        pairs = [both_forms(causal, samples[:, columns], SAMPLE_RATE_HZ) for samples in recordings]
        rows.append(_frequencies(name, causal, cutoff_hz, triad, np.array(frequencies), pairs))
        apart = distance(pairs, SAMPLE_RATE_HZ)
        lag = f"{apart.lag_samples} ({apart.lag_samples / SAMPLE_RATE_HZ:.2f} s)"
        cells = (f"{apart.rms:.4f}", f"{apart.largest:.3f}", lag, f"{apart.rms_aligned:.4f}")
        summary.append((f"{name}, {cutoff_hz:g} Hz", f"{triad} ({unit})", *cells))
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


def _text(summary: list[tuple[str, ...]], command: str, recordings: int, seed: int) -> str:
    return f"""# Causal against zero-phase filters, on SYNTHETIC recordings

How the causal form of each filter (3rd-order Butterworth, started settled on the first sample) differs from the zero-phase
form, the same sections run forward and backward. The table by frequency is `{artefact(STEM, ".csv", synthetic=True)}`: `delay_s` is
positive where the causal form comes later, `amplitude_error_percent` is its amplitude over that of the zero-phase form, less
one; both are measured from cross-spectra of the recordings and stand beside what the coefficients say. The zero-phase form
passes the filter twice, so it is the narrower one: the causal form lets more through near the cutoff.

{markdown(HEADS, summary, "l")}

What the gravity filter adds or lacks is missing from body acceleration or added to it, so the first row holds for body
acceleration too.

SYNTHETIC data, {recordings} recordings of generator version {synthetic.GENERATOR_VERSION}, seed {seed}: these numbers say nothing
about people.
{footer(command)}"""


def main(arguments: list[str] | None = None) -> int:
    """Write the table and its summary; see `write_filter_report`."""
    parser = options_of("filter_report", "Measure causal against zero-phase filters on synthetic recordings")
    return run_script(parser, arguments, lambda options, command: write_filter_report(options.results / "signals", command))


if __name__ == "__main__":
    raise SystemExit(main())
