"""A task that needs memory: which activity was it some time ago, when others have come since?"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from har.contract import HarError


@dataclass(frozen=True)
class MemorySequences:
    """Sequences put together from windows of one person: first the one to remember, then others that tell nothing about it.

    The activity of every window is drawn by itself, so that what comes later holds no hint; the last `delay` samples are to be
    sat through. Windows are real; their order is not, which no network is told.

    Args:
        features: (window, time, feature) what a network reads.
        y: (window,) index of the activity.
        subject: (window,) number of the person.
        delay: samples between the end of the first window and the end of the sequence.

    Raises:
        HarError: somebody has no window of some activity.
    """

    features: Tensor
    y: np.ndarray
    subject: np.ndarray
    delay: int

    def __post_init__(self) -> None:
        people, labels = np.unique(self.subject), np.arange(self.num_classes)
        for person in people:
            missing = np.setdiff1d(labels, self.y[self.subject == person])
            if len(missing):
                raise HarError(f"subject {person} has no window of activity {missing[0]}; leave the person out of the memory task")

    @property
    def num_classes(self) -> int:
        """Activities to tell apart."""
        return int(self.y.max()) + 1

    @property
    def length(self) -> int:
        """Samples of a sequence."""
        return self.features.shape[1] + self.delay

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Random sequences.

        Returns:
            (count, length, feature) and (count,) the activity of the first window.
        """
        window = self.features.shape[1]
        later = -(-self.delay // window)  # windows that follow, the last one cut off
        person = rng.choice(np.unique(self.subject), count)
        activity = rng.integers(self.num_classes, size=(count, 1 + later))
        chosen = np.empty_like(activity)
        for row, who in enumerate(person):
            for column, what in enumerate(activity[row]):
                chosen[row, column] = rng.choice(np.flatnonzero((self.subject == who) & (self.y == what)))
        x = self.features[torch.from_numpy(chosen)].flatten(1, 2)[:, : self.length]  # (count, length, feature)
        return x, torch.from_numpy(activity[:, 0])
