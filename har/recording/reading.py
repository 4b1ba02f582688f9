"""From a file to pieces of one rate in the units of the specification: order, units, gaps and rate are checked, corrected or named."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from har.contract import SAMPLE_RATE_HZ, channels_of, kind_of
from har.errors import HarError
from har.recording.formats import GRAVITY_LENGTHS, median_length
from har.recording.limits import (
    BOTH,
    CLIPPED_LEAST,
    FULL_SCALES_G,
    GYRO_LIMIT_RAD_S,
    LIMITS_TEXT,
    Repeats,
    check_outside,
    in_degrees,
    limits,
    outside,
    slices,
    turning_of,
    whole_runs,
    within,
)
from har.recording.rate import BLOCK, LATE_S, ROUNDING_S, check_still_regular, measure_rate, most_restarts, number_stretches
from har.recording.source import Source, find_source
from har.recording.tables import ACC_UNITS, ReadOptions, Rows, Stream, command, find_streams, read_rows, whole
from har.recording.types import GAP_PERIODS, Recording, columns_of
from har.signals.resampling import StreamResampler

FEWEST_ROWS = 256  # taken at a time, so that rate and units are measured on more than a moment
LONGEST_S = 86_400.0  # times beyond a day are those of a calendar or of the device's start: they are given from the first sample on
GRAVITY_RANGE_G = (0.8, 1.2)  # median |total_acc| of daily activities; 9.8 means m/s^2, near 0 means body acceleration


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
class StreamReport:
    """What was found in the samples of one clock and what was repaired; complete once all pieces were taken.

    Attributes:
        sensors: of the samples.
        rows: number of rows that are used.
        rate_hz: measured sampling rate.
        resampled: whether the samples were brought to `wanted_hz`, the rate that was asked for.
        seconds: covered by the samples.
        out_of_order: number of rows sorted by time, each at most `LATE_S` late; the latest by `latest_s`.
        restarts: where the time goes back by more, so that a new stretch begins.
        duplicates: number of repeated rows left out.
        missing: number of rows with missing values, left out.
        outside: rows outside the physical limits, left out.
        frozen: sensor and first line of the runs in which it repeats one value, left out, and their length in s.
        interpolated_gaps, gaps: number of short gaps that were filled, and of gaps that no window crosses.
    """

    sensors: tuple[str, ...] = BOTH
    wanted_hz: float = SAMPLE_RATE_HZ
    rows: int = 0
    rate_hz: float = float("nan")
    resampled: bool = False
    seconds: float = 0.0
    out_of_order: int = 0
    latest_s: float = 0.0
    restarts: Faults = field(default_factory=Faults)
    duplicates: int = 0
    missing: int = 0
    outside: Faults = field(default_factory=Faults)
    frozen: dict[tuple[str, int], float] = field(default_factory=dict)
    interpolated_gaps: int = 0
    gaps: int = 0

    def __post_init__(self) -> None:
        count = 3 * len(self.sensors)
        self.low, self.high = np.full(count, np.inf), np.full(count, -np.inf)
        self.at_low, self.at_high = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)  # samples at exactly these values

    def add(self, values: np.ndarray) -> None:
        """Take note of (time, channel) samples that are used."""
        self.rows += len(values)
        self.seconds = self.rows / self.rate_hz
        low, high = np.minimum(self.low, values.min(axis=0)), np.maximum(self.high, values.max(axis=0))
        self.at_low = self.at_low * (low == self.low) + (values == low).sum(axis=0)
        self.at_high = self.at_high * (high == self.high) + (values == high).sum(axis=0)
        self.low, self.high = low, high

    def clipping(self) -> str:
        """A phrase about acceleration that clips below the limit; empty where it does not."""
        acc = next((own for sensor, own in slices(self.sensors).items() if kind_of(sensor) == "accelerometer"), slice(0))
        peaks, counts = np.abs(np.concatenate((self.low[acc], self.high[acc]))), np.concatenate((self.at_low[acc], self.at_high[acc]))
        for scale in FULL_SCALES_G:
            clipped = counts[(np.abs(peaks / scale - 1) <= 0.02) & (counts >= CLIPPED_LEAST)].sum()
            if clipped:
                return f"acceleration clips at {scale:g} g ({100 * clipped / self.rows:.2g} % of samples)"
        return ""

    def text(self) -> str:
        """One line: rows, rate, and what was repaired or left out."""
        what = " and ".join(words_of(sensor) for sensor in self.sensors)
        rate = f"{self.rate_hz:.4g} Hz" + (f", resampled to {self.wanted_hz:g} Hz" if self.resampled else "")
        parts = [f"{what}, {self.rows} rows at {rate}"]
        for count, what in (
            (self.out_of_order, f"sorted by time (up to {self.latest_s:.3g} s late)"),
            (self.restarts.count, f"where the time goes back and a new stretch begins: {self.restarts}"),
            (self.duplicates, "repeated and dropped"),
            (self.missing, "with missing values, left out"),
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


def words_of(sensor: str) -> str:
    """What a sensor is called in a sentence."""
    kind = kind_of(sensor)
    words = {"accelerometer": "total acceleration", "linear_acceleration": "acceleration without gravity"}.get(kind, kind)
    return " ".join(filter(None, (sensor.removesuffix(kind).replace("_", " ").strip(), words)))


@dataclass
class ReadReport:
    """What a recording is, what was found in it and what was repaired; complete once all pieces were taken.

    Attributes:
        format: what it was recognised as, such as ``Sensor Logger on Android``.
        streams: of each clock.
    """

    format: str = ""
    streams: list[StreamReport] = field(default_factory=list)

    def text(self) -> str:
        """One line."""
        seconds = max((stream.seconds for stream in self.streams), default=0.0)
        return f"{self.format}, {seconds:.0f} s: {'; '.join(stream.text() for stream in self.streams)}"


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
        report: gets what was found and corrected.
        subject: number of the person.
        options: columns, units, axes, and what may be filled.

    Yields:
        Number of the stretch without a gap, from 0, and the next piece of it.

    Raises:
        HarError: what does not fit, with line and column.
    """
    path, options = Path(path), options or ReadOptions()
    source = find_source(path)
    report.format, streams = find_streams(source, options)
    report.streams[:] = [StreamReport(stream.sensors, options.sample_rate_hz) for stream in streams]
    aligned = len(streams) > 1
    read = [_stream_pieces(stream, own, options, aligned=aligned) for stream, own in zip(streams, report.streams, strict=True)]
    parts = _joined(source, streams, read, options) if aligned else read[0]
    channels = tuple(channel for sensor in options.sensors for channel in channels_of(sensor))
    start_s: float | None = None
    for number, piece in parts:
        first_s = float(piece.time_s[0])
        if start_s is None:
            start_s = first_s if first_s > LONGEST_S else 0.0
        time_s = piece.time_s - start_s if first_s > LONGEST_S else piece.time_s  # a damaged first time does not move the others
        samples = piece.values.astype(np.float32)
        yield number, Recording(path.stem, subject, time_s, samples, piece.labels, options.sample_rate_hz, channels)


