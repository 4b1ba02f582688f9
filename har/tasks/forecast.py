"""The task ``forecast``: the next sensor values from the last ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from har.config import ForecastConfig, RunConfig
from har.contract import MOVING, SAMPLE_RATE_HZ
from har.data.windowset import WindowSet
from har.errors import HarError
from har.evaluation.figures import AXIS_COLOURS, SENSORS, words
from har.evaluation.predictions import Origin
from har.exporting.onnx_file import graph_difference, write_graph
from har.models.forecaster import Forecaster
from har.reporting import data_title
from har.tasks.base import TaskData, TaskScore, WindowTask, options_of, spread_windows, tensor
from har.training.autoregression import fit_autoregression
from har.training.fit import module_settings

TOLERANCE = 1e-4  # g and rad/s, between torch and ONNX
CHECKED = 64  # windows of the parity check


class Forecast(WindowTask[Forecaster]):
    """Foretell the end of a window from its beginning.

    Beside the network stand repeating the last sample (``persistence``), the mean of the context (``context mean``) and a linear
    autoregression fitted on the training part (``autoregression``).
    """

    name, primary, higher_is_better = "forecast", "rmse", False
    module = Forecaster

    def build(self, config: RunConfig, data: TaskData) -> Forecaster:
        train: WindowSet = data.parts["train"]
        horizon = options_of(config, ForecastConfig).horizon
        if horizon >= train.window_size - 1:
            raise HarError(
                "config",
                f"task.horizon is {horizon} samples of windows of {train.window_size}; leave some to foretell from: "
                "raise windowing.window_size, or lower task.horizon",
            )
        settings = module_settings(config) | {"channels": config.data.channels, "window_size": train.window_size}
        module = Forecaster(**settings, horizon=horizon)
        module.spec = train.spec(config.windowing.step)
        module.fit_scaling(tensor(train))
        return module

    def score(self, module: Forecaster, config: RunConfig, data: TaskData, part: str, origin: Origin) -> TaskScore:
        windows: WindowSet = data.parts[part]
        truth = windows.x[:, module.context :]
        found = {"": module.predict(tensor(windows)).numpy()} | references(data.parts["train"], windows, module.horizon)
        deviation = module.target_std.cpu().numpy()
        wrong = {name: errors(values, truth, deviation) for name, values in found.items()}
        moving = np.isin(np.array(windows.labels)[windows.y], MOVING)
        values = {name: forecast_scores(own, wrong["persistence"], windows.channels, moving) for name, own in wrong.items()}
        table = pd.DataFrame({"subject": windows.subject, "own": wrong[""].standard, "persistence": wrong["persistence"].standard})
        rows = table.groupby("subject").agg(windows=("own", "size"), own=("own", "mean"), persistence=("persistence", "mean")).reset_index()
        rows["rmse"], rows["skill"] = np.sqrt(rows.own), 1 - rows.own / rows.persistence
        return TaskScore(values.pop(""), rows[["subject", "windows", "rmse", "skill"]], values)

    def export(self, module: Forecaster, path: Path, metadata: dict[str, str], config: RunConfig, data: TaskData) -> float | None:
        """One graph from the context in g and rad/s to the horizon in the same units; nothing where the channels are no sensor's."""
        if module.hparams["channels"] != "raw6":
            return None
        context = torch.from_numpy(spread_windows(data.parts["train"], CHECKED)[:, : module.context])
        facts = {"horizon": module.horizon, "sample_rate_hz": SAMPLE_RATE_HZ, "channels": data.parts["train"].channels}
        module = module.cpu().eval()
        write_graph(
            module, {"context": torch.zeros_like(context[:2])}, ["forecast"], path, metadata | {k: json.dumps(v) for k, v in facts.items()}
        )
        return graph_difference(module, path, {"context": context.contiguous()}, TOLERANCE)

    def figures(self, module: Forecaster, config: RunConfig, data: TaskData, part: str, score: TaskScore) -> dict[str, Any]:
        """One forecast per activity: that of the window with the median error, neither the best nor the worst."""
        windows: WindowSet = data.parts[part]
        found, truth = module.predict(tensor(windows)).numpy(), windows.x[:, module.context :]
        own = errors(found, truth, module.target_std.cpu().numpy()).standard
        shown = [label for label in range(len(windows.labels)) if (windows.y == label).any()]
        chosen = [int(rows[np.argsort(own[rows])[len(rows) // 2]]) for rows in (np.flatnonzero(windows.y == label) for label in shown)]
        figure = forecast_figure(
            windows.x[chosen, : module.context],
            truth[chosen],
            found[chosen],
            tuple(windows.labels[label] for label in shown),
            windows.channels,
            f"{config.model.name}, {data_title(data)}, {part} subjects: of each activity the forecast of median error (faint: what came)",
        )
        return {"forecast": figure}


def references(train: WindowSet, windows: WindowSet, horizon: int) -> dict[str, np.ndarray]:
    """Forecasts (window, horizon, channel) that need no network, by name; what is fitted is fitted on `train` alone.

    The autoregression is left out where `train` has one subject, because nobody is left to choose its order.
    """
    context = windows.x[:, : windows.window_size - horizon]
    shape = (len(windows), horizon, context.shape[2])
    found = {
        "persistence": np.broadcast_to(context[:, -1:], shape),
        "context mean": np.broadcast_to(context.mean(axis=1, keepdims=True), shape),
    }
    if len(np.unique(train.subject)) > 1:
        found["autoregression"] = fit_autoregression(train.x, train.subject, horizon).forecast(context, horizon)
    return found


@dataclass(frozen=True)
class Errors:
    """Squared errors of a forecast.

    Attributes:
        standard: (window,) mean over horizon and channels, in variances of the training subjects.
        physical: (channel,) mean over windows and horizon, in g² or (rad/s)².
    """

    standard: np.ndarray
    physical: np.ndarray


def errors(forecast: np.ndarray, truth: np.ndarray, deviation: np.ndarray) -> Errors:
    """Squared errors of (window, horizon, channel) forecasts; `deviation` is that of the training subjects, (channel,)."""
    squared = np.square(forecast.astype(np.float64) - truth)
    return Errors((squared / np.square(deviation, dtype=np.float64)).mean(axis=(1, 2)), squared.mean(axis=(0, 1)))


def forecast_scores(own: Errors, persistence: Errors, channels: tuple[str, ...], moving: np.ndarray) -> dict[str, float]:
    """Scores of a forecast.

    Args:
        own: its errors.
        persistence: those of repeating the last sample.
        channels: names of the channels.
        moving: (window,) whether the activity is one of `contract.MOVING`.

    Returns:
        ``rmse`` in standard deviations, ``skill`` (share of the squared error of persistence that is gone), the same over windows of
        people who walk (``skill_moving``) and who rest (``skill_resting``) where there are any, ``rmse_acc_g`` and ``rmse_gyro_rad_s``.
    """
    acc = np.array([name.startswith("total_acc") for name in channels])
    gyro = np.array([name.startswith("gyro") for name in channels])
    found = {"rmse": float(np.sqrt(own.standard.mean())), "skill": skill(own.standard, persistence.standard)}
    for name, chosen in (("moving", moving), ("resting", ~moving)):
        if chosen.any():
            found[f"skill_{name}"] = skill(own.standard[chosen], persistence.standard[chosen])
    return found | {
        "rmse_acc_g": float(np.sqrt(own.physical[acc].mean())),
        "rmse_gyro_rad_s": float(np.sqrt(own.physical[gyro].mean())),
    }


def skill(own: np.ndarray, persistence: np.ndarray) -> float:
    """Share of the squared error of persistence that is gone: 1 is a perfect forecast, 0 is none."""
    return float(1 - own.mean() / persistence.mean())


def forecast_figure(
    context: np.ndarray,
    truth: np.ndarray,
    found: np.ndarray,
    labels: tuple[str, ...],
    channels: tuple[str, ...],
    title: str,
) -> Figure:
    """Context, what came and what was foretold: a row per activity, a column per sensor.

    Args:
        context: (activity, context, channel) in g and rad/s.
        truth: (activity, horizon, channel).
        found: (activity, horizon, channel), what was foretold, drawn dashed.
        labels: names of the activities.
        channels: names of the channels.
        title: of the figure.
    """
    figure = Figure(figsize=(12.0, 1.0 + 1.9 * len(labels)), layout="constrained")
    grid = figure.subplots(len(labels), len(SENSORS), sharex=True, squeeze=False)
    before, after = context.shape[1], truth.shape[1]
    past, future = np.arange(1 - before, 1) / SAMPLE_RATE_HZ, np.arange(1, after + 1) / SAMPLE_RATE_HZ
    for row, (axes, label) in enumerate(zip(grid, labels, strict=True)):
        for axis, (sensor, unit) in zip(axes, SENSORS.items(), strict=True):
            for colour, name in zip(AXIS_COLOURS, "xyz", strict=True):
                index = channels.index(f"{sensor}_{name}")
                axis.plot(past, context[row, :, index], color=colour, linewidth=1, label=f"{name}, measured")
                axis.plot(future, truth[row, :, index], color=colour, linewidth=1, alpha=0.45)
                axis.plot(future, found[row, :, index], "--", color=colour, linewidth=1.6, label=f"{name}, foretold")
            axis.axvline(0, color="0.5", linewidth=0.8)
            axis.set_ylabel(unit, fontsize=8)
            axis.grid(alpha=0.3)
        axes[0].set_title(words(label), fontsize=10, loc="left")
    for axis in grid[-1]:
        axis.set_xlabel("Time from the last sample that the forecast saw (s)")
    grid[0, -1].legend(fontsize=7, ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    figure.suptitle(title, fontsize=12)
    return figure
