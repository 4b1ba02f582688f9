"""A timeline as a Parquet file, written part by part: whatever the length of the recording, a few hours of it are in memory."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from har.errors import HarError
from har.runtime.decision import outcomes
from har.runtime.recognizer import Timeline

SAID = b"har"  # key of what the file says about itself, JSON, in the metadata of its footer
ROWS = 1 << 14  # windows of a row group, 5.8 hours: many gaps must not become many tiny groups


def write_parquet(parts: Iterable[Timeline], labels: list[str], path: Path, said: Callable[[], dict[str, Any]]) -> int:
    """One row a window, with the columns of `write_timeline`: ``from_s``, ``to_s``, ``activity``, ``confidence`` and ``p_LABEL``.

    Args:
        parts: of one timeline, in order.
        labels: names of the activities, in the order of the probabilities.
        path: of the file, which is on the disk for good when this returns.
        said: asked when all parts are written: what the file says about itself, readable by `read_said`.

    Returns:
        Number of rows.

    Raises:
        HarError: pyarrow is missing.
        OSError: the file cannot be written.
    """
    pa, pq = need_pyarrow()
    activity = pa.dictionary(pa.int16(), pa.string())
    columns = [("from_s", pa.float64()), ("to_s", pa.float64()), ("activity", activity), ("confidence", pa.float32())]
    schema = pa.schema([*columns, *((f"p_{label}", pa.float32()) for label in labels)])
    rows, waiting, held = 0, [], 0
    with open(path, "wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=["activity"]) as writer:
            for part in parts:
                waiting.append(_table(part, labels, schema))
                held += len(part.from_s)
                if held >= ROWS:
                    writer.write_table(pa.concat_tables(waiting))
                    rows, waiting, held = rows + held, [], 0
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
            writer.add_key_value_metadata({SAID: json.dumps(said()).encode()})
        file.flush()
        os.fsync(file.fileno())
    return rows + held


def read_said(path: Path) -> dict[str, Any] | None:
    """What a file of `write_parquet` says about itself; None where there is no file.

    Raises:
        HarError: pyarrow is missing, or there is another file.
    """
    pa, pq = need_pyarrow()
    try:
        return json.loads(pq.read_metadata(path).metadata[SAID])
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, RecursionError) as error:
        raise HarError(
            "file", f"{path} is there and no file of har predict ({str(error)[:80]}); name another folder, or remove it"
        ) from None


def _table(part: Timeline, labels: list[str], schema: Any) -> Any:
    pa, _ = need_pyarrow()
    rows = part.probabilities.astype(np.float32)
    activity = pa.DictionaryArray.from_arrays(pa.array(part.decisions().astype(np.int16)), pa.array(outcomes(labels)))
    return pa.Table.from_arrays([part.from_s, part.to_s, activity, rows.max(axis=1), *rows.T], schema=schema)


def need_pyarrow() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet.

    Raises:
        HarError: pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise HarError(
            "dependency", "predictions of many recordings are Parquet, which needs pyarrow; pip install 'wearable-har[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet
