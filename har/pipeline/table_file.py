"""Tables as CSV files: written whole or not at all, and no text in them is read as a formula."""

from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from har.files import whole_file
from har.redaction import csv_text


def write_table(table: pd.DataFrame, path: Path, digits: str = "%.6f") -> Path:
    """Write a table without its index; numbers are written as they are, texts as `csv_text` gives them.

    Args:
        table: any.
        path: of the CSV file; its folder is made.
        digits: format of its floating-point numbers.

    Returns:
        `path`.

    Raises:
        HarError: the file cannot be written.
    """
    own = table.reset_index(drop=True)
    columns = {csv_text(str(name)): own[name] if is_numeric_dtype(own[name]) else own[name].map(_cell) for name in own.columns}
    with whole_file(path) as temporary:
        pd.DataFrame(columns).to_csv(temporary, index=False, float_format=digits, lineterminator="\n")
    return path


def _cell(value: object) -> object:
    return csv_text(value) if isinstance(value, str) else value
