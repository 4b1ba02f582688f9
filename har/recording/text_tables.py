"""Tables of numbers: what separates the cells, where the header is, and the rows, some at a time; faults are named with their line."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TextIO

import numpy as np

from har.errors import HarError
from har.recording.source import PARQUET, Source, rules

DELIMITERS = (",", ";", "\t", "|", None)  # None: any blanks
COMMENTS = ("#", "%", "//")
MISSING = frozenset(("", "na", "nan", "n/a", "#n/a", "null", "none", "nil", "-", "--", "?"))
LONGEST_LINE = 1 << 16  # characters; the widest exports have some hundred columns
READ_BYTES = 1 << 20  # of a Parquet column at a time; else a row group is read whole, and one may be as long as the file
HEAD_LINES = 60  # among which the header is looked for
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
MINUS = "\u2212"  # of typography; some apps write it in place of a hyphen
NO_CHARACTER = "\ufffd"  # in place of a zero byte: a number that holds one is damaged
PRAGMA = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # what Excel reads the delimiter from


@dataclass(frozen=True)
class Head:
    """How a table is written.

    Attributes:
        member: of the source.
        preamble: lines before the header.
        header: names of the columns; empty where the table begins with numbers.
        delimiter: between cells; None: any blanks.
        first: line of the first row, from 1.
        sample: cells of the first rows.
        file: its name, where it is no part of an export.
    """

    member: str
    preamble: tuple[str, ...]
    header: tuple[str, ...]
    delimiter: str | None
    first: int
    sample: tuple[tuple[str, ...], ...]
    file: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; their numbers, from 1, where there is no header."""
        return self.header or tuple(str(number) for number in range(1, 1 + len(self.sample[0])))


def cells_of(line: str, delimiter: str | None) -> list[str]:
    """The cells of one line, without blanks around them and without quotation marks."""
    if delimiter is None:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]


def is_number(cell: str) -> bool:
    """Whether a cell is a number or stands for a missing one; a decimal comma is one."""
    return cell.lower() in MISSING or number_of(cell) is not None


def number_of(cell: str) -> float | None:
    """The number in a cell; None where there is none."""
    try:
        return float(cell.replace(",", ".").replace(MINUS, "-")) if "_" not in cell else None  # 1_000 is Python's own notation
    except ValueError:
        return None


def lines_of(source: Source, member: str, text: TextIO) -> Iterator[str]:
    """Lines of a table without their ends; a file without line breaks is not read whole.

    Raises:
        HarError: a line is longer than `LONGEST_LINE`.
    """
    number = 1
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise HarError(
                "recording-format",
                f"{source.name(member)}: line {number} is longer than {LONGEST_LINE:,} characters; expected CSV with one row a line",
            )
        yield line.rstrip("\r\n").replace("\0", NO_CHARACTER)
        number += 1


def read_head(source: Source, member: str) -> Head | None:
    """How a table is written; None where no table of numbers begins in the first `HEAD_LINES` lines.

    The header is the last line before the first two rows of equally many cells, most of them numbers.

    Raises:
        HarError: it cannot be read.
    """
    if is_parquet(source, member):
        with parquet_file(source, member) as file:
            first = next(file.iter_batches(HEAD_LINES, use_threads=False), None)
            columns = [] if first is None else [[_as_cell(cell) for cell in column.to_pylist()] for column in first.columns]
            return Head(member, (), tuple(file.schema_arrow.names), None, 1, tuple(zip(*columns, strict=True)), source.path.name)
    with source.text(member) as text:
        lines = list(islice(lines_of(source, member, text), HEAD_LINES))
    pragma = next((found[1] for line in lines[:3] if (found := PRAGMA.fullmatch(line))), None)
    candidates = [pragma] if pragma else DELIMITERS
    best: Head | None = None
    for delimiter in candidates:
        head = _head_with(member, source.path.name, lines, delimiter)
        if head is not None and (best is None or _numbers_in(head) > _numbers_in(best)):
            best = head
    return best


def _numbers_in(head: Head) -> int:
    return sum(map(is_number, head.sample[0]))


