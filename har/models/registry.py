"""The registry: a list of entries turned into a dict. To add a model, add its file and one line here."""

import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from har.contract import HarError, nearest
from har.models.autoencoder import ConvAutoencoder, LSTMAutoencoder
from har.models.cnn1d import CNN1D
from har.models.cnn_lstm import CNNLSTM
from har.models.dilated_cnn import DilatedCNN
from har.models.gru import GRU
from har.models.lstm import LSTM
from har.models.seq2seq import Seq2Seq

MAX_PARAMETERS = 50_000_000  # 200 MB of weights; the shipped networks have some 60,000


@dataclass(frozen=True)
class ModelEntry:
    """A registered network.

    Attributes:
        name: as used in configs and on the command line.
        network: class with the constructor ``(in_channels, window_size, num_classes, **options)``.
        task: ``window``: ``forward((B, T, C)) -> (B, num_classes)`` logits. ``forecast``: ``(in_channels, window_size, out_channels)``
            and ``forward((B, T, C) features, (B, channel) last, steps, target) -> (B, steps, channel)``.
            ``reconstruct``: an `Autoencoder`, the same constructor and ``forward((B, T, F) features) -> (B, T, out_channels)``.
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
        ModelEntry("seq2seq", Seq2Seq, "encoder and decoder", task="forecast"),
        ModelEntry("lstm_autoencoder", LSTMAutoencoder, "LSTM autoencoder", task="reconstruct"),
        ModelEntry("conv_autoencoder", ConvAutoencoder, "convolutional autoencoder", task="reconstruct"),
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


def check_network(name: str, options: dict[str, Any], *, in_channels: int, window_size: int, num_classes: int) -> None:
    """Try a network on two windows without memory or data (torch's meta device), so that odd options are found at once.

    Raises:
        HarError: the model or an option is unknown, or the network cannot be built, has no or too many weights, or does not
            give (2, num_classes); names the option where leaving it out helps.
    """
    check_options(name, options)
    reason = _fault(name, options, in_channels, window_size, num_classes)
    if reason is None:
        return
    found = [option for option in options if _fault(name, _without(options, option), in_channels, window_size, num_classes) is None]
    place = f"model.options.{found[0]} is {options[found[0]]!r}" if found else f"model.options is {options}"
    raise HarError(f"{place}: {name} cannot work so on windows of {window_size} samples ({reason}); change it, or leave it out")


def _without(options: dict[str, Any], name: str) -> dict[str, Any]:
    return {option: value for option, value in options.items() if option != name}


def _fault(name: str, options: dict[str, Any], in_channels: int, window_size: int, num_classes: int) -> str | None:
    """What is wrong with a network, or None."""
    for option, value in options.items():
        if isinstance(value, int | float) and not value >= 0:  # sizes, counts and shares; also refuses NaN
            return f"{option} is below 0 or no number"
    try:
        with torch.device("meta"), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            network = find_model(name).network(in_channels, window_size, num_classes, **options).eval()
            shape = tuple(network(torch.empty(2, window_size, in_channels)).shape)
    except Exception as error:  # whatever a constructor or torch makes of an odd value
        return " ".join(str(error).split())[:160] or type(error).__name__
    sizes = [parameter.numel() for parameter in network.parameters()]
    if not all(sizes):
        return "a layer has no weights"
    if sum(sizes) > MAX_PARAMETERS:
        return f"{sum(sizes):,} weights, at most {MAX_PARAMETERS:,} are allowed"
    return None if shape == (2, num_classes) else f"its result has shape {shape}, expected {(2, num_classes)}"
