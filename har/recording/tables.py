"""Rows of a recording in this project's units and axes, some at a time, one stream for each clock; faults are named with their line."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from har.contract import AXES, LABELS, SAMPLE_RATE_HZ, SENSORS, kind_of
from har.errors import HarError, nearest
from har.recording.formats import GRAVITY_LENGTHS, LOOKED_AT, Clock, Format, Layout, SensorColumns, median_length, recognise, sampled
from har.recording.limits import BOTH
from har.recording.rate import LEAST_HZ
from har.recording.source import Source
from har.recording.text_tables import Block, Head, read_blocks
from har.recording.times import TIME_UNITS, DateReader, tell_unit
from har.recording.types import COLUMNS, UNLABELLED, columns_of

STANDARD_GRAVITY = 9.80665  # m/s^2 in one g
ACC_UNITS = {"g": 1.0, "mg": 1e-3, "m/s2": 1.0 / STANDARD_GRAVITY}
GYRO_UNITS = {"rad/s": 1.0, "deg/s": np.pi / 180.0}
KNOWN = ("time_s", *COLUMNS, "label")
ALTERNATING = 0.3  # share of rows in which one of two sensors has no value: they are rows of two sensors in turn
TURNS_FAST = 12.0  # in a moving phone, angular velocities reach this in deg/s and hardly in rad/s
SAID_RATE = re.compile(r"(\d+(?:\.\d+)?) ?Hz", re.IGNORECASE)


@dataclass(frozen=True)
class ReadOptions:
    """How to read a recording.

    Attributes:
        columns: this project's column name (``time_s``, ``total_acc_x_g``, ..., ``label``) to the file's.
        acc_unit: unit of the file's acceleration, ``g``, ``mg`` or ``m/s2``; None: as the file or its app says.
        gyro_unit: unit of the file's angular velocity, ``rad/s`` or ``deg/s``; None likewise.
        time_unit: unit of the file's time, ``s``, ``ms``, ``us``, ``ns`` or ``days``; None: told from the rate that it gives.
        rate_hz: of a file without times.
        axes: which axis of the file becomes x, y and z, with a sign: ``("y", "-x", "z")``; for all sensors.
        interpolate_s: missing samples and gaps up to this many seconds are interpolated; 0 fills nothing.
        labels: whether labels are read; off where activities are predicted, so that a column in other words is no fault.
        activities: what labels may say, in the order of their numbers, in any case and with blanks or underscores.
        label_names: words for activities in the recording's labels to those of `activities`.
        other_labels: gets how many rows have each label that is no activity, which count as unlabelled; None: they are refused.
        sensors: that are read, in this order; others in the recording are ignored.
        sample_rate_hz: of the samples that are given; a recording at another rate is resampled.
        least_rate_hz: of a recording, as a slower one has lost what a model needs; None: see `measure_rate`.
        chunk_rows: rows read at a time; bounds the memory.
        verb, more: of the command that reads, and its other options: for advice.

    Raises:
        HarError: an option has no such value.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    acc_unit: str | None = None
    gyro_unit: str | None = None
    time_unit: str | None = None
    rate_hz: float | None = None
    axes: tuple[str, ...] = AXES
    interpolate_s: float = 0.0
    labels: bool = True
    activities: tuple[str, ...] = LABELS
    label_names: Mapping[str, str] = field(default_factory=dict)
    other_labels: Counter[str] | None = None
    sensors: tuple[str, ...] = BOTH
    sample_rate_hz: float = SAMPLE_RATE_HZ
    least_rate_hz: float | None = None
    chunk_rows: int = 200_000
    verb: str = "predict"
    more: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option, value, valid in (
            ("--acc-unit", self.acc_unit, list(ACC_UNITS)),
            ("--gyro-unit", self.gyro_unit, list(GYRO_UNITS)),
            ("--time-unit", self.time_unit, list(TIME_UNITS)),
        ):
            if value is not None and value not in valid:
                raise HarError("name-unknown", f"{option} is {value!r}; {nearest(value, valid)}")
        for name in self.columns:
            if name not in KNOWN and not any(name.endswith(f"_{column}") for column in COLUMNS):  # behind a position on the body
                raise HarError("name-unknown", f"--columns maps {name!r}, which is no column of this project; {nearest(name, KNOWN)}")
        if sorted(axis.removeprefix("-") for axis in self.axes) != list(AXES):
            found = ",".join(self.axes)
            raise HarError("argument", f"--axes is {found!r}; expected x, y and z once each, in any order and sign, such as y,-x,z")
        if not 0 <= self.interpolate_s < 60:
            raise HarError("argument", f"--interpolate is {self.interpolate_s:g} s; expected 0 to 60")
        if self.rate_hz is not None and not 1 <= self.rate_hz <= 5000:
            raise HarError("argument", f"--rate is {self.rate_hz:g} Hz; expected 1 to 5000")
        if not LEAST_HZ <= self.sample_rate_hz <= 5000:
            raise HarError("argument", f"sample_rate_hz is {self.sample_rate_hz:g}; expected {LEAST_HZ:g} to 5000")
        if self.chunk_rows < 1000:
            raise HarError("argument", f"chunk_rows is {self.chunk_rows}; expected at least 1000")


