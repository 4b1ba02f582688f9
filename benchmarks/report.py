"""One table of every speed that has a target: what was measured, what it should be, and whether it is.

    python benchmarks/report.py

Reads the files of results/benchmarks that the other scripts wrote, and results/device/cost.csv; measures nothing. A row whose script
has not run says so, with the command that would measure it. Writes ``results/benchmarks/summary.md`` and ``summary.png``, ``summary.svg``.
"""

import argparse
import operator
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from har.evaluation.figures import save_figure
from har.files import write_whole
from har.reporting import markdown as markdown_table

RESULTS = Path("results")
COMMANDS = {
    "data_loading": "python benchmarks/data_loading.py",
    "windowing": "python benchmarks/windowing.py",
    "export": "python benchmarks/export.py",
    "training": "python benchmarks/training.py",
    "inference": "python benchmarks/inference.py",
    "peer_inference": "python benchmarks/peer_inference.py",
    "startup": "python benchmarks/startup.py",
    "growth": "python benchmarks/growth.py",
    "first_try": "python benchmarks/first_try.py",
    "many_seeds": "python benchmarks/many_seeds.py",
}
ABOUT = {
    "data_loading": "loading UCI HAR, cold and warm",
    "windowing": "cutting windows",
    "export": "the export of a GRU",
    "training": "training",
    "inference": "inference",
    "peer_inference": "the champion beside MiniRocket and MultiRocket-Hydra",
    "startup": "commands and memory of the runtime",
    "growth": "10 and 100 times the data",
    "first_try": "a newcomer's first try",
    "many_seeds": "many seeds and folds on one GPU",
}
DEVICE_TARGETS = {"cnn1d": "<= 2.0", "dilated_cnn": "<= 2.0"}  # the champion and recurrent networks stand in inference.csv
HOLDS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
MET, MISSED, UNKNOWN = "met", "missed", "not measured"
COLOURS = {MET: "#0072B2", MISSED: "#D55E00"}  # Okabe and Ito 2008; shape and word say the same
MARKS = {MET: "o", MISSED: "X"}
LEAST_SHARE = 1e-3  # that is drawn; memory that did not grow has none


@dataclass(frozen=True)
class Line:
    """A row of the summary.

    Attributes:
        theme: which script, in words.
        measure: what was measured.
        value: its median; None where it was not measured.
        unit: of the value and of the target.
        target: a comparison and a number, ``<= 2``; empty where nothing was measured.
        command, date, commit: how, when and with which code.
    """

    theme: str
    measure: str
    value: float | None
    unit: str = ""
    target: str = ""
    command: str = ""
    date: str = ""
    commit: str = ""

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.value is None:
            return UNKNOWN
        comparison, bound = limit(self.target)
        return MET if HOLDS[comparison](self.value, bound) else MISSED

    @property
    def share(self) -> float:
        """Value over target, the other way round where more is better: at most 1 where it is met."""
        comparison, bound = limit(self.target)
        assert self.value is not None
        return max(LEAST_SHARE, self.value / bound if comparison.startswith("<") else bound / self.value)


def limit(target: str) -> tuple[str, float]:
    """The comparison and the number of a target.

    Raises:
        ValueError: it is no target.
    """
    comparison, _, bound = target.partition(" ")
    if comparison not in HOLDS:
        raise ValueError(f"target {target!r}, expected one of {', '.join(HOLDS)} and a number, such as '<= 2'")
    return comparison, float(bound)


def lines_of(results: Path) -> list[Line]:
    """The rows with a target, by script; a script without a file has one row that says so."""
    found: list[Line] = []
    tables = {path.stem: path for path in sorted((results / "benchmarks").glob("*.csv"))}
    for name in [*COMMANDS, *(stem for stem in tables if stem not in COMMANDS)]:
        theme = ABOUT.get(name, name.replace("_", " "))
        if name not in tables:
            found.append(Line(theme, "", None, command=COMMANDS[name]))
            continue
        table = pd.read_csv(tables[name], dtype=str, keep_default_na=False)
        for row in table[table["target"] != ""].to_dict("records"):
            value = float(row["median"])
            found.append(Line(theme, row["measure"], value, row["unit"], row["target"], row["command"], row["date_utc"], row["commit"]))
    return found + device_lines(results / "device" / "cost.csv")