def _head_with(member: str, file: str, lines: Sequence[str], delimiter: str | None) -> Head | None:
    rows = [(number, cells_of(line, delimiter)) for number, line in enumerate(lines, 1) if _holds_cells(line)]
    for place, (number, cells) in enumerate(rows):
        following = [other for _, other in rows[place : place + 2]]
        if len(cells) < 2 or not all(_is_row(other, len(cells)) for other in following):
            continue
        before = rows[place - 1] if place else None
        filled = len(cells) - next((empty for empty, cell in enumerate(reversed(cells)) if cell), 0)
        has_header = before is not None and len(before[1]) >= filled - 1 and not _is_row(before[1], len(before[1]))
        header = tuple(before[1]) if has_header and before is not None else ()
        above = rows[place - 2] if place > 1 else None
        if (
            has_header and above is not None and len(above[1]) == len(header) and all(map(_is_unit, header))
        ):  # a row of units below the names
            header = tuple(f"{name} ({unit.strip('()[]')})" if unit else name for name, unit in zip(above[1], header, strict=True))
            before = above
        if not has_header:  # a damaged row among the first ones is no preamble
            number = next(line for line, cells in rows[: place + 1] if len(cells) > 1 and _is_row(cells, len(cells)))
        ends = (before[0] if has_header and before is not None else number) - 1
        return Head(member, tuple(lines[:ends]), header, delimiter, number, tuple(tuple(row) for _, row in rows[place:]), file)
    return None


def _is_unit(cell: str) -> bool:
    return not cell or any(cell.strip("()[]").lower() in names for names in rules()["units"].values())