@dataclass(frozen=True)
class Rows:
    """Some rows of a stream: times in s, values in g and rad/s with this project's axes, NaN where missing."""

    line: np.ndarray  # of the file, from 1 with its header; a row of a Parquet file counts from 1
    time_s: np.ndarray
    values: np.ndarray  # (row, channel), three channels a sensor
    labels: np.ndarray
    stretch: np.ndarray  # number of the stretch in which the time does not go back; 0 until the rows are put in order


@dataclass(frozen=True)
class Stream:
    """Sensors of one table that share a clock.

    Attributes:
        source: of the table.
        layout: of the table, with the sensors that are read and their units.
        rate_hz: where there is no clock.
        alternates: whether rows without a value of these sensors are those of another sensor.
        day_first: whether dates begin with the day; None: told from them.
        pauses: at which times, s, the clock stood still, and for how long, s.
    """

    source: Source
    layout: Layout
    rate_hz: float | None = None
    alternates: bool = False
    day_first: bool | None = None
    pauses: tuple[tuple[float, float], ...] = ()

    @property
    def name(self) -> str:
        """What a message calls it."""
        return self.source.name(self.layout.head.member)

    @property
    def sensors(self) -> tuple[str, ...]:
        """Names of its sensors; ``accelerometer`` where gravity and what is without it are added."""
        names = [sensor.sensor for sensor in self.layout.sensors]
        return tuple(dict.fromkeys(whole(name) if set(parts_of(name)) <= set(names) else name for name in names))


PARTS = ("linear_acceleration", "gravity")  # add up to what an accelerometer measures


def whole(sensor: str) -> str:
    """The accelerometer, at the same position, that a sensor of `PARTS` is a part of; another sensor itself."""
    kind = kind_of(sensor)
    return f"{sensor.removesuffix(kind)}accelerometer" if kind in PARTS else sensor


def parts_of(sensor: str) -> tuple[str, ...]:
    """`PARTS` at the position of a sensor."""
    return tuple(sensor.removesuffix(kind_of(sensor)) + part for part in PARTS)


def find_streams(source: Source, options: ReadOptions) -> tuple[str, list[Stream]]:
    """What a recording was recognised as, and the streams that hold the sensors of `options`.

    Raises:
        HarError: a sensor is missing, or a unit or the rate has to be said: with the whole command.
    """
    found = recognise(source, options.columns, options.sensors, options.acc_unit)
    layouts: dict[tuple[str, Clock | None], Layout] = {}
    for layout, sensor in [item for wanted in options.sensors for item in _of_sensor(source, found, wanted, options)]:
        key = layout.head.member, layout.clock
        known = layouts.get(key, replace(layout, sensors=()))
        layouts[key] = replace(known, sensors=(*known.sensors, sensor))
    _ask(source, found, list(layouts.values()), options)
    streams = []
    for layout in layouts.values():
        layout = replace(layout, sensors=tuple(replace(s, unit=_option(s.sensor, options) or s.unit) for s in layout.sensors))
        rate_hz = None if layout.clock else options.rate_hz or found.rate_hz
        parts = [(sensor,) for sensor in layout.sensors] if _alternates(layout) else [layout.sensors]
        streams += [Stream(source, replace(layout, sensors=part), rate_hz, len(parts) > 1, found.day_first, found.pauses) for part in parts]
    return found.name, streams


