"""Rows of a CSV or Parquet file, some at a time. What cannot be read is named with line and column."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from har.contract import LABELS, HarError, nearest
from har.recording.options import TIME_UNITS, ReadOptions
from har.recording.types import COLUMNS, UNLABELLED

NUMERIC = ("time_s", *COLUMNS)
LABEL_INDEX = {name: number for number, name in enumerate(LABELS)} | {"": UNLABELLED}


@dataclass(frozen=True)
class Rows:
    """Some rows as they stand in the file: times in s, values in the file's units and axes, NaN where missing."""

    line: np.ndarray  # of the file, from 1 with its header; a row of a Parquet file counts from 1
    time_s: np.ndarray
    values: np.ndarray  # (row, 6)
    labels: np.ndarray


def read_rows(path: Path, options: ReadOptions) -> Iterator[Rows]:
    """All rows of a recording, `options.chunk_rows` at a time.

    Raises:
        HarError: the file is missing or is neither CSV nor Parquet, a column is missing, or a cell is not a number.
    """
    if not path.exists():
        raise HarError(f"no recording at {path}; expected a CSV or Parquet file with the columns {', '.join(NUMERIC)}")
    rows = _parquet_rows(path, options) if path.suffix.lower() in (".parquet", ".pq") else _csv_rows(path, options)
    empty = True
    for part in rows:
        empty = False
        yield part
    if empty:
        raise HarError(f"{path} has a header but no samples; expected at least one window of samples")


def _positions(path: Path, header: list[str], options: ReadOptions) -> tuple[list[int], int | None]:
    found = []
    for name in NUMERIC:
        wanted = options.column(name)
        if wanted not in header:
            what = "the gyroscope is missing; " if name.startswith("gyro") and not any("gyr" in h.lower() for h in header) else ""
            hint = nearest(wanted, header).replace("valid:", "found:") if any(header) else "the file is empty"
            raise HarError(f"{path}: column {wanted} is missing; {what}{hint}; map other names with --columns {name}=NAME")
        if header.count(wanted) > 1:
            raise HarError(f"{path}: column {wanted} appears {header.count(wanted)} times; expected once")
        found.append(header.index(wanted))
    label = options.column("label")
    if "label" in options.columns and label not in header:
        raise HarError(f"{path}: column {label} is missing; {nearest(label, header).replace('valid:', 'found:')}")
    return found, header.index(label) if label in header else None


def _csv_rows(path: Path, options: ReadOptions) -> Iterator[Rows]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = [name.strip() for name in next(csv.reader([file.readline()]), [])]
            columns, label = _positions(path, header, options)
            line = 2
            while lines := list(islice(file, options.chunk_rows)):
                if "".join(lines).strip():
                    yield _parse(path, lines, line, columns, label, header, options)
                line += len(lines)
    except csv.Error as error:
        raise HarError(f"{path} is not well-formed CSV ({error}); is a quotation mark not closed?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise HarError(f"cannot read {path} as text ({error}); expected a CSV file in UTF-8, or Parquet") from None


def _parse(
    path: Path, lines: list[str], first: int, columns: list[int], label: int | None, header: list[str], options: ReadOptions
) -> Rows:
    numbers = np.array([number for number, line in enumerate(lines, first) if line.strip()])
    lines = [line for line in lines if line.strip()]
    try:
        table = np.loadtxt(lines, delimiter=",", usecols=columns, ndmin=2, dtype=np.float64, comments=None, quotechar='"')
    except ValueError:
        table = _parse_slowly(path, lines, numbers, columns, header)
    labels = np.full(len(table), UNLABELLED, dtype=np.int64)
    if label is not None:
        names = [row[label].strip() if label < len(row) else "" for row in csv.reader(lines)]
        labels = label_numbers(path, names, numbers)
    return Rows(numbers[: len(table)], table[:, 0] * TIME_UNITS[options.time_unit], table[:, 1:], labels)


def _parse_slowly(path: Path, lines: list[str], numbers: np.ndarray, columns: list[int], header: list[str]) -> np.ndarray:
    """Empty cells become NaN; anything else that is not a number is named."""
    table = np.empty((len(lines), len(columns)))
    rows = list(csv.reader(lines))
    if len(rows) != len(lines):
        raise HarError(f"{path}: a quotation mark is not closed near line {numbers[0]}; write the file without quotation marks")
    for number, row in enumerate(rows):
        for place, column in enumerate(columns):
            if column >= len(row):
                raise HarError(f"{path}: line {numbers[number]} has {len(row)} columns, expected {len(header)}; the file may be cut off")
            cell = row[column].strip()
            try:
                table[number, place] = float(cell) if cell else np.nan
            except ValueError:
                raise HarError(f"{path}: line {numbers[number]}, column {header[column]}: {cell[:40]!r} is not a number") from None
    return table


def label_numbers(path: Path, names: list[str], lines: np.ndarray) -> np.ndarray:
    """Names of activities -> their numbers, -1 where empty."""
    for number, name in enumerate(names):
        if name not in LABEL_INDEX:
            raise HarError(f"{path}: unknown label {name!r} in line {lines[number]}; {nearest(name, LABELS)}, or empty")
    return np.array([LABEL_INDEX[name] for name in names], dtype=np.int64)


def _parquet_rows(path: Path, options: ReadOptions) -> Iterator[Rows]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise HarError(f"{path} is Parquet, which needs pyarrow; pip install 'wearable-har[parquet]', or convert it to CSV") from None
    try:
        with pq.ParquetFile(path) as file:
            header = file.schema_arrow.names
            columns, label = _positions(path, header, options)
            wanted = [header[column] for column in columns]
            line = 1
            for batch in file.iter_batches(options.chunk_rows, columns=[*wanted, *([header[label]] if label is not None else [])]):
                time_s = _time(batch.column(wanted[0]), options)
                values = np.stack([_numbers(path, batch.column(name), name) for name in wanted[1:]], axis=1)
                names = (
                    ["" if n is None else str(n) for n in batch.column(header[label]).to_pylist()]
                    if label is not None
                    else [""] * len(values)
                )
                lines = np.arange(line, line + len(values))
                if len(values):
                    yield Rows(lines, time_s, values, label_numbers(path, names, lines))
                line += len(values)
    except (OSError, pa.ArrowException) as error:
        raise HarError(f"{path} is not a whole Parquet file ({str(error).splitlines()[0]}); write it again or use CSV") from None


def _numbers(path: Path, column: Any, name: str) -> np.ndarray:
    import pyarrow as pa

    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise HarError(f"{path}: column {name} has type {column.type}, expected numbers")
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _time(column: Any, options: ReadOptions) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy(zero_copy_only=False) * 1e-9
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False) * TIME_UNITS[options.time_unit]
