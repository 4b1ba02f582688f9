"""``python -m research.reproduce``: the proof that our chain of filters makes UCI HAR's windows out of HAPT's raw recordings."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.signal import fftconvolve

from har.contract import HAPT_LABELS, LABELS, UCI9, UNITS
from har.data import hapt, uci_har
from har.data.archives import HAPT, open_source
from har.data.prepare import check_source, load_dataset, source_of
from har.data.windowset import Stretch, segments_of
from har.errors import HarError
from har.recording import Recording
from har.reporting import write_table
from har.signals.filters import PUBLISHED, SensorChain, lowpass, median_filter
from har.signals.windows import label_runs
from research.common import Bench, experiment, markdown

OPTIONS = ("--archive", "--uci-archive")
TOLERANCE = 1e-6  # g or rad/s; the published values end at the 7th digit, so at 1 g their own rounding is 5e-7
PRINTED_DIGITS = 7  # significant digits of a value in the published files (the 8th is 0)
SHIFTS = range(-6, 7)  # samples tried around the place where a segment was found, because other filters delay otherwise

Chain = Callable[[np.ndarray], np.ndarray]  # (time, 6) raw -> (time, 9), the channels of `contract.UCI9`


class Errors(NamedTuple):
    """How far one chain is from the published values.

    Attributes:
        shift: samples by which all segments were moved to fit best.
        differences: (time, channel) reproduced less published, of all segments one after the other.
        same_digits: (channel,) share of values that are the published number once rounded to `PRINTED_DIGITS`.
    """

    shift: int
    differences: np.ndarray
    same_digits: np.ndarray


def locate(segments: Sequence[Stretch], recordings: Sequence[Recording], chain: Chain) -> pd.DataFrame:
    """Find every segment where the squared difference to a recording of its subject, filtered by `chain`, is least.

    Args:
        segments: of `har.data.windowset.segments_of`, in the channels of ``contract.UCI9``.
        recordings: raw, with their labels.
        chain: of filters.

    Returns:
        A row per segment: ``segment``, ``subject``, ``activity``, ``samples``; name of the ``recording`` and ``first_sample`` in it;
        ``largest_error`` over all samples and channels, g or rad/s; ``hapt_activity``, that of the recording there, and
        ``samples_after_hapt_label_begins``.

    Raises:
        HarError: a subject has no recording as long as its segment.
    """
    signals = [chain(recording.samples) for recording in recordings]
    rows = []
    for segment in segments:
        count, found = len(segment.samples), []
        for recording, signal in zip(recordings, signals, strict=True):
            if recording.subject == segment.subject and len(signal) >= count:
                distances = _squared_distances(signal, segment.samples)
                found.append((distances.min(), int(distances.argmin()), recording, signal))
        if not found:
            raise HarError(
                "argument",
                f"no recording of subject {segment.subject} has the {count} samples of segment {segment.recording}; "
                "expected the UCI HAR and HAPT archives of the same subjects",
            )
        _, first, recording, signal = min(found, key=lambda item: item[0])
        runs = [run for run in label_runs(recording.labels) if run[0] >= 0]
        label, begins, _ = max(runs, key=lambda run: min(first + count, run[2]) - max(first, run[1]))  # shares most samples
        row = {"segment": segment.recording, "subject": segment.subject, "activity": LABELS[segment.labels[0]], "samples": count}
        row |= {"recording": recording.name, "first_sample": first}
        row |= {"largest_error": float(np.abs(signal[first : first + count] - segment.samples).max())}
        rows.append(row | {"hapt_activity": HAPT_LABELS[label], "samples_after_hapt_label_begins": first - begins})
    return pd.DataFrame(rows)


def _squared_distances(signal: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """(start,) sum of squared differences between `segment` and the signal from every start on."""
    segment = segment.astype(np.float64)  # sums of squares lose too many digits in single precision
    energy = np.concatenate(([0.0], np.cumsum((signal**2).sum(axis=1))))
    product = fftconvolve(signal, segment[::-1], mode="valid", axes=0).sum(axis=1)
    return energy[len(segment) :] - energy[: -len(segment)] - 2 * product + (segment**2).sum()


def errors_of(segments: Sequence[Stretch], places: pd.DataFrame, recordings: Sequence[Recording], chain: Chain) -> Errors:
    """Compare what `chain` makes of the recordings with the published values, at the shift that fits best.

    Segments so close to an end of their recording that a shift of `SHIFTS` would leave it are not counted.
    """
    signals = {recording.name: chain(recording.samples) for recording in recordings}
    inside = [
        (segment.samples, signals[name], first)
        for segment, name, first in zip(segments, places.recording, places.first_sample, strict=True)
        if first + SHIFTS[0] >= 0 and first + len(segment.samples) + SHIFTS[-1] <= len(signals[name])
    ]
    published = np.concatenate([samples for samples, _, _ in inside])

    def shifted(shift: int) -> np.ndarray:
        return np.concatenate([signal[first + shift :][: len(samples)] for samples, signal, first in inside])

    best = min(SHIFTS, key=lambda shift: float(((shifted(shift) - published) ** 2).sum()))
    reproduced = shifted(best)
    same = np.float32(printed(reproduced)) == np.float32(published)
    return Errors(best, reproduced - published, same.mean(axis=0))


def printed(values: np.ndarray) -> np.ndarray:
    """Values rounded to `PRINTED_DIGITS` significant digits, as in the published files."""
    values = np.asarray(values, dtype=np.float64)
    size = np.floor(np.log10(np.abs(values), out=np.zeros_like(values), where=values != 0))
    scale = 10.0 ** (PRINTED_DIGITS - 1 - size)
    return np.round(values * scale) / scale


def _gravity_before_noise(raw6: np.ndarray) -> np.ndarray:
    uci9, median = PUBLISHED.apply(raw6), median_filter(raw6[:, :3], PUBLISHED.median_size)
    uci9[:, :3] = uci9[:, 6:] - lowpass(median, order=PUBLISHED.gravity_order, cutoff_hz=PUBLISHED.gravity_cutoff_hz)
    return uci9


def _single_precision(raw6: np.ndarray) -> np.ndarray:
    return PUBLISHED.apply(raw6.astype(np.float32)).astype(np.float32)


IDENTIFIED = "identified chain"
DESCRIBED = "the description read literally: order 3, zero phase, gyroscope as measured"
CHAINS: dict[str, Chain] = {
    IDENTIFIED: PUBLISHED.apply,
    "in single precision, as trained on": _single_precision,
    DESCRIBED: SensorChain(noise_order=3, drift_order=0, zero_phase=("noise", "gravity")).apply,
    "no median filter": SensorChain(median_size=1).apply,
    "median of 5": SensorChain(median_size=5).apply,
    "noise filter of order 3": SensorChain(noise_order=3).apply,
    "noise filter of order 9": SensorChain(noise_order=9).apply,
    "noise filter of order 11": SensorChain(noise_order=11).apply,
    "noise filter zero phase": SensorChain(zero_phase=("noise",)).apply,
    "noise filter of order 3, zero phase": SensorChain(noise_order=3, zero_phase=("noise",)).apply,
    "gravity filter of order 2": SensorChain(gravity_order=2).apply,
    "gravity filter of order 4": SensorChain(gravity_order=4).apply,
    "gravity filter zero phase": SensorChain(zero_phase=("gravity",)).apply,
    "gravity before the noise filter": _gravity_before_noise,
    "gyroscope as measured": SensorChain(drift_order=0).apply,
    "drift filter of order 1": SensorChain(drift_order=1).apply,
    "drift filter of order 3": SensorChain(drift_order=3).apply,
    "drift filter zero phase": SensorChain(zero_phase=("drift",)).apply,
    "drift cutoff 0.3 Hz": SensorChain(drift_cutoff_hz=0.3).apply,
    "filters start settled": SensorChain(settled=True).apply,
}


def error_table(name: str, errors: Errors) -> pd.DataFrame:
    """A row per channel with the distribution of the errors of the chain `name`, in g or rad/s."""
    size = np.abs(errors.differences)
    columns = {"chain": name, "channel": UCI9, "unit": [UNITS[channel] for channel in UCI9], "shift_samples": errors.shift}
    columns |= {"values": len(size), "rms": np.sqrt((size**2).mean(axis=0)), "median": np.median(size, axis=0)}
    columns |= {f"p{q}": np.percentile(size, q, axis=0) for q in (95, 99)} | {"max": size.max(axis=0)}
    return pd.DataFrame(columns | {"share_within_1e-6": (size <= TOLERANCE).mean(axis=0), "share_same_printed_digits": errors.same_digits})


def run(bench: Bench) -> list[Path]:
    """Locate every segment of UCI HAR in HAPT and measure every chain of `CHAINS`.

    Writes ``reproduction.csv`` (a row per chain and channel), ``segments.csv``, ``reproduction.md`` and ``reproduction.png``.
    """
    for dataset, archive in (("hapt", bench.archive), ("uci-har", bench.uci_archive)):
        if archive is not None:  # else it may be downloaded
            check_source(dataset, archive)
    segments = segments_of(load_dataset(uci_har.NAME, channels="uci9", archive=bench.uci_archive, allow_download=True))
    with open_source(source_of(HAPT, bench.archive), HAPT) as (read_file, _):
        recordings = hapt.read(read_file, transitions="keep", dtype=np.float64)
    places = locate(segments, recordings, PUBLISHED.apply)
    table = pd.concat([error_table(name, errors_of(segments, places, recordings, chain)) for name, chain in CHAINS.items()])
    folder = bench.results / "hapt"
    written = [write_table(places, folder / "segments.csv", "%.3g"), folder / "reproduction.png"]
    # Without the version of matplotlib in it, the same data give the same file.
    reproduction_figure(table, (IDENTIFIED, DESCRIBED)).savefig(written[1], dpi=110, metadata={"Software": None})
    return [*bench.write(folder, "reproduction", _text(table, places), {"": table}), *written]


def _text(table: pd.DataFrame, places: pd.DataFrame) -> list[str]:
    count, matching = len(places), int((places.largest_error <= TOLERANCE).sum())
    offsets, walking = places.samples_after_hapt_label_begins, places.activity.isin(LABELS[:3])
    own = table[table.chain == IDENTIFIED].drop(columns=["chain", "shift_samples", "values"])
    triads = table.assign(triad=table.channel.str.rpartition("_")[0], square=table.rms**2)
    chains = triads.pivot_table(index=["chain", "shift_samples"], columns="triad", values="square", sort=False).pow(0.5).reset_index()
    shares = dict.fromkeys(("share_within_1e-6", "share_same_printed_digits"), ".3%")
    return [
        "# UCI HAR's windows, made again from HAPT's raw recordings",
        f"{matching} of the {count} continuous segments of UCI HAR are found in the recordings of the same subject with every value "
        f"of all nine channels within {TOLERANCE:g} (g or rad/s); {count - matching} are not. The largest error anywhere is "
        f"{places.largest_error.max():.1e}. The published files print {PRINTED_DIGITS} significant digits: rounded alike, "
        f"{own['share_same_printed_digits'].min():.3%} or more of the values of a channel are the same number.",
        "The chain: median of 3 samples (zeros beyond the ends), Butterworth low-pass of order 10 at 20 Hz; total acceleration is its "
        "output, body acceleration lacks its Butterworth low-pass of order 3 at 0.3 Hz, and the gyroscope lacks its Butterworth "
        "low-pass of order 2 at 0.1 Hz. All filters run forward only, over the whole recording, from rest at zero: a device can do "
        "the same, one sample late because of the median. The data set's description (median filter, 3rd-order Butterworth low-pass "
        "at 20 Hz, gravity by a 0.3 Hz low-pass) names neither that order, nor the direction, nor what is taken from the gyroscope.",
        "## Errors of this chain",
        markdown(own, dict.fromkeys(("rms", "median", "p95", "p99", "max"), ".1e") | shares),
        "## What each choice is worth",
        "Root mean square errors over the three axes, one choice changed at a time; shift: samples by which the result had to be moved to "
        "fit best.",
        markdown(chains, dict.fromkeys(("total_acc", "gyro", "body_acc"), ".1e")),
        "## Where the segments stand",
        f"The activity is HAPT's own in {(places.activity == places.hapt_activity).sum()} of {count} segments. {(offsets == 0).sum()} "
        f"segments begin exactly at the first sample of HAPT's label, {(offsets[walking] == 0).sum()} of {walking.sum()} among the three "
        f"ways of walking. The others begin up to {-offsets.min()} samples before or {offsets.max()} after it, nearly all in postures, "
        "whose borders HAPT must have drawn again for its transitions. `segments.csv` gives the place of each.",
    ]


def reproduction_figure(table: pd.DataFrame, chains: tuple[str, ...]) -> Figure:
    """Errors of reproduced channels on a logarithmic axis: median, 95 %, 99 % and largest, for each of `chains`.

    Args:
        table: a row per chain and channel with ``median``, ``p95``, ``p99`` and ``max`` in g or rad/s.
        chains: names in the column ``chain``.
    """
    figure = Figure(figsize=(9.0, 1.2 + 2.6 * len(chains)), layout="constrained")
    grid = figure.subplots(len(chains), 1, sharex=True, squeeze=False)[:, 0]
    marks = {"median": ("o", "median"), "p95": ("s", "95 %"), "p99": ("D", "99 %"), "max": ("|", "max")}
    for axes, chain in zip(grid, chains, strict=True):
        rows = table[table.chain == chain].reset_index(drop=True)
        axes.hlines(rows.index, rows["median"], rows["max"], color="0.8", linewidth=3)
        for column, (mark, label) in marks.items():
            axes.plot(rows[column], rows.index, mark, label=label, markersize=7)
        axes.set_yticks(rows.index, rows.channel + " (" + rows.unit + ")", fontsize=8)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.grid(axis="x", color="0.9")
        axes.set_title(f"HAPT raw: {chain}", fontsize=10)
    grid[0].legend(loc="lower right", fontsize=8, ncols=4)
    grid[-1].set_xlabel("Difference to the published windows of UCI HAR (g or rad/s)")
    return figure


if __name__ == "__main__":
    raise SystemExit(experiment("reproduce"))
