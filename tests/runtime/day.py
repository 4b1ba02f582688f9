"""A person's day as a phone delivers it, in batches of any length and with everything that goes wrong; and what a batch answers on it.

Shared by ``test_day.py`` (minutes) and ``benchmarks/faults/day_stream.py`` (24 hours).
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from har.contract import SAMPLE_RATE_HZ, STRIDE, WINDOW_SIZE
from har.errors import HarError
from har.recording import Recording
from har.recording.rate import LATE_S, ROUNDING_S, measure_rate
from har.recording.types import GAP_PERIODS
from har.runtime.recognizer import Recognizer
from har.runtime.stream import Answer
from har.signals.resampling import StreamResampler
from har.signals.windows import window_starts

# How often in 24 hours.
FAULTS = {
    "lost sample": 200,
    "short gap": 100,  # 3 to 50 samples
    "long gap": 30,  # a second to three hours
    "jitter": 40,  # 10 to 60 s of it
    "late burst": 60,  # 3 to 30 s in one delivery
    "sample twice": 100,
    "sample late": 60,  # behind one to three younger ones
    "not a number": 60,  # one to five samples
    "repeated delivery": 20,
    "clock forward": 10,
    "clock back": 10,
    "restart": 12,
}
JITTER_S, STRONG_JITTER_S = 3e-4, 3e-3  # largest, either way
QUIET = (1 / 6, 11 / 12)  # shares of the day: without a restart between them, so that growth of memory is seen
PAGE_MEASURES_S, PAGE_GRAVITY_G = 2.0, (0.8, 1.2)  # before the web page's live stream answers: export/web/src/live.js, checks.js


@dataclass(frozen=True)
class Day:
    """Samples in the order of their delivery.

    Attributes:
        time_s: (sample,) of measurement, by the phone's clock.
        values: (sample, 6) float32, g and rad/s.
        counts: (delivery,) samples of each.
        restarts: (delivery,) whether the app was started anew before it.
        faults: kind, and number of the sample in which it shows first.
    """

    time_s: np.ndarray
    values: np.ndarray
    counts: np.ndarray
    restarts: np.ndarray
    faults: list[tuple[str, int]]

    def deliveries(self) -> Iterator[tuple[bool, np.ndarray, np.ndarray]]:
        """Of each: whether the app was started anew before it, times, values."""
        ends = np.cumsum(self.counts)
        for restart, first, stop in zip(self.restarts, ends - self.counts, ends, strict=True):
            yield bool(restart), self.time_s[first:stop], self.values[first:stop]

    def runs(self) -> np.ndarray:
        """(sample,) how often the app had been started anew."""
        return np.repeat(np.cumsum(self.restarts), self.counts)


def live_through(recordings: list[Recording], samples: int, seed: int, *, hz: float = SAMPLE_RATE_HZ, often: float = 1.0) -> Day:
    """A day made of recordings in random order.

    Args:
        recordings: at 50 Hz.
        samples: measured in that day.
        seed: of everything.
        hz: the phone's rate; samples of another than 50 Hz are interpolated.
        often: factor on `FAULTS`, of which each happens once at least.
    """
    rng = np.random.default_rng(seed)
    share = often * samples / (24 * 3600 * hz)
    faults = []
    for kind, count in FAULTS.items():
        places = rng.uniform(0.01, 0.99, max(1, round(count * share)))
        if kind == "restart":
            places *= 1 - (QUIET[1] - QUIET[0])
            places[places > QUIET[0]] += QUIET[1] - QUIET[0]
        faults += [(kind, int(place * samples)) for place in places]
    values = _joined(recordings, samples, hz, rng)
    time_s = _times(samples, hz, faults, rng)
    for at in _places(faults, "not a number"):
        values[at : at + rng.integers(1, 6), rng.integers(0, 6)] = np.nan
    parts, restarts = _delivered(samples, hz, faults, rng)
    order = np.concatenate(parts)
    seen = np.empty(samples, dtype=np.int64)
    seen[order[::-1]] = np.arange(len(order))[::-1]  # where a sample is delivered first
    shown = sorted(((kind, int(seen[at])) for kind, at in faults), key=lambda fault: fault[1])
    return Day(time_s[order], values[order], np.array([len(part) for part in parts]), np.array(restarts), shown)


def _places(faults: list[tuple[str, int]], kind: str) -> list[int]:
    return [at for found, at in faults if found == kind]


def _joined(recordings: list[Recording], samples: int, hz: float, rng: np.random.Generator) -> np.ndarray:
    """(sample, 6) float32 of recordings one behind the other."""
    parts, count = [], 0
    while count < samples:
        recording = recordings[rng.integers(len(recordings))]
        values = recording.samples
        if hz != SAMPLE_RATE_HZ:
            at_s = np.arange(recording.time_s[0], recording.time_s[-1], 1 / hz)
            values = np.stack([np.interp(at_s, recording.time_s, column) for column in values.T], axis=1)
        parts.append(values.astype(np.float32))
        count += len(values)
    return np.concatenate(parts)[:samples]


def _times(samples: int, hz: float, faults: list[tuple[str, int]], rng: np.random.Generator) -> np.ndarray:
    """(sample,) s: the phone's clock, with what it jumps and by how much its stamps are off."""
    jumps = {
        "lost sample": lambda: 1 / hz,
        "short gap": lambda: rng.integers(3, 51) / hz,
        "long gap": lambda: np.exp(rng.uniform(0.0, np.log(3 * 3600.0))),
        "clock forward": lambda: rng.uniform(1.0, 3600.0),
        "clock back": lambda: -rng.uniform(0.2, 3600.0),
        "restart": lambda: rng.uniform(2.0, 60.0),
    }
    jump_s, jitter_s = np.zeros(samples), np.full(samples, JITTER_S)
    for kind, at in faults:
        if kind in jumps:
            jump_s[at] += jumps[kind]()
        elif kind == "jitter":
            jitter_s[at : at + int(rng.uniform(10, 60) * hz)] = STRONG_JITTER_S
    return 100.0 + np.arange(samples) / hz + np.cumsum(jump_s) + jitter_s * rng.uniform(-1.0, 1.0, samples)


