"""``python -m research.reproduce``: the proof that our chain of filters makes UCI HAR's windows out of HAPT's raw recordings."""

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from har.contract import HAPT_LABELS, LABELS, UCI9, UNITS, HarError
from har.data import hapt, uci_har
from har.data.archives import HAPT, open_source
from har.data.prepare import check_source, prepare, source_of
from har.data.windowset import Stretch, segments_of
from har.recording import Recording
from har.reporting import footer, markdown, write_table
from har.signals.chain import PUBLISHED, SensorChain
from har.signals.filters import lowpass, median_filter
from har.signals.windows import label_runs
from research.common import options_of, run_script

TOLERANCE = 1e-6  # g or rad/s; the published values end at the 7th digit, so at 1 g their own rounding is 5e-7
PRINTED_DIGITS = 7  # significant digits of a value in the published files (the 8th is 0)
SHIFTS = range(-6, 7)  # samples tried around the place where a segment was found, because other filters delay otherwise

Chain = Callable[[np.ndarray], np.ndarray]

AS_DESCRIBED = SensorChain(noise_order=3, drift_order=0, zero_phase=("noise", "gravity"))
IDENTIFIED = "identified chain"
DESCRIBED = "the description read literally: order 3, zero phase, gyroscope as measured"


@dataclass(frozen=True)
class Place:
    """Where a segment stands in the recordings.

    Attributes:
        segment: the published one.
        recording: name of the recording.
        first: first sample in it.
        largest_error: over all samples and channels, g or rad/s.
        label: of the recording there, index into ``contract.HAPT_LABELS``.
        label_offset: samples from the first sample that has this label to the segment's first.
    """

    segment: Stretch
    recording: str
    first: int
    largest_error: float
    label: int
    label_offset: int

    @property
    def matches(self) -> bool:
        """Whether every value is reproduced within `TOLERANCE`."""
        return self.largest_error <= TOLERANCE

    @property
    def same_label(self) -> bool:
        """Whether the recording says there what the segment says."""
        return self.label == self.segment.labels[0]


@dataclass(frozen=True)
class Errors:
    """How far one chain is from the published values.

    Attributes:
        shift: samples by which all segments were moved to fit best.
        differences: (time, channel) reproduced less published, of all segments one after the other.
        same_digits: (channel,) share of values that are the published number once rounded to `PRINTED_DIGITS`.
    """

    shift: int
    differences: np.ndarray
    same_digits: np.ndarray


def locate(segments: list[Stretch], recordings: list[Recording], chain: Chain) -> list[Place]:
    """Find every segment where the squared difference to a recording of its subject, filtered by `chain`, is least.

    Args:
        segments: of `har.data.windowset.segments_of`, in the channels of ``contract.UCI9``.
        recordings: raw, with their labels.
        chain: (time, 6) -> (time, 9).

    Raises:
        HarError: a subject has no recording as long as its segment.
    """
    signals = {recording.name: chain(recording.samples) for recording in recordings}
    places = []
    for segment in segments:
        found: list[tuple[float, Recording, int]] = []
        for recording in recordings:
            if recording.subject == segment.subject and len(recording.samples) >= len(segment.samples):
                distance = _squared_distances(signals[recording.name], segment.samples)
                first = int(np.argmin(distance))
                found.append((float(distance[first]), recording, first))
        if not found:
            raise HarError(
                f"no recording of subject {segment.subject} has the {len(segment.samples)} samples of segment {segment.recording}; "
                "expected the UCI HAR and HAPT archives of the same people"
            )
        _, recording, first = min(found, key=lambda item: item[0])
        error = float(np.abs(signals[recording.name][first : first + len(segment.samples)] - segment.samples).max())
        label, begins = _label_at(recording.labels, first, first + len(segment.samples))
        places.append(Place(segment, recording.name, first, error, label, first - begins))
    return places


def _squared_distances(signal: np.ndarray, segment: np.ndarray) -> np.ndarray:
    """(start,) sum of squared differences between `segment` and the signal from every start on."""
    from scipy.signal import fftconvolve

    segment = segment.astype(np.float64)  # sums of squares lose too many digits in single precision
    energy = np.concatenate(([0.0], np.cumsum((signal**2).sum(axis=1))))
    product = fftconvolve(signal, segment[::-1], mode="valid", axes=0).sum(axis=1)
    return energy[len(segment) :] - energy[: -len(segment)] - 2 * product + (segment**2).sum()


def _label_at(labels: np.ndarray, first: int, stop: int) -> tuple[int, int]:
    """The labelled run that shares most samples with [first, stop): its label and its first sample."""
    runs = [run for run in label_runs(labels) if run[0] >= 0]
    label, begins, _ = max(runs, key=lambda run: min(stop, run[2]) - max(first, run[1]))
    return label, begins


