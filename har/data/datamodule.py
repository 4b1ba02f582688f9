"""Batches whose order and random changes come from a seed, and can be continued after an interruption.

Windows in random order, or whole recordings: chunks in time order in parallel lanes, or in random order.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, Sampler, SequentialSampler, TensorDataset

from har.config import AugmentationConfig
from har.contract import RAW6
from har.data.augmentation import Augmentation
from har.data.windowset import Stretch, WindowSet, cut_stretches
from har.errors import HarError
from har.recording import UNLABELLED


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
        single = count > self.batch_size and count % self.batch_size == 1
        return _loader(self.train_set, BatchSampler(sampler, self.batch_size, drop_last=single))

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


BLANK = -1  # instead of the number of a stream: a lane that has ended
AUDIT_WINDOW, AUDIT_STRIDE = 128, 112  # samples; neighbours share the 16 samples of a run of the audit, so that no run is missed
MOVES_TIME_OR_LABELS = ("crop", "time_warp", "permutation_cuts", "mixup_alpha", "cutmix_alpha")  # of AugmentationConfig


class LaneStep(NamedTuple):
    """What one training step reads; the plan of an epoch has a row per step."""

    stream: np.ndarray  # (lane,) which stream, or BLANK
    start: np.ndarray  # (lane,) first sample of the chunk
    fresh: np.ndarray  # (lane,) bool, whether the state starts from zero


def audit_windows(streams: Sequence[Stretch], dataset: str, *, synthetic: bool) -> WindowSet:
    """Every sample of the streams, labelled or not, as windows for `har.data.audit.audit`.

    Raises:
        HarError: no stream is as long as a window.
    """
    whole = [Stretch(s.recording, s.subject, s.start, s.samples, np.zeros(len(s.samples), dtype=np.int64)) for s in streams]
    return cut_stretches(whole, RAW6, window_size=AUDIT_WINDOW, stride=AUDIT_STRIDE, dataset=dataset, synthetic=synthetic)


def fold_lanes(lengths: Sequence[int], lanes: int, chunk: int, generator: torch.Generator) -> LaneStep:
    """Lay streams end to end, in random order, and cut the row into lanes that are read side by side, in order of time.

    A stream's last chunk may be partial, so that a chunk is always of one stream. The state is carried from chunk to chunk and starts
    from zero where a stream begins, or where a lane begins in the middle of one.

    Args:
        lengths: samples of each stream.
        lanes: how many.
        chunk: samples of a step.
        generator: of the order.

    Returns:
        Arrays (step, lane).
    """
    order = torch.randperm(len(lengths), generator=generator).tolist()
    pieces = [(stream, start) for stream in order for start in range(0, lengths[stream], chunk)]
    steps = -(-len(pieces) // lanes)
    pieces += [(BLANK, 0)] * (steps * lanes - len(pieces))
    stream, start = np.array(pieces, dtype=np.int64).reshape(lanes, steps, 2).transpose(2, 1, 0)  # (step, lane)
    fresh = (start == 0) | (stream == BLANK)
    fresh[0] = True
    return LaneStep(stream, start, fresh)


def shuffle_chunks(lengths: Sequence[int], lanes: int, chunk: int, generator: torch.Generator) -> Iterator[LaneStep]:
    """The same chunks in random order, `lanes` a step, each from a zero state; the last step has the rest."""
    pieces = np.array([(stream, start) for stream, length in enumerate(lengths) for start in range(0, length, chunk)], dtype=np.int64)
    pieces = pieces[torch.randperm(len(pieces), generator=generator).numpy()]
    for first in range(0, len(pieces), lanes):
        stream, start = pieces[first : first + lanes].T
        yield LaneStep(stream, start, np.ones(len(stream), dtype=bool))


class ChunkSet(Dataset):
    """Samples and labels of all training streams, changed anew by `renew`, gathered a step at a time."""

    def __init__(self, streams: Sequence[Stretch], chunk: int, augmentation: Augmentation | None) -> None:
        self.recorded = [torch.from_numpy(np.array(stream.samples, dtype=np.float32)) for stream in streams]
        self.lengths = [len(x) for x in self.recorded]
        self.first = torch.tensor(np.cumsum([0, *self.lengths[:-1]]))
        self.chunk, self.augmentation = chunk, augmentation
        self.x = torch.cat(self.recorded)  # (sample, 6)
        self.y = torch.from_numpy(np.concatenate([np.array(stream.labels, dtype=np.int64) for stream in streams]))

    def renew(self) -> None:
        """Draw the augmentation of an epoch: one change for a whole stream, so that a carried state meets no sudden turn of the phone."""
        if self.augmentation is not None:
            self.x = torch.cat([self.augmentation(x.unsqueeze(0), torch.zeros(1, dtype=torch.long))[0][0] for x in self.recorded])

    def __getitem__(self, step: LaneStep) -> tuple[Tensor, Tensor, Tensor]:
        """``x (lane, chunk, 6), y (lane, chunk), fresh (lane,)``; behind a stream's end its last sample again, without a label."""
        stream = torch.from_numpy(step.stream).clamp_min(0)
        place = torch.from_numpy(step.start).unsqueeze(1) + torch.arange(self.chunk)  # (lane, chunk), within the stream
        length = torch.tensor(self.lengths)[stream].unsqueeze(1)
        index = self.first[stream].unsqueeze(1) + torch.minimum(place, length - 1)
        known = (place < length) & torch.from_numpy(step.stream != BLANK).unsqueeze(1)
        return self.x[index], torch.where(known, self.y[index], UNLABELLED), torch.from_numpy(step.fresh)


