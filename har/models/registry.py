"""The registry: a list of entries turned into a dict. To add a model, add its file and one line here."""

import inspect
from dataclasses import dataclass
from typing import Any

from torch import nn

from har.contract import HarError, nearest
from har.models.cnn1d import CNN1D
from har.models.cnn_lstm import CNNLSTM
from har.models.dilated_cnn import DilatedCNN
from har.models.gru import GRU
from har.models.lstm import LSTM


@dataclass(frozen=True)
class ModelEntry:
    """A registered network.

    Attributes:
        name: as used in configs and on the command line.
        network: class with the constructor ``(in_channels, window_size, num_classes, **options)``.
        task: ``window``: ``forward((B, T, C)) -> (B, num_classes)`` logits.
        title: as used in tables and figures.
    """

    name: str
    network: type[nn.Module]
    title: str
    task: str = "window"


MODELS = {
    entry.name: entry
    for entry in (
        ModelEntry("cnn1d", CNN1D, "1D-CNN"),
        ModelEntry("lstm", LSTM, "LSTM"),
        ModelEntry("gru", GRU, "GRU"),
        ModelEntry("cnn_lstm", CNNLSTM, "CNN-LSTM"),
        ModelEntry("dilated_cnn", DilatedCNN, "dilated CNN"),
    )
}


def find_model(name: str) -> ModelEntry:
    """The entry `name`.

    Raises:
        HarError: no such model; names the nearest.
    """
    if name not in MODELS:
        raise HarError(f"unknown model {name!r}; {nearest(name, list(MODELS))}")
    return MODELS[name]


def option_names(network: type[nn.Module]) -> list[str]:
    """Names of the options of a network's constructor, its base classes included."""
    for cls in network.__mro__:
        if "__init__" in vars(cls):
            parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
            keywords = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
            if keywords:
                return keywords
    return []


def check_options(name: str, options: dict[str, Any]) -> ModelEntry:
    """The entry `name`, if its network has all the `options`.

    Raises:
        HarError: the model or an option is unknown; names the nearest.
    """
    entry = find_model(name)
    valid = option_names(entry.network)
    for option in options:
        if option not in valid:
            raise HarError(f"model {name!r} has no option {option!r}; {nearest(option, valid)}")
    return entry


def build_network(name: str, in_channels: int, window_size: int, num_classes: int, options: dict[str, Any]) -> nn.Module:
    """Construct a registered network.

    Raises:
        HarError: the model or an option is unknown, or a value does not fit.
    """
    entry = check_options(name, options)
    try:
        return entry.network(in_channels, window_size, num_classes, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise HarError(f"model {name!r} cannot be built with {options} for windows of {window_size} samples: {error}") from None