def errors_of(places: list[Place], recordings: list[Recording], chain: Chain) -> Errors:
    """Compare what `chain` makes of the recordings with the published values, at the shift that fits best.

    Segments so close to an end of their recording that a shift of `SHIFTS` would leave it are not counted.
    """
    signals = {recording.name: chain(recording.samples) for recording in recordings}
    inside = [
        place
        for place in places
        if place.first + SHIFTS[0] >= 0 and place.first + len(place.segment.samples) + SHIFTS[-1] <= len(signals[place.recording])
    ]
    published = np.concatenate([place.segment.samples for place in inside])

    def shifted(shift: int) -> np.ndarray:
        starts = [(signals[place.recording], place.first + shift, len(place.segment.samples)) for place in inside]
        return np.concatenate([signal[first : first + count] for signal, first, count in starts])

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
    uci9 = PUBLISHED.apply(raw6)
    gravity = lowpass(
        median_filter(raw6[:, :3], PUBLISHED.median_size), order=PUBLISHED.gravity_order, cutoff_hz=PUBLISHED.gravity_cutoff_hz
    )
    uci9[:, :3] = uci9[:, 6:] - gravity
    return uci9


def _single_precision(raw6: np.ndarray) -> np.ndarray:
    return PUBLISHED.apply(raw6.astype(np.float32)).astype(np.float32)


CHAINS: dict[str, Chain] = {
    IDENTIFIED: PUBLISHED.apply,
    "in single precision, as trained on": _single_precision,
    DESCRIBED: AS_DESCRIBED.apply,
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


def reproduce(archive: Path | str | None = None, uci_archive: Path | str | None = None) -> tuple[pd.DataFrame, list[Place]]:
    """Locate every segment of UCI HAR in HAPT and measure every chain of `CHAINS`.

    Args:
        archive: a copy of HAPT, else the one in HAR_DATA_DIR.
        uci_archive: a copy of UCI HAR, else the same.

    Returns:
        A row per chain and channel with the distribution of its errors, and the place of every segment.
    """
    windows = prepare(uci_har.NAME, archive=uci_archive, allow_download=True)
    with open_source(source_of(hapt.NAME, HAPT, archive), HAPT) as (read_file, _):
        recordings = hapt.read(read_file, transitions="keep", dtype=np.float64)
    places = locate(segments_of(windows), recordings, PUBLISHED.apply)
    rows = []
    for name, chain in CHAINS.items():
        errors = errors_of(places, recordings, chain)
        for index, channel in enumerate(UCI9):
            size = np.abs(errors.differences[:, index])
            rows.append(
                {
                    "chain": name,
                    "channel": channel,
                    "unit": UNITS[channel],
                    "shift_samples": errors.shift,
                    "values": len(size),
                    "rms": float(np.sqrt(np.mean(size**2))),
                    **{key: float(np.percentile(size, q)) for key, q in (("median", 50), ("p95", 95), ("p99", 99))},
                    "max": float(size.max()),
                    "share_within_1e-6": float((size <= TOLERANCE).mean()),
                    "share_same_printed_digits": float(errors.same_digits[index]),
                }
            )
    return pd.DataFrame(rows), places


def write_reproduction(folder: Path, command: str, archive: Path | str | None = None, uci_archive: Path | str | None = None) -> list[Path]:
    """Run `reproduce` and write ``reproduction.csv``, ``segments.csv``, ``reproduction.md`` and ``reproduction.png``."""
    table, places = reproduce(archive, uci_archive)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("reproduction.csv", "segments.csv", "reproduction.md", "reproduction.png")]
    write_table(table, paths[0], "%.6g")
    write_table(_segment_table(places), paths[1], "%.3g")
    paths[2].write_text(_report(table, places, command))
    # Without the version of matplotlib in it, the same data give the same file.
    reproduction_figure(table, (IDENTIFIED, DESCRIBED)).savefig(paths[3], dpi=110, metadata={"Software": None})
    return paths


def _segment_table(places: list[Place]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "segment": place.segment.recording,
            "subject": place.segment.subject,
            "activity": LABELS[place.segment.labels[0]],
            "samples": len(place.segment.samples),
            "recording": place.recording,
            "first_sample": place.first,
            "largest_error": place.largest_error,
            "hapt_activity": HAPT_LABELS[place.label],
            "samples_after_hapt_label_begins": place.label_offset,
        }
        for place in places
    )


