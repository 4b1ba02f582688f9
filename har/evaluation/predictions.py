"""One row per window, from saved weights; every metric, table and figure is derived from these files."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from har.contract import TRANSITION_LABELS, artefact
from har.data.windowset import WindowSet
from har.errors import HarError
from har.files import whole_file

METADATA_KEY = b"wearable-har"
MOST_NAMED = 3  # settings in the name of a training; of more, the first ones and a digest
NOT_RECORDED = "config not recorded"
WHO_VALIDATES = ("data.split.", "data.validation_subjects", "training.keep")  # in which a refit differs from its cross-validation
FOLD = "data.split.fold"
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
        channels: a key of ``contract.CHANNEL_SETS``.
        parameters: trained parameters of the model.
        epochs: epochs that ran.
        best_epoch: epoch of the saved weights, from 0.
        train_seconds: time of the fit.
        commit: of the code that trained.
        checkpoint_sha256: of the scored weights.
        data_digest: of the data set.
        config: of the training, without its seed (`har.config.RunConfig.recipe`); empty in files of an older version.
        code: digest of the source files that decide the weights; empty likewise.
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
    config: dict[str, Any] = field(default_factory=dict)
    code: str = ""

    @property
    def base(self) -> str:
        """Name of the config, without what `name_trainings` added."""
        return self.run.partition(" (")[0]

    def settings(self) -> dict[str, Any]:
        """Everything but the seed that makes this training, by dotted keys; empty where it was not recorded."""
        return dict(_flat(self.config)) | {"code": self.code[:8]} if self.config else {}

    def same_config(self, other: "Origin") -> bool:
        """Whether both are of one config, whichever subjects validated; of files that do not record it, as far as the rest shows."""
        names = ["model", "channels", "parameters"]
        if not (self.config and other.config):
            return all(getattr(self, name) == getattr(other, name) for name in [*names, "epochs"])
        own, others = ({k: v for k, v in _flat(o.config) if not k.startswith(WHO_VALIDATES)} for o in (self, other))
        return own == others and all(getattr(self, name) == getattr(other, name) for name in names)


def different_settings(a: Origin, b: Origin) -> list[str]:
    """Settings in which two trainings differ, but for which fold they are of; none where they were not recorded."""
    own, other = a.settings(), b.settings()
    return [name for name in dict.fromkeys([*own, *other]) if name != FOLD and own.get(name) != other.get(name)]


def same_but_fold(a: Origin, b: Origin) -> bool:
    """Whether two trainings are folds of one cross-validation: one config, seed, code and data set."""
    names = ("model", "seed", "channels", "data_digest")
    return bool(a.config and b.config) and not different_settings(a, b) and all(getattr(a, n) == getattr(b, n) for n in names)


def _flat(content: dict[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", value


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
            "predictions-file",
            f"{path} is not a prediction file of this version ({type(error).__name__}: {reason}); run har evaluate again",
        ) from None
    frame = table.to_pandas()
    missing = [name for name in ID_COLUMNS if name not in frame.columns]
    if missing:
        raise HarError("predictions-file", f"{path} has no column {missing[0]}; run har evaluate again")
    for name in ("recording", "y_true", "y_pred"):
        frame[name] = frame[name].astype(str)
    found = Predictions(frame, origin)
    unknown = sorted({*frame.y_true, *frame.y_pred} - set(found.labels))
    if len(found.labels) < 2 or unknown:
        what = f"windows of {unknown[0]}, but" if unknown else "only"
        raise HarError(
            "predictions-file", f"{path} has {what} probabilities of {', '.join(found.labels) or 'nothing'}; run har evaluate again"
        )
    return found


def prediction_files(folder: Path) -> list[Path]:
    """All prediction files below `folder`.

    Raises:
        HarError: there is none.
    """
    # A folder with a dot in front is a training that is not finished; studies have folds and tables of their own.
    found = {path: path.relative_to(folder).parts for path in sorted(folder.rglob("predictions_*.parquet"))}
    paths = [path for path, names in found.items() if not any(name.startswith(".") or name == "studies" for name in names)]
    if not paths:
        raise HarError("run-missing", f"no prediction files below {folder}; train first: har train")
    return paths


def collect(folder: Path, transitions: str | None = None) -> list[Predictions]:
    """All prediction files below `folder`, each run named so that one name is one training but for the seed (`name_trainings`).

    Args:
        folder: searched recursively.
        transitions: ``drop``, ``keep`` or ``unknown``: only files over these labels, see `har.contract.TRANSITION_LABELS`.

    Raises:
        HarError: there is none, they come from several data sets or are over different labels, or one run and seed appears twice.
    """
    pairs = [(path, read_predictions(path)) for path in prediction_files(folder)]
    if transitions is not None:
        pairs = [(path, item) for path, item in pairs if item.labels == list(TRANSITION_LABELS[transitions])]
        if not pairs:
            raise HarError(
                "run-missing", f"no prediction files over the labels of --transitions {transitions} below {folder}; train first: har train"
            )
    kinds = {kind: [p.origin.run for _, p in pairs if p.labels == list(labels)] for kind, labels in TRANSITION_LABELS.items()}
    if sum(map(bool, kinds.values())) > 1:
        names = "; ".join(f"{kind}: {', '.join(sorted(set(runs)))}" for kind, runs in kinds.items() if runs)
        raise HarError("not-comparable", f"{folder} mixes predictions over different labels ({names}); choose one kind with --transitions")
    found = name_trainings(item for _, item in pairs)
    digests = {p.origin.data_digest for p in found}
    if len(digests) > 1:
        names = ", ".join(sorted({f"{p.origin.dataset} ({p.origin.data_digest[:8]})" for p in found}))
        raise HarError("not-comparable", f"{folder} mixes predictions on {names}; compare one data set at a time")
    seen: dict[tuple[str, int, str], Path] = {}
    for (path, _), item in zip(pairs, found, strict=True):
        key = (item.origin.run, item.origin.seed, item.origin.split)
        if key in seen:
            raise HarError("not-comparable", f"{path} and {seen[key]} both hold {key[0]}, seed {key[1]}, {key[2]}; keep one")
        seen[key] = path
    return found


def name_trainings(predictions: Iterable[Predictions]) -> list[Predictions]:
    """The predictions, each run named so that one name is one training but for the seed: ``cnn1d (epochs 2)``.

    A name stays as it is where all its predictions have the same settings. Files of an older version do not record them; among those
    the epochs that ran stand for the config, and next to a file with settings they are named as not recorded.
    """
    found = list(predictions)
    names = training_names([item.origin for item in found])
    return [replace(item, origin=replace(item.origin, run=name)) for item, name in zip(found, names, strict=True)]


def training_names(origins: Sequence[Origin]) -> list[str]:
    """The name of each training, see `name_trainings`."""
    by_run: dict[str, list[Origin]] = {}
    for origin in origins:
        by_run.setdefault(origin.run, []).append(origin)
    titles = {run: _titles(own) for run, own in by_run.items()}
    return [titles[origin.run][_training(origin)] for origin in origins]


def _training(origin: Origin) -> str:
    """The same for two trainings that differ in their seed alone."""
    return json.dumps(origin.settings() or {"epochs that ran": origin.epochs}, sort_keys=True)


def _titles(origins: list[Origin]) -> dict[str, str]:
    """Name of each training among those of one run."""
    trainings = {_training(origin): origin for origin in origins}
    recorded = {key: origin.settings() for key, origin in trainings.items() if origin.config}
    epochs = len(trainings) - len(recorded) > 1
    names = sorted(dict.fromkeys(name for settings in recorded.values() for name in settings), key=lambda name: name == "code")
    different = [name for name in names if len({json.dumps(settings.get(name)) for settings in recorded.values()}) > 1]
    titles = {}
    for key, origin in trainings.items():
        if key in recorded:
            values = {name: recorded[key].get(name) for name in different[:MOST_NAMED]}
            texts = ("unset" if value is None else value if isinstance(value, str) else json.dumps(value) for value in values.values())
            what = [f"{_short(name, different)} {text}" for name, text in zip(values, texts, strict=True)]
            what += [f"config {hashlib.sha256(key.encode()).hexdigest()[:8]}"] * (len(different) > MOST_NAMED)
        else:
            what = [NOT_RECORDED] * bool(recorded) + [f"{origin.epochs} epochs"] * epochs
        titles[key] = f"{origin.run} ({', '.join(what)})" if what else origin.run
    return titles


def _short(name: str, names: list[str]) -> str:
    """The last part of a dotted key, or all of it where another ends in the same."""
    last = name.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in names) == 1 else name


DECIMALS = 4  # of pooled probabilities; the predicted activity was decided before the rounding
SAME = ("run", "model", "seed", "dataset", "channels", "data_digest", "synthetic")


def pool_folds(folds: list[Predictions]) -> Predictions:
    """Test predictions of all folds of one run and seed, in the order of subject, recording and start.

    The origin is that of the first fold, without a checkpoint, because every fold has its own; its time is the sum.

    Raises:
        ValueError: the folds are of different runs, or a window is in two of them.
    """
    first = folds[0].origin
    for other in folds[1:]:
        different = [name for name in SAME if getattr(other.origin, name) != getattr(first, name)]
        different += different_settings(other.origin, first)
        if different:
            raise ValueError(f"the folds of {first.run} differ in {', '.join(different)}")
    table = pd.concat([fold.table for fold in folds])
    if table.duplicated(["subject", "recording", "start"]).any():
        raise ValueError(f"two folds of {first.run} hold the same window")
    table = table.sort_values(["subject", "recording", "start"], kind="stable", ignore_index=True)
    table["window"] = table.index
    names = [name for name in table.columns if name.startswith("p_")]
    table[names] = table[names].round(DECIMALS)
    commits = ", ".join(sorted({fold.origin.commit for fold in folds}))
    seconds = sum(fold.origin.train_seconds for fold in folds)
    return Predictions(table, replace(first, split="test", checkpoint_sha256="", commit=commits, train_seconds=seconds))


def write_pooled(predictions: Predictions, folder: Path) -> Path:
    """Write one pooled table under the name that `read_pooled` looks for."""
    origin = predictions.origin
    path = folder / artefact(f"predictions_{origin.run}_seed{origin.seed}", ".parquet", synthetic=origin.synthetic)
    write_predictions(predictions, path)
    return path


def read_pooled(*folders: Path) -> dict[str, list[Predictions]]:
    """The pooled tables in folders, by run, a name for each training (`name_trainings`); none where a folder is absent.

    Raises:
        HarError: a file is damaged, or the tables are of different people or data.
    """
    return by_run(name_trainings(pooled_tables(*folders)))


def by_run(predictions: Iterable[Predictions]) -> dict[str, list[Predictions]]:
    """Predictions by the name of their run."""
    found: dict[str, list[Predictions]] = {}
    for item in predictions:
        found.setdefault(item.origin.run, []).append(item)
    return found


def pooled_tables(*folders: Path) -> list[Predictions]:
    """The pooled tables in folders, named as they were written.

    Raises:
        HarError: as `read_pooled`.
    """
    found = []
    people: dict[str, tuple] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("predictions_*_seed*.parquet"))):
        predictions = read_predictions(path)
        found.append(predictions)
        people[str(path)] = (predictions.origin.data_digest, len(predictions.table), *sorted(set(predictions.table.subject)))
    if len(set(people.values())) > 1:
        raise HarError("not-comparable", f"{folders[0].parent} mixes people or data ({', '.join(people)}); keep the tables of one split")
    return found