def _delivered(samples: int, hz: float, faults: list[tuple[str, int]], rng: np.random.Generator) -> tuple[list[np.ndarray], list[bool]]:
    """Numbers of the samples of each delivery; whether the app was started anew before it."""
    order = np.arange(samples)
    for at in _places(faults, "sample late"):
        stop = at + int(rng.integers(2, 5))
        order[at:stop] = np.roll(order[at:stop], -1)
    edges = np.cumsum(rng.choice([1, 5, 25, 50, 100], size=samples // 10, p=[0.3, 0.2, 0.3, 0.15, 0.05]))
    bursts = [(at, at + int(rng.uniform(3, 30) * hz)) for at in _places(faults, "late burst")]
    for first, stop in bursts:
        edges = np.concatenate((edges[(edges < first) | (edges > stop)], [first, stop]))
    anew = _places(faults, "restart")
    edges = np.unique(np.concatenate((edges, anew)).astype(np.int64))
    edges = edges[(edges > 0) & (edges < samples)]
    parts, starts = np.split(order, edges), np.concatenate(([0], edges))
    twice = set(_places(faults, "sample twice"))
    for at in twice:
        number = int(np.searchsorted(starts, at, side="right")) - 1
        place = at - int(starts[number])
        parts[number] = np.insert(parts[number], place, parts[number][place])
    repeated = {int(np.searchsorted(starts, at, side="right")) - 1 for at in _places(faults, "repeated delivery")}
    times = [2 if number in repeated else 1 for number in range(len(parts))]
    restarts = [int(starts[n]) in anew and again == 0 for n, count in enumerate(times) for again in range(count)]
    return [part for part, count in zip(parts, times, strict=True) for _ in range(count)], restarts


class App:
    """An app around the Python runtime: it leaves out samples that are not numbers, and nothing else.

    Attributes:
        refused: deliveries that held such samples.
    """

    def __init__(self, recognizer: Recognizer, source_hz: float | None = None) -> None:
        self.stream, self.refused = recognizer.open_stream(source_hz), 0

    def take(self, time_s: np.ndarray, values: np.ndarray) -> list[Answer]:
        """Answers that a delivery completes."""
        try:
            return self.stream.push(values, time_s)
        except HarError:
            self.refused += 1
            finite = np.isfinite(values).all(axis=1)
            return self.stream.push(values[finite], time_s[finite])


class Taken:
    """What a stream takes of a run: stretches without a gap, and the windows that it cuts out of them, as numbers of samples.

    Args:
        day: as it was delivered.
        sorts: whether a sample that comes after the next delivery has begun is still put into its place.
    """

    def __init__(self, day: Day, *, sorts: bool) -> None:
        self.time_s, self.sorts = day.time_s, sorts
        self.stretches: list[list[int]] = []
        self.windows: list[list[np.ndarray]] = []
        self._cut, self._recent = 0, list[int]()

    def deliver(self, numbers: np.ndarray) -> None:
        """Take the samples of a delivery."""
        own = self.stretches[-1] if self.stretches else []
        old = [n for n in numbers if own and self.time_s[n] <= self.time_s[own[-1]]]
        known = {self.time_s[n] for n in self._recent[-WINDOW_SIZE:]}
        if all(self.time_s[n] in known for n in old):
            numbers = np.array([n for n in numbers if n not in set(old)], dtype=np.int64)
        newest_s = self.time_s[own[-1]] if own else -np.inf
        groups: list[list[int]] = [[]]
        for n in numbers:
            if self.time_s[n] < newest_s - LATE_S - ROUNDING_S:
                groups.append([])
                newest_s = -np.inf
            newest_s = max(newest_s, self.time_s[n])
            groups[-1].append(n)
        for number, group in enumerate(groups):
            group = sorted(dict.fromkeys(group), key=lambda n: self.time_s[n])
            if number or not self.stretches:
                self._begin()
            for n in group:
                self._take(int(n))

    def _begin(self) -> None:
        self.stretches.append([])
        self.windows.append([])
        self._cut = 0

    def _take(self, n: int) -> None:
        own = self.stretches[-1]
        step = self.time_s[n] - self.time_s[own[-1]] if own else 0.0
        if step > GAP_PERIODS / SAMPLE_RATE_HZ:
            self._begin()
            own = self.stretches[-1]
        elif own and step == 0:
            return
        elif step < 0:
            first = self._cut * STRIDE
            if not self.sorts or first >= len(own) or self.time_s[n] <= self.time_s[own[first]]:
                return
        insort(own, n, key=lambda n: self.time_s[n])
        self._recent = [*self._recent[-WINDOW_SIZE:], n]
        while len(own) >= self._cut * STRIDE + WINDOW_SIZE:
            self.windows[-1].append(np.array(own[self._cut * STRIDE : self._cut * STRIDE + WINDOW_SIZE]))
            self._cut += 1


@dataclass(frozen=True)
class Expected:
    """What a batch answers: a row a window, in the order of delivery.

    Attributes:
        run: (window,) how often the app had been started anew.
        from_s, to_s: (window,) its first sample, and the end of its last.
        begins: (window,) number of the first sample of its stretch.
        resampled: (window,) whether its samples are not those of the phone.
        probabilities: (window, num_classes).
    """

    run: np.ndarray
    from_s: np.ndarray
    to_s: np.ndarray
    begins: np.ndarray
    resampled: np.ndarray
    probabilities: np.ndarray


def batch_answers(recognizer: Recognizer, day: Day, *, source_hz: float | None = None, page: bool = False) -> Expected:
    """Answers of `Recognizer.predict_pieces` on the whole stretches of a day.

    Args:
        recognizer: that answers.
        day: as it was delivered.
        source_hz: as the stream of the app is opened.
        page: with the stretches of the web page, each at the rate that it measures.
    """
    columns: list[list[np.ndarray]] = [[] for _ in range(6)]
    for run, taken in enumerate(taken_of(day, sorts=source_hz is None)):
        mounting = recognizer.start_mounting()
        for stretch, windows in zip(taken.stretches, taken.windows, strict=True):
            part, hz = np.array(stretch), source_hz
            time_s, values = day.time_s[part], day.values[part]
            if page:
                first, hz = _measured(time_s, values)
                part, time_s, values = part[first:], time_s[first:], values[first:]
                windows = windows if not first else list(part[_cuts(len(part), recognizer)])
            if hz is not None and len(part):
                time_s, values = StreamResampler(hz, SAMPLE_RATE_HZ).push(time_s, values, last=True)
                at = _cuts(len(time_s), recognizer)
                x, window_s = values[at], time_s[at]
            else:
                at = np.array(windows).reshape(-1, WINDOW_SIZE).astype(np.int64)
                x, window_s = day.values[at], day.time_s[at]
            if not len(x):
                continue
            rows = [recognizer.predict_in_order(x[i : i + 64].astype(np.float32), mounting)[0] for i in range(0, len(x), 64)]
            found = (window_s[:, 0], window_s[:, -1] + 1 / SAMPLE_RATE_HZ, np.full(len(x), part[0]), np.full(len(x), hz is not None))
            for column, values_of in zip(columns, (np.full(len(x), run), *found, np.concatenate(rows)), strict=True):
                column.append(values_of)
    return Expected(*(np.concatenate(column) for column in columns))


def taken_of(day: Day, *, sorts: bool) -> Iterator[Taken]:
    """What a stream takes of each run of an app."""
    taken = Taken(day, sorts=sorts)
    ends = np.cumsum(day.counts)
    for number, (restart, first, stop) in enumerate(zip(day.restarts, ends - day.counts, ends, strict=True)):
        if restart and number:
            yield taken
            taken = Taken(day, sorts=sorts)
        finite = np.isfinite(day.values[first:stop]).all(axis=1)
        taken.deliver(np.arange(first, stop)[finite])
    yield taken


def _cuts(count: int, recognizer: Recognizer) -> np.ndarray:
    """(window, time) numbers of the samples of each window of a stretch."""
    return window_starts(count, WINDOW_SIZE, recognizer.stride)[:, None] + np.arange(WINDOW_SIZE)


def _measured(time_s: np.ndarray, values: np.ndarray) -> tuple[int, float | None]:
    """First sample of a stretch that the web page uses, and the rate from which it resamples: measured on two seconds at a time."""
    first = 0
    while len(enough := np.flatnonzero(time_s[first:] - time_s[first] >= PAGE_MEASURES_S)):
        stop = first + int(enough[0]) + 1
        try:
            rate = measure_rate(Path("page"), time_s[first:stop])
        except HarError:
            rate = None
        gravity = float(np.median(np.linalg.norm(values[first:stop, :3], axis=1)))
        if rate and PAGE_GRAVITY_G[0] <= gravity <= PAGE_GRAVITY_G[1]:
            return first, None if rate.regular else rate.hz
        if stop >= len(time_s):
            break
        first = stop
    return len(time_s), None
