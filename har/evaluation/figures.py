"""Figures, drawn without a display."""

from matplotlib.figure import Figure

from har.evaluation.metrics import confusion, scores
from har.evaluation.predictions import Predictions


def words(label: str) -> str:
    """A label as a person reads it: WALKING_UPSTAIRS -> Walking upstairs."""
    return label.replace("_", " ").capitalize()


def confusion_figure(predictions: Predictions) -> Figure:
    """Confusion matrix: a row per true activity, coloured by the share of that row, with counts."""
    counts = confusion(predictions)
    share = counts / counts.sum(axis=1, keepdims=True).clip(1)
    names = [words(label) for label in predictions.labels]
    origin, score = predictions.origin, scores(predictions)
    figure = Figure(figsize=(7.2, 6.2), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    for row in range(len(names)):
        for column in range(len(names)):
            dark = share[row, column] > 0.5
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color="white" if dark else "black", fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("Predicted activity")
    axes.set_ylabel("True activity")
    what = "SYNTHETIC data, " if origin.synthetic else f"{origin.dataset}, "
    axes.set_title(
        f"{origin.run}, seed {origin.seed}: {what}{origin.split} subjects\n"
        f"accuracy {100 * score['accuracy']:.1f} %, macro-F1 {100 * score['macro_f1']:.1f} %, {counts.sum()} windows",
        fontsize=11,
    )
    figure.colorbar(image, ax=axes, label="Share of the true activity", shrink=0.8)
    return figure
