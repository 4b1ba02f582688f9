"""From a file to pieces of one rate in the units of the specification: order, units, gaps and rate are checked, mended or named."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from har.contract import RAW6, SAMPLE_RATE_HZ
from har.errors import HarError
from har.recording.limits import (
    CLIPPED_LEAST,
    FULL_SCALES_G,
    LIMITS,
    LIMITS_TEXT,
    SENSORS,
    Repeats,
    check_outside,
    outside,
    whole_runs,
    within,
)
from har.recording.rate import BLOCK, LATE_S, ROUNDING_S, check_still_regular, measure_rate, most_restarts, number_stretches
from har.recording.tables import ReadOptions, Rows, read_rows
from har.recording.types import COLUMNS, GAP_PERIODS, Recording
from har.signals.resampling import StreamResampler

FEWEST_ROWS = 256  # taken at a time, so that rate and units are measured on more than a moment
GRAVITY_RANGE_G = (0.8, 1.2)  # median |total_acc| of a person's day; 9.8 means m/s^2, near 0 means body acceleration


@dataclass
class Faults:
    """Faults of one kind: how many there are, and the first of them by name."""

    count: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.named) < 3:
            self.named.append(text)

    def __str__(self) -> str:
        more = self.count - len(self.named)
        return ", ".join(self.named) + f" and {more} more" * (more > 0)


@dataclass
class ReadReport:
    """What was found in a recording and what was repaired; complete once all pieces were taken.

    Attributes:
        rows: number of rows that are used.
        rate_hz: measured sampling rate.
        resampled: whether the samples were brought to `wanted_hz`, the rate that was asked for.
        out_of_order: number of rows sorted by time, each at most `LATE_S` late; the latest by `latest_s`.
        restarts: where the time goes back by more, so that a new stretch begins.
        duplicates: number of repeated rows left out.
        missing: number of rows with missing values that were interpolated.
        outside: rows outside the physical limits, left out.
        frozen: sensor and first line of the runs in which it repeats one value, left out, and their length in s.
        interpolated_gaps, gaps: number of short gaps that were filled, and of gaps that no window crosses.
    """

    rows: int = 0
    rate_hz: float = float("nan")
    resampled: bool = False
    wanted_hz: float = SAMPLE_RATE_HZ
    out_of_order: int = 0
    latest_s: float = 0.0
    restarts: Faults = field(default_factory=Faults)
    duplicates: int = 0
    missing: int = 0
    outside: Faults = field(default_factory=Faults)
    frozen: dict[tuple[str, int], float] = field(default_factory=dict)
    interpolated_gaps: int = 0
    gaps: int = 0
    low: np.ndarray = field(default_factory=lambda: np.full(len(RAW6), np.inf))
    high: np.ndarray = field(default_factory=lambda: np.full(len(RAW6), -np.inf))
    at_low: np.ndarray = field(default_factory=lambda: np.zeros(len(RAW6), dtype=np.int64))  # samples at exactly the lowest value
    at_high: np.ndarray = field(default_factory=lambda: np.zeros(len(RAW6), dtype=np.int64))

    def add(self, values: np.ndarray) -> None:
        """Take note of (time, 6) samples that are used."""
        self.rows += len(values)
        low, high = np.minimum(self.low, values.min(axis=0)), np.maximum(self.high, values.max(axis=0))
        self.at_low = self.at_low * (low == self.low) + (values == low).sum(axis=0)
        self.at_high = self.at_high * (high == self.high) + (values == high).sum(axis=0)
        self.low, self.high = low, high

    def clipping(self) -> str:
        """A phrase about acceleration that clips below the limit; empty where it does not."""
        acc = SENSORS["accelerometer"]
        peaks, counts = np.abs(np.concatenate((self.low[acc], self.high[acc]))), np.concatenate((self.at_low[acc], self.at_high[acc]))
        for scale in FULL_SCALES_G:
            clipped = counts[(np.abs(peaks / scale - 1) <= 0.02) & (counts >= CLIPPED_LEAST)].sum()
            if clipped:
                return f"acceleration clips at {scale:g} g ({100 * clipped / self.rows:.2g} % of samples)"
        return ""

    def text(self) -> str:
        """One line: rows, rate, and what was repaired or left out."""
        parts = [f"{self.rows} rows at {self.rate_hz:.4g} Hz" + (f", resampled to {self.wanted_hz:g} Hz" if self.resampled else "")]
        for count, what in (
            (self.out_of_order, f"sorted by time (up to {self.latest_s:.3g} s late)"),
            (self.restarts.count, f"where the time goes back and a new stretch begins: {self.restarts}"),
            (self.duplicates, "repeated and dropped"),
            (self.missing, "with missing values interpolated"),
            (self.outside.count, f"outside the physical limits ({LIMITS_TEXT}), left out as a gap: {self.outside}"),
        ):
            if count:
                parts.append(f"{count} row{'s' * (count != 1)} {what}")
        if self.frozen:
            runs = Faults()
            for (sensor, line), seconds in self.frozen.items():
                runs.add(f"the {sensor} repeats one value for {seconds:.3g} s from line {line} on")
            parts.append(f"left out as a gap: {runs}")
        for count, what in ((self.interpolated_gaps, "interpolated"), (self.gaps, "that no window crosses")):
            if count:
                parts.append(f"{count} {'short ' * (what == 'interpolated')}gap{'s' * (count != 1)} {what}")
        return "; ".join([*parts, *filter(None, [self.clipping()])])


def read_recording(path: Path | str, *, subject: int = 0, **options: Any) -> Recording:
    """Read a whole recording: check its columns, units, rate and times, and bring it to ``sample_rate_hz``, by default 50.

    Args:
        path: CSV or Parquet file with the columns ``time_s``, ``total_acc_x_g`` to ``total_acc_z_g`` and ``gyro_x_rad_s`` to
            ``gyro_z_rad_s``; or others, which `options` map.
        subject: number of the subject.
        options: fields of `har.recording.ReadOptions`: ``columns={"total_acc_x_g": "ax"}``, ``acc_unit="m/s2"``, ``gyro_unit="deg/s"``,
            ``time_unit="ms"``, ``axes=("y", "-x", "z")``, ``interpolate_s=0.2``, ``labels=False``.

    Returns:
        The recording; its samples have shape (time, 6), acceleration in g with gravity and angular velocity in rad/s.

    Raises:
        HarError: what does not fit, with line and column.

    Examples:
        >>> import har
        >>> import numpy as np
        >>> values = np.random.default_rng(0).normal((9.8, 0, 0, 0, 0, 0), 0.5, (500, 6))  # m/s^2 and deg/s
        >>> table = np.column_stack((20 * np.arange(500), values))  # times in ms
        >>> np.savetxt("walk.csv", table, delimiter=",", header="t,ax,ay,az,gx,gy,gz", comments="")
        >>> ours = ["time_s", *(f"total_acc_{axis}_g" for axis in "xyz"), *(f"gyro_{axis}_rad_s" for axis in "xyz")]
        >>> columns = dict(zip(ours, ["t", "ax", "ay", "az", "gx", "gy", "gz"]))
        >>> recording = har.read_recording("walk.csv", columns=columns, time_unit="ms", acc_unit="m/s2", gyro_unit="deg/s")
        >>> recording.samples.shape
        (500, 6)
    """
    reading = ReadOptions(**options)
    pieces = [piece for _, piece in read_pieces(path, ReadReport(), subject=subject, options=reading)]
    time_s, samples, labels = (np.concatenate([getattr(p, name) for p in pieces]) for name in ("time_s", "samples", "labels"))
    return replace(pieces[0], time_s=time_s, samples=samples, labels=labels)


def read_pieces(
    path: Path | str, report: ReadReport, *, subject: int = 0, options: ReadOptions | None = None
) -> Iterator[tuple[int, Recording]]:
    """Read a recording piece by piece, so that a file may be larger than memory.

    A file that has the wanted rate within 2 % and is regular keeps its samples as they are; another is resampled with an anti-alias
    filter (`har.recording.rate`).

    Args:
        path: CSV or Parquet file.
        report: gets what was found and mended.
        subject: number of the person.
        options: columns, units, axes, and what may be mended.

    Yields:
        Number of the stretch without a gap, from 0, and the next piece of it.

    Raises:
        HarError: what does not fit, with line and column.
    """
    path, options = Path(path), options or ReadOptions()
    report.wanted_hz = options.sample_rate_hz
    number, current = -1, None
    previous_s, previous_stretch = -np.inf, 0
    for rows in _within_limits(path, _in_order(path, read_rows(path, options), report), options, report):
        if report.rows == 0:
            rate = measure_rate(path, rows.time_s, wanted_hz=options.sample_rate_hz, least_hz=options.least_rate_hz)
            report.rate_hz, report.resampled = rate.hz, not rate.regular
        elif not report.resampled:
            check_still_regular(path, rows.time_s, rows.line, options.sample_rate_hz)
        report.add(rows.values)
        longest = max(GAP_PERIODS / min(report.rate_hz, options.sample_rate_hz), options.interpolate_s)
        step = np.diff(rows.time_s, prepend=previous_s)
        restarts = np.diff(rows.stretch, prepend=previous_stretch) != 0
        short = (step > GAP_PERIODS / report.rate_hz) & (step <= longest) & ~restarts
        report.interpolated_gaps += int(short.sum())
        report.gaps += int(((step > longest) & np.isfinite(step) & ~restarts).sum())
        cuts = np.flatnonzero((step > longest) | restarts).tolist()
        for first, stop in pairwise([*sorted({0, *cuts}), len(rows.time_s)]):
            if first in cuts:
                if current is not None:
                    yield from _pieces(number, current.finish())
                number, current = number + 1, _Stretch(path.stem, subject, report, mend=options.interpolate_s > 0)
            assert current is not None
            yield from _pieces(number, current.push(rows.time_s[first:stop], rows.values[first:stop], rows.labels[first:stop]))
        previous_s, previous_stretch = rows.time_s[-1], rows.stretch[-1]
    if current is None:
        if report.frozen:
            sensors = " and ".join(f"the {sensor}" for sensor in sorted({sensor for sensor, _ in report.frozen}))
            raise HarError(
                "recording-values", f"{path}: {sensors} repeats one value over all rows; the sensor was off or the column is wrong"
            )
        raise HarError("recording-values", f"{path} has no row without missing values; record again")
    yield from _pieces(number, current.finish())
    _check_constant(path, report)


def _pieces(stretch: int, piece: Recording) -> Iterator[tuple[int, Recording]]:
    if len(piece.time_s):
        yield stretch, piece


class _Stretch:
    """Pieces of one stretch without a gap, at the rate that was asked for."""

    def __init__(self, name: str, subject: int, report: ReadReport, *, mend: bool) -> None:
        self.name, self.subject, self.mend, self.rate_hz = name, subject, mend, report.wanted_hz
        self.resampler = StreamResampler(report.rate_hz, report.wanted_hz) if report.resampled else None
        self.tail: tuple[np.ndarray, np.ndarray] = (np.empty(0), np.empty((0, len(RAW6))))
        self.label_time_s, self.label = np.empty(0), np.empty(0, dtype=np.int64)

    def push(self, time_s: np.ndarray, values: np.ndarray, labels: np.ndarray, *, last: bool = False) -> Recording:
        self.label_time_s = np.concatenate((self.label_time_s, time_s))
        self.label = np.concatenate((self.label, labels))
        if self.resampler is None:
            time_s, values = self._fill(time_s, values)
        else:
            time_s, values = self.resampler.push(time_s, values, last=last)
            values = within(values)
        at = (np.searchsorted(self.label_time_s, time_s + 1e-9, side="right") - 1).clip(0)
        found = self.label[at]
        if len(at):
            self.label_time_s, self.label = self.label_time_s[at[-1] :], self.label[at[-1] :]
        return Recording(self.name, self.subject, time_s, values.astype(np.float32), found, self.rate_hz)

    def finish(self) -> Recording:
        return self.push(np.empty(0), np.empty((0, len(RAW6))), np.empty(0, dtype=np.int64), last=True)

    def _fill(self, time_s: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Put interpolated samples into short gaps; everything else stays as it is."""
        if not self.mend:
            return time_s, values
        known = len(self.tail[0])  # 0 or 1 sample of the piece before
        all_s, everything = np.concatenate((self.tail[0], time_s)), np.concatenate((self.tail[1], values))
        self.tail = (all_s[-1:], everything[-1:])
        step = np.diff(all_s)
        extra = (np.rint(step * self.rate_hz).astype(np.int64) - 1).clip(0) * (step > 1.5 / self.rate_hz)
        if extra.any():
            added = [np.linspace(all_s[i], all_s[i + 1], extra[i] + 2)[1:-1] for i in np.flatnonzero(extra)]
            grid_s = np.sort(np.concatenate((all_s, *added)))
            everything = np.stack([np.interp(grid_s, all_s, everything[:, c]) for c in range(everything.shape[1])], axis=1)
            all_s = grid_s
        return all_s[known:], everything[known:]


