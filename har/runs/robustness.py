"""``har robustness``: what exported models lose when a phone is worn or read otherwise than in training.

Measured on the windows of each run's validation subjects, cut anew from their continuous segments after every disturbance, with the run's
own ONNX file. The test subjects have no part in it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from har.contract import MOVING, artefact
from har.data import synthetic, uci_har
from har.data.windowset import Stretch, WindowSet, segments_of
from har.errors import HarError
from har.evaluation.figures import robustness_figure, save_figure
from har.evaluation.predictions import Origin, training_names
from har.files import write_whole
from har.reporting import footer, markdown, write_table
from har.runs.evaluate import load_data
from har.runs.run_folder import ONNX, RunFolder, check_measurable
from har.runtime.mounted import remount
from har.runtime.session import open_session, run_windows
from har.signals.disturbances import Disturbance, disturbances
from har.signals.mounting import Mounting
from har.signals.windows import cut_windows, window_starts

FOLDER, STEM = "device", "robustness"
TOLD = ", mounting told"  # behind the name of a run that is measured with what tells the mounting of a stream
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


def write_robustness(
    runs: Sequence[RunFolder],
    results: Path,
    command: str,
    archive: Path | str | None = None,
    mounting: tuple[RunFolder, RunFolder] | None = None,
) -> list[Path]:
    """Measure runs and write table, figure and summary below ``results/device``.

    Args:
        runs: of models of windows on ``raw6``, each with validation subjects.
        results: folder of all results.
        command: that was typed, named in the Markdown file.
        archive: a copy of the data set.
        mounting: run that tells the mounting, and run for phones in their place: the last of `runs` is measured with them too, on the
            windows of each person as one stream.

    Returns:
        The files written.
    """
    _check_seeds(runs)
    tables = [measure(run, archive) for run in runs]
    if mounting is not None:
        tables.append(measure(runs[-1], archive, mounting))
    table = pd.concat(tables, ignore_index=True)
    origin = runs[0].origin
    synthetic = origin.synthetic
    folder, stem = results / FOLDER, artefact(stem_of(origin.dataset), "", synthetic=synthetic)
    write_table(table, folder / f"{stem}.csv")
    figures = save_figure(robustness_figure(table, synthetic=synthetic), folder, stem)
    write_whole(folder / f"{stem}.md", _report(table, runs, command, synthetic=synthetic))
    return [folder / f"{stem}.csv", *figures, folder / f"{stem}.md"]


def stem_of(dataset: str) -> str:
    """Name of a data set's files: ``robustness`` of UCI HAR and of synthetic data, which are marked, ``robustness_NAME`` of others."""
    return STEM if dataset in (uci_har.NAME, synthetic.NAME) else f"{STEM}_{dataset.replace('-', '_')}"


def _check_seeds(runs: Sequence[RunFolder]) -> None:
    """Refuse runs of one name that differ in more than the seed: their mean would say nothing."""
    origins = [run.origin for run in runs]
    for origin, title in zip(origins, training_names(origins), strict=True):
        if title != origin.run:
            raise HarError(
                "not-comparable",
                f"the runs named {origin.run} differ in more than the seed, as {title}; measure one of them: --model and --seed",
            )


def measure(run: RunFolder, archive: Path | str | None = None, mounting: tuple[RunFolder, RunFolder] | None = None) -> pd.DataFrame:
    """A row a disturbance: ``run``, ``seed``, ``checkpoint_sha256``, ``disturbance``, ``level``, ``unit``, ``windows``, ``accuracy``,
    ``moving_or_still`` and ``mounting_known``, the share of windows before which the stream had told it.

    Args:
        run: of a model of windows.
        archive: a copy of the data set.
        mounting: see `write_robustness`; the run's name is then ``RUN, mounting told``.

    Raises:
        HarError: a run is of another task, has no ONNX file or no validation subjects, was not trained on what a phone delivers, or the
            runs of `mounting` did not leave the same people out.
    """
    origin, path = run.origin, run.path / ONNX
    check_measurable(run)
    _, data = load_data(run, archive)
    if "validation" not in data.parts:
        raise HarError(
            "run-kind", f"{run.path} has no validation subjects, and the test subjects decide nothing; name a run that is no refit"
        )
    people: WindowSet = data.parts["validation"]
    segments, stride = segments_of(people), run.config().windowing.step
    session, rows = open_session(path), []
    beside = _sessions(mounting, people) if mounting is not None else None
    for disturbance in disturbances():
        x, y, who = disturbed_windows(segments, disturbance, people.window_size, stride)
        found, known = _answers(session, x, who, beside)
        rows.append(
            {
                "run": origin.run + (TOLD if mounting is not None else ""),
                "seed": origin.seed,
                "checkpoint_sha256": origin.checkpoint_sha256,
                "disturbance": disturbance.name,
                "level": disturbance.level,
                "unit": disturbance.unit,
                "windows": len(y),
                "accuracy": float((found == y).mean()),
                "moving_or_still": float(((found < len(MOVING)) == (y < len(MOVING))).mean()),
                "mounting_known": float(known.mean()),
            }
        )
    return pd.DataFrame(rows)


