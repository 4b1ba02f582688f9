"""What the tables of a recording hold: sensors, units and clocks, told from the names that apps give to files and columns."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from har.contract import AXES, kind_of
from har.errors import HarError, nearest
from har.recording.limits import BOTH
from har.recording.source import Source, rules
from har.recording.text_tables import HEAD_LINES, Head, cells_of, is_number, lines_of, number_of, read_blocks, read_head
from har.recording.types import columns_of

BY_FILE = "by file"  # what x, y and z alone are, the name of their file says
LOOKED_AT = 20_000  # rows from which units are told
MOST_EVENTS = 10_000  # of a recording that was paused and started again
IOS_SIGN = -1.0  # Core Motion reports the negative of the acceleration that Android and the W3C report
OWN_CLOCKS = ("accelerometer", "gyro", "motion")  # a column whose name begins so has the times of the column of times that does
GYRO_UNITS, CLOCK_UNITS = ("rad/s", "deg/s"), ("s", "ms", "us", "ns")  # as they may stand in a column's name
GRAVITY_LENGTHS = {"g": (0.7, 1.4), "m/s2": (7.0, 14.0), "mg": (700.0, 1400.0)}  # of daily activities, by unit


@dataclass(frozen=True)
class SensorColumns:
    """One sensor in a table.

    Attributes:
        sensor: ``accelerometer`` (with gravity), ``linear_acceleration``, ``gravity`` or ``gyroscope``, behind a position on the body
            where the columns name one: ``wrist_accelerometer``.
        columns: of its x, y and z, in the table.
        unit: as it is written; None where nothing says it.
        sign: -1 where the other sign is written.
    """

    sensor: str
    columns: tuple[int, int, int]
    unit: str | None = None
    sign: float = 1.0


@dataclass(frozen=True)
class Clock:
    """The column of the times, and their unit; ``text`` are dates, None is told from the numbers."""

    column: int
    unit: str | None = None


@dataclass(frozen=True)
class Layout:
    """Sensors of one table that share a clock; without one, their samples are as many periods apart."""

    head: Head
    clock: Clock | None
    sensors: tuple[SensorColumns, ...]
    label: int | None = None


@dataclass(frozen=True)
class Format:
    """What a recording was recognised as.

    Attributes:
        name: of the app, as it is shown.
        layouts: of its tables.
        rate_hz: that the file says of itself.
        preferred: names of files, best first, where several hold the same sensor.
        needed: what to export where gravity is missing.
        day_first: whether its dates begin with the day; None: told from the dates.
        pauses: at which times, s, its clock stood still, and for how long, s.
        partial: sensors of which an axis is missing, in words.
        ambiguous: sensors that several columns of a table may hold, and these in words.
    """

    name: str
    layouts: tuple[Layout, ...]
    rate_hz: float | None = None
    preferred: tuple[str, ...] = ()
    needed: str = ""
    day_first: bool | None = None
    pauses: tuple[tuple[float, float], ...] = ()
    partial: tuple[str, ...] = ()
    ambiguous: tuple[tuple[str, str], ...] = ()


def plain(name: str) -> str:
    """A name in lower-case words: ``accelerometerAccelerationX(G)`` is ``accelerometer acceleration x``."""
    name = re.sub(r"[(\[].*?[)\]]", " ", name)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    name = " ".join(re.split(r"[\s_.:/-]+", name.strip().lower())).strip()
    return re.sub(r"(?<= [xyz]) (g|mg|m s2|mps2|rad s|rps|deg s|dps)$", "", name)


def unit_named(text: str | None) -> str | None:
    """A unit in this project's spelling: ``m/s2`` for ``m/s^2``; what is no known unit as it is."""
    word = (text or "").strip().lower()
    return next((unit for unit, names in rules()["units"].items() if word in names), text)


