"""What the training asks of a task, and data, audit and batches of tasks on windows."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pydantic import BaseModel
from torch import Tensor

from har.config import RunConfig
from har.data.audit import audit
from har.data.prepare import prepared
from har.data.splits import SubjectSplit, make_split
from har.data.windowset import WindowSet
from har.evaluation.predictions import Origin, Predictions
from har.models.module import TaskModule
from har.training.fit import window_batches

M = TypeVar("M", bound=TaskModule)
S = TypeVar("S", bound=BaseModel)


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
        subjects: a row per subject with ``subject``, ``windows`` (how many of the task's unit) and at least the primary score.
        references: the same `values` for what needs no training of a network, such as persistence, by name.
        predictions: a row per window, where the task names activities.
    """

    values: dict[str, float]
    subjects: pd.DataFrame
    references: dict[str, dict[str, float]] = field(default_factory=dict)
    predictions: Predictions | None = None


class Task(ABC, Generic[M]):
    """One task: how data become batches, which module learns, and what is scored.

    Attributes:
        name: as in `har.models.registry.ModelEntry` and ``task.name`` of a config.
        primary: the score that chooses the epoch; the module's ``val/PRIMARY``.
        by_subject: the score of a subject that studies average and searches optimise; by default `primary`.
        higher_is_better: which way.
        percent: whether scores are printed in per cent.
        tolerance: largest share by which the score of the saved weights may differ from that of the training, which sums over batches.
        module: class of its LightningModule.
        unit: of what is counted in a part.
        gains: whether a study tests the gain of each setting over the first in the accuracy of subjects, and logs it as an idea; else it
            gives mean and deviation of every score.
        intervals: whether a study gives the mean over people of every score in `TaskScore.subjects`, with its interval.
    """

    name: ClassVar[str]
    primary: ClassVar[str]
    by_subject: ClassVar[str]
    higher_is_better: ClassVar[bool]
    percent: ClassVar[bool] = False
    tolerance: ClassVar[float] = 1e-4
    module: type[M]
    unit: ClassVar[str] = "windows"
    gains: ClassVar[bool] = False
    intervals: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if "primary" in vars(cls) and not hasattr(cls, "by_subject"):
            cls.by_subject = cls.primary

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

    def try_export(self, config: RunConfig, data: TaskData) -> None:
        """Find out before the training that its network cannot be exported.

        Raises:
            HarError: it cannot.
        """

    @abstractmethod
    def score(self, module: M, config: RunConfig, data: TaskData, part: str, origin: Origin) -> TaskScore:
        """Scores of the saved weights on a part; `origin` is stored with predictions."""

    def refusal(self, module: M) -> str | None:
        """Why there is no ONNX file, where the network says so itself."""
        return None

    def export(self, module: M, path: Path, metadata: dict[str, str], config: RunConfig, data: TaskData) -> float | None:
        """Write the ONNX file and return the largest difference to torch; None, and no file, where the task has no use on a device.

        Args:
            module: with the saved weights.
            path: of the file.
            metadata: written into the file, values as JSON.
            config: of the run.
            data: of the run.

        Raises:
            HarError: the network cannot be exported, or the file differs from torch.
        """
        return None

    def signature(self, module: M) -> tuple[tuple[int, int], int] | None:
        """(time, channel) of the ONNX file's windows and number of its probabilities, for MLflow; None where it has others."""
        return None

    def check_export(self, path: Path, data: TaskData, part: str, score: TaskScore) -> None:
        """Compare the scores that are about to be reported with those of the run's ONNX file.

        Raises:
            HarError: they differ.
        """

    def figures(self, module: M, config: RunConfig, data: TaskData, part: str, score: TaskScore) -> dict[str, Any]:
        """Figures of a part by file stem, kept next to the scores."""
        return {}

    def tables(self, score: TaskScore) -> dict[str, pd.DataFrame]:
        """Tables of a score by name, for reports and tracking."""
        return {"per_subject": score.subjects}

    def text(self, values: dict[str, float]) -> str:
        """Scores in a line: ``rmse 0.512, skill 0.431``."""
        return ", ".join(f"{name} {value:.4g}" for name, value in values.items())

    def shown(self, value: float) -> float:
        """A score as it is printed."""
        return 100 * value if self.percent else value

    def line(self, value: float) -> str:
        """A score of `by_subject` with its unit: ``98.10 %``."""
        return f"{100 * value:.2f} %" if self.percent else f"{self.by_subject} {value:.4g}"

    @property
    def best(self) -> Callable[..., Any]:
        """`max`, or `min` where less is better."""
        return max if self.higher_is_better else min


def options_of(config: RunConfig, kind: type[S]) -> S:
    """The section ``task`` of a config, of the kind that its task has."""
    if not isinstance(config.task, kind):
        raise TypeError(f"the config is for the task {config.task.name}, not {kind.model_fields['name'].annotation}")
    return config.task


class WindowTask(Task[M]):
    """A task whose parts are `WindowSet`s and whose batches are ``(x, y)`` of `WindowDataModule`."""

    def load(self, config: RunConfig, archive: Path | str | None) -> TaskData:
        windows, split = load_windows(config, archive)
        parts = split.parts(windows)
        return TaskData(windows.dataset, windows.synthetic, windows.digest, split, dict(parts), audit(parts))

    def batches(self, config: RunConfig, data: TaskData) -> pl.LightningDataModule:
        return window_batches(config, data.parts["train"], data.parts.get("validation"))


def load_windows(config: RunConfig, archive: Path | str | None = None) -> tuple[WindowSet, SubjectSplit]:
    """The windows a config asks for, and its split."""
    windows = prepared(config, archive)
    return windows, make_split(config.data, windows)


def spread_windows(windows: WindowSet, most: int) -> np.ndarray:
    """(window, time, channel) at most `most` windows, spread over all subjects."""
    return np.array(windows.x[:: max(1, len(windows) // most)][:most])


def tensor(windows: WindowSet) -> Tensor:
    """(window, time, channel) float32."""
    return torch.tensor(windows.x, dtype=torch.float32)