def _sessions(mounting: tuple[RunFolder, RunFolder], people: WindowSet) -> tuple[Any, Any]:
    for run in mounting:
        trained = run.info().split["train"]
        if set(trained) & set(people.subject.tolist()) or not trained:
            raise HarError(
                "leak", f"{run.path} trained on people it would be measured on; name a run with the same validation subjects, no refit"
            )
        if not (run.path / ONNX).is_file():
            raise HarError("run-kind", f"{run.path} has no ONNX file; train it again: har train --model {run.origin.run}")
    return open_session(mounting[0].path / ONNX), open_session(mounting[1].path / ONNX)


def _answers(session: Any, x: np.ndarray, who: np.ndarray, beside: tuple[Any, Any] | None) -> tuple[np.ndarray, np.ndarray]:
    """(window,) the likeliest activity, and whether the mounting was known; the windows of a person are one stream, in their order."""
    found, known = run_windows(session, x).argmax(axis=1), np.zeros(len(x), dtype=bool)
    for person in np.unique(who) if beside is not None else ():
        own = np.flatnonzero(who == person)
        told, in_place = remount(beside[0], x[own], Mounting())  # type: ignore[index]
        known[own] = told
        found[own[told]] = run_windows(beside[1], in_place).argmax(axis=1)  # type: ignore[index]
    return found, known


def disturbed_windows(
    segments: Sequence[Stretch], disturbance: Disturbance, window_size: int, stride: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(window, time, 6) windows cut from disturbed segments, (window,) their activities and persons; too short segments give none."""
    rng = np.random.default_rng(SEED)
    x, y, who = [], [], []
    for segment in segments:
        samples = disturbance.change(np.asarray(segment.samples, dtype=np.float64), rng).astype(np.float32)
        starts = window_starts(len(samples), window_size, stride)
        x.append(cut_windows(samples, starts, window_size))
        y.append(np.full(len(starts), segment.labels[0]))
        who.append(np.full(len(starts), segment.subject))
    return np.concatenate(x), np.concatenate(y), np.concatenate(who)


def card_rows(results: Path, origin: Origin) -> list[dict[str, Any]]:
    """What the model card tells of the robustness of a run's very weights; nothing where they were not measured."""
    path = results / FOLDER / artefact(stem_of(origin.dataset), ".csv", synthetic=origin.synthetic)
    if not path.is_file():
        return []
    table = pd.read_csv(path)
    table = table[table.checkpoint_sha256 == origin.checkpoint_sha256]
    found = []
    for name, level, said in (("none", 0, "none"), *CARD):
        rows = table[(table.disturbance == name) & (table.level == level)].set_index("run").accuracy
        if origin.run in rows:
            told = rows.get(origin.run + TOLD)
            found.append({"disturbance": said, "accuracy": float(rows[origin.run])} | ({} if told is None else {"in_stream": float(told)}))
    return found


def _report(table: pd.DataFrame, runs: Sequence[RunFolder], command: str, *, synthetic: bool) -> str:
    names = list(dict.fromkeys(table.run))
    people = {tuple(run.info().split["validation"]) for run in runs}
    lines = []
    for (disturbance, level), rows in table.groupby(["disturbance", "level"], sort=False):
        means = rows.groupby("run")[["accuracy", "moving_or_still"]].mean()
        cells = [f"{100 * value:.1f}" for name in names for value in means.loc[name]]
        lines.append([disturbance, f"{level:g} {rows.unit.iloc[0]}", *cells])
    heads = ["disturbance", "level", *(head for name in names for head in (name, "moving or still"))]
    who = "; ".join(", ".join(map(str, group)) for group in sorted(people))
    seeds = ", ".join(map(str, sorted(set(table.seed))))
    sections = [
        "# What a model loses when a phone is worn or read otherwise",
        *["SYNTHETIC data: these numbers say nothing about people."] * synthetic,
        markdown(heads, lines),
        f"Per cent of windows, of the validation subjects ({who}), mean over seeds {seeds}; the ONNX file of each run, without the checks "
        "of units and rate that `har.runtime` makes. Moving or still: the three ways of walking against the rest.",
        *_told(table),
        footer(command),
    ]
    return "\n\n".join(sections)


def _told(table: pd.DataFrame) -> list[str]:
    """What there is to say of streams whose mounting is told by what came before."""
    told = table[table.run.str.endswith(TOLD)]
    if told.empty:
        return []
    turned = told[told.disturbance.str.startswith("mounting") | (told.disturbance == "none")]
    return [
        f"`{TOLD.removeprefix(', ')}`: the windows of a person are one stream, in the order of the recording. As soon as it has told the "
        "mounting, a window is turned into place and answered by the model for phones in their place; until then, by the model "
        f"of any mounting. It was known for {100 * turned.mounting_known.min():.1f} to "
        f"{100 * turned.mounting_known.max():.1f} % of the windows in the rows `none` and `mounting`.",
    ]