def _with_last(parts: Iterator[Rows]) -> Iterator[tuple[Rows, bool]]:
    """Each part, and whether it is the last one."""
    before: Rows | None = None
    for part in parts:
        if before is not None:
            yield before, False
        before = part
    if before is not None:
        yield before, True


def _in_order(path: Path, parts: Iterator[Rows], report: ReadReport) -> Iterator[Rows]:
    """Rows sorted by time within their stretch, without repeated times.

    A row more than `LATE_S` late begins a new stretch in file order, so that two moments are never mixed.
    """
    held: Rows | None = None
    stretch, newest_s = 0, -np.inf
    for part, last in _with_last(parts):
        if not np.isfinite(part.time_s).all():
            raise HarError(
                "recording-times", f"{path}: the time in line {part.line[np.argmin(np.isfinite(part.time_s))]} is not a finite number"
            )
        number, late_s = number_stretches(part.time_s, newest_s)
        first = np.diff(number, prepend=0) != 0
        if number[-1] > most_restarts(len(number)):
            raise HarError(
                "recording-times",
                f"{path}: {number[-1]} or more of {len(number)} rows are more than {LATE_S:g} s late, the first in line "
                f"{part.line[np.argmax(first)]}; expected the rows in the order of their times: sort them",
            )
        for row in np.flatnonzero(first):
            report.restarts.add(f"by {late_s[row]:.4g} s in line {part.line[row]}")
        small = (late_s > 0) & ~first
        report.out_of_order += int(small.sum())
        report.latest_s = max(report.latest_s, float(late_s[small].max(initial=0.0)))
        newest_s = max(newest_s if number[-1] == 0 else -np.inf, float(part.time_s[number == number[-1]].max()))
        stretch += int(number[-1])
        part = replace(part, stretch=number + stretch - number[-1])
        joined = part if held is None else _join(held, part)
        joined = _take(joined, np.lexsort((joined.time_s, joined.stretch)))
        keep = (np.diff(joined.time_s, prepend=-np.inf) > 0) | (np.diff(joined.stretch, prepend=-1) > 0)
        report.duplicates += int((~keep).sum())
        _check_shared_times(path, joined, keep)
        joined = _take(joined, keep)
        is_ready = (joined.stretch < stretch) | (joined.time_s < newest_s - LATE_S - ROUNDING_S)  # nothing sorted can come before these
        if last:
            is_ready[:] = True
        elif is_ready.sum() < FEWEST_ROWS:
            is_ready[:] = False
        held = _take(joined, ~is_ready)
        if is_ready.any():
            yield _take(joined, is_ready)