def _report(table: pd.DataFrame, places: list[Place], command: str) -> str:
    matching = sum(place.matches for place in places)
    same_label = sum(place.same_label for place in places)
    offsets = Counter(place.label_offset for place in places)
    walking = [place for place in places if place.segment.labels[0] < 3]
    prompt = sum(place.label_offset == 0 for place in walking)
    largest = max(place.largest_error for place in places)
    own = table[table.chain == IDENTIFIED]
    return (
        "# UCI HAR's windows, made again from HAPT's raw recordings\n\n"
        f"{matching} of the {len(places)} continuous segments of UCI HAR are found in the recordings of the same subject with every value\n"
        f"of all nine channels within {TOLERANCE:g} (g or rad/s); {len(places) - matching} are not. The largest error anywhere is\n"
        f"{largest:.1e}. The published files print {PRINTED_DIGITS} significant digits: rounded alike,\n"
        f"{100 * own['share_same_printed_digits'].min():.3f} % or more of the values of a channel are the same number.\n\n"
        "The chain: median of 3 samples (zeros beyond the ends), Butterworth low-pass of order 10 at 20 Hz; total acceleration is its\n"
        "output, body acceleration lacks its Butterworth low-pass of order 3 at 0.3 Hz, and the gyroscope lacks its Butterworth\n"
        "low-pass of order 2 at 0.1 Hz. All filters run forward only, over the whole recording, from rest at zero: a device can do\n"
        "the same, one sample late because of the median. The data set's description (median filter, 3rd-order Butterworth low-pass\n"
        "at 20 Hz, gravity by a 0.3 Hz low-pass) names neither that order, nor the direction, nor what is taken from the gyroscope.\n\n"
        "## Errors of this chain\n\n" + _channel_table(own) + "\n\n"
        "## What each choice is worth\n\nRoot mean square errors over the three axes, one choice changed at a time; shift: samples\n"
        "by which the result had to be moved to fit best.\n\n" + _chain_table(table) + "\n\n"
        "## Where the segments stand\n\n"
        f"The activity is HAPT's own in {same_label} of {len(places)} segments. {offsets[0]} segments begin exactly at the first\n"
        f"sample of HAPT's label, {prompt} of {len(walking)} among the three ways of walking. The others begin up to {-min(offsets)}\n"
        f"samples before or {max(offsets)} after it, nearly all in postures, whose borders HAPT must have drawn again for its\n"
        "transitions. `segments.csv` gives the place of each.\n\n"
    ) + footer(command)


def _channel_table(own: pd.DataFrame) -> str:
    rows = []
    for row in own.to_dict("records"):
        sizes = [f"{row[name]:.1e}" for name in ("rms", "median", "p95", "p99", "max")]
        shares = [f"{100 * row[name]:.3f} %" for name in ("share_within_1e-6", "share_same_printed_digits")]
        rows.append((row["channel"], row["unit"], *sizes, *shares))
    return markdown(("channel", "unit", "rms", "median", "95 %", "99 %", "max", "within 1e-6", "same digits"), rows, "l")


def _chain_table(table: pd.DataFrame) -> str:
    lines = []
    for name, rows in table.groupby("chain", sort=False):
        rms = [float(np.sqrt((rows[rows.channel.str.startswith(triad)].rms ** 2).mean())) for triad in ("total_acc", "gyro", "body_acc")]
        lines.append((name, *(f"{value:.1e}" for value in rms), rows.shift_samples.iloc[0]))
    return markdown(("chain", "total_acc (g)", "gyro (rad/s)", "body_acc (g)", "shift"), lines, "l")


def reproduction_figure(table: pd.DataFrame, chains: tuple[str, ...]) -> Figure:
    """Errors of reproduced channels on a logarithmic axis: median, 95 %, 99 % and largest, for each of `chains`.

    Args:
        table: a row per chain and channel with ``median``, ``p95``, ``p99`` and ``max`` in g or rad/s.
        chains: names in the column ``chain``.
    """
    figure = Figure(figsize=(9.0, 1.2 + 2.6 * len(chains)), layout="constrained")
    grid = figure.subplots(len(chains), 1, sharex=True, squeeze=False)
    marks = {"median": "o", "p95": "s", "p99": "D", "max": "|"}
    for axes, chain in zip(grid[:, 0], chains, strict=True):
        rows = table[table.chain == chain].reset_index(drop=True)
        axes.hlines(rows.index, rows["median"], rows["max"], color="0.8", linewidth=3)
        for column, mark in marks.items():
            axes.plot(rows[column], rows.index, mark, label={"p95": "95 %", "p99": "99 %"}.get(column, column), markersize=7)
        axes.set_yticks(rows.index, [f"{channel} ({unit})" for channel, unit in zip(rows.channel, rows.unit, strict=True)], fontsize=8)
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.grid(axis="x", color="0.9")
        axes.set_title(f"HAPT raw: {chain}", fontsize=10)
    grid[0, 0].legend(loc="lower right", fontsize=8, ncols=4)
    grid[-1, 0].set_xlabel("Difference to the published windows of UCI HAR (g or rad/s)")
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Write tables, report and figure; see `write_reproduction`."""
    parser = options_of("reproduce", "Find every window of UCI HAR in HAPT's raw recordings and compare all channels", archive="HAPT")
    parser.add_argument("--uci-archive", default=None, metavar="PATH", help="a copy of UCI HAR, likewise")

    def work(options: argparse.Namespace, command: str) -> list[Path]:
        for dataset, archive in (("hapt", options.archive), ("uci-har", options.uci_archive)):
            if archive is not None:  # else it may be downloaded
                check_source(dataset, archive)
        return write_reproduction(options.results / "hapt", command, options.archive, options.uci_archive)

    return run_script(parser, arguments, work)


if __name__ == "__main__":
    raise SystemExit(main())
