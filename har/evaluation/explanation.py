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
from har.evaluation.figures import confusion_figure, words
from har.evaluation.metrics import scores
from har.evaluation.predictions import Predictions
from har.files import whole_file

COLOURS = ("#0072b2", "#d55e00", "#009e73")  # x, y, z; Okabe and Ito 2008, told apart by colour-blind people
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
        for axis, colour in enumerate(COLOURS):
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
        for axis, colour in enumerate(COLOURS):
            axes.plot(seconds, near.acceleration[:, axis], color=colour, linewidth=0.9)
        axes.set_title(f"{words(near.label)}\nsubject {near.subject}, distance {near.distance:.1f}", fontsize=9)
        axes.tick_params(labelsize=7)
        if column == 0:
            axes.set_ylabel("Nearest in\ntraining (g)", fontsize=9)
    figure.suptitle(("SYNTHETIC data. " if synthetic else "") + item.title, fontsize=11)
    return figure


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 1rem auto; padding: 0 1rem; color: #1c1c1c; background: #fff; }
  h1 { font-size: 1.4rem; } img { max-width: 100%; height: auto; }
  .synthetic { background: #ffd7a8; padding: .5rem 1rem; font-weight: bold; }
  form { position: sticky; top: 0; background: #fff; padding: .6rem 0; border-bottom: 1px solid #ccc; }
  select { font: inherit; margin-right: 1rem; }
  article { border-bottom: 1px solid #ddd; padding: 1rem 0; }
  table { border-collapse: collapse; } td, th { padding: .1rem .8rem .1rem 0; text-align: left; }
  td.number { text-align: right; font-variant-numeric: tabular-nums; }
  meter { width: 12rem; } .hidden { display: none; }
  @media (prefers-color-scheme: dark) { body, form { background: #181818; color: #eee; } img { background: #fff; } .synthetic { color: #000; } }
</style>
<h1>{{ title }}</h1>
{% if synthetic %}<p class="synthetic">SYNTHETIC data: these mistakes say nothing about people.</p>{% endif %}
<p>{{ head }}</p>
<p>In each picture: the signals, behind them which samples speak for the answer (purple) or against it (orange), by {{ method }}, and the training
windows that the network holds for most alike; a distance of 1 is usual between two people. What is left out here: {{ left_out }}.</p>
<details><summary>Confusion matrix</summary><img src="{{ confusion }}" alt="Confusion matrix"></details>
<form aria-label="Which mistakes">
  <label>Person <select id="subject"><option value="">all</option>{% for value, count in subjects %}<option value="{{ value }}">{{ value }} ({{ count }})</option>{% endfor %}</select></label>
  <label>Mistake <select id="pair"><option value="">all</option>{% for value, count in pairs %}<option value="{{ value }}">{{ value }} ({{ count }})</option>{% endfor %}</select></label>
  <span id="count" aria-live="polite"></span>
</form>
{% for item in items %}
<article data-subject="{{ item.subject }}" data-pair="{{ item.pair }}" id="window-{{ item.number }}">
  <h2 style="font-size:1.1rem">{{ item.title }}</h2>
  <p>Recording {{ item.recording }}, from sample {{ item.start }}.</p>
  <img loading="lazy" src="{{ item.picture }}" alt="{{ item.title }}: signals, attribution and nearest training windows">
  <table>{% for name, p in item.probabilities %}<tr><th scope="row">{{ name }}</th><td><meter value="{{ p }}" min="0" max="1">{{ p }}</meter></td><td class="number">{{ "%.1f"|format(100 * p) }} %</td></tr>{% endfor %}</table>
</article>
{% endfor %}
<p>Written by <code>{{ command }}</code>, {{ version }}, weights {{ weights }}.</p>
<script>
  const shown = () => {
    const [subject, pair] = ["subject", "pair"].map((id) => document.getElementById(id).value);
    let count = 0;
    for (const article of document.querySelectorAll("article")) {
      const fits = (!subject || article.dataset.subject === subject) && (!pair || article.dataset.pair === pair);
      article.classList.toggle("hidden", !fits);
      count += fits;
    }
    document.getElementById("count").textContent = `${count} shown`;
  };
  for (const select of document.querySelectorAll("select")) select.addEventListener("change", shown);
  shown();
</script>
</html>
"""  # noqa: E501 - HTML


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
    what = "SYNTHETIC data" if origin.synthetic else origin.dataset
    pairs = [f"{words(item.true)} → {words(item.answer)}" for item in items]
    content = (
        Environment(autoescape=True, trim_blocks=True)
        .from_string(PAGE)
        .render(
            title=f"Mistakes of {origin.run}, seed {origin.seed}",
            synthetic=origin.synthetic,
            head=f"{what}, {origin.split} subjects: {wrong} of {len(predictions.table)} windows are wrong, "
            f"accuracy {100 * score['accuracy']:.2f} %, "
            f"macro-F1 {100 * score['macro_f1']:.2f} %.",
            method=method.replace("_", " "),
            left_out=left_out,
            confusion=_picture(confusion_figure(predictions), 90),
            subjects=sorted(Counter(item.subject for item in items).items()),
            pairs=Counter(pairs).most_common(),
            items=[
                {
                    "number": item.number,
                    "subject": item.subject,
                    "pair": pair,
                    "title": item.title,
                    "recording": item.recording,
                    "start": item.start,
                    "probabilities": sorted(((words(n), round(p, 4)) for n, p in item.probabilities.items()), key=lambda pair: -pair[1]),
                    "picture": _picture(explanation_figure(item, synthetic=origin.synthetic), 80),
                }
                for item, pair in zip(items, pairs, strict=True)
            ],
            command=command,
            version=version,
            weights=origin.checkpoint_sha256[:12],
        )
    )
    with whole_file(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def _picture(figure: Figure, dpi: int) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
