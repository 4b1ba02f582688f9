"""The task ``window``: the activity of a window."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from har.config import RunConfig
from har.contract import MEASURED
from har.data.windowset import WindowSet
from har.errors import HarError
from har.evaluation.calibration import has_probabilities
from har.evaluation.figures import confusion_figure, reliability_figure
from har.evaluation.metrics import per_class, per_subject, scores
from har.evaluation.predictions import Origin, make_predictions
from har.exporting.bundle_folder import as_metadata, signal_entries
from har.exporting.onnx_file import MIN_PARITY_WINDOWS, export_onnx, parity, refusal
from har.models.classifier import WindowClassifier
from har.models.registry import WINDOW, find_model
from har.reporting import data_title
from har.runtime.manifest import MODEL
from har.runtime.session import open_session, run_windows
from har.tasks.base import TaskData, TaskScore, WindowTask, tensor
from har.training.fit import build_classifier

EXPORT_BATCH = 64
# Over all windows the largest difference is larger than over the 256 of the export: 3.5e-5 was seen for a GRU, on 2,947 windows.
EXPORT_TOLERANCE = 1e-4


class Classify(WindowTask[WindowClassifier]):
    """Name the activity of a window."""

    name, primary, by_subject, higher_is_better, percent = WINDOW, "macro_f1", "accuracy", True, True
    module, gains = WindowClassifier, True
    tolerance = 5e-3 if torch.cuda.is_available() else 1e-6  # a GPU may decide a tie otherwise

    def build(self, config: RunConfig, data: TaskData) -> WindowClassifier:
        module = build_classifier(config, data.parts["train"].spec(config.windowing.step))
        module.frontend.fit(tensor(data.parts["train"]))
        return module

    def try_export(self, config: RunConfig, data: TaskData) -> None:
        """Export the network with fresh weights; it takes 2 to 5 s and leaves nothing behind.

        Not tried are channels that no device delivers, networks that refuse the export themselves, and this package's own networks,
        which its tests export.
        """
        if config.data.channels not in MEASURED or find_model(config.model.name).network.__module__.startswith("har.models."):
            return
        classifier = build_classifier(config, data.parts["train"].spec(config.windowing.step)).eval()
        if refusal(classifier.network) is not None:
            return
        windows = parity_windows(data.parts)
        classifier.frontend.fit(torch.from_numpy(np.array(windows, dtype=np.float32)))
        with tempfile.TemporaryDirectory() as folder:
            export_onnx(classifier, Path(folder) / MODEL, {})
            parity(classifier, Path(folder) / MODEL, windows[:MIN_PARITY_WINDOWS])

    def score(self, module: WindowClassifier, config: RunConfig, data: TaskData, part: str, origin: Origin) -> TaskScore:
        windows = data.parts[part]
        predictions = make_predictions(windows, module.predict_proba(tensor(windows)).numpy(), origin)
        return TaskScore(scores(predictions), per_subject(predictions), predictions=predictions)

    def refusal(self, module: WindowClassifier) -> str | None:
        return refusal(module.network)

    def export(self, module: WindowClassifier, path: Path, metadata: dict[str, str], config: RunConfig, data: TaskData) -> float | None:
        export_onnx(module, path, as_metadata(signal_entries(module)) | metadata)
        return parity(module, path, parity_windows(data.parts))

    def signature(self, module: WindowClassifier) -> tuple[tuple[int, int], int]:
        return (module.frontend.window_size, module.frontend.in_channels), module.hparams["num_classes"]

    def check_export(self, path: Path, data: TaskData, part: str, score: TaskScore) -> None:
        assert score.predictions is not None
        found = run_windows(open_session(path), np.array(data.parts[part].x, dtype=np.float32), batch_size=EXPORT_BATCH)
        expected = score.predictions.table[[f"p_{label}" for label in score.predictions.labels]].to_numpy()
        difference = float(np.abs(found - expected).max())
        if not difference <= EXPORT_TOLERANCE:  # also refuses NaN
            raise HarError(
                "export-parity",
                f"{path} differs from the saved weights by {difference:.2e} in a probability, allowed {EXPORT_TOLERANCE:.0e}; train again",
            )

    def figures(self, module: WindowClassifier, config: RunConfig, data: TaskData, part: str, score: TaskScore) -> dict[str, Any]:
        predictions = score.predictions
        assert predictions is not None
        origin = predictions.origin
        title = f"{origin.run}, seed {origin.seed}\n{data_title(data)}, {part} subjects"
        found = {"confusion": confusion_figure(predictions)}
        return found | ({"reliability": reliability_figure({title: [predictions]})} if has_probabilities(predictions) else {})

    def tables(self, score: TaskScore) -> dict[str, pd.DataFrame]:
        assert score.predictions is not None
        return {"per_class": per_class(score.predictions), "per_subject": score.subjects}

    def text(self, values: dict[str, float]) -> str:
        return f"accuracy {100 * values['accuracy']:.2f} %, macro-F1 {100 * values['macro_f1']:.2f} %"


def parity_windows(parts: Mapping[str, WindowSet]) -> np.ndarray:
    """Windows on which an export is compared with torch.

    Those of the validation subjects, or of the training subjects where those are too few. Where both are, copies shifted in time are added.

    Returns:
        (window, time, channel), at least `MIN_PARITY_WINDOWS` and fewer than three times as many, spread over all subjects.
    """
    found = [parts[name].x for name in ("validation", "train") if name in parts]
    windows = next((one for one in found if len(one) >= MIN_PARITY_WINDOWS), found[-1])
    copies = -(-MIN_PARITY_WINDOWS // len(windows))
    if copies > 1:
        shifts = np.arange(copies) * windows.shape[1] // copies
        windows = np.concatenate([np.roll(windows, shift, axis=1) for shift in shifts])
    return windows[:: max(1, len(windows) // (2 * MIN_PARITY_WINDOWS))]