@dataclass(frozen=True)
class _Piece:
    """Some samples of a stream at the rate that was asked for."""

    time_s: np.ndarray
    values: np.ndarray  # (time, channel)
    labels: np.ndarray
    epoch: int = 0  # how often the clock was set back before them

    def cut(self, first: int, stop: int | None = None) -> "_Piece":
        own = slice(first, stop)
        return replace(self, time_s=self.time_s[own], values=self.values[own], labels=self.labels[own])


def _joined(
    source: Source, streams: Sequence[Stream], read: Sequence[Iterator[tuple[int, _Piece]]], options: ReadOptions
) -> Iterator[tuple[int, _Piece]]:
    """The samples at the times that all streams have, on a grid of whole periods; the parts of an acceleration are added.

    Raises:
        HarError: the clock of one stream is set back where that of another one goes on, or they have no time in common.
    """
    hz, number = options.sample_rate_hz, -1
    last: tuple[tuple[int, ...], int] = ((), -1)
    begin = [next(pieces, None) for pieces in read]
    if None in begin:
        return  # no stretch of a stream is as long as a sample
    current = [piece for piece in begin if piece is not None]
    while True:
        epoch = max(piece.epoch for _, piece in current)
        first = [round(float(piece.time_s[0]) * hz) if len(piece.time_s) else None for _, piece in current]
        low = max(
            (start for start, (_, piece) in zip(first, current, strict=True) if start is not None and piece.epoch == epoch), default=0
        )
        for place, (stretch, piece) in enumerate(current):
            start = first[place]
            behind = len(piece.time_s) if piece.epoch < epoch or start is None else low - start
            if behind >= len(piece.time_s):
                following = next(read[place], None)
                if following is None:
                    left = [own.epoch for _, own in current]
                    for other, pieces in enumerate(read):  # what follows in the others is not used, unless a clock was set back
                        left[other] = max([left[other], *(own.epoch for _, own in pieces)])
                    if len(set(left)) > 1:
                        raise HarError(
                            "recording-times",
                            f"{source.path}: the clock is set back in {streams[int(np.argmax(left))].name} and not in the other sensors; "
                            "export the sensors with one clock",
                        )
                    if number < 0:
                        what = " and ".join(words_of(sensor) for stream in streams for sensor in stream.sensors)
                        raise HarError(
                            "recording-times", f"{source.path}: {what} have no time in common; export the sensors with one clock"
                        )
                    return
                current[place] = following
                break
            current[place] = stretch, piece.cut(max(0, behind))
        else:
            count = min(len(piece.time_s) for _, piece in current)
            key = tuple(stretch for stretch, _ in current)
            number += (key, low) != last
            last = key, low + count
            parts: dict[str, np.ndarray] = {}
            for stream, (_, piece) in zip(streams, current, strict=True):
                for sensor, own in slices(stream.sensors).items():
                    name = sensor if sensor in options.sensors else whole(sensor)
                    values = piece.values[:count, own]
                    parts[name] = parts[name] + values if name in parts else values
            joined = np.concatenate([parts[sensor] for sensor in options.sensors], axis=1)
            yield number, replace(current[0][1].cut(0, count), values=joined)
            current = [(stretch, piece.cut(count)) for stretch, piece in current]


