"""Networks that name the activity of every sample of a stream, and the LightningModule around any of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from har.errors import HarError
from har.models.frontend import StreamFrontend
from har.models.layers import ConvBlock, ResidualBlocks, read_out
from har.models.module import LabelModule
from har.models.recurrent import set_forget_bias
from har.models.registry import create_model, find_model


class DenseNetwork(nn.Module, ABC):
    """Base of the networks that look ahead: they have no state to carry, and a chunk's ends are the ends of what they know."""

    streams: ClassVar[bool] = False
    state_size = 0

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, None]:
        """(batch, time, in_channels) -> (batch, time, num_classes) logits, and no state.

        Raises:
            ValueError: a state is given.
        """
        if state is not None:
            raise ValueError(f"{type(self).__name__} looks ahead and has no state to carry; give it the whole recording at once")
        return self.answer(x), None

    @abstractmethod
    def answer(self, x: Tensor) -> Tensor:
        """(batch, time, in_channels) -> (batch, time, num_classes) logits."""


class DenseGRU(DenseNetwork):
    """Stacked GRU that reads forward and backward, a linear answer to every sample (Schuster and Paliwal 1997; Graves 2005).

    Args:
        in_channels: features a sample.
        window_size: samples in a chunk; any length works.
        num_classes: activities.
        hidden_size: units of a layer and direction.
        num_layers: stacked layers.
        dropout: share dropped between layers and before the answer in training.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        hidden_size: int = 48,
        num_layers: int = 1,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.recurrent = nn.GRU(in_channels, hidden_size, num_layers, batch_first=True, bidirectional=True, dropout=between)
        self.head = read_out(2 * hidden_size, num_classes, dropout)

    def answer(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0])


class DenseCNN(DenseNetwork):
    """Residual blocks of centred convolutions whose reach doubles, a linear answer to every sample (after Farha and Gall 2019).

    A sample's answer depends on ``(kernel_size - 1) * 2^depth / 2`` samples on either side, some more for the first convolution.

    Args:
        in_channels: features a sample.
        window_size: samples in a chunk; any length works.
        num_classes: activities.
        width: filters of a block.
        depth: residual blocks; block n reaches ``2^n`` samples apart.
        kernel_size: samples a filter spans, odd.
        dropout: share of features dropped before the answer in training.
    """

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        width: int = 48,
        depth: int = 7,
        kernel_size: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.stem = ConvBlock(in_channels, width, kernel_size)
        self.blocks = ResidualBlocks(width, depth, kernel_size)
        self.head = read_out(width, num_classes, dropout)

    def answer(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x.transpose(1, 2))).transpose(1, 2))


class StreamRNN(nn.Module):
    """Stacked recurrent layers that read forward alone, and a linear answer to every sample (many to many).

    The state is one tensor a stream, all layers side by side; zeros are the start of a recording. Carried from chunk to chunk, it makes
    the answers those of the whole recording read at once; trained so, gradients end at the chunk's beginning (truncated back-propagation
    through time, Williams and Peng 1990).

    Args:
        in_channels: features a sample.
        window_size: samples in a chunk; any length works.
        num_classes: activities.
        hidden_size: units of a layer.
        num_layers: stacked layers.
        dropout: share dropped between layers and before the answer in training.
    """

    streams: ClassVar[bool] = True
    cell: ClassVar[Callable[..., nn.RNNBase]]
    parts: ClassVar[int]  # tensors that a layer's state has

    def __init__(
        self,
        in_channels: int,
        window_size: int,
        num_classes: int,
        *,
        hidden_size: int = 64,
        num_layers: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.recurrent = self.cell(in_channels, hidden_size, num_layers, batch_first=True, dropout=between)
        self.head = read_out(hidden_size, num_classes, dropout)
        self.shape = (self.parts * num_layers, hidden_size)
        self.state_size = self.parts * num_layers * hidden_size

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, time, in_channels), and the state (batch, state_size) -> (batch, time, num_classes) logits, and the state behind."""
        if state is None:
            state = x.new_zeros(x.shape[0], self.state_size)
        layers = state.unflatten(1, self.shape).transpose(0, 1).contiguous()  # (part * layer, B, hidden)
        if self.parts == 1:
            states, after = self.recurrent(x, layers)  # (B, T, hidden)
        else:
            states, parts = self.recurrent(x, tuple(part.contiguous() for part in layers.chunk(self.parts)))
            after = torch.cat(parts)
        return self.head(states), after.transpose(0, 1).flatten(1)


class StreamGRU(StreamRNN):
    """Stacked GRU (Cho et al. 2014) over a stream; see `StreamRNN` for the options."""

    cell = nn.GRU
    parts = 1


class StreamLSTM(StreamRNN):
    """Stacked LSTM (Hochreiter and Schmidhuber 1997) over a stream, forget gates open at first; see `StreamRNN` for the options."""

    cell = nn.LSTM
    parts = 2  # what a layer says, and its cells

    def __init__(self, in_channels: int, window_size: int, num_classes: int, **options: int | float) -> None:
        super().__init__(in_channels, window_size, num_classes, **options)  # type: ignore[arg-type]
        set_forget_bias(self.recurrent, 1.0)  # Jozefowicz et al. 2015


UNLABELLED = -1  # as in har.recording, which models do not know
PIECE = 1024  # samples that are read at once in evaluation; it bounds the memory and, the state being carried, changes nothing


class StreamLabeller(LabelModule):
    """A label for every sample of a recording. Samples without a label count neither in the loss nor in a score.

    Args:
        model: name of a registered network of the task ``sequence``.
        options: options of its constructor.
        num_classes: activities.
        chunk: samples of a training step; gradients go no further back.
        carry_state: whether a chunk starts from the state behind the chunk before it in its lane, as on a device, or from zero.
        compression, differences: see `StreamFrontend`.
        rates: see `TaskModule`.
        label_smoothing: share of the target given to the other activities in training.

    Raises:
        HarError: a state is to be carried and the network has none.
    """

    ignored = UNLABELLED

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
        label_smoothing: float = 0.0,
        **rates: float,
    ) -> None:
        super().__init__(num_classes, **rates)
        self.streams = self.can_stream(model)
        if carry_state and not self.streams:
            raise HarError(
                "config", f"model {model!r} looks ahead and has no state to carry; set task.carry_state: false, or take a stream_ model"
            )
        self.frontend = StreamFrontend(compression=compression, differences=differences)
        network: Any = create_model(model, self.frontend.out_channels, chunk, num_classes, options)
        self.network = network
        self.state_size: int = self.frontend.state_size + network.state_size  # the last sample, and what the network keeps
        self.loss = nn.CrossEntropyLoss(ignore_index=UNLABELLED, label_smoothing=label_smoothing, reduction="sum")
        self.carried: Tensor | None = None  # behind the last training step, (lane, state_size)

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
        self.score_batch(self.read(x).flatten(0, 1), y.flatten())

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
