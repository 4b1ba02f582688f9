"""Why a run answers as it does: single windows as figures, and all its mistakes as one HTML file."""

import base64
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist
from torch import Tensor, nn

from har import __version__
from har.contract import AXES, RAW6, SAMPLE_RATE_HZ, artefact
from har.data.windowset import WindowSet
from har.errors import HarError
from har.evaluation.figures import AXIS_COLOURS, confusion_figure, save_figure, words
from har.evaluation.metrics import scores
from har.evaluation.predictions import Predictions
from har.files import write_whole
from har.models.classifier import WindowClassifier
from har.models.layers import Ensemble
from har.reporting import data_title
from har.runs.evaluate import load_data
from har.runs.run_folder import RunFolder, scored_predictions
from har.training.trainer import load_checkpoint

PAGE = Path(__file__).with_name("mistakes.html")  # a template of Jinja
MOST = 60  # mistakes in a report; each is a picture of some 150 kB
SENSORS = (("Total acceleration", "g", slice(0, 3)), ("Angular velocity", "rad/s", slice(3, 6)))
METHODS = ("integrated_gradients", "occlusion")
STEPS = 64  # of the path from the baseline; a test holds the sum of the attributions against the difference
OCCLUDED = 16  # samples, 0.32 s, about a third of a step, of one sensor
BATCH = 256


