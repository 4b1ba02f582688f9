"""Where an answer comes from: which samples, and which training windows are most alike."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from har.data.windowset import WindowSet
from har.models.classifier import WindowClassifier
from har.models.layers import Ensemble

METHODS = ("integrated_gradients", "occlusion")
STEPS = 64  # of the path from the baseline; a test holds the sum of the attributions against the difference
OCCLUDED = 16  # samples, 0.32 s, about a third of a step, of one sensor
BATCH = 256


def baseline_of(train: WindowSet) -> np.ndarray:
    """What an answer is compared with: everybody's mean, a constant for each channel -> (time, channel) float32."""
    mean = train.x.reshape(-1, train.x.shape[2]).mean(axis=0, dtype=np.float64).astype(np.float32)
    return np.tile(mean, (train.window_size, 1))


def attribute(
    classifier: WindowClassifier, x: np.ndarray, target: np.ndarray, baseline: np.ndarray, method: str = METHODS[0]
) -> np.ndarray:
    """How much each sample speaks for an activity, in the log-probability of that activity.

    Integrated gradients (Sundararajan, Taly and Yan 2017) add up to the difference to the baseline. Occlusion (Zeiler and Fergus 2014)
    replaces 0.32 s of one sensor by the baseline and says what that costs.

    Args:
        classifier: in evaluation mode.
        x: (window, time, channel).
        target: (window,) activities.
        baseline: (time, channel).
        method: one of `METHODS`.

    Returns:
        (window, time, channel) float32, positive where the sample speaks for the activity.
    """
    from captum.attr import IntegratedGradients, Occlusion

    def log_probability(windows: Tensor) -> Tensor:
        return torch.log_softmax(classifier(windows), dim=1)

    classifier.eval()
    parts = []
    for first in range(0, len(x), BATCH):
        windows = torch.from_numpy(np.array(x[first : first + BATCH], dtype=np.float32))
        reference = torch.from_numpy(np.array(baseline, dtype=np.float32)).expand_as(windows)
        activity = torch.from_numpy(np.array(target[first : first + BATCH], dtype=np.int64))
        if method == "occlusion":
            size = (min(OCCLUDED, windows.shape[1]), 3)
            steps = (size[0] // 2, 3)
            with torch.no_grad():
                found = Occlusion(log_probability).attribute(
                    windows, sliding_window_shapes=size, strides=steps, baselines=reference, target=activity
                )
        else:
            found = IntegratedGradients(log_probability).attribute(
                windows, baselines=reference, target=activity, n_steps=STEPS, internal_batch_size=BATCH
            )
        parts.append(found.detach().numpy().astype(np.float32))
    return np.concatenate(parts) if parts else np.empty((0, *x.shape[1:]), dtype=np.float32)


def attention_of(classifier: WindowClassifier, x: np.ndarray) -> np.ndarray | None:
    """Attention weights over the samples, mean over members, (window, time) summing to 1; None where the network has none."""
    networks = _networks(classifier)
    if not all(hasattr(network, "attention_weights") and isinstance(getattr(network, "pool", None), nn.Module) for network in networks):
        return None
    classifier.eval()
    parts = []
    with torch.no_grad():
        for part in torch.from_numpy(np.array(x, dtype=np.float32)).split(BATCH):
            features = classifier.frontend(part)
            try:
                weights = [network.attention_weights(features) for network in networks]  # type: ignore[operator]
            except ValueError:  # it pools in another way
                return None
            parts.append(torch.stack(weights).mean(dim=0).numpy())
    return np.concatenate(parts)


def embed(classifier: WindowClassifier, x: np.ndarray) -> np.ndarray:
    """What the last layer of the network reads, (window, feature) float32, members side by side; its logits where it has no such layer."""
    networks = _networks(classifier)
    classes = classifier.hparams["num_classes"]
    heads = [
        next((m for m in reversed(list(network.modules())) if isinstance(m, nn.Linear) and m.out_features == classes), None)
        for network in networks
    ]
    classifier.eval()
    read: list[Tensor] = []
    hooks = [head.register_forward_pre_hook(lambda module, given: read.append(given[0])) for head in heads if head is not None]
    rows = []
    try:
        with torch.no_grad():
            for part in torch.from_numpy(np.array(x, dtype=np.float32)).split(BATCH):
                read.clear()
                logits = classifier(part)
                whole = len(read) == len(networks) and all(features.ndim == 2 for features in read)
                rows.append(torch.cat(read, dim=1) if whole else logits)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(rows).numpy()


def _networks(classifier: WindowClassifier) -> list[nn.Module]:
    network = classifier.network
    return list(network.members) if isinstance(network, Ensemble) else [network]


@dataclass(frozen=True)
class Nearest:
    """The training windows that the network holds for most alike.

    Attributes:
        index: (window, neighbour) into the training windows, the nearest first.
        distance: (window, neighbour); 1 is the median distance of a training window to its own nearest of another person.
    """

    index: np.ndarray
    distance: np.ndarray


def nearest_windows(classifier: WindowClassifier, train: WindowSet, x: np.ndarray, count: int = 3) -> Nearest:
    """The nearest training windows by what the last layer reads, each feature scaled to the spread of the training windows.

    Args:
        classifier: that answers.
        train: the windows it was trained on.
        x: (window, time, channel) windows to explain.
        count: of neighbours.
    """
    from sklearn.neighbors import NearestNeighbors

    known = embed(classifier, train.x)
    spread = known.std(axis=0)
    spread[spread == 0] = 1.0
    known = known / spread
    finder = NearestNeighbors(n_neighbors=min(count, len(known))).fit(known)
    distance, index = finder.kneighbors(embed(classifier, x) / spread)
    return Nearest(index, distance / _usual_distance(known, train.subject))


def _usual_distance(known: np.ndarray, subject: np.ndarray, most: int = 500) -> float:
    """Median distance of a training window to the nearest one of another person, over at most `most` of them."""
    chosen = np.random.default_rng(0).permutation(len(known))[:most]
    found = []
    for number in chosen:
        others = known[subject != subject[number]]
        if len(others):
            found.append(np.linalg.norm(others - known[number], axis=1).min())
    return float(np.median(found)) or 1.0 if found else 1.0
