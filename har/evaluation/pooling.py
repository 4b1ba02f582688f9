"""Predictions of several folds as one table over all their people, and folders of such tables."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from har.contract import HarError, artefact
from har.evaluation.predictions import Predictions, different_settings, name_trainings, read_predictions, write_predictions

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
    found: dict[str, list[Predictions]] = {}
    for item in name_trainings(pooled_tables(*folders)):
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
        raise HarError(f"{folders[0].parent} mixes people or data ({', '.join(people)}); keep the tables of one split")
    return found
