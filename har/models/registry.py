"""The registry: a list of entries turned into a dict. To add a model, add its file and one line here.

A network of this package is named by its place and imported when it is first asked for, so that names, tasks and options are known
without torch: a misspelt one is refused at once.

Another package adds a model without touching this one, by an entry point of the group `ENTRY_POINTS`, in its ``pyproject.toml``::

    [project.entry-points."har.models"]
    my_net = "my_package.networks:MyNet"
"""

import ast
import inspect
import warnings
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from har.contract import LABELS, RAW6, WINDOW_SIZE
from har.errors import HarError, nearest

if TYPE_CHECKING:
    from torch import nn

ENTRY_POINTS = "har.models"  # of other packages: a `torch.nn.Module` with the constructor of `ModelEntry.network`, or a `ModelEntry`
COMPARISON, CATALOGUE = "comparison", "catalogue"  # roles, see `ModelEntry`
WINDOW, SEQUENCE = "window", "sequence"  # tasks, see `ModelEntry`
LAYERS, MAX_LAYERS = ("depth", "num_layers"), 100  # options; a network is built, layer by layer, before its weights are counted
MAX_PARAMETERS = 50_000_000  # 200 MB of weights; the shipped networks have some 60,000


@dataclass(frozen=True)
class ModelEntry:
    """A registered network.

    Attributes:
        name: as used in configs and on the command line.
        source: class of the network, with the constructor ``(in_channels, window_size, num_classes, **options)``; or its place,
            ``module:Class``.
        task: what the network is asked for, and so what it is built with and called with:
            ``window``: ``forward((B, T, C)) -> (B, num_classes)`` logits.
            ``sequence``: ``forward((B, T, C), state=None) -> ((B, T, num_classes) logits, state)``; its class says in ``streams`` whether
            it is causal with a state of ``state_size`` numbers a stream, or looks ahead and has none.
            ``forecast``: built with ``(in_channels, window_size, out_channels)``,
            ``forward((B, T, C) features, (B, channel) last, steps, target) -> (B, steps, channel)``.
            ``reconstruct``: an `Autoencoder`, built as for ``forecast``, ``forward((B, T, C) features) -> (B, T, out_channels)``.
            ``mounting``: built with 2 for ``num_classes``; a vector across gravity, see `har.models.mounting_estimator.MountingEstimator`.
            ``generate``: built with ``(channels, window_size, num_classes)``; an ``encode``, a ``decode`` and a ``draw``, see
            `har.models.synthesiser.WindowGenerator`.
        title: as used in tables and figures.
        role: ``comparison``: searched, cross-validated and scored with five seeds, in the README's table and in ``--model all``.
            ``catalogue``: an idea of the field; its row is in the table of its task, which a study of ``configs/study`` writes.
    """

    name: str
    source: "type[nn.Module] | str"
    title: str
    task: str = WINDOW
    role: str = CATALOGUE

    @cached_property
    def network(self) -> "type[nn.Module]":
        """The class."""
        if not isinstance(self.source, str):
            return self.source
        module, name = self.source.split(":")
        return getattr(import_module(module), name)

    def options(self) -> list[str]:
        """Names of the options of the network's constructor."""
        return _written_options(*self.source.split(":")) if isinstance(self.source, str) else option_names(self.source)


