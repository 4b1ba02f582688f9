"""From a file to 50 Hz pieces in the signal contract: order, units, gaps and rate are checked, mended or named."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from har.contract import RAW6, SAMPLE_RATE_HZ, WINDOW_SIZE, HarError
from har.recording.options import ReadOptions
from har.recording.rate import check_still_regular, measure_rate
from har.recording.tables import Rows, read_rows
from har.recording.types import COLUMNS, GAP_PERIODS, Recording
from har.signals.resampling import StreamResampler

LATE_S = 5.0  # rows may stand this much too late in the file
FEWEST_ROWS = 256  # taken at a time, so that rate and units are measured on more than a moment
GRAVITY_RANGE_G = (0.8, 1.2)  # median |total_acc| of a person's day; 9.8 means m/s^2, near 0 means body acceleration
GYRO_MAX_RAD_S = 40.0  # the usual full scale of 2000 deg/s is 34.9 rad/s


@dataclass
class ReadReport:
    """What was found and mended; complete once all pieces were taken."""

    rows: int = 0
    rate_hz: float = float("nan")
    resampled: bool = False
    out_of_order: int = 0
    duplicates: int = 0
    missing: int = 0
    interpolated_gaps: int = 0
    gaps: int = 0
    low: np.ndarray = field(default_factory=lambda: np.full(len(RAW6), np.inf))
    high: np.ndarray = field(default_factory=lambda: np.full(len(RAW6), -np.inf))

    def text(self) -> str:
        """One line: rows, rate, and what was mended."""
        parts = [f"{self.rows} rows at {self.rate_hz:.4g} Hz" + (f", resampled to {SAMPLE_RATE_HZ:g} Hz" if self.resampled else "")]
        for count, what in (
            (self.out_of_order, "rows sorted by time"),
            (self.duplicates, "repeated rows dropped"),
            (self.missing, "rows with missing values interpolated"),
            (self.interpolated_gaps, "short gaps interpolated"),
            (self.gaps, "gaps, which no window crosses"),
        ):
            if count:
                parts.append(f"{count} {what}")
        return "; ".join(parts)


def read_recording(path: Path | str, *, subject: int = 0, options: ReadOptions | None = None) -> Recording:
    """Read, check and mend a whole recording; see `read_pieces`."""
    pieces = [piece for _, piece in read_pieces(path, ReadReport(), subject=subject, options=options)]
    time_s, samples, labels = (np.concatenate([getattr(p, name) for p in pieces]) for name in ("time_s", "samples", "labels"))
    return Recording(Path(path).stem, subject, time_s, samples, labels)


def read_pieces(
    path: Path | str, report: ReadReport, *, subject: int = 0, options: ReadOptions | None = None
) -> Iterator[tuple[int, Recording]]:
    """Read a recording piece by piece, so that a file may be larger than memory.

    A file that is 50 Hz within 2 % and regular keeps its samples as they are; another is resampled with an anti-alias
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
    stretch, current = -1, None
    previous_s = -np.inf
    for rows in _in_order(path, read_rows(path, options), report):
        rows = _without_missing(path, rows, options, report)
        if not len(rows.time_s):
            continue
        values = options.to_contract(rows.values)
        if report.rows == 0:
            rate = measure_rate(path, rows.time_s)
            report.rate_hz, report.resampled = rate.hz, not rate.regular
            _check_gravity(path, values, options)
        elif not report.resampled:
            check_still_regular(path, rows.time_s, rows.line)
        _check_gyro(path, values)
        report.rows += len(values)
        report.low, report.high = np.minimum(report.low, values.min(axis=0)), np.maximum(report.high, values.max(axis=0))
        longest = max(GAP_PERIODS / min(report.rate_hz, SAMPLE_RATE_HZ), options.interpolate_s)
        step = np.diff(rows.time_s, prepend=previous_s)
        short = (step > GAP_PERIODS / report.rate_hz) & (step <= longest)
        report.interpolated_gaps += int(short.sum())
        cuts = np.flatnonzero(step > longest).tolist()
        for first, stop in pairwise([*sorted({0, *cuts}), len(values)]):
            if first in cuts:
                if current is not None:
                    yield from _pieces(stretch, current.finish())
                    report.gaps += 1
                stretch, current = stretch + 1, _Stretch(path.stem, subject, report, mend=options.interpolate_s > 0)
            assert current is not None
            yield from _pieces(stretch, current.push(rows.time_s[first:stop], values[first:stop], rows.labels[first:stop]))
        previous_s = rows.time_s[-1]
    if current is None:
        raise HarError(f"{path} has no row without missing values; record again")
    yield from _pieces(stretch, current.finish())
    _check_constant(path, report)


def _pieces(stretch: int, piece: Recording) -> Iterator[tuple[int, Recording]]:
    if len(piece.time_s):
        yield stretch, piece


