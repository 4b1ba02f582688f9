"""Read the weights that a training left behind."""

import io
from pathlib import Path
from typing import TypeVar

import torch

from har.contract import SignalSpec
from har.errors import HarError
from har.files import write_whole
from har.models.classifier import WindowClassifier
from har.models.module import SPEC, TaskModule

M = TypeVar("M", bound=TaskModule)


def load_module(path: Path, kind: type[M]) -> M:
    """The module saved in a checkpoint, in evaluation mode on the CPU. Only tensors and plain values are unpickled.

    Args:
        path: of the checkpoint.
        kind: class of the module.

    Raises:
        HarError: the file is missing or is not a checkpoint of such a module.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        module = kind(**content["hyper_parameters"])
        module.load_state_dict(content["state_dict"])
        if SPEC in content:
            module.spec = SignalSpec.from_json(content[SPEC])
    except FileNotFoundError:
        raise HarError("run-missing", f"no checkpoint at {path}; train first: har train") from None
    except HarError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file; all mean the same to the user
        first_line = str(error).strip().split("\n")[0][:160]
        raise HarError(
            "run-damaged", f"{path} is not a checkpoint of this version ({type(error).__name__}: {first_line}); train again"
        ) from None
    return module.eval()


def save_weights(path: Path, module: TaskModule) -> None:
    """Put the weights and buffers of `module` into the checkpoint it was loaded from, whole or not at all.

    Raises:
        HarError: it cannot be written.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    content["state_dict"] = {name: value.cpu() for name, value in module.state_dict().items()}
    buffer = io.BytesIO()  # torch does not tell why a file could not be written
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


def load_checkpoint(path: Path) -> WindowClassifier:
    """The classifier of windows saved in a checkpoint.

    Raises:
        HarError: as `load_module`.
    """
    return load_module(path, WindowClassifier)
