"""What is in a recording: sensors, stretches, the direction of gravity, and its signals in few points for a plot. Memory is bounded."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from har.contract import AXES, kind_of
from har.recording.formats import recognise
from har.recording.limits import slices
from har.recording.reading import ReadReport, read_pieces, words_of
from har.recording.source import find_source
from har.recording.tables import ReadOptions, sensors_in
from har.recording.types import Recording

MOST_BINS = 2000  # of a plot: more than it has dots
POSTURE_S = 2.56  # over which the direction of gravity is taken


class Envelope:
    """Smallest and largest values of each channel in bins of time, at most `MOST_BINS` of them however long a recording is.

    Attributes:
        bin_s: length of a bin, s; it doubles when there are too many.
    """

    def __init__(self) -> None:
        self.bin_s = 0.02
        self._bins: dict[int, np.ndarray] = {}  # (2, channel) low and high, by number of the bin

    def add(self, time_s: np.ndarray, samples: np.ndarray) -> None:
        """Take (time,) times in s and (time, channel) samples."""
        if not len(time_s):
            return
        numbers = np.floor(time_s / self.bin_s).astype(np.int64)
        first = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
        low, high = np.minimum.reduceat(samples, first), np.maximum.reduceat(samples, first)
        for number, pair in zip(numbers[first].tolist(), np.stack((low, high), axis=1), strict=True):
            self._merge(number, pair)
        while len(self._bins) > MOST_BINS:
            old, self._bins, self.bin_s = self._bins, {}, 2 * self.bin_s
            for number, pair in old.items():
                self._merge(number // 2, pair)

    def _merge(self, number: int, pair: np.ndarray) -> None:
        known = self._bins.get(number, pair)
        self._bins[number] = np.stack((np.minimum(known[0], pair[0]), np.maximum(known[1], pair[1])))

    def curves(self) -> tuple[np.ndarray, np.ndarray]:
        """(point,) times in s and (point, channel) values that run through the low and the high of each bin, NaN where nothing is."""
        numbers = np.array(sorted(self._bins))
        times, values = [], []
        for place, number in enumerate(numbers.tolist()):
            if place and number - numbers[place - 1] > 1 + 0.1 / self.bin_s:
                times.append((number - 0.5) * self.bin_s)
                values.append(np.full(self._bins[number].shape[1], np.nan))
            times += [number * self.bin_s, (number + 0.5) * self.bin_s]
            values += list(self._bins[number])
        return np.array(times), np.array(values)


@dataclass
class Inspection:
    """What was found in a recording; complete once all pieces were added.

    Attributes:
        sensors: of the samples.
        report: what was understood and left out.
        stretches: begin and end of each stretch without a gap, s.
        up_s: seconds in which each signed axis, such as ``-z``, pointed up the most.
        envelope: of the signals.
    """

    sensors: tuple[str, ...]
    report: ReadReport = field(default_factory=ReadReport)
    stretches: list[tuple[float, float]] = field(default_factory=list)
    up_s: dict[str, float] = field(default_factory=dict)
    envelope: Envelope = field(default_factory=Envelope)
    channels: tuple[str, ...] = ()
    _last: int = -1

    def add(self, stretch: int, piece: Recording) -> None:
        """Take the next piece of a stretch, of which `read_pieces` gives the number."""
        if not len(piece.time_s):
            return
        period_s = 1 / piece.sample_rate_hz
        self.channels = piece.channels
        begin_s = float(piece.time_s[0]) if stretch != self._last else self.stretches.pop()[0]
        self._last = stretch
        self.stretches.append((begin_s, float(piece.time_s[-1]) + period_s))
        self.envelope.add(piece.time_s, piece.samples)
        acc = next((own for name, own in slices(self.sensors).items() if kind_of(name) in ("accelerometer", "gravity")), None)
        for first in range(0, len(piece.time_s), block := round(POSTURE_S * piece.sample_rate_hz)) if acc is not None else ():
            mean = piece.samples[first : first + block, acc].mean(axis=0)
            axis = int(np.abs(mean).argmax())
            name = ("-" if mean[axis] < 0 else "") + AXES[axis]
            self.up_s[name] = self.up_s.get(name, 0.0) + min(block, len(piece.time_s) - first) * period_s

    def facts(self) -> dict[str, Any]:
        """For machines: sensors, rates, stretches and what was left out."""
        streams = [
            {
                "sensors": list(stream.sensors),
                "rows": stream.rows,
                "rate_hz": stream.rate_hz,
                "gaps": stream.gaps,
                "missing": stream.missing,
                "outside": stream.outside.count,
                "repeated": stream.duplicates,
                "out_of_order": stream.out_of_order,
                "clock_set_back": stream.restarts.count,
                "frozen_s": sum(stream.frozen.values()),
                "clipping": stream.clipping(),
            }
            for stream in self.report.streams
        ]
        stretches = [{"from_s": begin_s, "to_s": end_s} for begin_s, end_s in self.stretches]
        return {"format": self.report.format, "streams": streams, "stretches": stretches, "up_s": self.up_s}

    def lines(self) -> list[str]:
        """The lines that the command line prints."""
        found = [f"used: {stream.text()}" for stream in self.report.streams]
        shown = [f"{begin_s:.2f} s to {end_s:.2f} s ({(end_s - begin_s) / 60:.2f} min)" for begin_s, end_s in self.stretches[:10]]
        more = len(self.stretches) - len(shown)
        found.append(f"stretches without a gap: {len(self.stretches)}")
        found += [f"  {text}" for text in shown] + [f"  and {more} more"] * (more > 0)
        if self.up_s:
            total = sum(self.up_s.values())
            parts = sorted(self.up_s.items(), key=lambda item: -item[1])
            found.append("the axis that points up: " + ", ".join(f"{name} {100 * seconds / total:.0f} %" for name, seconds in parts))
        elif not any(kind_of(sensor) == "accelerometer" for sensor in self.sensors):
            found.append("no acceleration with gravity, which the models need: " + ", ".join(words_of(sensor) for sensor in self.sensors))
        return found


def understood(path: Path, options: ReadOptions) -> list[str]:
    """The tables of a recording, a line each: sensors, units and times as their names say them, before anything is read.

    Raises:
        HarError: it cannot be read, or no column is known as a sensor's.
    """
    found = recognise(find_source(path), options.columns)
    lines = [found.name]
    for layout in found.layouts:
        names, parts = layout.head.names, []
        for sensor in layout.sensors:
            columns = ", ".join(names[column] if column < len(names) else str(column + 1) for column in sensor.columns)
            parts.append(f"{words_of(sensor.sensor)} in {sensor.unit or '?'}{', iOS sign' * (sensor.sign < 0)} ({columns})")
        clock = "no times"
        if layout.clock is not None:
            unit = {"text": "text", None: "a unit that their steps tell"}.get(layout.clock.unit, layout.clock.unit)
            clock = f"times in {unit} ({names[layout.clock.column]})"
        lines.append(f"  {layout.head.member or layout.head.file}: {'; '.join(parts)}; {clock}")
    return lines


def inspect_recording(path: Path, options: ReadOptions) -> Inspection:
    """Read all sensors of a recording once.

    Args:
        path: file, folder or zip archive.
        options: how it is read; its sensors and least rate are replaced by what is there.

    Raises:
        HarError: it cannot be read as it is; with the whole command where something has to be said.
    """
    sensors = sensors_in(find_source(path), options)
    found = Inspection(sensors)
    for stretch, piece in read_pieces(path, found.report, options=replace(options, sensors=sensors, least_rate_hz=1.0, labels=False)):
        found.add(stretch, piece)
    return found