class _Stretch:
    """Pieces of one stretch without a gap, at 50 Hz."""

    def __init__(self, name: str, subject: int, report: ReadReport, *, mend: bool) -> None:
        self.name, self.subject, self.mend = name, subject, mend
        self.resampler = StreamResampler(report.rate_hz, SAMPLE_RATE_HZ) if report.resampled else None
        self.tail: tuple[np.ndarray, np.ndarray] = (np.empty(0), np.empty((0, len(RAW6))))
        self.label_time_s, self.label = np.empty(0), np.empty(0, dtype=np.int64)

    def push(self, time_s: np.ndarray, values: np.ndarray, labels: np.ndarray) -> Recording:
        self.label_time_s = np.concatenate((self.label_time_s, time_s))
        self.label = np.concatenate((self.label, labels))
        if self.resampler is None:
            return self._recording(*self._fill(time_s, values))
        return self._recording(*self.resampler.push(time_s, values))

    def finish(self) -> Recording:
        if self.resampler is None:
            return self._recording(np.empty(0), np.empty((0, len(RAW6))))
        return self._recording(*self.resampler.push(np.empty(0), np.empty((0, len(RAW6))), last=True))

    def _fill(self, time_s: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Put interpolated samples into short gaps; everything else stays as it is."""
        if not self.mend:
            return time_s, values
        known = len(self.tail[0])  # 0 or 1 sample of the piece before
        all_s, everything = np.concatenate((self.tail[0], time_s)), np.concatenate((self.tail[1], values))
        self.tail = (all_s[-1:], everything[-1:])
        step = np.diff(all_s)
        extra = (np.rint(step * SAMPLE_RATE_HZ).astype(np.int64) - 1).clip(0) * (step > 1.5 / SAMPLE_RATE_HZ)
        if extra.any():
            added = [np.linspace(all_s[i], all_s[i + 1], extra[i] + 2)[1:-1] for i in np.flatnonzero(extra)]
            grid_s = np.sort(np.concatenate((all_s, *added)))
            everything = np.stack([np.interp(grid_s, all_s, everything[:, c]) for c in range(everything.shape[1])], axis=1)
            all_s = grid_s
        return all_s[known:], everything[known:]

    def _recording(self, time_s: np.ndarray, values: np.ndarray) -> Recording:
        labels = np.empty(0, dtype=np.int64)
        if len(time_s):
            at = (np.searchsorted(self.label_time_s, time_s + 1e-9, side="right") - 1).clip(0)
            labels = self.label[at]
            self.label_time_s, self.label = self.label_time_s[at[-1] :], self.label[at[-1] :]
        return Recording(self.name, self.subject, time_s, values.astype(np.float32), labels)


def _in_order(path: Path, parts: Iterator[Rows], report: ReadReport) -> Iterator[Rows]:
    """Rows sorted by time, without repeated times. A row may be up to `LATE_S` too late."""
    held: Rows | None = None
    done_s = -np.inf
    for part in parts:
        if not np.isfinite(part.time_s).all():
            raise HarError(f"{path}: the time in line {part.line[np.argmin(np.isfinite(part.time_s))]} is not a finite number")
        late = part.time_s <= done_s
        if late.any():
            raise HarError(f"{path}: line {part.line[np.argmax(late)]} is out of order by more than {LATE_S:g} s; sort the rows by time")
        joined = part if held is None else _join(held, part)
        report.out_of_order += int((np.diff(joined.time_s) < 0).sum())
        order = np.argsort(joined.time_s, kind="stable")
        joined = _take(joined, order)
        keep = np.diff(joined.time_s, prepend=-np.inf) > 0
        report.duplicates += int((~keep).sum())
        _check_shared_times(path, joined, keep)
        joined = _take(joined, np.flatnonzero(keep))
        ready = int(np.searchsorted(joined.time_s, joined.time_s[-1] - LATE_S, side="right"))
        ready = ready if ready >= FEWEST_ROWS else 0
        held = _take(joined, np.arange(ready, len(joined.time_s)))
        if ready:
            done_s = float(joined.time_s[ready - 1])
            yield _take(joined, np.arange(ready))
    if held is not None and len(held.time_s):
        yield held


def _check_shared_times(path: Path, rows: Rows, keep: np.ndarray) -> None:
    """A row that stands twice is dropped; other values at the time of the row before are samples that would be lost."""
    other = ~keep
    other[1:] &= (rows.values[1:] != rows.values[:-1]).any(axis=1)
    if other.sum() > 1 + len(rows.time_s) / WINDOW_SIZE:
        raise HarError(
            f"{path}: {int(other.sum())} of {len(rows.time_s)} rows have the time of the row before and other values, the first in line "
            f"{rows.line[np.argmax(other)]}; expected the time at which each was measured: use the sensor's own times, with all digits"
        )


def _join(a: Rows, b: Rows) -> Rows:
    return Rows(*(np.concatenate((getattr(a, n), getattr(b, n))) for n in ("line", "time_s", "values", "labels")))


def _take(rows: Rows, index: np.ndarray) -> Rows:
    return Rows(rows.line[index], rows.time_s[index], rows.values[index], rows.labels[index])


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
            f"{path}: column {COLUMNS[column]} is not finite from line {rows.line[row]} on, {run} rows long "
            f"({int(bad.any(axis=1).sum())} such rows); repair it, or interpolate short runs with --interpolate SECONDS"
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
        raise HarError(f"{path}: the median length of total acceleration is {norm:.3g} g, expected about 1 g; {cause}")


def _check_gyro(path: Path, values: np.ndarray) -> None:
    peak = float(np.abs(values[:, 3:]).max())
    if peak > GYRO_MAX_RAD_S:
        raise HarError(
            f"{path}: the gyroscope reaches {peak:.4g} rad/s, expected at most {GYRO_MAX_RAD_S:g}; it looks like deg/s: "
            "read it with --gyro-unit deg/s"
        )


def _check_constant(path: Path, report: ReadReport) -> None:
    constant = [COLUMNS[i] for i in np.flatnonzero(report.low == report.high)]
    if constant:
        value = report.low[COLUMNS.index(constant[0])]
        raise HarError(
            f"{path}: {', '.join(constant)} is constant ({value:g}) over all {report.rows} rows; the sensor was off or the column is wrong"
        )
