"""Batches whose order and random changes come from a seed, and can be continued after an interruption."""

from abc import abstractmethod
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

from har.data.augmentation import Augmentation
from har.data.windowset import WindowSet


class SeededDataModule(pl.LightningDataModule):
    """Draws from random streams of its own alone; a checkpoint of the trainer keeps where they stand."""

    @abstractmethod
    def generators(self) -> dict[str, torch.Generator]:
        """The random streams by name, such as ``order`` and ``augmentation``."""

    def state_dict(self) -> dict[str, Any]:
        return {name: generator.get_state() for name, generator in self.generators().items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, generator in self.generators().items():
            generator.set_state(state_dict[name])


class WindowDataModule(SeededDataModule):
    """Training and validation windows as tensors.

    Batches are ``(x: (batch, time, channel) float32, y: (batch,) int64)``. The order of the training windows follows
    `seed` and the epoch alone, whatever else draws random numbers. In training, and there alone, `augmentation` changes each
    batch on the device it was moved to; mixed labels are ``y: (batch, num_classes) float32``.
    """

    def __init__(
        self, train: WindowSet, validation: WindowSet | None, *, batch_size: int, seed: int, augmentation: Augmentation | None = None
    ) -> None:
        super().__init__()
        self.train_set = _tensors(train)
        self.validation_set = None if validation is None else _tensors(validation)
        self.batch_size = batch_size
        self.generator = torch.Generator().manual_seed(seed)
        self.augmentation = augmentation

    def generators(self) -> dict[str, torch.Generator]:
        return {"order": self.generator} | ({} if self.augmentation is None else {"augmentation": self.augmentation.generator})

    def train_dataloader(self) -> DataLoader:
        """Shuffled batches; a last batch of a single window is left out, because batch statistics need two."""
        count = len(self.train_set)
        sampler = RandomSampler(self.train_set, generator=self.generator)
        return _loader(
            self.train_set, BatchSampler(sampler, self.batch_size, drop_last=count > self.batch_size and count % self.batch_size == 1)
        )

    def val_dataloader(self) -> DataLoader:
        """All validation windows in order."""
        if self.validation_set is None:
            raise ValueError("there are no validation windows; the trainer must not validate")
        return _loader(self.validation_set, BatchSampler(SequentialSampler(self.validation_set), 512, drop_last=False))

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """The batch, augmented if it is a training batch."""
        if self.augmentation is None or self.trainer is None or not self.trainer.training:
            return batch
        return self.augmentation(*batch)


def _tensors(windows: WindowSet) -> TensorDataset:
    # A copy by torch, whose memory lies in pages of the usual size (see `har.data.windowset`): less than half the time of one by numpy.
    return TensorDataset(torch.tensor(windows.x, dtype=torch.float32), torch.tensor(windows.y, dtype=torch.int64))


def _loader(dataset: TensorDataset, batches: BatchSampler) -> DataLoader:
    # With batch_size=None the sampler's lists of indices reach the tensors directly: one gather a batch, no collation.
    return DataLoader(dataset, sampler=batches, batch_size=None)
