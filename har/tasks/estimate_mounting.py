"""The task ``mounting``: how the phone is worn, told from windows of walking."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from har.config import RunConfig
from har.contract import MOVING
from har.data.windowset import WindowSet
from har.errors import HarError
from har.evaluation.predictions import Origin
from har.exporting.mounting_export import export_mounting
from har.models.mounting_estimator import WALKING, MountingEstimator
from har.runtime.mounted import Mounting
from har.tasks.base import TaskData, TaskScore, WindowTask, spread_windows, tensor
from har.training.fit import module_settings

PARITY_WINDOWS = 256
FAR_DEG = 45  # models of windows that were taught turns by 40 degrees forgive so much


class EstimateMounting(WindowTask[MountingEstimator]):
    """Learn where up and front are in the phone's axes; scored by the angle about the vertical, of single windows and of a walk."""

    name, primary, higher_is_better = "mounting", "error_deg", False
    module = MountingEstimator
    intervals = True

    def load(self, config: RunConfig, archive: Path | str | None) -> TaskData:
        if config.data.channels != "raw6":
            raise HarError("config", f"the mounting is told from raw sensors, not from {config.data.channels}; set data.channels: raw6")
        data = super().load(config, archive)
        for part, windows in data.parts.items():
            if windows.labels[:WALKING] != MOVING or not (windows.y < WALKING).any():
                raise HarError("config", f"{data.dataset}: no {part} subject walks, and only walking tells the mounting")
        return data

    def build(self, config: RunConfig, data: TaskData) -> MountingEstimator:
        train: WindowSet = data.parts["train"]
        module = MountingEstimator(**module_settings(config), window_size=train.window_size)
        module.spec = train.spec(config.windowing.step)
        module.frontend.fit(tensor(train))
        return module

    def score(self, module: MountingEstimator, config: RunConfig, data: TaskData, part: str, origin: Origin) -> TaskScore:
        windows: WindowSet = data.parts[part]
        walking = windows.y < WALKING
        x, y = tensor(windows), torch.from_numpy(np.array(windows.y))
        told = module.predict(x).double().numpy()
        errors = module.errors_deg(x, y).double().numpy()  # (walking, turn)
        people = windows.subject[walking]
        rows = []
        for subject in sorted(set(windows.subject.tolist())):
            own = errors[people == subject]
            if not len(own):
                continue
            row = {"subject": subject, "windows": len(own), "error_deg": own.mean(), "far": (own > FAR_DEG).mean()}
            rows.append(row | {"walk_error_deg": _walk_error(told[walking & (windows.subject == subject)])})
        table = pd.DataFrame(rows)
        values = {
            "error_deg": float(errors.mean()),
            "far": float((errors > FAR_DEG).mean()),
            "walk_error_deg": float(table.walk_error_deg.mean()),
            "worth_walking": float(np.linalg.norm(told[walking, 1], axis=1).mean()),
            "worth_at_rest": float(np.linalg.norm(told[~walking, 1], axis=1).mean()) if (~walking).any() else 0.0,
        }
        # Whatever is always the same is wrong by 90 degrees on average over the four turns.
        return TaskScore(values, table, {"no estimate": {"error_deg": 90.0}})

    def export(self, module: MountingEstimator, path: Path, metadata: dict[str, str], config: RunConfig, data: TaskData) -> float | None:
        windows: WindowSet = data.parts.get("validation", data.parts["train"])
        return export_mounting(module, path, metadata, spread_windows(windows, PARITY_WINDOWS))


def _walk_error(told: np.ndarray) -> float:
    """Degrees between the axes that all walking windows of a person tell together and those they were worn in."""
    mounting = Mounting(enough=0.0, agreement=0.0)
    for one in told:
        mounting.add(one)
    matrix = mounting.matrix()
    return 180.0 if matrix is None else float(np.degrees(np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))))