def device_lines(path: Path) -> list[Line]:
    """Distance to the arithmetic bound of the networks that are compared, of the table of what they cost on a device."""
    theme = "one window on a device"
    if not path.is_file():
        return [Line(theme, "", None, command="python benchmarks/device.py")]
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table = table[(table["file"] == "model.onnx") & table["model"].isin(DEVICE_TARGETS)]
    return [
        Line(
            theme,
            f"{row['model']}, one window / arithmetic bound",
            float(row["times_bound"]),
            "ratio",
            DEVICE_TARGETS[row["model"]],
            row["command"],
            row["date_utc"],
            row["commit"],
        )
        for row in table.to_dict("records")
    ]


def markdown(lines: Iterable[Line]) -> str:
    """The table, those that miss their target first."""
    order = [MISSED, UNKNOWN, MET]
    ordered = sorted(lines, key=lambda line: order.index(line.verdict))
    count = {verdict: sum(line.verdict == verdict for line in ordered) for verdict in (MET, MISSED, UNKNOWN)}
    rows = []
    for line in ordered:
        measured = UNKNOWN if line.value is None else f"{line.value:.4g} {line.unit}".replace(" ratio", "")
        verdict = line.verdict if line.value is not None else "-"
        how = (f"`{line.command}`", line.date or "-", line.commit or "-")
        rows.append((line.theme, line.measure or "-", measured, line.target or "-", verdict, *how))
    text = [
        "# Speed: what was measured and what it should be",
        f"{count[MET]} met, {count[MISSED]} missed, {count[UNKNOWN]} not measured. Medians; how each is measured: "
        "[docs/speed.md](../../docs/speed.md). Smallest, largest, CPU time, machine and versions stand in the CSV files beside this one.",
        markdown_table(("theme", "what", "measured", "target", "", "command", "date", "commit"), rows, "llrrl"),
        "Written by `python benchmarks/report.py`.\n",
    ]
    return "\n\n".join(text)


def figure(lines: Iterable[Line]) -> Figure:
    """Every measured row beside its target, on a logarithmic axis."""
    drawn = sorted((line for line in lines if line.value is not None), key=lambda line: line.share, reverse=True)
    made = Figure(figsize=(11, 1.6 + 0.27 * len(drawn)), layout="constrained")
    axes = made.add_subplot()
    for place, line in enumerate(drawn):
        axes.hlines(place, min(line.share, 1), max(line.share, 1), color="0.8", linewidth=2, zorder=1)
        axes.scatter(line.share, place, s=48, marker=MARKS[line.verdict], color=COLOURS[line.verdict], zorder=2)
        axes.text(1.01, place, f"{line.value:.4g}, target {line.target}", transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    for verdict, mark in MARKS.items():
        axes.scatter([], [], s=48, marker=mark, color=COLOURS[verdict], label=verdict)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(drawn)), [line.measure for line in drawn], fontsize=8)
    axes.set_ylim(-0.7, len(drawn) - 0.3)
    axes.invert_yaxis()
    axes.grid(axis="x", color="0.92")
    axes.set_xlabel("Share of what the target allows; left of the line it is met")
    axes.set_title("Speed and memory beside their targets", fontsize=11)
    axes.legend(loc="lower right", fontsize=8)
    return made


def write(results: Path) -> list[Line]:
    """Write the summary and the figure, and return its rows."""
    lines, folder = lines_of(results), results / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "summary.md", markdown(lines))
    save_figure(figure(lines), folder, "summary")
    return lines


def main() -> None:
    """Write the summary and say what is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="(default: %(default)s)")
    options = parser.parse_args()
    lines = write(options.results)
    for line in (line for line in lines if line.verdict != MET):
        print(f"{line.verdict}: {line.theme}" + ("" if line.value is None else f": {line.measure}: {line.value:.4g}, target {line.target}"))
    met = sum(line.verdict == MET for line in lines)
    print(f"wrote {options.results / 'benchmarks' / 'summary.md'} and its figure: {met} of {len(lines)} met")


if __name__ == "__main__":
    sys.exit(main())
