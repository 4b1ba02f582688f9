"""Rows of a CSV or Parquet file, some at a time, and how its columns, units and axes map to ours; faults are named with line and column."""

import csv
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from har.contract import AXES, LABELS, SAMPLE_RATE_HZ
from har.errors import HarError, nearest
from har.recording.rate import MIN_RATE_HZ
from har.recording.types import COLUMNS, UNLABELLED

STANDARD_GRAVITY = 9.80665  # m/s^2 in one g
ACC_UNITS = {"g": 1.0, "m/s2": 1.0 / STANDARD_GRAVITY}
GYRO_UNITS = {"rad/s": 1.0, "deg/s": np.pi / 180.0}
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
KNOWN = ("time_s", *COLUMNS, "label")
NUMERIC = ("time_s", *COLUMNS)
LABEL_INDEX = {name: number for number, name in enumerate(LABELS)} | {"": UNLABELLED}
DELIMITERS = (",", ";", "\t")
LONGEST_LINE = 1 << 16  # characters; the widest exports have some hundred columns
READ_BYTES = 1 << 20  # of a column at a time; else a row group is read whole, and one may be as long as the file


@dataclass(frozen=True)
class ReadOptions:
    """How to read a recording.

    Attributes:
        columns: this project's column name (``time_s``, ``total_acc_x_g``, ..., ``label``) to the file's.
        acc_unit: unit of the file's acceleration, ``g`` or ``m/s2``.
        gyro_unit: unit of the file's angular velocity, ``rad/s`` or ``deg/s``.
        time_unit: unit of the file's time, ``s``, ``ms``, ``us`` or ``ns``.
        axes: which axis of the file becomes x, y and z, with a sign: ``("y", "-x", "z")``; for both sensors.
        interpolate_s: missing samples and gaps up to this many seconds are interpolated; 0 fills nothing.
        labels: whether labels are read; off where activities are predicted, so that a column in other words is no fault.
        sample_rate_hz: of the samples that are given; a file at another rate is resampled.
        least_rate_hz: of a file; a slower one has lost what a model needs.
        chunk_rows: rows read at a time; bounds the memory.

    Raises:
        HarError: an option has no such value.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    acc_unit: str = "g"
    gyro_unit: str = "rad/s"
    time_unit: str = "s"
    axes: tuple[str, ...] = AXES
    interpolate_s: float = 0.0
    labels: bool = True
    sample_rate_hz: float = SAMPLE_RATE_HZ
    least_rate_hz: float = MIN_RATE_HZ
    chunk_rows: int = 200_000

    def __post_init__(self) -> None:
        for option, value, valid in (
            ("--acc-unit", self.acc_unit, list(ACC_UNITS)),
            ("--gyro-unit", self.gyro_unit, list(GYRO_UNITS)),
            ("--time-unit", self.time_unit, list(TIME_UNITS)),
        ):
            if value not in valid:
                raise HarError("name-unknown", f"{option} is {value!r}; {nearest(value, valid)}")
        for name in self.columns:
            if name not in KNOWN:
                raise HarError("name-unknown", f"--columns maps {name!r}, which is no column of this project; {nearest(name, KNOWN)}")
        if sorted(axis.removeprefix("-") for axis in self.axes) != list(AXES):
            raise HarError(
                "argument", f"--axes is {','.join(self.axes)!r}; expected x, y and z once each, in any order and sign, such as y,-x,z"
            )
        if not 0 <= self.interpolate_s < 60:
            raise HarError("argument", f"--interpolate is {self.interpolate_s:g} s; expected 0 to 60")
        if self.chunk_rows < 1000:
            raise HarError("argument", f"chunk_rows is {self.chunk_rows}; expected at least 1000")

    def column(self, name: str) -> str:
        """The file's name of this project's column `name`."""
        return self.columns.get(name, name)

    def to_contract(self, raw: np.ndarray) -> np.ndarray:
        """The file's (time, 6) values -> g and rad/s with this project's axes, float64."""
        order = [AXES.index(axis.removeprefix("-")) for axis in self.axes]
        sign = np.array([-1.0 if axis.startswith("-") else 1.0 for axis in self.axes])
        acc = raw[:, :3][:, order] * (sign * ACC_UNITS[self.acc_unit])
        gyro = raw[:, 3:][:, order] * (sign * GYRO_UNITS[self.gyro_unit])
        return np.concatenate((acc, gyro), axis=1)


@dataclass(frozen=True)
class Rows:
    """Some rows as they stand in the file: times in s, values in the file's units and axes, NaN where missing."""

    line: np.ndarray  # of the file, from 1 with its header; a row of a Parquet file counts from 1
    time_s: np.ndarray
    values: np.ndarray  # (row, 6)
    labels: np.ndarray
    stretch: np.ndarray  # number of the stretch in which the time does not go back; 0 until the rows are put in order


