"""Figures of predictions, comparisons and robustness."""

import html
import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps, rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from har.contract import SAMPLE_RATE_HZ, kind_of
from har.contract import SENSORS as SENSORS_UNITS
from har.errors import HarError
from har.evaluation.calibration import has_probabilities, probabilities, reliability, risk_coverage
from har.evaluation.metrics import confusion, scores
from har.evaluation.predictions import Predictions
from har.files import whole_file
from har.recording.inspection import Inspection
from har.recording.limits import slices
from har.recording.reading import words_of
from har.reporting import data_title
from har.signals.windows import label_runs

FIGURES = (".png", ".svg", ".pdf")
AXIS_COLOURS = ("#0072B2", "#D55E00", "#009E73")  # x, y, z; Okabe and Ito 2008, different for colour-blind readers too
SENSORS = {"total_acc": "acceleration (g)", "gyro": "angular velocity (rad/s)"}


def panel(width: float, height: float) -> tuple[Figure, Any]:
    """A figure of one panel and its axes; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def words(label: str) -> str:
    """A label as a person reads it: WALKING_UPSTAIRS -> Walking upstairs."""
    return label.replace("_", " ").capitalize()


def confusion_figure(predictions: Predictions) -> Figure:
    """Confusion matrix: a row per true activity, coloured by the share of that row, with counts."""
    counts = confusion(predictions)
    share = counts / counts.sum(axis=1, keepdims=True).clip(1)
    names = [words(label) for label in predictions.labels]
    origin, score = predictions.origin, scores(predictions)
    figure, axes = panel(7.2, 6.2)
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
    for row in range(len(names)):
        for column in range(len(names)):
            dark = share[row, column] > 0.5
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color="white" if dark else "black", fontsize=9)
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("Predicted activity")
    axes.set_ylabel("True activity")
    axes.set_title(
        f"{origin.run}, seed {origin.seed}: {data_title(origin)}, {origin.split} subjects\n"
        f"accuracy {100 * score['accuracy']:.1f} %, macro-F1 {100 * score['macro_f1']:.1f} %, {counts.sum()} windows",
        fontsize=11,
    )
    figure.colorbar(image, ax=axes, label="Share of the true activity", shrink=0.8)
    return figure


def critical_difference_figure(subjects: pd.DataFrame, pairs: pd.DataFrame) -> Figure:
    """Mean rank of each system over subjects (1 is best); the dots of a bar are those that are not different at 5 % (Demsar 2006).

    Args:
        subjects: (subject, run) accuracy.
        pairs: of `statistics.paired_tests`, whose corrected p decides the bars.
    """
    from scikit_posthocs import critical_difference_diagram

    runs = list(subjects.columns)
    p = pd.DataFrame(np.eye(len(runs)), index=runs, columns=runs)
    for row in pairs.to_dict("records"):
        p.loc[row["a"], row["b"]] = p.loc[row["b"], row["a"]] = row["p_holm"]
    figure, axes = panel(8.5, 1.2 + 0.3 * len(runs))
    ranks = subjects.rank(axis=1, ascending=False).mean()
    names = {"label_fmt_left": "{label} ({rank:.1f})", "label_fmt_right": "({rank:.1f}) {label}"}
    drawn = critical_difference_diagram(ranks, p, ax=axes, crossbar_props={"marker": "o", "markersize": 6}, **names)
    for (bar,) in drawn["crossbars"]:
        bar.set_xdata(sorted(bar.get_xdata()))  # its order comes from a set, which differs from one process to the next
    axes.set_title(f"Mean rank over {len(subjects)} subjects; dots of one bar: not different (Wilcoxon, Holm, 5 %)", fontsize=10)
    return figure


def subjects_figure(subjects: pd.DataFrame) -> Figure:
    """A dot for every subject and system, and the worst subject of each system by number."""
    order = subjects.mean().sort_values().index
    figure, axes = panel(8.5, 1.2 + 0.5 * len(order))
    rng = np.random.default_rng(0)  # only spreads the dots
    for position, run in enumerate(order):
        values = 100 * subjects[run]
        axes.scatter(values, position + rng.uniform(-0.18, 0.18, len(values)), s=16, alpha=0.7, edgecolors="none", color="tab:blue")
        axes.plot([values.mean()] * 2, [position - 0.32, position + 0.32], color="black", linewidth=2)
        axes.annotate(
            f"{values.idxmin()}", (values.min(), position), (-6, 0), textcoords="offset points", ha="right", va="center", fontsize=8
        )
    axes.set_yticks(range(len(order)), order)
    axes.set_xlabel("Accuracy of a held-out subject (%); bar: mean; number: the worst subject")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    return figure


def reliability_figure(tested: Mapping[str, Sequence[Predictions]]) -> Figure:
    """Reliability diagrams, one a run, all seeds together; dots are as large as their share of windows."""
    shown = _with_probabilities(tested)
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.9 * columns, 2.9 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for axes, (run, (p, y)) in zip(grid.flat, shown.items(), strict=False):
        table = reliability(p, y)
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axes.plot(table.confidence, table.accuracy, color="tab:blue", linewidth=1)
        axes.scatter(table.confidence, table.accuracy, s=8 + 120 * table.share, color="tab:blue", edgecolors="none")
        axes.set_title(run, fontsize=10)
        axes.set_xlim(0.2, 1.02)
        axes.set_ylim(0, 1.02)
    figure.supxlabel("Highest probability", fontsize=10)
    figure.supylabel("Share of right answers", fontsize=10)
    return figure


def risk_coverage_figure(tested: Mapping[str, Sequence[Predictions]]) -> Figure:
    """Share of wrong answers against the share of windows answered, the surest first, all seeds together."""
    figure, axes = panel(7.0, 4.2)
    for run, (p, y) in _with_probabilities(tested).items():
        curve = risk_coverage(p, y)
        axes.plot(100 * curve.coverage, 100 * curve.risk, label=run)
    axes.set_xlim(60, 100)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Windows answered, the surest first (%)")
    axes.set_ylabel("Wrong answers among them (%)")
    axes.grid(color="0.9")
    axes.legend(fontsize=8)
    return figure


def _with_probabilities(tested: Mapping[str, Sequence[Predictions]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {}
    for run, seeds in tested.items():
        pairs = [probabilities(item) for item in seeds if has_probabilities(item)]
        if pairs:
            found[run] = (np.concatenate([p for p, _ in pairs]), np.concatenate([y for _, y in pairs]))
    return found


def stream_figure(truth: np.ndarray, answers: Mapping[str, np.ndarray], labels: Sequence[str], title: str) -> Figure:
    """Truth and answers of one recording as coloured bars over time, a row each; white where there is no label or no answer.

    Args:
        truth: (time,) index into `labels`, negative where unlabelled.
        answers: (time,) the same for each system, by name.
        labels: names of the activities, at most 20.
        title: of the figure.
    """
    rows = {"truth": truth, **answers}
    figure, axes = panel(11, 1.6 + 0.45 * len(rows))
    colours = colormaps["tab20" if len(labels) > 10 else "tab10"].colors  # type: ignore[attr-defined]
    for place, values in enumerate(rows.values()):
        for label, colour in enumerate(colours[: len(labels)]):
            bars = [(a / SAMPLE_RATE_HZ, (b - a) / SAMPLE_RATE_HZ) for own, a, b in label_runs(values) if own == label]
            axes.broken_barh(bars, (place - 0.4, 0.8), facecolors=colour, linewidth=0)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlim(0, len(truth) / SAMPLE_RATE_HZ)
    axes.set_xlabel("Time (s)")
    axes.set_title(title, fontsize=10)
    patches = [Patch(color=colour, label=words(label)) for label, colour in zip(labels, colours, strict=False)]
    figure.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=8)
    return figure


def save_figure(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Write PNG and SVG; the same figure gives the same files."""
    paths = [folder / f"{stem}.png", folder / f"{stem}.svg"]
    with whole_file(paths[0]) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    with rc_context({"svg.hashsalt": stem}), whole_file(paths[1]) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    return paths