MODELS = {
    entry.name: entry
    for entry in (
        ModelEntry("cnn1d", "har.models.convolutional:CNN1D", "1D-CNN", role=COMPARISON),
        ModelEntry("lstm", "har.models.recurrent:LSTM", "LSTM", role=COMPARISON),
        ModelEntry("gru", "har.models.recurrent:GRU", "GRU", role=COMPARISON),
        ModelEntry("cnn_lstm", "har.models.convolutional:CNNLSTM", "CNN-LSTM", role=COMPARISON),
        ModelEntry("dilated_cnn", "har.models.convolutional:DilatedCNN", "dilated CNN", role=COMPARISON),
        ModelEntry("mlp", "har.models.mlp:MLP", "fully connected"),
        ModelEntry("rnn", "har.models.recurrent:RNN", "vanilla RNN"),
        ModelEntry("peephole_lstm", "har.models.recurrent:PeepholeLSTM", "peephole LSTM"),
        ModelEntry("deep_conv_lstm", "har.models.convolutional:DeepConvLSTM", "DeepConvLSTM"),
        ModelEntry("transformer", "har.models.transformer:Transformer", "Transformer"),
        ModelEntry("stream_gru", "har.models.labeller:StreamGRU", "stateful GRU", task="sequence"),
        ModelEntry("stream_lstm", "har.models.labeller:StreamLSTM", "stateful LSTM", task="sequence"),
        ModelEntry("dense_gru", "har.models.labeller:DenseGRU", "bidirectional GRU, a label per sample", task="sequence"),
        ModelEntry("dense_cnn", "har.models.labeller:DenseCNN", "dilated CNN, a label per sample", task="sequence"),
        ModelEntry("seq2seq", "har.models.forecaster:Seq2Seq", "encoder and decoder", task="forecast"),
        ModelEntry("seq2seq_attention", "har.models.forecaster:Seq2SeqAttention", "encoder and decoder with attention", task="forecast"),
        ModelEntry("lstm_autoencoder", "har.models.reconstructor:LSTMAutoencoder", "LSTM autoencoder", task="reconstruct"),
        ModelEntry("conv_autoencoder", "har.models.reconstructor:ConvAutoencoder", "convolutional autoencoder", task="reconstruct"),
        ModelEntry("mounting_cnn", "har.models.convolutional:DilatedCNN", "dilated CNN that tells the mounting", task="mounting"),
        ModelEntry("window_generator", "har.models.synthesiser:WindowGenerator", "window generator", task="generate"),
    )
}


def model_names(*, task: str = WINDOW, role: str | None = None) -> list[str]:
    """Names of the registered networks of a task, of one role or of all, in the order of the registry."""
    return [name for name, entry in MODELS.items() if entry.task == task and role in (None, entry.role)]


def find_model(name: str) -> ModelEntry:
    """The entry `name`, of this project or of an installed package.

    Raises:
        HarError: no such model, names the nearest; or a package offers it and it cannot be used.
    """
    if name in MODELS:  # first, so that no package takes the place of a model whose results are published here
        return MODELS[name]
    from har.plugins import load_offered, not_usable  # what is installed is only looked at where somebody asks

    offered, where = load_offered(ENTRY_POINTS, "model", name, MODELS)
    from torch import nn

    if isinstance(offered, type) and issubclass(offered, nn.Module):
        return ModelEntry(name, offered, name)
    if isinstance(offered, ModelEntry) and offered.name == name:
        return offered
    raise not_usable("model", name, where, offered, "a torch.nn.Module class or a ModelEntry")


def option_names(network: "type[nn.Module]") -> list[str]:
    """Names of the options of a network's constructor, before them those of its base class where it passes options on."""
    names: list[str] = []
    for cls in network.__mro__:
        if "__init__" in vars(cls):
            parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
            names = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY] + names
            if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
                break
    return list(dict.fromkeys(names))