def _stream_pieces(stream: Stream, report: StreamReport, options: ReadOptions, *, aligned: bool) -> Iterator[tuple[int, _Piece]]:
    """The number of the stretch without a gap, from 0, and the next piece of it."""
    name = stream.name
    number, current = -1, None
    previous_s, previous_stretch = -np.inf, 0
    for rows in _within_limits(stream, _in_order(name, read_rows(stream, options), report), report, options):
        if report.rows == 0:
            rate = measure_rate(name, rows.time_s, wanted_hz=options.sample_rate_hz, least_hz=options.least_rate_hz)
            report.rate_hz, report.resampled = rate.hz, aligned or not rate.regular
        elif not report.resampled:
            check_still_regular(name, rows.time_s, rows.line, options.sample_rate_hz)
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
                number, current = number + 1, _Stretch(report, int(rows.stretch[first]), fill=options.interpolate_s > 0, aligned=aligned)
            assert current is not None
            yield from _pieces(number, current.push(rows.time_s[first:stop], rows.values[first:stop], rows.labels[first:stop]))
        previous_s, previous_stretch = rows.time_s[-1], rows.stretch[-1]
    if current is None:
        if report.frozen:
            sensors = [f"the {sensor}" for sensor in sorted({sensor for sensor, _ in report.frozen})]
            what = f"{' and '.join(sensors)} repeat{'s' * (len(sensors) == 1)} one value over all rows"
            raise HarError("recording-values", f"{name}: {what}; the sensor was off or the column is wrong")
        raise HarError("recording-values", f"{name} has no row without missing values; record again")
    yield from _pieces(number, current.finish())
    _check_constant(name, report)


def _pieces(stretch: int, piece: _Piece) -> Iterator[tuple[int, _Piece]]:
    if len(piece.time_s):
        yield stretch, piece


