"""The proof that our chain of filters makes UCI HAR's windows out of HAPT's raw recordings, written as a report."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from har.contract import HAPT_LABELS, LABELS, UCI9, UNITS
from har.data import hapt, uci_har
from har.data.archives import HAPT, open_source
from har.data.prepare import prepare, source_of
from har.data.reproduction import PRINTED_DIGITS, TOLERANCE, Chain, Place, errors_of, locate
from har.data.segments import segments_of
from har.evaluation.figures import reproduction_figure
from har.pipeline.provenance import git_commit, versions
from har.pipeline.table_file import write_table
from har.signals.chain import PUBLISHED, SensorChain
from har.signals.filters import lowpass, median_filter

AS_DESCRIBED = SensorChain(noise_order=3, drift_order=0, zero_phase=("noise", "gravity"))
IDENTIFIED = "identified chain"
DESCRIBED = "the description read literally: order 3, zero phase, gyroscope as measured"


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
    made = ", ".join(f"{name} {number}" for name, number in versions().items())
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
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}.\nVersions: {made}.\n"
    )


def _channel_table(own: pd.DataFrame) -> str:
    lines = ["| channel | unit | rms | median | 95 % | 99 % | max | within 1e-6 | same digits |", "|---|---|---|---|---|---|---|---|---|"]
    for row in own.to_dict("records"):
        sizes = " | ".join(f"{row[name]:.1e}" for name in ("rms", "median", "p95", "p99", "max"))
        shares = f"{100 * row['share_within_1e-6']:.3f} % | {100 * row['share_same_printed_digits']:.3f} %"
        lines.append(f"| {row['channel']} | {row['unit']} | {sizes} | {shares} |")
    return "\n".join(lines)


def _chain_table(table: pd.DataFrame) -> str:
    lines = ["| chain | total_acc (g) | gyro (rad/s) | body_acc (g) | shift |", "|---|---|---|---|---|"]
    for name, rows in table.groupby("chain", sort=False):
        rms = [float(np.sqrt((rows[rows.channel.str.startswith(triad)].rms ** 2).mean())) for triad in ("total_acc", "gyro", "body_acc")]
        lines.append(f"| {name} | " + " | ".join(f"{value:.1e}" for value in rms) + f" | {rows.shift_samples.iloc[0]} |")
    return "\n".join(lines)