def unit_of(name: str) -> str | None:
    """The unit that a column's name says in brackets or behind its last words, spelled as ours; None where it says none."""
    bracketed = re.findall(r"[(\[]([^)\]]*)[)\]]", name)
    tail = name.lower().rsplit("_", 2)
    for text in [bracketed[-1].strip().lower()] if bracketed else ["_".join(tail[-2:]), tail[-1]] if len(tail) > 1 else []:
        for unit, names in rules()["units"].items():
            if text in names:
                return unit
    return None


def recognise(
    source: Source, columns: Mapping[str, str] | None = None, sensors: Sequence[str] = BOTH, acc_unit: str | None = None
) -> Format:
    """What a recording is, told from the names of its files and columns.

    Args:
        source: of the recording.
        columns: this project's names of columns to those of the table.
        sensors: that are needed, for the advice.
        acc_unit: that was said of the acceleration.

    Raises:
        HarError: it holds no table, or none with a sensor that is known by its names.
    """
    heads = [head for member in source.members if (head := read_head(source, member)) is not None]
    if not heads:
        raise _no_table(source)
    renamed = {theirs: ours for ours, theirs in (columns or {}).items()}
    _check_renamed(source, heads, renamed)
    partial: list[str] = []
    ambiguous: list[tuple[str, str]] = []
    for rule in rules()["formats"]:
        own = [head for head in heads if _stem(head) not in rule.get("ignored", ()) and _fits(rule, head, renamed)]
        layouts = [layout for head in own for layout in _layouts(rule, head, renamed, partial, ambiguous)]
        if layouts:
            found = Format(
                rule["name"],
                tuple(layouts),
                _said_rate(rule, own),
                tuple(rule.get("files", ())),
                rule.get("needed", ""),
                any(re.search(rule["day_first"], "\n".join(head.preamble)) for head in own) if "day_first" in rule else None,
                _pauses(source, rule["pauses"]) if "pauses" in rule else (),
                tuple(dict.fromkeys(partial)),
                tuple(ambiguous),
            )
            return _of_sensor_logger(source, found, acc_unit) if "metadata" in rule else found
    head = max(heads, key=lambda head: len(head.sample))
    listed = ", ".join(head.names[:12]) + ", ..." * (len(head.names) > 12)
    what = f"{source.name(head.member)} has " + (f"the columns {listed}" if head.header else "no header that fits its rows")
    row = "" if head.header else f" (line {head.first} is {', '.join(head.sample[0][:12])})"
    cause = f"of a sensor {partial[0]}" if partial else "none is known as acceleration"
    needed = ["time_s", *columns_of(sensors)]
    units = ["--acc-unit", "UNIT", *(["--gyro-unit", "UNIT"] if any(kind_of(sensor) == "gyroscope" for sensor in sensors) else [])]
    typed = shlex.join(["har", "predict", str(source.path), "--columns", *(f"{name}=NAME" for name in needed), *units])
    number = "" if head.header else ", NAME being the number of a column, from 1"
    raise HarError("recording-columns", f"{what}{row}: {cause}; name the columns and units{number}: {typed}")


def _no_table(source: Source) -> HarError:
    wanted = "expected a header with the names of the columns, then one row a sample"
    with source.text(source.members[0]) as text:
        first, *rest = (line for line in (*islice(lines_of(source, source.members[0], text), HEAD_LINES), ""))
    name = source.name(source.members[0]) if len(source.members) == 1 else str(source.path)
    if len(source.members) == 1 and not any(line.strip() for line in (first, *rest)):
        return HarError("recording-short", f"{name} is empty; {wanted}")
    if len(source.members) == 1 and not any(line.strip() for line in rest):
        return HarError("recording-short", f"{name} has a header but no samples; expected at least one window of samples")
    return HarError("recording-format", f"{name} holds no table of numbers (it begins with {first[:40]!r}); {wanted}")


def _check_renamed(source: Source, heads: Sequence[Head], renamed: Mapping[str, str]) -> None:
    for theirs, ours in renamed.items():
        counts = [head.names.count(theirs) for head in heads if theirs in head.names]
        if not counts or max(counts) > 1:
            known = [name for head in heads for name in head.names]
            what = f"appears {max(counts)} times; expected once" if counts else f"is missing; {nearest(theirs, known)}"
            raise HarError("recording-columns", f"{source.path}: column {theirs}, named for {ours}, {what}")