def _holds_cells(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(COMMENTS) and not PRAGMA.fullmatch(line)


def _is_row(cells: Sequence[str], count: int) -> bool:
    """Whether cells are those of a row of samples: at least half are numbers, and more than one is no missing value."""
    numbers = sum(is_number(cell) for cell in cells)
    known = sum(number_of(cell) is not None for cell in cells)
    return abs(len(cells) - count) <= 1 and 2 * numbers >= len(cells) and known > 1


@dataclass(frozen=True)
class Block:
    """Some rows of a table: their lines, (row, column) numbers with NaN where a value is missing, and the cells of text columns."""

    line: np.ndarray
    numbers: np.ndarray
    texts: tuple[list[str], ...]


def read_blocks(source: Source, head: Head, numeric: Sequence[int], textual: Sequence[int], rows: int) -> Iterator[Block]:
    """The rows of a table, at most `rows` at a time.

    Args:
        source: of the table.
        head: of the table.
        numeric: columns that hold numbers.
        textual: columns that hold text, such as labels or dates.
        rows: bounds the memory.

    Raises:
        HarError: with line and column: a cell is no number, a row has too few or too many cells, or the file cannot be read.
    """
    if is_parquet(source, head.member):
        yield from _parquet_blocks(source, head, numeric, textual, rows)
        return
    with source.text(head.member) as text:
        lines = islice(lines_of(source, head.member, text), head.first - 1, None)
        number = head.first
        while part := list(islice(lines, rows)):
            kept = [(at, line) for at, line in enumerate(part, number) if _holds_cells(line)]
            number += len(part)
            if kept:
                yield _block(source.name(head.member), head, kept, numeric, textual)


def is_parquet(source: Source, member: str) -> bool:
    """Whether a table is a Parquet file, by its name."""
    return (member or source.path.name).lower().endswith(PARQUET)


@contextmanager
def parquet_file(source: Source, member: str) -> Iterator[Any]:
    """An open Parquet file.

    Raises:
        HarError: pyarrow is not installed, or the file is not whole.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise HarError(
            "dependency",
            f"{source.name(member)} is Parquet, which needs pyarrow; pip install 'wearable-har[parquet]', or convert it to CSV",
        ) from None
    try:
        with ExitStack() as stack:
            packed = member and not source.path.is_dir()
            place = stack.enter_context(source.open(member)) if packed else source.path / member
            yield stack.enter_context(pq.ParquetFile(place, pre_buffer=False, buffer_size=READ_BYTES))
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise HarError(
            "recording-format", f"{source.name(member)} is not a whole Parquet file ({reason}); write it again or use CSV"
        ) from None


def _parquet_blocks(source: Source, head: Head, numeric: Sequence[int], textual: Sequence[int], rows: int) -> Iterator[Block]:
    """As `read_blocks`; time stamps become s since 1970, and a row counts from 1."""
    with parquet_file(source, head.member) as file:
        names, line = [head.header[column] for column in (*numeric, *textual)], 1
        for batch in file.iter_batches(rows, columns=names, use_threads=False):
            numbers = np.stack([_numbers(source.name(head.member), batch.column(name), name) for name in names[: len(numeric)]], axis=1)
            texts = [["" if cell is None else str(cell) for cell in batch.column(name).to_pylist()] for name in names[len(numeric) :]]
            yield Block(np.arange(line, line + len(numbers)), numbers, tuple(texts))
            line += len(numbers)


def _numbers(table: str, column: Any, name: str) -> np.ndarray:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy(zero_copy_only=False) * 1e-9
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise HarError("recording-columns", f"{table}: column {name} has type {column.type}, expected numbers")
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _as_cell(value: Any) -> str:
    """A value of a Parquet file as a cell of text; a time stamp counts as a number."""
    return "" if value is None else str(value) if isinstance(value, str | int | float) else "0"


def _block(name: str, head: Head, kept: list[tuple[int, str]], numeric: Sequence[int], textual: Sequence[int]) -> Block:
    at, lines = np.array([number for number, _ in kept]), [line for _, line in kept]
    if not textual and _are_whole(lines, head):
        try:
            found = np.loadtxt(lines, delimiter=head.delimiter, usecols=numeric, ndmin=2, dtype=np.float64, comments=None, quotechar='"')
            if len(found) == len(lines):
                return Block(at, found, ())
        except ValueError:
            pass  # a cell is missing, quoted or damaged: what follows names it
    return _block_slowly(name, head, at, lines, numeric, textual)


def _are_whole(lines: list[str], head: Head) -> bool:
    count = len(head.sample[0]) - 1
    if head.delimiter is None:
        return all(len(line.split()) == count + 1 for line in lines)
    return all(line.count(head.delimiter) == count for line in lines)


def _least_cells(head: Head) -> int:
    """Of a whole row: some tables leave out empty cells at its end."""
    counts = Counter(map(len, head.sample))
    return min([len(head.sample[0]), *(count for count, rows in counts.items() if rows > 1)])


def _block_slowly(name: str, head: Head, at: np.ndarray, lines: list[str], numeric: Sequence[int], textual: Sequence[int]) -> Block:
    found = np.empty((len(lines), len(numeric)))
    signs: dict[str, str] = {}  # of decimals, with a cell that has it
    texts: tuple[list[str], ...] = tuple([] for _ in textual)
    width, needed = len(head.header or head.sample[0]), max(*numeric, *textual, _least_cells(head) - 1)
    for row, line in enumerate(lines):
        cells = cells_of(line, head.delimiter)
        if len(cells) <= needed:
            raise HarError(
                "recording-format", f"{name}: line {at[row]} has {len(cells)} columns, expected {width}; the file may be cut off"
            )
        if len(cells) > width and any(cells[width:]):
            raise HarError(
                "recording-format",
                f"{name}: line {at[row]} has {len(cells)} columns, expected {width} as in the header; have its numbers a decimal comma? "
                "write a point, or separate the columns by semicolons",
            )
        for place, column in enumerate(numeric):
            value = np.nan if cells[column].lower() in MISSING else number_of(cells[column])
            if value is None:
                label = head.header[column] if column < len(head.header) else column + 1
                raise HarError("recording-values", f"{name}: line {at[row]}, column {label}: {cells[column][:40]!r} is not a number")
            found[row, place] = value
            signs |= {sign: f"{cells[column][:40]!r} in line {at[row]}" for sign in ".," if sign in cells[column] and sign not in signs}
        for place, column in enumerate(textual):
            texts[place].append(cells[column])
    if len(signs) > 1:
        both = " and ".join(signs.values())
        raise HarError("recording-values", f"{name} has both {both}; expected one decimal sign, a point or a comma, and none for thousands")
    return Block(at, found, texts)
