"""Scores and figures of forecasts of sensor values."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from har.contract import SAMPLE_RATE_HZ
from har.evaluation.figures import AXIS_COLOURS, words

SENSORS = {"total_acc": "acceleration (g)", "gyro": "angular velocity (rad/s)"}


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
    forecasts: Mapping[str, np.ndarray],
    labels: tuple[str, ...],
    channels: tuple[str, ...],
    title: str,
) -> Figure:
    """Context, what came and what was foretold: a row per activity, a column per sensor.

    Args:
        context: (activity, context, channel) in g and rad/s.
        truth: (activity, horizon, channel).
        forecasts: the same by name; the first is drawn dashed, the second dotted.
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
                for style, (who, values) in zip(("--", ":"), forecasts.items(), strict=False):
                    axis.plot(future, values[row, :, index], style, color=colour, linewidth=1.6, label=f"{name}, {who}")
            axis.axvline(0, color="0.5", linewidth=0.8)
            axis.set_ylabel(unit, fontsize=8)
            axis.grid(alpha=0.3)
        axes[0].set_title(words(label), fontsize=10, loc="left")
    for axis in grid[-1]:
        axis.set_xlabel("Time from the last sample that the forecast saw (s)")
    grid[0, -1].legend(fontsize=7, ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0))
    figure.suptitle(title, fontsize=12)
    return figure