def _stem(head: Head) -> str:
    """Name of a table's file, without its endings."""
    return PurePosixPath(head.member or head.file).name.lower().split(".")[0]


def _names(rule: dict[str, Any], head: Head, renamed: Mapping[str, str]) -> list[str]:
    """Plain names of a table's columns, as the format names them where there is no header."""
    if not head.header and "unnamed" in rule and not renamed:
        return list(rule["unnamed"][: len(head.names)])
    return [plain(renamed.get(name, name)) for name in head.names]


def _fits(rule: dict[str, Any], head: Head, renamed: Mapping[str, str]) -> bool:
    if "row" in rule and (head.header or not re.search(rule["row"], head.sample[0][0])):
        return False
    names = _names(rule, head, renamed)
    columns = all(any(re.search(pattern, name) for name in names) for pattern in rule.get("columns", []))
    header = re.search(rule.get("header", ""), " ".join(head.header).lower()) is not None
    preamble = re.search(rule.get("preamble", ""), "\n".join(head.preamble)) is not None
    return columns and header and preamble


def _said_rate(rule: dict[str, Any], heads: Sequence[Head]) -> float | None:
    found = [re.search(rule["rate"], "\n".join(head.preamble)) for head in heads] if "rate" in rule else []
    return next((float(match[1]) for match in found if match), None)


def _pauses(source: Source, stem: str) -> tuple[tuple[float, float], ...]:
    """When and for how long a recording was paused: phyphox's ``meta/time.csv`` has the times of its clock and of the phone's."""
    member = next((name for name in source.members if PurePosixPath(name).name.lower() == f"{stem}.csv"), None)
    if member is None:
        return ()
    with source.text(member) as text:
        rows = [cells_of(line.rstrip("\r\n"), _delimiter(line)) for line in islice(text, MOST_EVENTS)]
    if not rows or rows[0][0].lower() != "event":
        return ()
    events = [(row[0].upper(), number_of(row[1]), number_of(row[2])) for row in rows if len(row) > 2]
    found = []
    for (event, at_s, paused_s), (following, _, started_s) in pairwise(events):
        if (event, following) == ("PAUSE", "START") and at_s is not None and paused_s is not None and started_s is not None:
            found.append((at_s, max(0.0, started_s - paused_s)))
    return tuple(found)


def _delimiter(line: str) -> str:
    return max(",;\t", key=line.count)


def sensor_of(name: str, patterns: Sequence[Sequence[str]]) -> tuple[str, str] | None:
    """The sensor and the axis that a plain name of a column means, with the position on the body that it names; None: it is no sensor's."""
    for sensor, pattern in patterns:
        if match := re.search(pattern, name):
            return sensor, next(group for group in reversed(match.groups()) if group in AXES)
    if position := re.search(rf"(?:^|(?<= ))({rules()['positions']})(?= |$)", name):
        rest = " ".join((name[: position.start()] + name[position.end() :]).split())
        found = sensor_of(rest, patterns) if rest != name else None
        if found is not None and found[0] != BY_FILE:
            return f"{position[1].replace(' ', '_')}_{found[0]}", found[1]
    return None