COLUMNS = 4
SINGLE = 2  # a curve has at least so many points; the others are bars of one panel


def robustness_figure(table: pd.DataFrame, *, synthetic: bool = False) -> Figure:
    """A panel a disturbance, a line a run: accuracy against the level; those of one level together in the last panel.

    Args:
        table: ``run``, ``disturbance``, ``level``, ``unit``, ``accuracy``; several seeds of a run are averaged.
        synthetic: said in the title.
    """
    mean = table.groupby(["run", "disturbance", "level", "unit"], sort=False, as_index=False, dropna=False).accuracy.mean()
    levels = mean.groupby("disturbance", sort=False)["level"].nunique()
    curves, single = [name for name in levels.index if levels[name] >= SINGLE], [name for name in levels.index if levels[name] < SINGLE]
    count = -(-(len(curves) + 1) // COLUMNS)
    figure = Figure(figsize=(3.4 * COLUMNS, 2.6 * count), layout="constrained")
    panels = figure.subplots(count, COLUMNS, squeeze=False).flatten()
    runs = list(dict.fromkeys(mean.run))
    base = mean[mean.disturbance == "none"].set_index("run").accuracy
    for axes, name in zip(panels, curves, strict=False):
        for number, run in enumerate(runs):
            part = mean[(mean.disturbance == name) & (mean.run == run)]
            axes.axhline(100 * base[run], color=f"C{number}", linewidth=0.8, linestyle=":")
            axes.plot(
                [f"{level:g}" for level in part["level"]], 100 * part.accuracy, marker="o", markersize=3, color=f"C{number}", label=run
            )
        axes.set(xlabel=mean[mean.disturbance == name].unit.iloc[0], ylim=(0, 103))
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
    last, height = panels[len(curves)], 0.8 / len(runs)
    for number, run in enumerate(runs):
        part = mean[mean.run == run].set_index("disturbance").accuracy
        last.barh([i + height * number for i in range(len(single))], [100 * part[name] for name in single], height, color=f"C{number}")
    last.set_yticks([i + 0.4 - height / 2 for i in range(len(single))], single, fontsize=8)
    last.set(xlabel="per cent right", xlim=(0, 103))
    for axes in panels[len(curves) + 1 :]:
        axes.set_axis_off()
    for axes in panels[: len(curves) : COLUMNS]:
        axes.set_ylabel("per cent right")
    panels[0].legend(fontsize=8, loc="lower left")
    figure.suptitle(("SYNTHETIC data: " if synthetic else "") + "Accuracy on validation subjects; dotted: undisturbed", fontsize=11)
    return figure


def recording_figure(name: str, found: Inspection, spans: Sequence[tuple[float, float, str, float, int]] = (), note: str = "") -> Figure:
    """The signals of a recording, a panel a sensor, and below them the activities.

    Args:
        name: of the recording.
        found: its sensors, signals and stretches.
        spans: begin and end in s, activity, confidence and windows of each run of one activity, as `Timeline.spans` gives them.
        note: of the title, such as where the answers come from.
    """
    activities = list(dict.fromkeys(activity for _, _, activity, _, _ in spans))
    heights = [1.0] * len(found.sensors) + [0.25 + 0.14 * len(activities)] * bool(spans)
    figure = Figure(figsize=(11.0, 1.0 + 2.0 * sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    end_s = max((end_s for _, end_s in found.stretches), default=0.0)
    scale, unit = (60.0, "min") if end_s > 600 else (1.0, "s")
    time_s, values = found.envelope.curves()
    for axes, (sensor, own) in zip(panels, slices(found.sensors).items(), strict=False):
        for channel, (axis, colour) in enumerate(zip("xyz", AXIS_COLOURS, strict=True), own.start):
            axes.plot(time_s / scale, values[:, channel], color=colour, linewidth=0.8, label=axis)
        axes.set_ylabel(f"{words_of(sensor)}\n({SENSORS_UNITS[kind_of(sensor)][0]})")
        axes.legend(loc="upper right", ncols=3, fontsize=8)
        axes.grid(color="0.9")
    for (_, end_s), (begin_s, _) in pairwise(sorted(found.stretches)):
        for axes in panels:
            axes.axvspan(end_s / scale, begin_s / scale, color="0.85", linewidth=0)
    for from_s, to_s, activity, confidence, _ in spans:
        bar = (from_s / scale, (to_s - from_s) / scale)
        panels[-1].broken_barh([bar], (activities.index(activity) - 0.4, 0.8), color="#0072B2", alpha=0.3 + 0.7 * confidence)
    if spans:
        panels[-1].set_yticks(range(len(activities)), [words(activity) for activity in activities])
        panels[-1].set_ylim(len(activities) - 0.4, -0.6)
        panels[-1].grid(axis="x", color="0.9")
        panels[-1].set_axisbelow(True)
    panels[-1].ticklabel_format(axis="x", useOffset=False)
    panels[-1].set_xlabel(f"Time ({unit}); grey: no samples" + "; darker: more confident" * bool(spans))
    figure.suptitle(f"{name}: {found.report.format}" + f"\n{note}" * bool(note), fontsize=11)
    return figure


def recording_page(name: str, lines: Sequence[str], figure: Figure) -> str:
    """A page of one file: what is known about a recording, and its figure as SVG."""
    with io.StringIO() as drawn, rc_context({"svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
        picture = drawn.getvalue()
    title, text = html.escape(name), html.escape("\n".join(lines))
    style = "body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:1rem auto;padding:0 1rem}"
    style += "pre{white-space:pre-wrap}svg{width:100%;height:auto}"
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{head}<title>{title}</title><style>{style}</style><h1>{title}</h1><pre>{text}</pre>{picture[picture.index('<svg') :]}</html>\n"


def check_figure(path: Path) -> None:
    """Refuse a name that is no figure's.

    Raises:
        HarError: the suffix is none of `FIGURES`.
    """
    if path.suffix.lower() not in FIGURES:
        raise HarError("argument", f"{path} names no kind of figure; expected a name that ends in {', '.join(FIGURES)}")


def write_figure(path: Path, figure: Figure | str) -> None:
    """Write a figure, in the format that its suffix names, or a page, whole or not at all.

    Raises:
        HarError: the suffix is none of `FIGURES`, or the file cannot be written.
    """
    if not isinstance(figure, str):
        check_figure(path)
    with whole_file(path) as temporary:
        if isinstance(figure, str):
            temporary.write_text(figure, encoding="utf-8")
        else:
            figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=120)
