"""Data, audit and batches of tasks on windows."""

from pathlib import Path
from typing import TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor

from har.config import RunConfig
from har.data.audit import audit
from har.data.splits import SubjectSplit, make_split
from har.data.windowset import WindowSet
from har.models.module import TaskModule
from har.pipeline.splits import prepared
from har.pipeline.tasks.base import Task, TaskData
from har.training.fit import window_batches

M = TypeVar("M", bound=TaskModule)


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
    windows = prepared(config, archive).select_channels(config.data.channels)
    return windows, make_split(config.data, windows)


def tensor(windows: WindowSet) -> Tensor:
    """(window, time, channel) float32."""
    return torch.tensor(windows.x, dtype=torch.float32)