def _within_limits(path: Path, parts: Iterator[Rows], options: ReadOptions, report: ReadReport) -> Iterator[Rows]:
    """Rows in g and rad/s, without those that have missing values or break a physical limit: their times are left as gaps."""
    repeats, held, held_s = Repeats(), None, np.empty((0, len(SENSORS)))
    begins = dict.fromkeys(SENSORS, 0)  # line of the first row of the run that a sensor is in
    units_known = False
    for part, last in _with_last(parts):
        part = _without_missing(path, part, options, report)
        part = replace(part, values=options.to_contract(part.values))
        if len(part.line) > 1 and not units_known:
            _check_gravity(path, part.values, options)
            units_known = True
        part = _without_outside(path, part, report)
        seconds = np.concatenate((held_s, repeats.push(part.time_s, part.values)))
        rows = part if held is None else _join(held, part)
        if not len(rows.line):
            continue
        is_frozen = whole_runs(seconds)
        ready = len(rows.line)
        for number, sensor in enumerate(SENSORS):
            new = np.flatnonzero(seconds[:, number] == 0.0)
            lines = np.full(len(rows.line), begins[sensor])
            lines[new] = rows.line[new]
            lines = np.maximum.accumulate(lines)
            for row in np.flatnonzero(is_frozen[:, number]):
                report.frozen[sensor, int(lines[row])] = float(seconds[row, number])
            begins[sensor] = int(lines[-1])
            if not (last or is_frozen[-1, number]):
                ready = min(ready, int(new[-1]))  # the run at the end may become frozen with the next rows
        held, held_s = _take(rows, np.arange(ready, len(rows.line))), seconds[ready:]
        rows = _take(rows, np.flatnonzero(~is_frozen[:ready].any(axis=1)))
        if len(rows.line):
            yield rows


