"""The task ``forecast``: the next sensor values from the last ones."""

import numpy as np
import pandas as pd

from har.config import RunConfig
from har.contract import HarError
from har.data.windowset import WindowSet
from har.models.forecaster import Forecaster
from har.pipeline.tasks.base import TaskData, TaskScore
from har.pipeline.tasks.windows import WindowTask, tensor


class Forecast(WindowTask[Forecaster]):
    """Foretell the end of a window from its beginning; errors beside those of repeating the last sample."""

    name, primary, higher_is_better = "forecast", "rmse", False
    module = Forecaster

    def build(self, config: RunConfig, data: TaskData) -> Forecaster:
        train: WindowSet = data.parts["train"]
        horizon = config.task.horizon
        if horizon >= train.window_size - 1:
            raise HarError(
                f"task.horizon is {horizon} samples of windows of {train.window_size}; leave some to foretell from: "
                "raise windowing.window_size, or lower task.horizon"
            )
        module = Forecaster(
            model=config.model.name,
            options=dict(config.model.options),
            channels=config.data.channels,
            window_size=train.window_size,
            horizon=horizon,
            compression=config.frontend.compression,
            differences=config.frontend.differences,
            learning_rate=config.training.learning_rate,
            weight_decay=config.training.weight_decay,
        )
        module.fit_scaling(tensor(train))
        return module

    def score(self, module: Forecaster, config: RunConfig, data: TaskData, part: str) -> TaskScore:
        windows: WindowSet = data.parts[part]
        x = tensor(windows)
        truth = x[:, module.context :]
        found = {"": module.predict(x), "persistence": x[:, module.context - 1 : module.context].expand_as(truth)}
        deviation = module.target_std.cpu()
        squared = {name: ((values - truth) / deviation).double().square().mean(dim=(1, 2)).numpy() for name, values in found.items()}
        physical = {name: (values - truth).double().square().mean(dim=(0, 1)).numpy() for name, values in found.items()}
        values = {name: forecast_scores(squared[name], squared["persistence"], physical[name], windows.channels) for name in found}
        table = pd.DataFrame({"subject": windows.subject, "own": squared[""], "persistence": squared["persistence"]})
        rows = table.groupby("subject").agg(windows=("own", "size"), own=("own", "mean"), persistence=("persistence", "mean")).reset_index()
        rows["rmse"], rows["skill"] = np.sqrt(rows.own), 1 - rows.own / rows.persistence
        return TaskScore(values.pop(""), rows[["subject", "windows", "rmse", "skill"]], values)


def forecast_scores(own: np.ndarray, persistence: np.ndarray, physical: np.ndarray, channels: tuple[str, ...]) -> dict[str, float]:
    """Scores of a forecast.

    Args:
        own: (window,) mean squared error in standard deviations of the training subjects.
        persistence: (window,) the same for repeating the last sample.
        physical: (channel,) mean squared error in g or rad/s.
        channels: their names.

    Returns:
        ``rmse`` in standard deviations, ``skill`` (share of the squared error of persistence that is gone), ``rmse_acc_g`` and
        ``rmse_gyro_rad_s``.
    """
    acc = np.array([name.startswith("total_acc") for name in channels])
    gyro = np.array([name.startswith("gyro") for name in channels])
    return {
        "rmse": float(np.sqrt(own.mean())),
        "skill": float(1 - own.mean() / persistence.mean()),
        "rmse_acc_g": float(np.sqrt(physical[acc].mean())),
        "rmse_gyro_rad_s": float(np.sqrt(physical[gyro].mean())),
    }
