"""Read the weights that a training left behind."""

from pathlib import Path

import torch

from har.contract import HarError
from har.models.classifier import ActivityClassifier


def load_checkpoint(path: Path) -> ActivityClassifier:
    """The classifier saved in a checkpoint, in evaluation mode on the CPU. Only tensors and plain values are unpickled.

    Raises:
        HarError: the file is missing or is not a checkpoint of this project.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        classifier = ActivityClassifier(**content["hyper_parameters"])
        classifier.load_state_dict(content["state_dict"])
    except FileNotFoundError:
        raise HarError(f"no checkpoint at {path}; train first: har train") from None
    except HarError:
        raise
    except Exception as error:  # torch raises many kinds for a damaged file; all mean the same to the user
        first_line = str(error).strip().split("\n")[0][:160]
        raise HarError(f"{path} is not a checkpoint of this version ({type(error).__name__}: {first_line}); train again") from None
    return classifier.eval()
