"""The LightningModule around any network that names the activity of every sample of a stream."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from har.contract import HarError
from har.models.frontend import StreamFrontend
from har.models.module import TaskModule
from har.models.registry import create_model, find_model

UNLABELLED = -1  # as in har.recording, which models do not know
PIECE = 1024  # samples that are read at once in evaluation; it bounds the memory and, the state being carried, changes nothing


class StreamLabeller(TaskModule):
    """A label for every sample of a recording. Samples without a label count neither in the loss nor in a score.

    Args:
        model: name of a registered network of the task ``sequence``.
        options: options of its constructor.
        num_classes: activities.
        chunk: samples of a training step; gradients go no further back.
        carry_state: whether a chunk starts from the state behind the chunk before it in its lane, as on a device, or from zero.
        compression, differences: see `StreamFrontend`.
        learning_rate, weight_decay: see `TaskModule`.
        label_smoothing: share of the target given to the other activities in training.

    Raises:
        HarError: a state is to be carried and the network has none.
    """

    monitor = "val/macro_f1"

    def __init__(
        self,
        *,
        model: str,
        options: dict[str, Any],
        num_classes: int,
        chunk: int,
        carry_state: bool,
        compression: Sequence[float] = (1.0,),
        differences: Sequence[float] = (1.0,),
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.streams = self.can_stream(model)
        if carry_state and not self.streams:
            raise HarError(f"model {model!r} looks ahead and has no state to carry; set task.carry_state: false, or take a stream_ model")
        self.frontend = StreamFrontend(compression=compression, differences=differences)
        network: Any = create_model(model, self.frontend.out_channels, chunk, num_classes, options)
        self.network = network
        self.state_size: int = self.frontend.state_size + network.state_size  # the last sample, and what the network keeps
        self.loss = nn.CrossEntropyLoss(ignore_index=UNLABELLED, label_smoothing=label_smoothing, reduction="sum")
        self.carried: Tensor | None = None  # behind the last training step, (lane, state_size)
        self.validation_scores = MetricCollection(
            {
                "val/accuracy": MulticlassAccuracy(num_classes, average="micro", ignore_index=UNLABELLED),
                "val/macro_f1": MulticlassF1Score(num_classes, average="macro", ignore_index=UNLABELLED),
            }
        )

    @staticmethod
    def can_stream(model: str) -> bool:
        """Whether a registered network of the task is causal and has a state to carry.

        Raises:
            HarError: there is no such model.
        """
        return getattr(find_model(model).network, "streams", False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits of every sample.

        Args:
            x: (batch, time, 6) samples in g and rad/s, of any length.
            state: (batch, state_size) behind the samples before; zeros, or None, at the start of a recording.

        Returns:
            (batch, time, num_classes) logits, and the state behind the last sample; None where the network has none.

        Raises:
            ValueError: the shape is wrong, or a state is given to a network that looks ahead.
        """
        if not torch.compiler.is_exporting() and (x.ndim != 3 or x.shape[2] != self.frontend.in_channels):
            raise ValueError(f"samples have shape {tuple(x.shape)}, expected (batch, time, {self.frontend.in_channels})")
        if not self.streams:
            return self.network(self.frontend(x)[0], state)
        sample, kept = (None, None) if state is None else state.tensor_split((self.frontend.state_size,), dim=1)
        features, sample = self.frontend(x, sample)
        logits, kept = self.network(features, kept)
        return logits, torch.cat((sample, kept), dim=1)

    def on_train_epoch_start(self) -> None:
        self.carried = None

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_index: int) -> Tensor:
        """One chunk of every lane: ``(x (lane, time, 6), y (lane, time), fresh (lane,))``; where fresh, the state starts from zero.

        Raises:
            ValueError: a lane goes on from a state that is not there.
        """
        x, y, fresh = batch
        state = None
        if not fresh.all():
            if self.carried is None or len(self.carried) != len(x):
                raise ValueError(f"a chunk goes on in one of {len(x)} lanes, but no state of as many lanes is carried")
            state = self.carried * ~fresh.unsqueeze(1)
        logits, state = self(x, state)
        self.carried = None if state is None else state.detach()  # what is behind is not learnt from: truncated
        labelled = int((y != UNLABELLED).sum())
        loss = self.loss(logits.flatten(0, 1), y.flatten()) / max(1, labelled)
        self.log_loss(loss, max(1, labelled))
        return loss

    def read(self, x: Tensor) -> Tensor:
        """(batch, time, 6) recordings from their first sample -> (batch, time, num_classes) logits; in pieces where a state is carried."""
        if not self.streams:
            return self(x)[0]
        found, state = [], None
        for piece in x.split(PIECE, dim=1):
            logits, state = self(piece, state)
            found.append(logits)
        return torch.cat(found, dim=1)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> None:
        x, y = batch
        logits, y = self.read(x).flatten(0, 1), y.flatten()
        self.validation_scores.update(logits, y)
        own = y != UNLABELLED
        # Without smoothing, so that it can be compared between configs.
        self.log("val/loss", nn.functional.cross_entropy(logits[own], y[own]), on_epoch=True, batch_size=int(own.sum()))

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.validation_scores.compute(), prog_bar=True)
        self.validation_scores.reset()

    @torch.no_grad()
    def predict(self, recordings: Sequence[Tensor]) -> list[Tensor]:
        """Probabilities of every sample of whole recordings, each from a zero state, in evaluation mode.

        Args:
            recordings: each (time, 6) in g and rad/s.

        Returns:
            For each (time, num_classes) on the CPU. Networks that carry a state read all recordings side by side.
        """
        training = self.training
        self.eval()
        batches = [pad_sequence(list(recordings), batch_first=True)] if self.streams else [item.unsqueeze(0) for item in recordings]
        rows = [row for batch in batches for row in torch.softmax(self.read(batch.to(self.device)), dim=-1).cpu()]
        self.train(training)
        return [row[: len(item)] for row, item in zip(rows, recordings, strict=True)]