def _of_sensor(source: Source, found: Format, wanted: str, options: ReadOptions) -> list[tuple[Layout, SensorColumns]]:
    """Where the samples of a sensor are: its own columns, or gravity and what is without it.

    A sensor that is named without a position is found at any, where that is the only one.
    """
    every = [(layout, sensor) for layout in found.layouts for sensor in layout.sensors]
    order = {name: place for place, name in enumerate(found.preferred)}

    def rank(item: tuple[Layout, SensorColumns]) -> int:
        return order.get(item[0].head.member.lower().rsplit("/", 1)[-1].split(".")[0], len(order))

    every.sort(key=rank)
    kind = kind_of(wanted)
    positions = list(dict.fromkeys(sensor.sensor.removesuffix(kind_of(sensor.sensor)) for _, sensor in every))
    place = positions[0] if len(positions) == 1 and wanted == kind else wanted.removesuffix(kind)

    def first(name: str) -> tuple[Layout, SensorColumns] | None:
        same = [item for item in every if item[1].sensor == place + name]
        if not same:
            return None
        best = [item for item in same if rank(item) == rank(same[0])]
        _check_single(source, found, wanted, options, best, place + name)
        layout, sensor = best[0]
        return layout, replace(sensor, sensor=wanted.removesuffix(kind) + name)

    own = first(kind)
    if own is not None:
        return [own]
    parts = [part for part in map(first, PARTS) if part is not None]
    if kind == "accelerometer" and len(parts) == len(PARTS):
        unit = next((sensor.unit for _, sensor in parts if sensor.unit), None)
        return [(layout, replace(sensor, unit=sensor.unit or unit)) for layout, sensor in parts]
    if kind == "accelerometer" and parts and parts[0][1].sensor.endswith("linear_acceleration"):
        raise HarError(
            "recording-columns",
            f"{source.path} ({found.name}) holds acceleration without gravity alone; what is needed is with it: export "
            f"{found.needed or 'total acceleration, or gravity as well'}",
        )
    has = ", ".join(dict.fromkeys(sensor.sensor.replace("_", " ") for _, sensor in every))
    cause = "".join(f"; of {text}" for text in found.partial)
    columns = ["--columns", *(f"{name}=NAME" for name in columns_of([wanted]))]
    raise HarError(
        "recording-columns",
        f"{source.path} ({found.name}) holds no {wanted.replace('_', ' ')}, which is needed; it has: {has}{cause}; "
        f"where other columns are it, name them: {command(source, options, columns)}",
    )


def _check_single(
    source: Source, found: Format, wanted: str, options: ReadOptions, same: Sequence[tuple[Layout, SensorColumns]], name: str
) -> None:
    """Refuse to choose between several columns or files that may be a sensor."""
    words = wanted.replace("_", " ")
    text = next((text for sensor, text in found.ambiguous if sensor == name), None)
    if text is not None:
        columns = ["--columns", *(f"{column}=NAME" for column in columns_of([wanted]))]
        raise HarError(
            "recording-columns",
            f"{source.path} has several columns for the {words}: {text}; choose: {command(source, options, columns)}",
        )
    if len(same) > 1:
        members = ", ".join(layout.head.member for layout, _ in same[:4]) + ", ..." * (len(same) > 4)
        raise HarError(
            "recording-format",
            f"{source.path} holds several recordings, the {words} is in {members}; expected one: unpack it, and name a file or folder",
        )


def sensors_in(source: Source, options: ReadOptions) -> tuple[str, ...]:
    """All sensors of a recording, parts of an acceleration only where it cannot be had whole.

    Raises:
        HarError: no sensor is known.
    """
    found = recognise(source, options.columns, options.sensors, options.acc_unit)
    names = list(dict.fromkeys(sensor.sensor for layout in found.layouts for sensor in layout.sensors))
    wholes = {whole(name) for name in names if whole(name) in names or set(parts_of(name)) <= set(names)}
    return tuple(dict.fromkeys(whole(name) if whole(name) in wholes else name for name in sorted(names, key=_place)))


def _place(sensor: str) -> tuple[str, int]:
    kind = kind_of(sensor)
    return sensor.removesuffix(kind), list(SENSORS).index(kind)


def _option(sensor: str, options: ReadOptions) -> str | None:
    return options.gyro_unit if kind_of(sensor) == "gyroscope" else options.acc_unit


