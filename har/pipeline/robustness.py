"""``har robustness``: what exported models lose when a phone is worn or read otherwise than in training.

Measured on the windows of each run's validation subjects, cut anew from their continuous segments after every disturbance, with the run's
own ONNX file. The test subjects have no part in it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from har.contract import HarError, artefact
from har.data.segments import segments_of
from har.data.windowset import Stretch, WindowSet
from har.evaluation.predictions import Origin
from har.evaluation.report_figures import save_figure
from har.evaluation.robustness_figure import robustness_figure
from har.pipeline.provenance import git_commit, versions
from har.pipeline.run_folder import ONNX, RunFolder
from har.pipeline.tasks import task_of
from har.pipeline.train import load_windows
from har.runtime.session import open_session, run_windows
from har.signals.disturbances import Disturbance, disturbances
from har.signals.windows import cut_windows, window_starts

FOLDER, STEM = "device", "robustness"
MOVING = 3  # the first three activities are walking
SEED = 50  # of noise, bias and loss; the same for every model
CARD = (  # what the model card tells of it: curve, level, and how it is said there
    ("mounting turned about x", 30, "mounting turned by 30 degrees about x"),
    ("mounting turned about y", 30, "mounting turned by 30 degrees about y"),
    ("mounting turned about z", 30, "mounting turned by 30 degrees about z"),
    ("mounting turned about y", 90, "mounting turned by 90 degrees about y"),
    ("mounting turned about z", 180, "mounting turned by 180 degrees about z"),
    ("other rate, resampled", 25, "25 Hz, resampled"),
    ("other rate, taken for 50 Hz", 100, "100 Hz, taken for 50 Hz"),
    ("no gyroscope", 1, "no gyroscope"),
    ("samples lost, interpolated", 0.1, "a tenth of the samples lost, interpolated"),
    ("clipped accelerometer", 2, "accelerometer clipped at 2 g"),
)


def write_robustness(runs: Sequence[RunFolder], results: Path, command: str, archive: Path | str | None = None) -> list[Path]:
    """Measure runs and write table, figure and summary below ``results/device``.

    Args:
        runs: of models of windows on ``raw6``, each with validation subjects.
        results: folder of all results.
        command: that was typed, named in the Markdown file.
        archive: a copy of the data set.

    Returns:
        The files written.
    """
    table = pd.concat([measure(run, archive) for run in runs], ignore_index=True)
    origin = runs[0].info().origin
    synthetic = origin.synthetic
    folder, stem = results / FOLDER, artefact(stem_of(origin.dataset), "", synthetic=synthetic)
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / f"{stem}.csv", index=False, float_format="%.6f", lineterminator="\n")
    figures = save_figure(robustness_figure(table, synthetic=synthetic), folder, stem)
    text = _markdown(table, runs, command, synthetic=synthetic)
    (folder / f"{stem}.md").write_text(text)
    return [folder / f"{stem}.csv", *figures, folder / f"{stem}.md"]


def stem_of(dataset: str) -> str:
    """Name of a data set's files: ``robustness`` of UCI HAR and of synthetic data, which are marked, ``robustness_hapt`` of HAPT."""
    return f"{STEM}_hapt" if dataset == "hapt" else STEM