class _Stretch:
    """Pieces of one stretch without a gap, at the rate that was asked for."""

    def __init__(self, report: StreamReport, epoch: int, *, fill: bool, aligned: bool) -> None:
        self.sensors, self.epoch, self.fill, self.rate_hz = report.sensors, epoch, fill, report.wanted_hz
        self.resampler = StreamResampler(report.rate_hz, report.wanted_hz, aligned=aligned) if report.resampled else None
        self.tail: tuple[np.ndarray, np.ndarray] = (np.empty(0), np.empty((0, 3 * len(self.sensors))))
        self.label_time_s, self.label = np.empty(0), np.empty(0, dtype=np.int64)

    def push(self, time_s: np.ndarray, values: np.ndarray, labels: np.ndarray, *, last: bool = False) -> _Piece:
        self.label_time_s = np.concatenate((self.label_time_s, time_s))
        self.label = np.concatenate((self.label, labels))
        if self.resampler is None:
            time_s, values = self._fill(time_s, values)
        else:
            time_s, values = self.resampler.push(time_s, values, last=last)
            values = within(values, self.sensors)
        at = (np.searchsorted(self.label_time_s, time_s + 1e-9, side="right") - 1).clip(0)
        found = self.label[at]
        if len(at):
            self.label_time_s, self.label = self.label_time_s[at[-1] :], self.label[at[-1] :]
        return _Piece(time_s, values, found, self.epoch)

    def finish(self) -> _Piece:
        return self.push(np.empty(0), np.empty((0, 3 * len(self.sensors))), np.empty(0, dtype=np.int64), last=True)

    def _fill(self, time_s: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Put interpolated samples into short gaps; everything else stays as it is."""
        if not self.fill:
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


def _in_order(name: str, parts: Iterator[Rows], report: StreamReport) -> Iterator[Rows]:
    """Rows sorted by time within their stretch, without repeated times.

    A row more than `LATE_S` late begins a new stretch in file order, so that two moments are never mixed.
    """
    held: Rows | None = None
    stretch, newest_s = 0, -np.inf
    for part, last in _with_last(parts):
        if not np.isfinite(part.time_s).all():
            raise HarError(
                "recording-times", f"{name}: the time in line {part.line[np.argmin(np.isfinite(part.time_s))]} is not a finite number"
            )
        number, late_s = number_stretches(part.time_s, newest_s)
        first = np.diff(number, prepend=0) != 0
        if number[-1] > most_restarts(len(number)):
            raise HarError(
                "recording-times",
                f"{name}: {number[-1]} or more of {len(number)} rows are more than {LATE_S:g} s late, the first in line "
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
        _check_shared_times(name, joined, keep)
        joined = _take(joined, keep)
        is_ready = (joined.stretch < stretch) | (joined.time_s < newest_s - LATE_S - ROUNDING_S)  # nothing sorted can come before these
        if last:
            is_ready[:] = True
        elif is_ready.sum() < FEWEST_ROWS:
            is_ready[:] = False
        held = _take(joined, ~is_ready)
        if is_ready.any():
            yield _take(joined, is_ready)


def _within_limits(stream: Stream, parts: Iterator[Rows], report: StreamReport, options: ReadOptions) -> Iterator[Rows]:
    """Rows in g and rad/s, without those that have missing values or break a physical limit: their times are left as gaps."""
    name, sensors = stream.name, report.sensors
    repeats, held, held_s = Repeats(sensors), None, np.empty((0, len(sensors)))
    begins = dict.fromkeys(sensors, 0)  # line of the first row of the run that a sensor is in
    units_known = False
    for part, last in _with_last(parts):
        part = _without_missing(name, part, report)
        if len(part.line) > 1 and not units_known:
            _check_units(stream, part.values, options)
            units_known = True
        part = _without_outside(name, part, report)
        seconds = np.concatenate((held_s, repeats.push(part.time_s, part.values)))
        rows = part if held is None else _join(held, part)
        if not len(rows.line):
            continue
        is_frozen = whole_runs(seconds)
        ready = len(rows.line)
        for number, sensor in enumerate(sensors):
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


def _without_outside(name: str, rows: Rows, report: StreamReport) -> Rows:
    broken = outside(rows.values, report.sensors)
    if not broken.any():
        return rows
    first = f"line {rows.line[np.argmax(broken)]}"
    check_outside(rows.values, broken, f"{name}:", "read it with --gyro-unit deg/s", first, report.sensors)
    for row in np.flatnonzero(broken):
        column = int(np.argmax(np.abs(rows.values[row]) / limits(report.sensors)))
        report.outside.add(f"line {rows.line[row]} ({columns_of(report.sensors)[column]} is {rows.values[row, column]:.4g})")
    return _take(rows, ~broken)


def _check_shared_times(name: str, rows: Rows, keep: np.ndarray) -> None:
    """A row that stands twice is dropped; other values at the time of the row before are samples that would be lost."""
    other = ~keep
    other[1:] &= (rows.values[1:] != rows.values[:-1]).any(axis=1)
    if other.sum() > 1 + len(rows.time_s) / BLOCK:
        raise HarError(
            "recording-times",
            f"{name}: {int(other.sum())} of {len(rows.time_s)} rows have the time of the row before and other values, the first in line "
            f"{rows.line[np.argmax(other)]}; expected the time at which each was measured: use the sensor's own times, with all digits",
        )


def _join(a: Rows, b: Rows) -> Rows:
    return Rows(*(np.concatenate((getattr(a, item.name), getattr(b, item.name))) for item in fields(Rows)))


def _take(rows: Rows, index: np.ndarray) -> Rows:
    return Rows(*(getattr(rows, item.name)[index] for item in fields(Rows)))


def _without_missing(name: str, rows: Rows, report: StreamReport) -> Rows:
    """Rows with a missing value are left out; the hole is then a gap in time, short or long."""
    bad = ~np.isfinite(rows.values).all(axis=1)
    report.missing += int(bad.sum())
    return _take(rows, ~bad) if bad.any() else rows


def _check_units(stream: Stream, values: np.ndarray, options: ReadOptions) -> None:
    """Refuse (row, channel) values that are in other units, with the whole command."""
    if not len(values):
        return
    found, added = [], []
    own = next((part for name, part in slices(stream.sensors).items() if kind_of(name) in ("accelerometer", "gravity")), None)
    length = 1.0 if own is None else median_length(values[:, own])
    low, high = GRAVITY_RANGE_G
    if not low <= length <= high:
        unit = next(sensor.unit for sensor in stream.layout.sensors if kind_of(sensor.sensor) != "gyroscope") or "g"
        raw = length / ACC_UNITS[unit]
        likely = next((other for other, (least, most) in GRAVITY_LENGTHS.items() if least < raw < most and other != unit), None)
        cause = f"it looks like {likely}" if likely else "gravity must be included and the unit must be named with --acc-unit"
        found.append(f"the median length of total acceleration is {length:.3g} g, expected about 1 g; {cause}")
        added += ["--acc-unit", likely] if likely else []
    turning = turning_of(values, stream.sensors)
    if in_degrees(turning):
        read_as = next(sensor.unit for sensor in stream.layout.sensors if kind_of(sensor.sensor) == "gyroscope")
        cause = "it looks like deg/s" if read_as == "rad/s" else f"its unit is not {read_as}, divide it before"
        found.append(f"the gyroscope reaches {turning.max():.4g} rad/s, expected at most {GYRO_LIMIT_RAD_S:g}; {cause}")
        added += ["--gyro-unit", "deg/s"] if read_as == "rad/s" else []
    if found:
        typed = f"; type: {command(stream.source, options, added)}" if added else ""
        raise HarError("recording-units", f"{stream.name}: {'; '.join(found)}{typed}")


def _check_constant(name: str, report: StreamReport) -> None:
    same = np.flatnonzero(report.low == report.high)
    if len(same):
        constant, value = [columns_of(report.sensors)[channel] for channel in same], report.low[same[0]]
        raise HarError(
            "recording-values",
            f"{name}: {', '.join(constant)} is constant ({value:g}) over all {report.rows} rows; the sensor was off or the column is wrong",
        )