@dataclass(frozen=True)
class Explanation:
    """One window, its answer, and where it comes from.

    Attributes:
        number: of the window in the predictions.
        row: of the predictions: subject, recording, first sample, true activity, answer and probabilities.
        raw: (time, channel) in g and rad/s, ``contract.RAW6`` or its accelerometer alone.
        attribution: (time, channel) how much each sample speaks for the answer, in log-probability.
        attention: (time,) weights that sum to 1, or None.
        neighbours: title and (time, 3) total acceleration, g, of the nearest training windows.
    """

    number: int
    row: dict[Any, Any]
    raw: np.ndarray
    attribution: np.ndarray
    attention: np.ndarray | None
    neighbours: list[tuple[str, np.ndarray]]

    @property
    def pair(self) -> str:
        """True activity and answer."""
        return f"{words(self.row['y_true'])} → {words(self.row['y_pred'])}"

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Activities and probabilities, the most probable first."""
        found = {words(name.removeprefix("p_")): round(float(p), 4) for name, p in self.row.items() if name.startswith("p_")}
        return sorted(found.items(), key=lambda pair: -pair[1])

    @property
    def title(self) -> str:
        """In a line: which window, and what was made of it."""
        true, answer = self.row["y_true"], self.row["y_pred"]
        said, sure = "recognised" if answer == true else f"taken for {words(answer)}", 100 * self.row[f"p_{answer}"]
        return f"Window {self.number}, subject {self.row['subject']}: {words(true)}, {said} ({sure:.0f} %)"


def explain_errors(
    run: RunFolder,
    split: str,
    *,
    archive: Path | str | None = None,
    method: str = METHODS[0],
    most: int = MOST,
    command: str = "har explain",
) -> Path:
    """Write the mistakes of a run on a split, the surest first, as ``errors_SPLIT.html`` beside it.

    The file needs no server and no network.

    Args:
        run: a classifier of windows that was evaluated on `split`.
        split: ``validation`` or ``test``.
        archive: a copy of the data set.
        method: of the attribution, one of `METHODS`.
        most: mistakes that are shown.
        command: that was typed, named in the report.

    Raises:
        HarError: the run is no classifier or was not evaluated on the split; weights or data are not those of the training.
    """
    from jinja2 import Environment

    predictions, explain = _opened(run, split, archive, method)
    table, origin, score = predictions.table, predictions.origin, scores(predictions)
    wrong = np.flatnonzero((table.y_true != table.y_pred).to_numpy())
    sure = table[[f"p_{label}" for label in predictions.labels]].max(axis=1).to_numpy()
    shown = wrong[np.argsort(-sure[wrong], kind="stable")][:most]
    items = explain(shown)
    facts = {
        "title": f"Mistakes of {origin.run}, seed {origin.seed}",
        "synthetic": origin.synthetic,
        "head": f"{data_title(origin)}, {origin.split} subjects: {len(wrong)} of {len(table)} windows are wrong, "
        f"accuracy {100 * score['accuracy']:.2f} %, macro-F1 {100 * score['macro_f1']:.2f} %.",
        "method": method.replace("_", " "),
        "confusion": _picture(confusion_figure(predictions), 90),
        "subjects": sorted(Counter(item.row["subject"] for item in items).items()),
        "pairs": Counter(item.pair for item in items).most_common(),
        "items": [(item, _picture(explanation_figure(item, synthetic=origin.synthetic), 80)) for item in items],
        "weights": origin.checkpoint_sha256[:12],
        "left_out": f"{len(wrong) - len(shown)} mistakes in which it was least sure (--most)" if len(shown) < len(wrong) else "nothing",
        "command": command,
        "version": f"wearable-har {__version__}",
    }
    path = run.path / artefact(f"errors_{split}", ".html", synthetic=origin.synthetic)
    page = Environment(autoescape=True, trim_blocks=True).from_string(PAGE.read_text(encoding="utf-8"))
    write_whole(path, page.render(facts))
    return path


def explain_windows(
    run: RunFolder, split: str, numbers: Sequence[int], *, archive: Path | str | None = None, method: str = METHODS[0]
) -> list[Path]:
    """Write one figure a window, ``explanation_SPLIT_NUMBER.png`` and ``.svg`` beside the run; the arguments are those of `explain_errors`.

    Raises:
        HarError: as `explain_errors`, or there is no such window.
    """
    predictions, explain = _opened(run, split, archive, method, numbers)
    synthetic = predictions.origin.synthetic
    written = []
    for item in explain(np.array(numbers)):
        stem = artefact(f"explanation_{split}_{item.number}", "", synthetic=synthetic)
        written += save_figure(explanation_figure(item, synthetic=synthetic), run.path, stem)
    return written


def _opened(
    run: RunFolder, split: str, archive: Path | str | None, method: str, numbers: Sequence[int] = ()
) -> tuple[Predictions, Callable[[np.ndarray], list[Explanation]]]:
    """The predictions on a split, and what explains windows of it by their numbers."""
    predictions = scored_predictions(run, split, numbers)
    again = f"score them again: har evaluate --part {split}"
    if predictions.origin.checkpoint_sha256 != run.origin.checkpoint_sha256:
        raise HarError("run-other", f"{run.predictions_path(split)} is of other weights; {again}")
    _, data = load_data(run, archive)
    windows: WindowSet = data.parts[split]
    if len(windows) != len(predictions.table) or (windows.start != predictions.table.start.to_numpy()).any():
        raise HarError("run-other", f"{run.predictions_path(split)} is of other windows; {again}")
    return predictions, lambda chosen: _explain(run, predictions, windows, data.parts["train"], chosen, method)


def _explain(
    run: RunFolder, predictions: Predictions, windows: WindowSet, train: WindowSet, numbers: np.ndarray, method: str
) -> list[Explanation]:
    if not len(numbers):
        return []
    classifier = load_checkpoint(run.checkpoint)
    x, table, labels = windows.x[numbers], predictions.table.iloc[numbers], predictions.labels
    answers = np.array([labels.index(name) for name in table.y_pred])
    attribution = attribute(classifier, x, answers, baseline_of(train), method)
    attention = attention_of(classifier, x)
    nearest = nearest_windows(classifier, train, x)
    raw = [windows.channels.index(name) for name in RAW6 if name in windows.channels]
    items = []
    for place, (number, row) in enumerate(zip(numbers, table.to_dict("records"), strict=True)):
        near = []
        for i, distance in zip(nearest.index[place], nearest.distance[place], strict=True):
            title = f"{words(train.labels[train.y[i]])}\nsubject {train.subject[i]}, distance {distance:.1f}"
            near.append((title, train.x[i][:, raw[:3]]))
        speaks = _of_sensors(attribution[place], windows.channels)[:, : len(raw)]
        own = None if attention is None else attention[place]
        items.append(Explanation(int(number), row, x[place][:, raw], speaks, own, near))
    return items


def _of_sensors(attribution: np.ndarray, channels: tuple[str, ...]) -> np.ndarray:
    """(time, channel) -> (time, 6): body acceleration is computed from total acceleration, so what speaks there speaks here."""
    found = np.zeros((len(attribution), len(RAW6)), dtype=np.float32)
    for index, channel in enumerate(channels):
        found[:, RAW6.index(channel.replace("body_acc", "total_acc"))] += attribution[:, index]
    return found


def explanation_figure(item: Explanation, *, synthetic: bool) -> Figure:
    """The sensors over time, behind them what speaks for the answer and against it, and the nearest training windows."""
    seconds = np.arange(len(item.raw)) / SAMPLE_RATE_HZ
    sensors = SENSORS[: item.raw.shape[1] // len(AXES)]
    figure = Figure(figsize=(9.0, 1.8 + 2.2 * len(sensors)), layout="constrained")
    grid = figure.add_gridspec(len(sensors) + 1, max(1, len(item.neighbours)), height_ratios=[1.3] * len(sensors) + [1.0])
    largest = max(float(np.abs(item.attribution[:, part].sum(axis=1)).max()) for _, _, part in sensors) or 1.0
    panels = []
    for row, (name, unit, part) in enumerate(sensors):
        axes = figure.add_subplot(grid[row, :])
        signal, speaks = item.raw[:, part], item.attribution[:, part].sum(axis=1)
        low, high = float(signal.min()), float(signal.max())
        margin = 0.08 * (high - low) or 0.1
        extent = (0.0, len(seconds) / SAMPLE_RATE_HZ, low - margin, high + margin)
        image = axes.imshow(speaks[None, :], aspect="auto", extent=extent, cmap="PuOr", vmin=-largest, vmax=largest, alpha=0.75)
        for axis, colour in enumerate(AXIS_COLOURS):
            axes.plot(seconds, signal[:, axis], color=colour, linewidth=1.2, label="xyz"[axis])
        axes.set_ylabel(f"{name}\n({unit})")
        if item.attention is not None:
            weights = axes.twinx()
            weights.plot(seconds, len(seconds) * item.attention, color="black", linewidth=0.9, linestyle=":", label="attention")
            weights.set_ylabel("attention, mean 1", fontsize=8)
        panels.append((axes, image))
    panels[0][0].legend(loc="upper right", ncols=3, fontsize=8)
    panels[-1][0].set_xlabel("Seconds")
    label = f"speaks against {words(item.row['y_pred'])}  |  for it"
    figure.colorbar(panels[0][1], ax=[axes for axes, _ in panels], label=label, shrink=0.9)
    for column, (title, acceleration) in enumerate(item.neighbours):
        axes = figure.add_subplot(grid[-1, column])
        for axis, colour in enumerate(AXIS_COLOURS):
            axes.plot(seconds, acceleration[:, axis], color=colour, linewidth=0.9)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        if column == 0:
            axes.set_ylabel("Nearest in\ntraining (g)", fontsize=9)
    figure.suptitle(("SYNTHETIC data. " if synthetic else "") + item.title, fontsize=11)
    return figure


def _picture(figure: Figure, dpi: int) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


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

    windows = torch.tensor(x, dtype=torch.float32)
    reference, activity = torch.from_numpy(baseline).expand_as(windows), torch.as_tensor(target, dtype=torch.int64)
    given: dict[str, Any] = {"baselines": reference, "target": activity}
    classifier.eval()
    if method == "occlusion":
        size = (min(OCCLUDED, windows.shape[1]), 3)
        with torch.no_grad():
            found = Occlusion(log_probability).attribute(windows, sliding_window_shapes=size, strides=(size[0] // 2, 3), **given)
    else:
        found = IntegratedGradients(log_probability).attribute(windows, n_steps=STEPS, internal_batch_size=BATCH, **given)
    return found.detach().numpy().astype(np.float32)


def attention_of(classifier: WindowClassifier, x: np.ndarray) -> np.ndarray | None:
    """Attention weights over the samples, mean over members, (window, time) summing to 1; None where the network has none."""
    networks = _networks(classifier)
    if not all(hasattr(network, "attention_weights") and isinstance(getattr(network, "pool", None), nn.Module) for network in networks):
        return None
    classifier.eval()
    with torch.no_grad():
        features = classifier.frontend(torch.tensor(x, dtype=torch.float32))
        try:
            weights = [network.attention_weights(features) for network in networks]  # type: ignore[operator]
        except ValueError:  # it pools in another way
            return None
    return torch.stack(weights).mean(dim=0).numpy()


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
    distance = np.where(subject[chosen, None] == subject, np.inf, cdist(known[chosen], known)).min(axis=1)
    found = distance[np.isfinite(distance)]
    return float(np.median(found)) or 1.0 if len(found) else 1.0
