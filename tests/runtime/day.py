"""A person's day as a phone delivers it, in batches of any length and with everything that goes wrong; and what a batch answers on it.

Shared by ``test_day.py`` (minutes) and ``benchmarks/day_stream.py`` (24 hours).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from har.contract import SAMPLE_RATE_HZ, WINDOW_SIZE, HarError
from har.recording import UNLABELLED, Recording
from har.recording.rate import measure_rate
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
LATE_S = 60.0  # a sample older than the one before by less was delivered late or twice; by more, the clock was set back
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
        "clock back": lambda: -rng.uniform(2 * LATE_S, 3600.0),
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


def in_order(time_s: np.ndarray, newest_s: float = -np.inf) -> list[np.ndarray]:
    """Which samples an app keeps: not those that are late or come twice. A list, because behind its first array the clock was set back."""
    before = np.concatenate(([newest_s], time_s))[:-1]
    setting = np.cumsum(time_s < before - LATE_S)
    kept = []
    for number in range(int(setting[-1]) + 1 if len(setting) else 1):
        found = np.flatnonzero(setting == number)
        newest = np.maximum.accumulate(np.concatenate(([newest_s if number == 0 else -np.inf], time_s[found])))[:-1]
        kept.append(found[time_s[found] > newest])
    return kept


class App:
    """An app around the Python runtime: it mends what a stream refuses, and nothing else.

    Attributes:
        refused: deliveries that were.
    """

    def __init__(self, recognizer: Recognizer, source_hz: float | None = None) -> None:
        self.stream, self.refused, self._newest_s = recognizer.open_stream(source_hz), 0, -np.inf

    def take(self, time_s: np.ndarray, values: np.ndarray) -> list[Answer]:
        """Answers that a delivery completes."""
        try:
            answers = self.stream.push(values, time_s)
        except HarError:
            self.refused += 1
            answers = self._take_mended(time_s, values)
        else:
            self._newest_s = float(time_s[-1])
        return answers

    def _take_mended(self, time_s: np.ndarray, values: np.ndarray) -> list[Answer]:
        finite = np.isfinite(values).all(axis=1)
        time_s, values, answers = time_s[finite], values[finite], []
        for number, kept in enumerate(in_order(time_s, self._newest_s)):
            if number:
                answers += self.stream.interrupt()
            answers += self.stream.push(values[kept], time_s[kept])
            self._newest_s = float(time_s[kept[-1]]) if len(kept) else self._newest_s
        return answers


def stretches(day: Day, *, page: bool) -> Iterator[tuple[int, np.ndarray]]:
    """Run and numbers of the samples of each stretch without a gap, as the app of this file or the web page's live stream cut a day."""
    finite, runs = np.flatnonzero(np.isfinite(day.values).all(axis=1)), day.runs()
    for run in range(int(runs[-1]) + 1):
        own = finite[runs[finite] == run]
        if page:  # it knows no late samples: a clock that goes back is another stretch
            settings = [own[np.concatenate(([True], np.diff(day.time_s[own]) != 0))]]
        else:
            settings = [own[kept] for kept in in_order(day.time_s[own])]
        for kept in settings:
            step = np.diff(day.time_s[kept])
            for part in np.split(kept, np.flatnonzero((step > GAP_PERIODS / SAMPLE_RATE_HZ) | (step < 0)) + 1):
                if len(part):
                    yield run, part


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
    rows = []
    for run, own in groupby(stretches(day, page=page), key=lambda found: found[0]):
        pieces = []
        for _, part in own:
            time_s, values = day.time_s[part], day.values[part]
            hz = source_hz
            if page:
                first, hz = _measured(time_s, values)
                part, time_s, values = part[first:], time_s[first:], values[first:]
            if hz is not None and len(part):
                time_s, values = StreamResampler(hz, SAMPLE_RATE_HZ).push(time_s, values, last=True)
            starts = window_starts(len(time_s), WINDOW_SIZE, recognizer.stride)
            if len(starts):
                piece = Recording("day", 0, time_s, values.astype(np.float32), np.full(len(time_s), UNLABELLED))
                pieces.append((piece, time_s[starts], time_s[starts + WINDOW_SIZE - 1] + 1 / SAMPLE_RATE_HZ, part[0], hz is not None))
        if pieces:
            timeline = recognizer.predict_pieces("day", enumerate(piece for piece, *_ in pieces))
            from_s, to_s = (np.concatenate([piece[place] for piece in pieces]) for place in (1, 2))
            begins, resampled = (np.concatenate([np.full(len(piece[1]), piece[place]) for piece in pieces]) for place in (3, 4))
            rows.append((np.full(len(to_s), run), from_s, to_s, begins, resampled, timeline.probabilities))
    return Expected(*(np.concatenate(column) for column in zip(*rows, strict=True)))


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