def _written_options(module: str, name: str) -> list[str]:
    """What `option_names` gives, read from the source of a class of this package, which is not imported."""
    spec = find_spec(module)
    tree = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8") if spec else "")
    imported = {alias.name: str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    if name in imported:
        return _written_options(imported[name], name)
    cls = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    bases = [base.id for base in cls.bases if isinstance(base, ast.Name)][:1]
    made = next((node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"), None)
    own = [argument.arg for argument in made.args.kwonlyargs] if made else []
    inherited = _written_options(module, bases[0]) if bases and (made is None or made.args.kwarg) else []
    return list(dict.fromkeys([*inherited, *own]))


def check_options(name: str, options: dict[str, Any]) -> ModelEntry:
    """The entry `name`, if its network has all the `options`.

    Raises:
        HarError: the model or an option is unknown; names the nearest.
    """
    entry = find_model(name)
    valid = entry.options()
    for option in options:
        if option not in valid:
            raise HarError("name-unknown", f"model {name!r} has no option {option!r}; {nearest(option, valid)}")
    return entry


def create_model(
    name: str,
    in_channels: int = len(RAW6),
    window_size: int = WINDOW_SIZE,
    num_classes: int = len(LABELS),
    options: dict[str, Any] | None = None,
) -> "nn.Module":
    """An untrained network of the registry, for a training loop of your own.

    It is the network alone: `har.train` puts a layer with scaling in front of it, which becomes part of the exported model. Torch's seed
    decides the weights.

    Args:
        name: of a registered network, or of one of an installed package.
        in_channels: values per sample.
        window_size: samples in a window.
        num_classes: activities.
        options: of the network's constructor, such as ``{"width": 32}`` of ``cnn1d``.

    Returns:
        A module from windows of shape (batch, time, channel), float32, to logits of shape (batch, num_classes). Networks of other tasks
        than to classify windows are called in other ways, see `har.models.registry.ModelEntry`.

    Raises:
        HarError: the model or an option is unknown, or a value does not fit.

    Examples:
        >>> import har
        >>> import torch
        >>> model = har.create_model("cnn1d", num_classes=4, options={"width": 16})
        >>> model(torch.zeros(2, 128, 6)).shape
        torch.Size([2, 4])
    """
    options = options or {}
    entry = check_options(name, options)
    try:
        return entry.network(in_channels, window_size, num_classes, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise HarError("config", f"model {name!r} cannot be built with {options} for windows of {window_size} samples: {error}") from None


def check_network(name: str, options: dict[str, Any], *, in_channels: int, window_size: int, num_classes: int) -> None:
    """Try a network on two windows, so that odd options are found at once.

    It needs no memory and no data (torch's meta device); a network of another task is only built.

    Raises:
        HarError: the model or an option is unknown, or the network cannot be built, has no or too many weights, or does not
            give (2, num_classes); names the option where leaving it out helps.
    """
    check_options(name, options)
    reason = _fault(name, options, in_channels, window_size, num_classes)
    if reason is None:
        return
    rest = {option: {other: value for other, value in options.items() if other != option} for option in options}
    found = [option for option in options if _fault(name, rest[option], in_channels, window_size, num_classes) is None]
    place = f"model.options.{found[0]} is {options[found[0]]!r}" if found else f"model.options is {options}"
    raise HarError("config", f"{place}: {name} cannot work so on windows of {window_size} samples ({reason}); change it, or leave it out")


def _fault(name: str, options: dict[str, Any], in_channels: int, window_size: int, num_classes: int) -> str | None:
    """What is wrong with a network, or None."""
    import torch

    for option, value in options.items():
        if isinstance(value, int | float) and not value >= 0:  # sizes, counts and shares; also refuses NaN
            return f"{option} is below 0 or no number"
        if isinstance(value, int | float) and option in LAYERS and value > MAX_LAYERS:
            return f"at most {MAX_LAYERS} layers are allowed"
    try:
        with torch.device("meta"), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            entry = find_model(name)
            network = entry.network(in_channels, window_size, num_classes, **options).eval()
            # The networks of other tasks are called in other ways; they are built alone.
            whole = entry.task == WINDOW
            shape = tuple(network(torch.empty(2, window_size, in_channels)).shape) if whole else (2, num_classes)
    except Exception as error:  # whatever a constructor or torch makes of an odd value
        return " ".join(str(error).split())[:160] or type(error).__name__
    sizes = [parameter.numel() for parameter in network.parameters()]
    if not all(sizes):
        return "a layer has no weights"
    if sum(sizes) > MAX_PARAMETERS:
        return f"{sum(sizes):,} weights, at most {MAX_PARAMETERS:,} are allowed"
    return None if shape == (2, num_classes) else f"its result has shape {shape}, expected {(2, num_classes)}"
