"""Damage archives and recordings at random and count how the readers answer.

    python benchmarks/faults/fuzz_readers.py [--cases 5000] [--seed 0] [--only NAME]

Writes results/reliability/fuzz.csv: a row for each reader and kind of damage with the cases tried, refused in one clear line, read with
the content unchanged, read with a content that is still valid (a digit became another digit), and answered wrongly. The last number
must be zero; the exit code is 1 where it is not.

Wrong are a traceback, a warning, a message of several lines, and a recording that is read although an independent reader of a few lines
(`Table.row`) disagrees: a sample away from the damage is not that of the movement at its time (shifted columns, a sign, a unit, a time,
another sensor), a sample stands where no row is, an undamaged row is missing, or a cell was read that is no number. With resampling,
"away from the damage" is farther than the filter reaches.
"""

import csv
import re
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from reliability_summary import FOLDER
from trials import arguments, tables, workplace

from har.data import uci_har
from har.data.archives import open_source
from har.errors import HarError
from har.recording import ReadOptions, ReadReport, read_pieces
from tests.helpers import write_uci_har, zip_folder
from tests.recording import exports
from tests.recording.exports import ACTIGRAPH_IMU, DEG, EPOCH_S, PLAIN, Files, G, plain_columns, table, times

RESULT = "fuzz.csv"
ANSWERS = ("refused", "unchanged", "changed_but_valid", "wrong")
SECONDS = 6.0
MISSING = {"", "na", "nan", "n/a", "#n/a", "null", "none", "nil", "-", "--", "?"}
REACH_S = 0.40  # around damage and at the ends of a resampled stretch: half the filter's kernel and a few samples
NEAR_S = 0.062  # between a sample and the nearest row: a gap is longer
TOLERANCE = 8e-3  # g and rad/s
Damage = Callable[[bytes, np.random.Generator], bytes]


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for position in rng.integers(0, len(content), size=int(rng.integers(1, 8))):
        changed[position] ^= int(rng.integers(1, 256))
    return bytes(changed)


def insert(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(content)))
    return content[:at] + rng.integers(0, 256, size=int(rng.integers(1, 64)), dtype=np.uint8).tobytes() + content[at:]


def remove(content: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(content)))
    return content[:at] + content[at + int(rng.integers(1, 64)) :]


def retype(content: bytes, rng: np.random.Generator) -> bytes:
    """Characters of a table in the place of others: most of these are read, not refused."""
    changed = bytearray(content)
    for position in rng.integers(0, len(content), size=int(rng.integers(1, 4))):
        changed[position] = int(rng.choice(list(b'0123456789-+.,;eE \t\n"#NaxyzXYZg')))
    return bytes(changed)


