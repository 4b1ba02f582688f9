"""The ledger of test evaluations: every time official test subjects are scored, a row is added before the score is shown.

The ledger that is published is the one below ``results/`` of the repository. Where ``--results`` names another folder, the row goes to
the ledger there, which the command names.
"""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from har.contract import TEST_SUBJECTS
from har.errors import HarError
from har.evaluation.predictions import Origin
from har.files import append_whole, cannot_write
from har.reporting import git_commit

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


LEDGER = "test_openings.csv"


def required_ledger(folder: Path, subjects: Iterable[int], *, synthetic: bool) -> Path | None:
    """The ledger that scoring these subjects adds a row to, checked before they are scored.

    Args:
        folder: of the data set's results.
        subjects: who will be scored.
        synthetic: whether the data were generated; those have no official test subjects.

    Returns:
        None where no official test subject is among them.

    Raises:
        HarError: the ledger has other columns or cannot be written.
    """
    if synthetic or not set(subjects) & set(TEST_SUBJECTS):
        return None
    path = folder / LEDGER
    _append(path, "")
    return path


def record_opening(path: Path, origin: Origin, *, accuracy: float | None, macro_f1: float | None = None, note: str = "") -> None:
    """Append the row of a scoring of the official test subjects, before the score is shown.

    Args:
        path: the ledger of the data set.
        origin: of the scored weights.
        accuracy: from 0 to 1; None where something else than accuracy was scored, which the note then says.
        macro_f1: from 0 to 1, where it was computed.
        note: behind the name of the run, where not the plain windows were scored.

    Raises:
        HarError: as `add_opening`.
    """
    add_opening(
        path,
        commit=git_commit(),
        config=f"{origin.run} {note}".strip(),
        model=origin.model,
        seed=origin.seed,
        channels=origin.channels,
        checkpoint_sha256=origin.checkpoint_sha256,
        train_commit=origin.commit,
        data_digest=origin.data_digest,
        accuracy="" if accuracy is None else f"{accuracy:.6f}",
        macro_f1="" if macro_f1 is None else f"{macro_f1:.6f}",
    )


def add_opening(path: Path, **row: object) -> None:
    """Append one row; the file and its header are made where they are not there.

    Raises:
        HarError: the file has other columns or cannot be written.
    """
    text = io.StringIO()
    csv.DictWriter(text, COLUMNS, lineterminator="\n").writerow({"opened_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **row})
    _append(path, text.getvalue())


def _append(path: Path, row: str) -> None:
    """Append a row, or nothing, to a ledger with the right header, which is made where the file is not there or empty."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock")
        with FileLock(lock):
            new = not path.exists() or path.stat().st_size == 0
            if not new:
                with open(path, newline="", encoding="utf-8") as file:
                    found = next(csv.reader(file), [])
                if tuple(found) != COLUMNS:
                    raise HarError(
                        "predictions-file", f"{path} has the columns {', '.join(found)}; expected {', '.join(COLUMNS)}; restore the ledger"
                    )
            append_whole(path, (",".join(COLUMNS) + "\n") * new + row)
        lock.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error, "the ledger", "score another split: the test subjects are not scored without it") from None
