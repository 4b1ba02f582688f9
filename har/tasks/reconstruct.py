"""The task ``reconstruct``: windows told again from a few numbers, and those that are unlike all that was taught."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from har.config import ReconstructConfig, RunConfig
from har.contract import LABELS
from har.data.windowset import WindowSet
from har.errors import HarError
from har.evaluation.novelty import EVERYDAY, HELD_OUT, TRANSITION, novelty_by_subject, novelty_figure, novelty_scores, reference_scores
from har.evaluation.predictions import Origin
from har.exporting.onnx_file import export_novelty, novelty_parity
from har.models.reconstructor import PROTOTYPES, Reconstructor
from har.reporting import data_title
from har.tasks.base import TaskData, TaskScore, WindowTask, options_of, spread_windows, tensor
from har.training.fit import module_settings

PARITY_WINDOWS = 256


class Reconstruct(WindowTask[Reconstructor]):
    """Learn everyday windows; find activities that were held out, and postural transitions, by the error of the reconstruction.

    Training and validation see everyday windows alone; what is held out and every transition is in the test part, whose subjects are
    neither.
    """

    name, primary, higher_is_better = "reconstruct", "rmse", False
    module = Reconstructor
    intervals = True

    def load(self, config: RunConfig, archive: Path | str | None) -> TaskData:
        data = super().load(config, archive)  # audited with all windows
        if "validation" not in data.parts:
            raise HarError(
                "config",
                "nobody validates, but the threshold of what is unknown is fitted on validation subjects; "
                "set data.split.validation or data.validation_subjects",
            )
        parts = {name: part if name == "test" else part.subset(kinds(part, config) == EVERYDAY) for name, part in data.parts.items()}
        found = set(kinds(data.parts["test"], config))
        if found == {EVERYDAY}:
            raise HarError(
                "config",
                f"{data.dataset}: nothing is novel to the test subjects; name activities in task.held_out, "
                "or use dataset hapt with data.transitions: unknown",
            )
        if len(parts["train"]) < PROTOTYPES or not len(parts["validation"]):
            raise HarError(
                "config",
                f"{data.dataset}: {len(parts['train'])} everyday windows train and {len(parts['validation'])} validate, expected at least "
                f"{PROTOTYPES} and 1; hold fewer activities out",
            )
        return replace(data, parts=parts, counts={name: len(part) for name, part in parts.items()})

    def build(self, config: RunConfig, data: TaskData) -> Reconstructor:
        train: WindowSet = data.parts["train"]
        module = Reconstructor(**module_settings(config), channels=config.data.channels, window_size=train.window_size)
        module.spec = train.spec(config.windowing.step)
        module.frontend.fit(tensor(train))
        return module

    def finish(self, module: Reconstructor, config: RunConfig, data: TaskData) -> bool:
        module.fit_usual(tensor(data.parts["train"]))
        module.fit_threshold(tensor(data.parts["validation"]), options_of(config, ReconstructConfig).false_alarms)
        return True

    def score(self, module: Reconstructor, config: RunConfig, data: TaskData, part: str, origin: Origin) -> TaskScore:
        windows: WindowSet = data.parts[part]
        options = options_of(config, ReconstructConfig)
        x, kind = tensor(windows), kinds(windows, config)
        squared = module.squared_errors(x).double().numpy()
        own, threshold = module.predict(x).numpy(), float(module.threshold)
        values = {"rmse": float(np.sqrt(squared[kind == EVERYDAY].mean()))} | novelty_scores(own, kind, threshold)
        train, watched = (data.parts[name].x for name in ("train", "validation"))
        references = reference_scores(train, windows.x)
        limits = {name: float(np.quantile(found, 1 - options.false_alarms)) for name, found in reference_scores(train, watched).items()}
        beside = {name: novelty_scores(found, kind, limits[name]) for name, found in references.items()}
        subjects = novelty_by_subject({"": own} | references, kind, windows.subject, threshold)
        everyday = [np.sqrt(squared[(windows.subject == s) & (kind == EVERYDAY)].mean()) for s in subjects.subject]
        subjects.insert(2, "rmse", everyday)
        return TaskScore(values, subjects, beside)

    def export(self, module: Reconstructor, path: Path, metadata: dict[str, str], config: RunConfig, data: TaskData) -> float | None:
        export_novelty(module, path, metadata)
        return novelty_parity(module, path, spread_windows(data.parts["validation"], PARITY_WINDOWS))

    def figures(self, module: Reconstructor, config: RunConfig, data: TaskData, part: str, score: TaskScore) -> dict[str, Any]:
        windows: WindowSet = data.parts[part]
        held_out = ", ".join(options_of(config, ReconstructConfig).held_out) or "no activity"
        title = f"{config.model.name}: {data_title(data)}, {part} subjects, {held_out} held out"
        return {"novelty": novelty_figure(module.predict(tensor(windows)).numpy(), kinds(windows, config), float(module.threshold), title)}


def kinds(windows: WindowSet, config: RunConfig) -> np.ndarray:
    """(window,) ``everyday``, ``held_out``, or ``transition`` for any label beyond the six activities."""
    of_label = [
        HELD_OUT if name in options_of(config, ReconstructConfig).held_out else EVERYDAY if name in LABELS else TRANSITION
        for name in windows.labels
    ]
    return np.array(of_label)[windows.y]