def _layouts(
    rule: dict[str, Any], head: Head, renamed: Mapping[str, str], partial: list[str], ambiguous: list[tuple[str, str]]
) -> list[Layout]:
    """The sensors of a table, those with a clock of their own apart.

    What has some axes alone is added to `partial`, and what several columns may be to `ambiguous`.
    """
    names, stem = _names(rule, head, renamed), _stem(head)
    place = f"{rule['places'][stem]}_" if stem in rule.get("places", ()) else ""  # of another device than the other files
    patterns = [*rule.get("sensors", []), *rules()["sensors"]]
    groups: dict[str, dict[str, dict[str, int]]] = {}  # of a sensor's columns, by what their names share
    for column, name in enumerate(names):
        sensor, axis = sensor_of(name, patterns) or ("", "")
        if sensor == BY_FILE:
            sensor = rule.get("files", {}).get(stem, "")
        if sensor:
            sensor = place + sensor
            if head.names.count(head.names[column]) > 1:
                raise HarError("recording-columns", f"{head.member or head.file}: column {head.names[column]} appears twice; expected once")
            shared = re.sub(rf"(^|\b| ){axis}( |\b|$)|{axis}$", "", name)
            same = groups.setdefault(sensor, {}).setdefault(shared, {})
            if axis in same:
                ambiguous.append((sensor, f"{head.names[same[axis]]} and {head.names[column]}"))
            same.setdefault(axis, column)
    ours = {column for column, name in enumerate(head.names) if name in renamed}
    axes = {sensor: max(found.values(), key=lambda own: (not ours.isdisjoint(own.values()), len(own))) for sensor, found in groups.items()}
    for sensor, alike in groups.items():
        several = [own for own in alike.values() if len(own) == len(AXES)]
        if len(several) > 1 and ours.isdisjoint(axes[sensor].values()) and not rule.get("first"):
            ambiguous.append((sensor, " and ".join(head.names[own["x"]] for own in several)))
    clocks = _clocks(names, head, renamed)
    label = next((column for column, name in enumerate(names) if name in rule.get("labels", ())), None)
    by_clock: dict[Clock | None, list[SensorColumns]] = {}
    for sensor, found in axes.items():
        if len(found) < len(AXES):
            lacking = [axis for axis in AXES if axis not in found]
            partial.append(f"{sensor.replace('_', ' ')}, {' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing")
            continue
        columns = (found["x"], found["y"], found["z"])
        kind = kind_of(sensor)
        said = _unit_of_all(GYRO_UNITS if kind == "gyroscope" else tuple(GRAVITY_LENGTHS), head, columns)
        own = next((clock for word, clock in clocks if word and names[columns[0]].startswith(word)), None)
        clock = own or next((clock for word, clock in clocks if not word), None)
        sign = float(rule.get("sign", 1)) if kind != "gyroscope" else 1.0
        by_clock.setdefault(clock, []).append(SensorColumns(sensor, columns, said or rule.get("units", {}).get(kind), sign))
    return [Layout(head, clock, tuple(sensors), label) for clock, sensors in by_clock.items()]


def _clocks(names: Sequence[str], head: Head, renamed: Mapping[str, str]) -> list[tuple[str, Clock]]:
    """The columns of times, best first, each with the word of the sensors whose it is, or "" where it is that of all.

    Raises:
        HarError: two have one name.
    """
    found = []
    for pattern in rules()["clocks"]:
        for column, name in enumerate(names):
            match = re.search(pattern, name)
            if match:
                own = match[1] if match.groups() and match[1] in OWN_CLOCKS else ""
                is_text = any(column < len(row) and row[column] and not is_number(row[column]) for row in head.sample)
                tail = "" if head.names[column] in renamed else name.rsplit(" ", 1)[-1]
                unit = _unit_among(CLOCK_UNITS, head, column) or (tail if tail in CLOCK_UNITS else None) or _in_brackets(head, column)
                found.append((own, Clock(column, "text" if is_text else unit)))
    best = next((clock.column for own, clock in found if not own), None)
    twin = next((column for column, name in enumerate(names) if best is not None and column != best and name == names[best]), None)
    if best is not None and twin is not None and head.names[best] not in renamed:
        both = f"{head.names[best]} (column {best + 1}) and {head.names[twin]} (column {twin + 1})"
        raise HarError("recording-columns", f"{head.member or head.file} has two columns of times, {both}; split it, a file for each clock")
    return found


