"""The ledger of test openings: every time the official test subjects are scored, a row is added and published."""

import csv
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from har.contract import HarError

COLUMNS = (
    "opened_utc",
    "commit",
    "config",
    "model",
    "seed",
    "channels",
    "checkpoint_sha256",
    "train_commit",
    "data_digest",
    "accuracy",
    "macro_f1",
)


def add_opening(path: Path, **row: object) -> None:
    """Append one row; the file and its header are made where they are not there.

    Raises:
        HarError: the file has other columns or cannot be written.
    """
    row = {"opened_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **row}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock")
        with FileLock(lock):
            new = not path.exists() or path.stat().st_size == 0
            if not new:
                with open(path, newline="", encoding="utf-8") as file:
                    found = next(csv.reader(file), [])
                if tuple(found) != COLUMNS:
                    raise HarError(f"{path} has the columns {', '.join(found)}; expected {', '.join(COLUMNS)}; restore the ledger")
            with open(path, "a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                if new:
                    writer.writeheader()
                writer.writerow(row)
        lock.unlink(missing_ok=True)
    except OSError as error:
        raise HarError(f"cannot write the ledger {path} ({error.strerror}); the test split is not scored without it") from None