def _ask(source: Source, found: Format, layouts: Sequence[Layout], options: ReadOptions) -> None:
    """Refuse what would have to be guessed, all of it at once, with the command that says it."""
    missing: list[str] = []
    words: dict[str, str] = {}
    for layout in layouts:
        for sensor in layout.sensors:
            if sensor.unit is None and _option(sensor.sensor, options) is None:
                option = "--gyro-unit" if kind_of(sensor.sensor) == "gyroscope" else "--acc-unit"
                words[option], why = _likely_unit(source, layout.head, sensor)
                missing.append(f"the unit of {sensor.sensor.replace('_', ' ')} ({why})")
        if layout.clock is None and (options.rate_hz or found.rate_hz) is None:
            rates = list(SAID_RATE.finditer("\n".join(layout.head.preamble)))
            said = rates[0] if len({match[1] for match in rates}) == 1 else None
            if "--rate" not in words:
                why = f" (a line says {said[0]})" if said else "; or name their column by --columns time_s=NAME"
                missing.append(f"the times, so that the rate is needed{why}")
            words["--rate"] = said[1] if said else "HZ"
        elif layout.clock is not None and options.time_unit is None and layout.clock.unit not in (None, "text", *TIME_UNITS):
            missing.append(f"a known unit of the times, but {layout.clock.unit!r}")
            words["--time-unit"] = "UNIT"
    if missing:
        typed = [word for pair in words.items() for word in pair]
        raise HarError(
            "recording-columns", f"{source.path} does not name {' and '.join(missing)}; check and type: {command(source, options, typed)}"
        )


def command(source: Source, options: ReadOptions, added: Sequence[str]) -> str:
    """The whole command that reads a recording: with the options that were given, and others in their place."""
    given = _words(options)
    for name in added[::2]:
        if name in given:
            del given[given.index(name) : given.index(name) + 2]
    path = str(source.path)
    path = f"./{path}" if path.startswith("-") else path  # no option
    return shlex.join(["har", options.verb, path, *given, *added, *options.more])


def _words(options: ReadOptions) -> list[str]:
    """The options that were given, as they are typed."""
    found = [
        word
        for option, value in (("--acc-unit", options.acc_unit), ("--gyro-unit", options.gyro_unit))
        if value
        for word in (option, value)
    ]
    found += ["--time-unit", options.time_unit] if options.time_unit else []
    found += ["--rate", f"{options.rate_hz:g}"] if options.rate_hz else []
    found += [f"--axes={','.join(options.axes)}"] if options.axes != AXES else []
    found += ["--interpolate", f"{options.interpolate_s:g}"] if options.interpolate_s else []
    return found + (["--columns", *(f"{ours}={theirs}" for ours, theirs in options.columns.items())] if options.columns else [])


def _likely_unit(source: Source, head: Head, sensor: SensorColumns) -> tuple[str, str]:
    """The unit that the values of a sensor suggest, and why, for the question."""
    block = next(read_blocks(source, head, sensor.columns, (), LOOKED_AT), None)
    values = np.empty((0, 3)) if block is None else block.numbers
    if kind_of(sensor.sensor) == "gyroscope":
        turning = float(np.nanmax(np.abs(values), initial=0.0))
        return "deg/s" if turning > TURNS_FAST else "rad/s", f"it reaches {turning:.3g}"
    length = median_length(values)
    likely = next((unit for unit, (low, high) in GRAVITY_LENGTHS.items() if low < length < high), "UNIT")
    return likely, f"its median length is {length:.3g}"


def _alternates(layout: Layout) -> bool:
    """Whether the rows are those of the sensors in turn, each without a value of the others."""
    known = [np.isfinite(sampled(layout.head, sensor)).any(axis=1) for sensor in layout.sensors]
    if len(known) < 2 or len({len(rows) for rows in known}) > 1 or not len(known[0]):
        return False
    each = np.stack(known)
    return bool((each.any(axis=0) & ~each.all(axis=0)).mean() > ALTERNATING)


def read_rows(stream: Stream, options: ReadOptions) -> Iterator[Rows]:
    """All rows of a stream, `options.chunk_rows` at a time.

    Raises:
        HarError: with the line: a cell is no number, a time cannot be read, or there is no row.
    """
    layout, clock = stream.layout, stream.layout.clock
    label = layout.label if options.labels else None
    is_text = clock is not None and clock.unit == "text"
    numeric = [column for sensor in layout.sensors for column in sensor.columns]
    numeric += [clock.column] if clock is not None and not is_text else []
    textual = ([clock.column] if clock is not None and is_text else []) + ([label] if label is not None else [])
    times, count = _Times(stream, options), 0
    for block in read_blocks(stream.source, layout.head, numeric, textual, options.chunk_rows):
        values = _to_contract(stream, options, block.numbers[:, : 3 * len(layout.sensors)])
        if stream.alternates:
            kept = np.isfinite(values).any(axis=1)
            block = Block(
                block.line[kept], block.numbers[kept], tuple([t for t, k in zip(text, kept, strict=True) if k] for text in block.texts)
            )
            values = values[kept]
        if not len(values):
            continue
        time_s = times.read(block, count)
        labels = np.full(len(values), UNLABELLED)
        if label is not None:
            labels = label_numbers(stream.name, block.texts[-1], block.line, options)
        count += len(values)
        yield Rows(block.line, time_s, values, labels, np.zeros(len(values), dtype=np.int64))
    if not count:
        raise HarError("recording-short", f"{stream.name} has a header but no samples; expected at least one window of samples")