def _in_brackets(head: Head, column: int) -> str | None:
    """What stands in brackets behind a column's name, where it is no unit that is known."""
    found = re.findall(r"[(\[]([^)\]]+)[)\]]", head.header[column]) if head.header else []
    return found[-1].strip() if found and unit_of(head.header[column]) != "text" else None


def _unit_of_all(valid: Sequence[str], head: Head, columns: Sequence[int]) -> str | None:
    """The unit that the columns of a sensor name, all of them the same.

    Raises:
        HarError: they name different ones.
    """
    said = {unit for column in columns if (unit := _unit_among(valid, head, column)) is not None}
    if len(said) > 1:
        names = ", ".join(head.names[column] for column in columns)
        raise HarError("recording-columns", f"{head.member or head.file}: the columns {names} have different units; expected one unit")
    return next(iter(said), None)


def _unit_among(valid: Sequence[str], head: Head, column: int) -> str | None:
    said = unit_of(head.header[column]) if head.header else None
    return said if said in valid else None


def _of_sensor_logger(source: Source, found: Format, acc_unit: str | None) -> Format:
    """Sensor Logger on iOS writes g with Apple's sign, unless its setting for standard units is on: then, and on Android, m/s^2.

    ``Metadata.csv`` says both. Where it is missing, the unit does, which is told from the length of gravity.
    """
    metadata = _metadata(source)
    platform, standard = metadata.get("platform", "").lower(), metadata.get("standardisation", "").lower() == "true"
    every = [(layout.head, sensor) for layout in found.layouts for sensor in layout.sensors]
    with_gravity = [(head, sensor) for head, sensor in every if kind_of(sensor.sensor) in ("accelerometer", "gravity")]
    said = {"android": "m/s2", "ios": "m/s2" if standard else "g"}.get(platform)
    told = acc_unit or said or next((unit for head, sensor in with_gravity if (unit := unit_of_gravity(source, head, sensor))), None)
    is_ios = platform == "ios" or (not platform and told == "g")
    sign = IOS_SIGN if is_ios and not standard else 1.0
    layouts = []
    for layout in found.layouts:
        sensors = [one if kind_of(one.sensor) == "gyroscope" else replace(one, unit=one.unit or told, sign=sign) for one in layout.sensors]
        layouts.append(replace(layout, sensors=tuple(sensors)))
    return replace(found, name=f"{found.name} on {'iOS' if is_ios else 'Android'}", layouts=tuple(layouts))


def unit_of_gravity(source: Source, head: Head, sensor: SensorColumns) -> str | None:
    """The unit of an acceleration with gravity, told from its length in the first `LOOKED_AT` rows; None where none fits."""
    block = next(read_blocks(source, head, sensor.columns, (), LOOKED_AT), None)
    length = np.nan if block is None else median_length(block.numbers)
    return next((unit for unit, (low, high) in GRAVITY_LENGTHS.items() if low < length < high), None)


def median_length(values: np.ndarray) -> float:
    """Median length of (row, 3) values; NaN where none is whole."""
    with np.errstate(over="ignore"):  # damaged values may be of any size
        lengths = np.linalg.norm(values[np.isfinite(values).all(axis=1)], axis=1)
    return float(np.median(lengths)) if len(lengths) else np.nan


def sampled(head: Head, sensor: SensorColumns) -> np.ndarray:
    """(row, 3) the first values of a sensor, NaN where missing."""
    rows = [[number_of(row[column]) for column in sensor.columns] for row in head.sample if len(row) > max(sensor.columns)]
    return np.array([[np.nan if value is None else value for value in row] for row in rows]).reshape(-1, 3)


def _metadata(source: Source) -> dict[str, str]:
    """Names and values of the one row of ``Metadata.csv``."""
    member = next((name for name in source.members if PurePosixPath(name).name.lower() == "metadata.csv"), None)
    if member is None:
        return {}
    with source.text(member) as text:
        rows = [cells_of(line.rstrip("\r\n"), ",") for line in (text.readline(1 << 16), text.readline(1 << 16))]
    return dict(zip((plain(name) for name in rows[0]), rows[1], strict=False))