def lose_lines(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.splitlines(keepends=True)
    at, count = int(rng.integers(0, len(lines))), int(rng.choice([1, 1, 2, 3, 10, 100]))
    return b"".join(lines[:at] + lines[at + count :])


def move_lines(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.splitlines(keepends=True)
    at, to, count = int(rng.integers(0, len(lines))), int(rng.integers(0, len(lines))), int(rng.choice([1, 2, 50]))
    return b"".join(lines[:to] + lines[at : at + count] + lines[to:])


def lose_cells(content: bytes, rng: np.random.Generator) -> bytes:
    """A cell is emptied, or taken away with what separates it."""
    cells = [match.span() for match in re.finditer(rb"[^,;\t\n]+[,;\t]?", content)]
    begin, end = cells[int(rng.integers(0, len(cells)))]
    return content[:begin] + (b"" if rng.random() < 0.5 else content[end - 1 : end]) + content[end:]


DAMAGES: dict[str, Damage] = {
    "truncated": lambda content, rng: content[: int(rng.integers(0, len(content)))],
    "bytes flipped": flip,
    "bytes inserted": insert,
    "bytes removed": remove,
    "characters retyped": retype,
    "lines lost": lose_lines,
    "lines repeated elsewhere": move_lines,
    "cells lost": lose_cells,
}


@dataclass(frozen=True)
class Table:
    """How one table of a reader's files is written, for the independent reader.

    Attributes:
        clocks, values: columns that are used.
        delimiter: between cells.
        second: the time in a cell of `clocks`, s.
        decimal: sign of the decimals.
        pause: at which time of the clock it stood still, and how long, s.
    """

    clocks: tuple[int, ...]
    values: tuple[int, ...]
    delimiter: str = ","
    second: Callable[[str], float] = float
    decimal: str = "."
    pause: tuple[float, float] = (np.inf, 0.0)

    def row(self, line: bytes) -> list[float] | None:
        """Times of a row; empty where one is missing, None where a cell that is used is no number."""
        cells = [cell.strip() for cell in line.decode("latin-1").split(self.delimiter)]
        try:
            used = [cells[column].replace('"', "").replace(self.decimal, ".") for column in self.values]
            found = [self.second(cells[column].replace('"', "").replace(self.decimal, ".")) for column in self.clocks]
            any(float(cell) for cell in used if cell.lower() not in MISSING)
        except (ValueError, IndexError):
            return None
        return [second + self.pause[1] * (second >= self.pause[0]) for second in found]


@dataclass(frozen=True)
class Reader:
    """One export, and how its tables are read independently.

    Attributes:
        name: of the reader.
        path: ends in .zip, or .csv, or is that of a folder.
        files: of the export.
        tables: those with the samples, by file.
        origin_s: time that is added to the movement's, s.
        dated: whether times count from the first sample on.
    """

    name: str
    path: str
    files: Files
    tables: dict[str, Table]
    origin_s: float = 0.0
    dated: bool = False


def readers() -> list[Reader]:
    """Every format once, as file, folder or zip."""
    logged, six = Table((1,), (2, 3, 4)), Table((0,), (1, 2, 3, 4, 5, 6))
    android = exports.sensor_logger_android("TotalAcceleration", seconds=SECONDS)
    names = ("Metadata.csv", "TotalAcceleration.csv", "Gyroscope.csv")
    ios = exports.sensor_logger_ios(seconds=SECONDS)
    pause = (SECONDS / 2, 4.0)
    paused = exports.phyphox(pause_s=pause[1], seconds=SECONDS)
    commas = exports.phyphox(style="{axis}", delimiter=";", decimal=",", seconds=SECONDS)
    both = ("Accelerometer.csv", "Gyroscope.csv")
    logs = Table((2, 6), (3, 4, 5, 7, 8, 9))
    andro = Table((15,), (0, 1, 2, 9, 10, 11), ";", lambda cell: float(cell) / 1000)
    acti = Table((0,), (1, 2, 3, 5, 6, 7), second=_us)
    axi = Table((0,), (1, 2, 3, 4, 5, 6), second=_iso)
    dates = [f"{datetime.fromtimestamp(EPOCH_S + s, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] for s in times(50.0, SECONDS)]
    header = ["datetime", *(f"{w} {a} [{u}]" for w, u in (("acc", "m/s^2"), ("gyro", "deg/s")) for a in "xyz")]
    iso = table(header, [dates, *plain_columns(times(50.0, SECONDS), acc=G, gyro=DEG)], ";", ",").replace(b"m/s^2,", b"m/s^2;")
    plain = table(PLAIN, [times(50.0, SECONDS), *plain_columns(times(50.0, SECONDS))])
    one = "recording.csv"
    return [
        Reader("Sensor Logger, folder", "android", {n: android[n] for n in names}, dict.fromkeys(names[1:], logged)),
        Reader("Sensor Logger, zip", "ios.zip", ios, dict.fromkeys(("Accelerometer.csv", "Gravity.csv", "Gyroscope.csv"), logged)),
        Reader("phyphox, folder", "phyphox", paused, {n: Table((0,), (1, 2, 3), pause=pause) for n in both}),
        Reader("phyphox, zip", "phyphox.zip", commas, {n: Table((0,), (1, 2, 3), ";", decimal=",") for n in both}),
        Reader("SensorLog", one, {one: exports.sensor_log(seconds=SECONDS)}, {one: logs}, 62_608.0),
        Reader("AndroSensor", one, {one: exports.andro_sensor(seconds=SECONDS)}, {one: andro}),
        Reader("Physics Toolbox", one, {one: exports.physics_toolbox(seconds=SECONDS)}, {one: six}),
        Reader(
            "ActiGraph",
            one,
            {one: exports.actigraph(ACTIGRAPH_IMU, start="2023-11-14T22:13:20", seconds=SECONDS)},
            {one: acti},
            EPOCH_S,
            True,
        ),
        Reader("Axivity", one, {one: exports.axivity(header=True, gyroscope=True, seconds=SECONDS)}, {one: axi}, EPOCH_S, True),
        Reader("recording CSV", one, {one: plain}, {one: six}),
        Reader("table with dates", one, {one: iso}, {one: Table((0,), (1, 2, 3, 4, 5, 6), ";", _iso, ",")}, EPOCH_S, True),
    ]


def _us(cell: str) -> float:
    return datetime.strptime(cell + ".0" * ("." not in cell) + "+0000", "%m/%d/%Y %H:%M:%S.%f%z").timestamp()


def _iso(cell: str) -> float:
    return datetime.strptime(cell.replace("T", " ") + ".0" * ("." not in cell) + "+0000", "%Y-%m-%d %H:%M:%S.%f%z").timestamp()


@dataclass(frozen=True)
class Reading:
    """What a reader gave: (time,) s and (time, 6) samples."""

    time_s: np.ndarray
    samples: np.ndarray
    resampled: bool

    @property
    def key(self) -> bytes:
        return self.time_s.tobytes() + self.samples.tobytes()


def read(path: Path) -> Reading:
    report = ReadReport()
    pieces = [piece for _, piece in read_pieces(path, report, options=ReadOptions(labels=False))]
    time_s, samples = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("time_s", "samples"))
    return Reading(time_s, samples, any(stream.resampled for stream in report.streams))


def judge(reader: Reader, damaged: Files, found: Reading) -> str:
    """Why an answer is wrong; "" where it is not."""
    if not np.isfinite(found.samples).all():
        return "a sample is no number"
    touched: list[float] = []
    rows: list[np.ndarray] = []
    intact: list[np.ndarray] = []
    first: list[float] = []
    for name, layout in reader.tables.items():
        original = reader.files[name].splitlines()
        head = next(number for number, line in enumerate(original) if layout.row(line))
        order = {line: number for number, line in enumerate(original)}
        every, whole, before = [], [], head - 1
        named = damaged.get(name, b"").splitlines()[:head] == original[:head]  # else SensorLog's other columns may have been used
        for index, line in enumerate(damaged.get(name, b"").splitlines()):
            number = order.get(line, -1)
            if 0 <= number < head or not line.strip() or (number < 0 and index < head):
                continue
            seconds = layout.row(line)
            if number < 0:
                if seconds is None and (named or reader.name != "SensorLog") and not line.lstrip().startswith((b"#", b"%", b"//")):
                    return f"{name}: read a row that is none: {line[:100]!r}"
                touched += seconds or []
            else:
                whole += seconds or []
            if number != before + 1 or number < 0:  # what stands next to damage is touched
                touched += layout.row(original[before]) or [] if before >= head else []
                touched += seconds or []
            before = number if number >= 0 else before
            every += seconds or []
        touched += [min(whole, default=0.0), max(whole, default=0.0), layout.pause[0], sum(layout.pause)]
        first += every[:4]
        rows.append(np.sort(every))
        intact.append(np.sort(whole))
    origins = first if reader.dated else [0.0]
    reasons = [_compare(reader, found, origin_s, np.sort(touched), rows, intact) for origin_s in origins]
    return "" if "" in reasons else reasons[0] if reasons else "samples without rows"


def _compare(
    reader: Reader, found: Reading, origin_s: float, touched: np.ndarray, rows: Sequence[np.ndarray], intact: Sequence[np.ndarray]
) -> str:
    at = found.time_s + origin_s
    away = _distance(at, touched) > (REACH_S if found.resampled else 0.03)
    expected = np.concatenate((exports.acceleration(at - reader.origin_s), exports.rotation(at - reader.origin_s)), axis=1)
    wrong = away & (np.abs(found.samples - expected).max(axis=1) > TOLERANCE)
    if wrong.any():
        return f"{wrong.sum()} samples are wrong, the first at {found.time_s[np.argmax(wrong)]:.3f} s"
    far = np.max([_distance(at, times_s) for times_s in rows], axis=0)
    if far.max() > NEAR_S:
        return f"samples were invented at {found.time_s[np.argmax(far)]:.3f} s"
    needed = intact[0][_distance(intact[0], touched) > REACH_S + 0.1]
    needed = needed[np.max([_distance(needed, times_s) for times_s in intact], axis=0) < 0.03] if len(needed) else needed
    lost = _distance(needed, np.sort(at)) > 0.03
    return f"{lost.sum()} rows were lost, the first at {needed[np.argmax(lost)]:.3f} s" if lost.any() else ""


def _distance(at: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(time,) s to the nearest of sorted other times."""
    if not len(other):
        return np.full(len(at), np.inf)
    place = np.searchsorted(other, at)
    return np.minimum(np.abs(at - other[(place - 1).clip(0)]), np.abs(at - other[place.clip(0, len(other) - 1)]))


def damage_zip(path: Path, damage: Damage, rng: np.random.Generator) -> Files:
    """Damage the bytes of a zip; the content of its members is what checksums leave whole."""
    path.write_bytes(damage(path.read_bytes(), rng))
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # whatever the reader makes of it, it has no rows to give
        return {}


def cases(reader: Reader, damage: Damage, count: int, rng: np.random.Generator, folder: Path) -> Iterator[Files]:
    """Write damaged exports to `folder`, one after the other, each in the place of the one before."""
    path = folder / reader.path
    exports.save(reader.files, path)
    whole = path.read_bytes() if path.suffix == ".zip" else b""
    names = list(reader.tables)
    for number in range(count):
        if path.suffix == ".zip" and number % 4 == 3:
            path.write_bytes(whole)
            yield damage_zip(path, damage, rng)
            continue
        name = names[int(rng.integers(0, len(names)))]
        files = reader.files | {name: damage(reader.files[name], rng)}
        exports.save(files if path.suffix else {name: files[name]}, path)
        yield files
        if not path.suffix:
            exports.save({name: reader.files[name]}, path)


def answer(reader: Reader, path: Path, damaged: Files, reference: Reading) -> str:
    """How a reader answers damaged files: one of `ANSWERS`."""
    try:
        found = read(path)
    except HarError as error:
        return "refused" if "\n" not in str(error) else "wrong"
    except Exception as error:
        print(f"wrong: {reader.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return "wrong"
    if found.key == reference.key:
        return "unchanged"
    reason = judge(reader, damaged, found)
    if reason:
        print(f"wrong: {reader.name}: {reason}", file=sys.stderr, flush=True)
    return "wrong" if reason else "changed_but_valid"


def fuzz_archive(folder: Path, count: int, seed: int) -> Iterator[dict[str, object]]:
    """Rows for UCI HAR's zip, whose content has a digest: damaged ones are refused."""
    uci_har.CONTENT_SHA256 = ""  # two subjects are enough here
    write_uci_har(folder / "UCI HAR Dataset", train=(1,), test=(2,))
    archive, path = zip_folder(folder / "UCI HAR Dataset", folder / "archive.zip"), folder / "damaged.zip"

    def digest(path: Path) -> str:
        with open_source(path) as (read_file, _):
            return uci_har.read(read_file).digest

    reference = digest(archive)
    for number, kind in enumerate(("truncated", "bytes flipped", "bytes inserted", "bytes removed")):
        rng, counts = np.random.default_rng((seed, number)), Counter[str]()
        for _ in range(count):
            path.write_bytes(DAMAGES[kind](archive.read_bytes(), rng))
            try:
                counts["unchanged" if digest(path) == reference else "wrong"] += 1
            except HarError as error:
                counts["refused" if "\n" not in str(error) else "wrong"] += 1
            except Exception as error:
                print(f"wrong: UCI HAR zip: {type(error).__name__}: {error}", file=sys.stderr)
                counts["wrong"] += 1
        yield {"source": "UCI HAR zip", "damage": kind, "cases": count} | {name: counts[name] for name in ANSWERS}


def fuzz(reader: Reader, number: int, count: int, seed: int, folder: Path) -> Iterator[dict[str, object]]:
    """A row for each kind of damage to an export."""
    path = folder / reader.path
    reference = read(exports.save(reader.files, path))
    assert not judge(reader, reader.files, reference), judge(reader, reader.files, reference)
    for kind, damage in DAMAGES.items():
        rng, counts = np.random.default_rng((seed, number, len(kind))), Counter[str]()
        for damaged in cases(reader, damage, count, rng, folder):
            counts[answer(reader, path, damaged, reference)] += 1
        yield {"source": reader.name, "damage": kind, "cases": count} | {name: counts[name] for name in ANSWERS}


def main() -> int:
    parser = arguments(__doc__, cases=(5000, "of each reader; the archive of UCI HAR gets a quarter"), seed=(0, "of the damage"))
    parser.add_argument("--only", metavar="NAME", default="", help="readers whose names begin so; the rows of the others are kept")
    options = parser.parse_args()
    warnings.simplefilter("error")  # a user would see them
    before: list[dict[str, object]] = []
    if options.only and (FOLDER / RESULT).exists():
        with open(FOLDER / RESULT, encoding="utf-8", newline="") as file:
            kept = [row for row in csv.DictReader(file) if not row["source"].startswith(options.only)]
            before = [{name: cell for name, cell in row.items() if cell} for row in kept]
    stamp, rows = {"seed": options.seed} | tables.made("numpy"), []
    with workplace() as folder:
        if "UCI HAR zip".startswith(options.only):
            rows += [printed(row) for row in fuzz_archive(folder, options.cases // 16, options.seed)]
        for number, reader in enumerate(readers()):
            if reader.name.startswith(options.only):
                own = folder / str(number)
                own.mkdir()
                rows += [printed(row) for row in fuzz(reader, number, -(-options.cases // len(DAMAGES)), options.seed, own)]
                tables.write_table(FOLDER / RESULT, [*before, *(row | stamp for row in rows)], {})  # also where the rest is interrupted
    return int(any(row["wrong"] for row in rows))


def printed(row: dict[str, object]) -> dict[str, object]:
    """A row, which is printed."""
    print(row, flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