class _Times:
    """Times of a stream's rows in s; their unit and the order of day and month are told from the first rows."""

    def __init__(self, stream: Stream, options: ReadOptions) -> None:
        self.stream, self.clock = stream, stream.layout.clock
        self.unit = options.time_unit or (self.clock.unit if self.clock is not None else None)
        self.dates: DateReader | None = None

    def read(self, block: Block, before: int) -> np.ndarray:
        if self.clock is None:
            assert self.stream.rate_hz is not None
            return (before + np.arange(len(block.line))) / self.stream.rate_hz
        if self.clock.unit == "text":
            texts = block.texts[0]
            self.dates = self.dates or DateReader(self.stream.day_first)
            time_s = self.dates.seconds(texts)
            if not np.isfinite(time_s).all():
                row = int(np.argmin(np.isfinite(time_s)))
                raise HarError(
                    "recording-times",
                    f"{self.stream.name}: line {block.line[row]}: {texts[row][:40]!r} is no time; expected one like 2024-05-31T12:00:00.02",
                )
            return time_s
        numbers = block.numbers[:, -1]
        if self.unit is None:
            self.unit = tell_unit(numbers)
            if self.unit is None:
                raise HarError(
                    "recording-times",
                    f"{self.stream.name}: the times begin with {', '.join(f'{number:.12g}' for number in numbers[:3])}, which is a "
                    f"sensor's rate in no unit; name their unit with --time-unit, one of {', '.join(TIME_UNITS)}",
                )
        return self._with_pauses(numbers * TIME_UNITS[self.unit])

    def _with_pauses(self, time_s: np.ndarray) -> np.ndarray:
        return time_s + sum((seconds * (time_s >= at_s) for at_s, seconds in self.stream.pauses), np.zeros(len(time_s)))


def _to_contract(stream: Stream, options: ReadOptions, raw: np.ndarray) -> np.ndarray:
    """The file's (row, channel) values -> g and rad/s with this project's axes, float64; the parts of an acceleration are added."""
    order = [AXES.index(axis.removeprefix("-")) for axis in options.axes]
    sign = np.array([-1.0 if axis.startswith("-") else 1.0 for axis in options.axes])
    values: dict[str, np.ndarray] = {}
    for place, sensor in enumerate(stream.layout.sensors):
        assert sensor.unit is not None
        factor = (GYRO_UNITS if kind_of(sensor.sensor) == "gyroscope" else ACC_UNITS)[sensor.unit]
        own = raw[:, 3 * place : 3 * place + 3][:, order] * (sign * sensor.sign * factor)
        name = whole(sensor.sensor) if whole(sensor.sensor) in stream.sensors else sensor.sensor
        values[name] = values[name] + own if name in values else own
    return np.concatenate([values[name] for name in stream.sensors], axis=1)


def label_numbers(name: str, texts: Sequence[str], lines: np.ndarray, options: ReadOptions) -> np.ndarray:
    """Names of activities -> their numbers, -1 where empty or, where that is allowed, no activity."""
    known = {_spelled(activity): number for number, activity in enumerate(options.activities)} | {"": UNLABELLED}
    numbers = {text: known.get(_spelled(options.label_names.get(text, text))) for text in set(texts)}
    for number, text in enumerate(texts):
        if numbers[text] is None and options.other_labels is None:
            valid = nearest(text, options.activities)
            raise HarError("name-unknown", f"{name}: unknown label {text!r} in line {lines[number]}; {valid}, or empty")
        if numbers[text] is None and options.other_labels is not None:
            options.other_labels[text] += 1
    return np.array([UNLABELLED if (found := numbers[text]) is None else found for text in texts], dtype=np.int64)


def _spelled(label: str) -> str:
    return "_".join(re.split(r"[\s_-]+", label.strip().upper()))