class LaneSampler(Sampler[LaneStep]):
    """The steps of an epoch, as many in every epoch; each iteration is another epoch."""

    def __init__(self, chunks: ChunkSet, lanes: int, generator: torch.Generator, *, carry_state: bool) -> None:
        self.chunks, self.lanes, self.generator, self.carry_state = chunks, lanes, generator, carry_state

    def __len__(self) -> int:
        return -(-sum(-(-length // self.chunks.chunk) for length in self.chunks.lengths) // self.lanes)

    def __iter__(self) -> Iterator[LaneStep]:
        self.chunks.renew()
        what = (self.chunks.lengths, self.lanes, self.chunks.chunk, self.generator)
        yield from map(LaneStep, *fold_lanes(*what)) if self.carry_state else shuffle_chunks(*what)


class StreamDataModule(SeededDataModule):
    """Training chunks and whole validation recordings.

    Training batches are ``(x (lane, chunk, 6) float32, y (lane, chunk) int64, fresh (lane,) bool)``; order and augmentation follow `seed`
    and the epoch alone. Validation batches are ``(x (recording, time, 6), y (recording, time))``. Labels are negative where there are none.

    Args:
        train, validation: streams of disjoint subjects; None where nobody validates.
        chunk: samples of a step.
        lanes: chunks of a step.
        carry_state: whether chunks stand in order of time, to carry a state, or in random order.
        together: whether all validation recordings, the short ones padded, come as one batch, or each alone; a network that looks ahead
            must not see the padding.
        seed: of the run.
        augmentation: strengths; what moves samples in time or mixes labels is refused.

    Raises:
        HarError: an augmentation does not fit.
    """

    def __init__(
        self,
        train: Sequence[Stretch],
        validation: Sequence[Stretch] | None,
        *,
        chunk: int,
        lanes: int,
        carry_state: bool,
        together: bool,
        seed: int,
        augmentation: AugmentationConfig | None = None,
    ) -> None:
        super().__init__()
        self.chunks = ChunkSet(train, chunk, stream_augmentation(augmentation, seed))
        self.sampler = LaneSampler(self.chunks, lanes, torch.Generator().manual_seed(seed), carry_state=carry_state)
        self.validation_batches = _whole(validation or (), together=together)

    def generators(self) -> dict[str, torch.Generator]:
        augmentation = self.chunks.augmentation
        return {"order": self.sampler.generator} | ({} if augmentation is None else {"augmentation": augmentation.generator})

    def train_dataloader(self) -> DataLoader:
        """The chunks of an epoch."""
        return DataLoader(self.chunks, sampler=self.sampler, batch_size=None)  # a step is a whole batch: nothing is collated

    def val_dataloader(self) -> DataLoader:
        """Whole validation recordings."""
        if not self.validation_batches:
            raise ValueError("there are no validation recordings; the trainer must not validate")
        return DataLoader(self.validation_batches, batch_size=None)  # type: ignore[arg-type]  # a list will do


def stream_augmentation(config: AugmentationConfig | None, seed: int) -> Augmentation | None:
    """The augmentation of whole streams; None where nothing is turned on.

    Raises:
        HarError: it moves samples in time, away from their labels, or mixes labels.
    """
    if config is None or config == AugmentationConfig():
        return None
    wrong = [name for name in MOVES_TIME_OR_LABELS if getattr(config, name)]
    if wrong:
        raise HarError(
            "config",
            f"augmentation.{wrong[0]} moves or mixes samples, but every sample of a stream has its own label; remove it "
            f"(of no use here: {', '.join(MOVES_TIME_OR_LABELS)})",
        )
    return Augmentation(config, num_classes=0, seed=seed)


def _whole(streams: Sequence[Stretch], *, together: bool) -> list[tuple[Tensor, Tensor]]:
    x = [torch.from_numpy(np.array(stream.samples, dtype=np.float32)) for stream in streams]
    y = [torch.from_numpy(np.array(stream.labels, dtype=np.int64)) for stream in streams]
    if together and streams:
        return [(pad_sequence(x, batch_first=True), pad_sequence(y, batch_first=True, padding_value=UNLABELLED))]
    return [(one.unsqueeze(0), its.unsqueeze(0)) for one, its in zip(x, y, strict=True)]