def _without_outside(path: Path, rows: Rows, report: ReadReport) -> Rows:
    broken = outside(rows.values)
    if not broken.any():
        return rows
    first = f"line {rows.line[np.argmax(broken)]}"
    check_outside(rows.values, broken, f"{path}:", "read it with --gyro-unit deg/s", first)
    for row in np.flatnonzero(broken):
        column = int(np.argmax(np.abs(rows.values[row]) / LIMITS))
        report.outside.add(f"line {rows.line[row]} ({COLUMNS[column]} is {rows.values[row, column]:.4g})")
    return _take(rows, ~broken)


def _check_shared_times(path: Path, rows: Rows, keep: np.ndarray) -> None:
    """A row that stands twice is dropped; other values at the time of the row before are samples that would be lost."""
    other = ~keep
    other[1:] &= (rows.values[1:] != rows.values[:-1]).any(axis=1)
    if other.sum() > 1 + len(rows.time_s) / BLOCK:
        raise HarError(
            "recording-times",
            f"{path}: {int(other.sum())} of {len(rows.time_s)} rows have the time of the row before and other values, the first in line "
            f"{rows.line[np.argmax(other)]}; expected the time at which each was measured: use the sensor's own times, with all digits",
        )


def _join(a: Rows, b: Rows) -> Rows:
    return Rows(*(np.concatenate((getattr(a, item.name), getattr(b, item.name))) for item in fields(Rows)))


