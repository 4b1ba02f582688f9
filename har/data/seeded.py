"""Batches whose random choices can go on where they stopped."""

from abc import abstractmethod
from typing import Any

import pytorch_lightning as pl
import torch


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
