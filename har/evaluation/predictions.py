"""One row per window, from saved weights; every metric, table and figure is derived from these files."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from har.contract import HarError
from har.data.windowset import WindowSet
from har.files import whole_file

METADATA_KEY = b"wearable-har"
ID_COLUMNS = ("window", "subject", "recording", "start", "y_true", "y_pred")


@dataclass(frozen=True)
class Origin:
    """Where predictions come from; stored in the file, so that a table needs nothing else.

    Attributes:
        run: name of the config, as used in tables.
        model: registered name of the network.
        seed: of the training.
        dataset: name of the data set.
        synthetic: whether it was generated.
        split: validation or test.
        channels: raw6 or uci9.
        parameters: trained parameters of the model.
        epochs: epochs that ran.
        best_epoch: epoch of the saved weights, from 0.
        train_seconds: time of the fit.
        commit: of the code that trained.
        checkpoint_sha256: of the scored weights.
        data_digest: of the data set.
    """

    run: str
    model: str
    seed: int
    dataset: str
    synthetic: bool
    split: str
    channels: str
    parameters: int
    epochs: int
    best_epoch: int
    train_seconds: float
    commit: str
    checkpoint_sha256: str
    data_digest: str


@dataclass(frozen=True)
class Predictions:
    """Predictions of one model on one split.

    Attributes:
        table: columns ``window``, ``subject``, ``recording``, ``start``, ``y_true``, ``y_pred`` (names of activities) and
            one ``p_LABEL`` a class, in the order of the labels.
        origin: where they come from.
    """

    table: pd.DataFrame
    origin: Origin

    @property
    def labels(self) -> list[str]:
        """Names of the activities, in the order of the probability columns."""
        return [name.removeprefix("p_") for name in self.table.columns if name.startswith("p_")]


def make_predictions(windows: WindowSet, probabilities: np.ndarray, origin: Origin) -> Predictions:
    """Combine windows and probabilities (window, num_classes) into a table.

    Raises:
        ValueError: the shapes do not fit, or a row does not sum to one.
    """
    if probabilities.shape != (len(windows), len(windows.labels)):
        raise ValueError(f"probabilities have shape {probabilities.shape}, expected {(len(windows), len(windows.labels))}")
    if not np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-4):
        raise ValueError("probabilities do not sum to one")
    names = np.array(windows.labels)
    table = pd.DataFrame(
        {
            "window": np.arange(len(windows)),
            "subject": windows.subject,
            "recording": windows.recording,
            "start": windows.start,
            "y_true": names[windows.y],
            "y_pred": names[probabilities.argmax(axis=1)],
        }
        | {f"p_{name}": probabilities[:, index].astype(np.float32) for index, name in enumerate(windows.labels)}
    )
    return Predictions(table, origin)


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write a Parquet file, whole or not at all."""
    table = pa.Table.from_pandas(predictions.table, preserve_index=False)
    for name in ("recording", "y_true", "y_pred"):
        column = table.schema.get_field_index(name)
        table = table.set_column(column, name, table.column(name).dictionary_encode())
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(asdict(predictions.origin))})
    with whole_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_predictions(path: Path) -> Predictions:
    """Read a file of `write_predictions`.

    Raises:
        HarError: the file is missing, damaged, or was not written by this project; its labels are no known set.
    """
    try:
        table = pq.read_table(path)
        origin = Origin(**json.loads((table.schema.metadata or {})[METADATA_KEY]))
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = str(error).split("\n")[0]
        raise HarError(
            f"{path} is not a prediction file of this version ({type(error).__name__}: {reason}); run har evaluate again"
        ) from None
    frame = table.to_pandas()
    missing = [name for name in ID_COLUMNS if name not in frame.columns]
    if missing:
        raise HarError(f"{path} has no column {missing[0]}; run har evaluate again")
    for name in ("recording", "y_true", "y_pred"):
        frame[name] = frame[name].astype(str)
    found = Predictions(frame, origin)
    unknown = sorted({*frame.y_true, *frame.y_pred} - set(found.labels))
    if len(found.labels) < 2 or unknown:
        what = f"windows of {unknown[0]}, but" if unknown else "only"
        raise HarError(f"{path} has {what} probabilities of {', '.join(found.labels) or 'nothing'}; run har evaluate again")
    return found