def _take(rows: Rows, index: np.ndarray) -> Rows:
    return Rows(*(getattr(rows, item.name)[index] for item in fields(Rows)))


def _without_missing(path: Path, rows: Rows, options: ReadOptions, report: ReadReport) -> Rows:
    """Rows with a missing value are left out; the hole is then a gap in time, short or long."""
    bad = ~np.isfinite(rows.values)
    if not bad.any():
        return rows
    row, column = np.argwhere(bad)[0]
    if not options.interpolate_s:
        clean = np.flatnonzero(~bad[row:, column])
        run = int(clean[0]) if len(clean) else len(bad) - int(row)
        raise HarError(
            "recording-values",
            f"{path}: column {COLUMNS[column]} is not finite from line {rows.line[row]} on, {run} rows long "
            f"({int(bad.any(axis=1).sum())} such rows); repair it, or interpolate short runs with --interpolate SECONDS",
        )
    good = np.flatnonzero(~bad.any(axis=1))
    report.missing += len(bad) - len(good)
    return _take(rows, good)


def _check_gravity(path: Path, values: np.ndarray, options: ReadOptions) -> None:
    norm = float(np.median(np.linalg.norm(values[:, :3], axis=1)))
    low, high = GRAVITY_RANGE_G
    if not low <= norm <= high:
        cause = "gravity must be included and the unit must be named with --acc-unit"
        if options.acc_unit == "g" and 7.0 < norm < 13.0:
            cause = "it looks like m/s^2: read it with --acc-unit m/s2"
        if options.acc_unit == "m/s2" and 0.08 < norm < 0.13:
            cause = "it looks like g already: leave --acc-unit out"
        raise HarError("recording-units", f"{path}: the median length of total acceleration is {norm:.3g} g, expected about 1 g; {cause}")


def _check_constant(path: Path, report: ReadReport) -> None:
    constant = [COLUMNS[i] for i in np.flatnonzero(report.low == report.high)]
    if constant:
        value = report.low[COLUMNS.index(constant[0])]
        raise HarError(
            "recording-values",
            f"{path}: {', '.join(constant)} is constant ({value:g}) over all {report.rows} rows; the sensor was off or the column is wrong",
        )