def measure(run: RunFolder, archive: Path | str | None = None) -> pd.DataFrame:
    """A row a disturbance: ``run``, ``seed``, ``checkpoint_sha256``, ``disturbance``, ``level``, ``unit``, ``windows``, ``accuracy`` and
    ``moving_or_still``.

    Raises:
        HarError: the run is of another task, has no ONNX file or no validation subjects, or was not trained on what a phone delivers.
    """
    origin, path = run.info().origin, run.path / ONNX
    if task_of(origin.model) is not None:
        raise HarError(f"{run.path} does not name activities of windows, which is what is measured; name another run with --model")
    if origin.channels != "raw6" or not path.is_file():
        raise HarError(f"{run.path} has no ONNX file of raw sensors; train a model of windows on raw6, with validation subjects")
    windows, split = load_windows(run.config(), archive)
    if not split.subjects("validation"):
        raise HarError(f"{run.path} has no validation subjects, and the test subjects decide nothing; name a run that is no refit")
    people: WindowSet = split.select(windows, "validation")
    segments, stride = segments_of(people), run.config().windowing.step
    session, rows = open_session(path), []
    for disturbance in disturbances():
        x, y = disturbed_windows(segments, disturbance, people.window_size, stride)
        found = run_windows(session, x).argmax(axis=1)
        rows.append(
            {
                "run": origin.run,
                "seed": origin.seed,
                "checkpoint_sha256": origin.checkpoint_sha256,
                "disturbance": disturbance.name,
                "level": disturbance.level,
                "unit": disturbance.unit,
                "windows": len(y),
                "accuracy": float((found == y).mean()),
                "moving_or_still": float(((found < MOVING) == (y < MOVING)).mean()),
            }
        )
    return pd.DataFrame(rows)


def disturbed_windows(
    segments: Sequence[Stretch], disturbance: Disturbance, window_size: int, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """(window, time, 6) windows cut from disturbed segments, and (window,) their activities; too short segments give none."""
    rng = np.random.default_rng(SEED)
    x, y = [], []
    for segment in segments:
        samples = disturbance.change(np.asarray(segment.samples, dtype=np.float64), rng).astype(np.float32)
        starts = window_starts(len(samples), window_size, stride)
        x.append(cut_windows(samples, starts, window_size))
        y.append(np.full(len(starts), segment.labels[0]))
    return np.concatenate(x), np.concatenate(y)


def card_rows(results: Path, origin: Origin) -> list[dict[str, Any]]:
    """What the model card tells of the robustness of a run's very weights; nothing where they were not measured."""
    path = results / FOLDER / artefact(stem_of(origin.dataset), ".csv", synthetic=origin.synthetic)
    if not path.is_file():
        return []
    table = pd.read_csv(path)
    table = table[table.checkpoint_sha256 == origin.checkpoint_sha256]
    rows = [("none", 0, "none"), *CARD]
    found = [(said, table[(table.disturbance == name) & (table.level == level)]) for name, level, said in rows]
    return [{"disturbance": said, "accuracy": float(row.accuracy.iloc[0])} for said, row in found if len(row)]


def _markdown(table: pd.DataFrame, runs: Sequence[RunFolder], command: str, *, synthetic: bool) -> str:
    names = list(dict.fromkeys(table.run))
    people = {tuple((run.info().split or {}).get("validation", ())) for run in runs}
    lines = ["# What a model loses when a phone is worn or read otherwise", ""]
    lines += ["SYNTHETIC data: these numbers say nothing about people.", ""] * synthetic
    lines += [
        f"| disturbance | level | {' | '.join(f'{name} | moving or still' for name in names)} |",
        f"|---|---:|{'---:|---:|' * len(names)}",
    ]
    for (disturbance, level), rows in table.groupby(["disturbance", "level"], sort=False):
        means = rows.groupby("run")[["accuracy", "moving_or_still"]].mean()
        cells = [f"{100 * value:.1f}" for name in names for value in means.loc[name]]
        lines.append(f"| {disturbance} | {level:g} {rows.unit.iloc[0]} | {' | '.join(cells)} |")
    who = "; ".join(", ".join(map(str, group)) for group in sorted(people))
    seeds = ", ".join(map(str, sorted(set(table.seed))))
    made = ", ".join(f"{name} {number}" for name, number in versions().items())
    lines += [
        "",
        f"Per cent of windows, of the validation subjects ({who}), mean over seeds {seeds}; the ONNX file of each run, without the checks "
        "of units and rate that `har.runtime` makes. Moving or still: the three ways of walking against the rest.",
        "",
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}, commit {git_commit()}.",
        f"Versions: {made}.",
    ]
    return "\n".join(lines) + "\n"