def read_rows(path: Path, options: ReadOptions) -> Iterator[Rows]:
    """All rows of a recording, `options.chunk_rows` at a time.

    Raises:
        HarError: the file is missing or is neither CSV nor Parquet, a column is missing, or a cell is not a number.
    """
    if not path.exists():
        raise HarError("recording-missing", f"no recording at {path}; expected a CSV or Parquet file with the columns {', '.join(NUMERIC)}")
    if not path.is_file():  # a pipe would be waited for, a device may never end
        what = "a folder" if path.is_dir() else "a pipe or a device"
        raise HarError(
            "recording-format", f"cannot read {path}: it is {what}, expected a regular file; write the recording to a file first"
        )
    rows = _parquet_rows(path, options) if path.suffix.lower() in (".parquet", ".pq") else _csv_rows(path, options)
    empty = True
    for part in rows:
        empty = False
        yield part
    if empty:
        raise HarError("recording-short", f"{path} has a header but no samples; expected at least one window of samples")


def _positions(path: Path, header: list[str], options: ReadOptions) -> tuple[list[int], int | None]:
    found = []
    for name in NUMERIC:
        wanted = options.column(name)
        if wanted not in header:
            what = "the gyroscope is missing; " if name.startswith("gyro") and not any("gyr" in h.lower() for h in header) else ""
            hint = nearest(wanted, header).replace("valid:", "found:")
            raise HarError(
                "recording-columns", f"{path}: column {wanted} is missing; {what}{hint}; map other names with --columns {name}=NAME"
            )
        if header.count(wanted) > 1:
            raise HarError("recording-columns", f"{path}: column {wanted} appears {header.count(wanted)} times; expected once")
        found.append(header.index(wanted))
    label = options.column("label")
    if "label" in options.columns and label not in header:
        raise HarError("recording-columns", f"{path}: column {label} is missing; {nearest(label, header).replace('valid:', 'found:')}")
    return found, header.index(label) if options.labels and label in header else None


@dataclass(frozen=True)
class _Form:
    """How a CSV file is written: what separates its cells, their names, and which of them are read."""

    path: Path
    delimiter: str
    header: list[str]
    columns: list[int]  # of NUMERIC
    label: int | None
    time_unit: str


