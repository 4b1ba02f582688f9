"""What the pipeline asks of a task other than naming the activity of a window."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import pandas as pd
import pytorch_lightning as pl

from har.config import RunConfig
from har.data.splits import SubjectSplit
from har.models.module import TaskModule

M = TypeVar("M", bound=TaskModule)


@dataclass(frozen=True)
class TaskData:
    """The data of one run.

    Attributes:
        dataset: its name.
        synthetic: whether it was generated.
        digest: of the whole data set.
        split: who trains, validates and is reported.
        parts: by name of the part (train, validation where it has subjects, test): what the task trains on and scores.
        counts: windows, or whatever the task counts, of each part; the leakage audit has passed.
    """

    dataset: str
    synthetic: bool
    digest: str
    split: SubjectSplit
    parts: dict[str, Any]
    counts: dict[str, int]


@dataclass(frozen=True)
class TaskScore:
    """Scores of one part.

    Attributes:
        values: by name; the task's `primary` is among them.
        subjects: a row per person with ``subject``, ``windows`` (how many of the task's unit) and at least the primary score.
        references: the same `values` for what needs no training of a network, such as persistence, by name.
    """

    values: dict[str, float]
    subjects: pd.DataFrame
    references: dict[str, dict[str, float]] = field(default_factory=dict)


class Task(ABC, Generic[M]):
    """One task: how data become batches, which module learns, and what is scored.

    Attributes:
        name: as in `har.models.registry.ModelEntry`.
        primary: the score that chooses the epoch; the module's ``val/PRIMARY``.
        higher_is_better: which way.
        module: class of its LightningModule.
        unit: of what is counted in a part.
        intervals: whether a study gives the mean over people of every score in `TaskScore.subjects`, with its interval.
    """

    name: ClassVar[str]
    primary: ClassVar[str]
    higher_is_better: ClassVar[bool]
    module: type[M]
    unit: ClassVar[str] = "windows"
    intervals: ClassVar[bool] = False

    @abstractmethod
    def load(self, config: RunConfig, archive: Path | str | None) -> TaskData:
        """The data, split by subject and audited.

        Raises:
            HarError: the data are absent, do not fit the task, or a split leaks.
        """

    @abstractmethod
    def build(self, config: RunConfig, data: TaskData) -> M:
        """An untrained module with its scaling fitted on the training part; the seed, set before, decides its weights."""

    @abstractmethod
    def batches(self, config: RunConfig, data: TaskData) -> pl.LightningDataModule:
        """Batches of the training and validation parts."""

    def finish(self, module: M, config: RunConfig, data: TaskData) -> bool:
        """Fit what needs trained weights, such as a threshold, to the training and validation parts; whether the module was changed.

        What was changed goes into the checkpoint before it is scored; it must leave `primary` as it is.
        """
        return False

    @abstractmethod
    def score(self, module: M, config: RunConfig, data: TaskData, part: str) -> TaskScore:
        """Scores of the saved weights on a part."""

    def export(self, module: M, path: Path, metadata: dict[str, str], data: TaskData) -> float | None:
        """Write the ONNX file and return the largest difference to torch; None, and no file, where the task has no use on a device."""
        return None

    def figures(self, module: M, config: RunConfig, data: TaskData, part: str) -> dict[str, Any]:
        """Figures of a part by file stem, kept beside the scores."""
        return {}


def module_settings(config: RunConfig) -> dict[str, Any]:
    """What every module behind a `SensorFrontend` or `StreamFrontend` is built with."""
    return {
        "model": config.model.name,
        "options": dict(config.model.options),
        "compression": config.frontend.compression,
        "differences": config.frontend.differences,
        "learning_rate": config.training.learning_rate,
        "weight_decay": config.training.weight_decay,
    }
