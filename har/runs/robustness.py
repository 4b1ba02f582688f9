"""``har robustness``: what exported models lose when a phone is worn or read otherwise than in training.

Measured on the windows of each run's validation subjects, cut anew from their continuous segments after every disturbance, with the run's
own ONNX file. The test subjects have no part in it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from har.contract import MOVING, SAMPLE_RATE_HZ, artefact
from har.data import synthetic, uci_har
from har.data.windowset import Stretch, WindowSet, segments_of
from har.errors import HarError
from har.evaluation.figures import robustness_figure, save_figure
from har.evaluation.predictions import Origin, training_names
from har.files import write_whole
from har.recording.tables import STANDARD_GRAVITY
from har.reporting import footer, markdown, write_table
from har.runs.evaluate import load_data
from har.runs.run_folder import ONNX, RunFolder, check_measurable
from har.runtime.mounted import Mounting, remount
from har.runtime.session import open_session, run_windows
from har.signals.resampling import CUTOFF_SHARE, StreamResampler, sinc_resample
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


ANGLES_DEG = (15, 30, 45, 60, 90, 120, 150, 180)
RATES_HZ = (20, 25, 30, 40, 60, 80, 100)
LOST = (0.01, 0.05, 0.1, 0.2, 0.4)  # shares of the samples


@dataclass(frozen=True)
class Disturbance:
    """One change of a recording: (time, 6) samples of ``contract.RAW6`` at 50 Hz, oldest first.

    Attributes:
        name: of the curve it is a point of.
        level: how strong, in `unit`.
        unit: of the level.
        change: samples and random numbers -> the samples a phone would have delivered, which a client takes for 50 Hz.
    """

    name: str
    level: float
    unit: str
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray]


def rotation_matrix(axis: int, degrees: float) -> np.ndarray:
    """(3, 3) right-handed rotation about axis 0, 1 or 2; exact at multiples of 90 degrees."""
    cosine, sine = np.cos(np.deg2rad(degrees)).round(15), np.sin(np.deg2rad(degrees)).round(15)
    matrix = np.eye(3)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix[a, a] = matrix[b, b] = cosine
    matrix[a, b], matrix[b, a] = -sine, sine
    return matrix


def turned(samples: np.ndarray, axis: int, degrees: float) -> np.ndarray:
    """The phone mounted otherwise: both sensors turned about one of its axes."""
    matrix = rotation_matrix(axis, degrees)
    return np.concatenate((samples[:, :3] @ matrix.T, samples[:, 3:] @ matrix.T), axis=1)


def sampled_at(samples: np.ndarray, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and values of a phone that samples at another rate, with an anti-alias filter as sensors have."""
    time_s = np.arange(len(samples)) / SAMPLE_RATE_HZ
    grid_s = np.arange(int(np.floor(time_s[-1] * rate_hz + 1e-9)) + 1) / rate_hz
    return grid_s, sinc_resample(time_s, samples, grid_s, cutoff_hz=CUTOFF_SHARE * min(rate_hz, SAMPLE_RATE_HZ))


def resampled(samples: np.ndarray, rate_hz: float) -> np.ndarray:
    """Samples at another rate, brought to 50 Hz as `har.runtime` and the web page do."""
    time_s, values = sampled_at(samples, rate_hz)
    return StreamResampler(rate_hz, SAMPLE_RATE_HZ).push(time_s, values, last=True)[1]


def lost(samples: np.ndarray, rng: np.random.Generator, share: float, *, interpolated: bool) -> np.ndarray:
    """Samples that never arrive: interpolated from their neighbours, or not noticed, so that the others move together."""
    kept = rng.random(len(samples)) >= share
    kept[[0, -1]] = True
    if not interpolated:
        return samples[kept]
    index = np.arange(len(samples))
    return np.stack([np.interp(index, index[kept], column[kept]) for column in samples.T], axis=1)


def scaled(samples: np.ndarray, acc: float, gyro: float) -> np.ndarray:
    """Samples in other units than the contract's."""
    return samples * np.repeat((acc, gyro), 3)


def shifted(samples: np.ndarray, rng: np.random.Generator, acc: float, gyro: float) -> np.ndarray:
    """A constant error of each sensor, in a random direction."""
    direction = rng.normal(size=(2, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return samples + (direction * ((acc,), (gyro,))).reshape(6)


def noisy(samples: np.ndarray, rng: np.random.Generator, acc: float, gyro: float) -> np.ndarray:
    """White noise of each axis."""
    return samples + rng.normal(size=samples.shape) * np.repeat((acc, gyro), 3)


# Each curve: name, levels, unit of the levels, and the change, by samples, random numbers and level.
CURVES: tuple[tuple[str, tuple[float, ...], str, Callable[..., np.ndarray]], ...] = (
    ("none", (0,), "", lambda x, rng, level: x),
    ("mounting turned about x", ANGLES_DEG, "degrees", lambda x, rng, level: turned(x, 0, level)),
    ("mounting turned about y", ANGLES_DEG, "degrees", lambda x, rng, level: turned(x, 1, level)),
    ("mounting turned about z", ANGLES_DEG, "degrees", lambda x, rng, level: turned(x, 2, level)),
    ("other rate, resampled", RATES_HZ, "Hz", lambda x, rng, level: resampled(x, level)),
    ("other rate, taken for 50 Hz", RATES_HZ, "Hz", lambda x, rng, level: sampled_at(x, level)[1]),
    ("acceleration in m/s^2", (1,), "", lambda x, rng, level: scaled(x, STANDARD_GRAVITY, 1.0)),
    ("angular velocity in deg/s", (1,), "", lambda x, rng, level: scaled(x, 1.0, 180 / np.pi)),
    ("noise of the accelerometer", (0.003, 0.01, 0.03, 0.1), "g", lambda x, rng, level: noisy(x, rng, level, 0.0)),
    ("noise of the gyroscope", (0.01, 0.03, 0.1, 0.3), "rad/s", lambda x, rng, level: noisy(x, rng, 0.0, level)),
    ("bias of the accelerometer", (0.02, 0.05, 0.1), "g", lambda x, rng, level: shifted(x, rng, level, 0.0)),
    ("bias of the gyroscope", (0.02, 0.05, 0.1, 0.2), "rad/s", lambda x, rng, level: shifted(x, rng, 0.0, level)),
    ("no gyroscope", (1,), "", lambda x, rng, level: scaled(x, 1.0, 0.0)),
    ("samples lost, interpolated", LOST, "share", lambda x, rng, level: lost(x, rng, level, interpolated=True)),
    ("samples lost, not noticed", LOST, "share", lambda x, rng, level: lost(x, rng, level, interpolated=False)),
    ("clipped accelerometer", (1.5, 2.0, 4.0), "g", lambda x, rng, level: np.concatenate((x[:, :3].clip(-level, level), x[:, 3:]), axis=1)),
    ("windows that start later", (8, 16, 24, 32, 40, 48, 56), "samples", lambda x, rng, level: x[level:]),
)


def disturbances() -> Iterator[Disturbance]:
    """Everything that is measured, curve by curve, the undisturbed recording first."""
    for name, levels, unit, change in CURVES:
        for level in levels:
            yield Disturbance(name, level, unit, partial(change, level=level))


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