def _csv_rows(path: Path, options: ReadOptions) -> Iterator[Rows]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = _lines(path, file)
            first = next(lines, "")
            if not first.strip():
                what = "is empty" if not first else "begins with an empty line"
                raise HarError(
                    "recording-format", f"{path} {what}; expected a header with the columns {', '.join(NUMERIC)}, then one row a sample"
                )
            delimiter = max(DELIMITERS, key=first.count)  # a comma where none stands
            header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
            with suppress(ValueError):
                [float(name) for name in header]
                raise HarError(
                    "recording-format", f"{path} begins with numbers, {first.strip()[:40]!r}; expected a header with {', '.join(NUMERIC)}"
                )
            columns, label = _positions(path, header, options)
            form = _Form(path, delimiter, header, columns, label, options.time_unit)
            line = 2
            while part := list(islice(lines, options.chunk_rows)):
                if "".join(part).strip():
                    yield _parse(form, part, line)
                line += len(part)
    except csv.Error as error:
        raise HarError("recording-format", f"{path} is not well-formed CSV ({error}); is a quotation mark not closed?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise HarError("recording-format", f"cannot read {path} as text ({error}); expected a CSV file in UTF-8, or Parquet") from None


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    """Lines of a file, each with its end; a file without line breaks is not read whole."""
    number = 1
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise HarError(
                "recording-format", f"{path}: line {number} is longer than {LONGEST_LINE:,} characters; expected CSV with one row a line"
            )
        yield line
        number += 1


def _parse(form: _Form, lines: list[str], first: int) -> Rows:
    numbers = np.array([number for number, line in enumerate(lines, first) if line.strip()])
    lines = [line for line in lines if line.strip()]
    # Only rows with as many cells as the header may be read fast: a longer one means that cells have moved.
    cells = len(form.header) - 1
    whole = all(line.count(form.delimiter) == cells for line in lines)
    try:
        if not whole:
            raise ValueError
        table = np.loadtxt(lines, delimiter=form.delimiter, usecols=form.columns, ndmin=2, dtype=np.float64, comments=None, quotechar='"')
    except ValueError:
        table = _parse_slowly(form, lines, numbers)
    labels = np.full(len(table), UNLABELLED, dtype=np.int64)
    if form.label is not None:
        rows = csv.reader(lines, delimiter=form.delimiter)
        names = [row[form.label].strip() if form.label < len(row) else "" for row in rows]
        labels = label_numbers(form.path, names, numbers)
    return Rows(numbers[: len(table)], table[:, 0] * TIME_UNITS[form.time_unit], table[:, 1:], labels, np.zeros_like(labels))


def _parse_slowly(form: _Form, lines: list[str], numbers: np.ndarray) -> np.ndarray:
    """Empty cells become NaN; anything else that is not a number is named. Commas are decimal where they do not separate cells."""
    path, header = form.path, form.header
    table = np.empty((len(lines), len(form.columns)))
    rows = list(csv.reader(lines, delimiter=form.delimiter))
    if len(rows) != len(lines):
        raise HarError(
            "recording-format", f"{path}: a quotation mark is not closed near line {numbers[0]}; write the file without quotation marks"
        )
    signs: dict[str, tuple[int, str]] = {}  # of decimals, with a cell that has it
    for number, row in enumerate(rows):
        line = int(numbers[number])
        if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
            raise HarError(
                "recording-format",
                f"{path}: line {line} has {len(row)} columns, expected {len(header)} as in the header; have its numbers a decimal comma? "
                "write a point, or separate the columns by semicolons",
            )
        if max(form.columns) >= len(row):
            raise HarError(
                "recording-format", f"{path}: line {line} has {len(row)} columns, expected {len(header)}; the file may be cut off"
            )
        for place, column in enumerate(form.columns):
            cell = row[column].strip()
            signs |= {sign: (line, cell) for sign in ".," if sign in cell and sign not in signs}
            try:
                if "_" in cell:  # Python's own notation, 1_000
                    raise ValueError
                table[number, place] = float(cell.replace(",", ".")) if cell else np.nan
            except ValueError:
                raise HarError("recording-values", f"{path}: line {line}, column {header[column]}: {cell[:40]!r} is not a number") from None
    if len(signs) > 1:
        found = " and ".join(f"{cell[:40]!r} in line {line}" for line, cell in signs.values())
        raise HarError(
            "recording-values", f"{path} has both {found}; expected one decimal sign, a point or a comma, and none for thousands"
        )
    return table


def label_numbers(path: Path, names: list[str], lines: np.ndarray) -> np.ndarray:
    """Names of activities -> their numbers, -1 where empty."""
    for number, name in enumerate(names):
        if name not in LABEL_INDEX:
            raise HarError("name-unknown", f"{path}: unknown label {name!r} in line {lines[number]}; {nearest(name, LABELS)}, or empty")
    return np.array([LABEL_INDEX[name] for name in names], dtype=np.int64)


def _parquet_rows(path: Path, options: ReadOptions) -> Iterator[Rows]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise HarError(
            "dependency", f"{path} is Parquet, which needs pyarrow; pip install 'wearable-har[parquet]', or convert it to CSV"
        ) from None
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES) as file:
            header = file.schema_arrow.names
            columns, label = _positions(path, header, options)
            wanted = [header[column] for column in columns]
            line = 1
            read = [*wanted, *([header[label]] if label is not None else [])]
            for batch in file.iter_batches(options.chunk_rows, columns=read, use_threads=False):
                time_s = _time(batch.column(wanted[0]), options)
                values = np.stack([_numbers(path, batch.column(name), name) for name in wanted[1:]], axis=1)
                names = (
                    ["" if n is None else str(n) for n in batch.column(header[label]).to_pylist()]
                    if label is not None
                    else [""] * len(values)
                )
                lines = np.arange(line, line + len(values))
                if len(values):
                    yield Rows(lines, time_s, values, label_numbers(path, names, lines), np.zeros_like(lines))
                line += len(values)
    except (OSError, pa.ArrowException) as error:
        raise HarError(
            "recording-format", f"{path} is not a whole Parquet file ({str(error).splitlines()[0]}); write it again or use CSV"
        ) from None


def _numbers(path: Path, column: Any, name: str) -> np.ndarray:
    import pyarrow as pa

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise HarError("recording-columns", f"{path}: column {name} has type {column.type}, expected numbers")
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _time(column: Any, options: ReadOptions) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy(zero_copy_only=False) * 1e-9
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False) * TIME_UNITS[options.time_unit]
