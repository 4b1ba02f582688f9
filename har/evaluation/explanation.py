"""An answer and its reasons as a figure, and all mistakes of a run as one HTML file."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from har.contract import SAMPLE_RATE_HZ
from har.evaluation.figures import AXIS_COLOURS, confusion_figure, words
from har.evaluation.metrics import scores
from har.evaluation.predictions import Predictions
from har.files import whole_file
from har.reporting import data_title

SENSORS = (("Total acceleration", "g", slice(0, 3)), ("Angular velocity", "rad/s", slice(3, 6)))


@dataclass(frozen=True)
class Neighbour:
    """A training window that the network holds for alike.

    Attributes:
        label: its activity.
        subject: its person.
        distance: 1 is usual between people, see `har.evaluation.attribution.Nearest`.
        acceleration: (time, 3) total acceleration, g.
    """

    label: str
    subject: int
    distance: float
    acceleration: np.ndarray


@dataclass(frozen=True)
class Explanation:
    """One window, its answer, and where it comes from.

    Attributes:
        number: of the window in the predictions.
        subject: its person.
        recording: it was cut from.
        start: its first sample there.
        true: its activity.
        answer: of the model.
        probabilities: of every activity.
        raw6: (time, 6) g and rad/s.
        attribution: (time, 6) how much each sample speaks for the answer, in log-probability.
        attention: (time,) weights that sum to 1, or None.
        neighbours: nearest training windows.
    """

    number: int
    subject: int
    recording: str
    start: int
    true: str
    answer: str
    probabilities: dict[str, float]
    raw6: np.ndarray
    attribution: np.ndarray
    attention: np.ndarray | None
    neighbours: tuple[Neighbour, ...]

    @property
    def pair(self) -> str:
        """True activity and answer."""
        return f"{words(self.true)} → {words(self.answer)}"

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Activities and probabilities, the most probable first."""
        return sorted(((words(name), round(p, 4)) for name, p in self.probabilities.items()), key=lambda pair: -pair[1])

    @property
    def title(self) -> str:
        """In a line: which window, and what was made of it."""
        said = f"taken for {words(self.answer)}" if self.answer != self.true else "recognised"
        sure = 100 * self.probabilities[self.answer]
        return f"Window {self.number}, subject {self.subject}: {words(self.true)}, {said} ({sure:.0f} %)"


def explanation_figure(item: Explanation, *, synthetic: bool) -> Figure:
    """Both sensors over time, behind them what speaks for the answer and against it, and the nearest training windows."""
    seconds = np.arange(len(item.raw6)) / SAMPLE_RATE_HZ
    figure = Figure(figsize=(9.0, 6.2), layout="constrained")
    grid = figure.add_gridspec(3, max(1, len(item.neighbours)), height_ratios=(1.3, 1.3, 1.0))
    largest = max(float(np.abs(item.attribution[:, part].sum(axis=1)).max()) for _, _, part in SENSORS) or 1.0
    panels = []
    for row, (name, unit, part) in enumerate(SENSORS):
        axes = figure.add_subplot(grid[row, :])
        signal, speaks = item.raw6[:, part], item.attribution[:, part].sum(axis=1)
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
    panels[1][0].set_xlabel("Seconds")
    figure.colorbar(panels[0][1], ax=[axes for axes, _ in panels], label=f"speaks against {words(item.answer)}  |  for it", shrink=0.9)
    for column, near in enumerate(item.neighbours):
        axes = figure.add_subplot(grid[2, column])
        for axis, colour in enumerate(AXIS_COLOURS):
            axes.plot(seconds, near.acceleration[:, axis], color=colour, linewidth=0.9)
        axes.set_title(f"{words(near.label)}\nsubject {near.subject}, distance {near.distance:.1f}", fontsize=9)
        axes.tick_params(labelsize=7)
        if column == 0:
            axes.set_ylabel("Nearest in\ntraining (g)", fontsize=9)
    figure.suptitle(("SYNTHETIC data. " if synthetic else "") + item.title, fontsize=11)
    return figure


PAGE = Path(__file__).with_name("mistakes.html")  # a template of Jinja


def write_error_report(
    predictions: Predictions, items: Sequence[Explanation], path: Path, *, left_out: str, method: str, command: str, version: str
) -> None:
    """Write all mistakes of a run as one HTML file that needs no server and no network.

    Args:
        predictions: of the run.
        items: the mistakes that are shown, in this order.
        path: of the file.
        left_out: which mistakes are not shown, in words.
        method: of the attribution.
        command: that was typed.
        version: of the package.
    """
    from jinja2 import Environment

    origin, score = predictions.origin, scores(predictions)
    wrong = int((predictions.table.y_true != predictions.table.y_pred).sum())
    facts = {
        "title": f"Mistakes of {origin.run}, seed {origin.seed}",
        "synthetic": origin.synthetic,
        "head": f"{data_title(origin)}, {origin.split} subjects: {wrong} of {len(predictions.table)} windows are wrong, "
        f"accuracy {100 * score['accuracy']:.2f} %, macro-F1 {100 * score['macro_f1']:.2f} %.",
        "method": method.replace("_", " "),
        "confusion": _picture(confusion_figure(predictions), 90),
        "subjects": sorted(Counter(item.subject for item in items).items()),
        "pairs": Counter(item.pair for item in items).most_common(),
        "items": [(item, _picture(explanation_figure(item, synthetic=origin.synthetic), 80)) for item in items],
        "weights": origin.checkpoint_sha256[:12],
    }
    page = Environment(autoescape=True, trim_blocks=True).from_string(PAGE.read_text(encoding="utf-8"))
    content = page.render(facts, left_out=left_out, command=command, version=version)
    with whole_file(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def _picture(figure: Figure, dpi: int) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
