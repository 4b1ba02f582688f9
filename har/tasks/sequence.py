"""The task ``sequence``: a label for every sample of a continuous recording."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from har.config import RunConfig, SequenceConfig
from har.contract import RAW6, SPLITS, TRANSITION_LABELS, SignalSpec
from har.data.audit import audit
from har.data.datamodule import StreamDataModule, audit_windows
from har.data.prepare import prepared, read_recordings
from har.data.splits import make_split
from har.data.windowset import Stretch, stretches_of
from har.errors import HarError
from har.evaluation.figures import stream_figure
from har.evaluation.predictions import Origin
from har.evaluation.segments import Labelled, stream_scores, subject_scores
from har.exporting.bundle_folder import as_metadata, signal_entries
from har.exporting.stream_bundle import export_stream, stream_parity
from har.models.labeller import StreamLabeller
from har.reporting import data_title
from har.tasks.base import Task, TaskData, TaskScore, options_of
from har.training.fit import module_settings

PARITY_SAMPLES = 3000  # one minute; the state goes through every sample of it


class Sequence(Task[StreamLabeller]):
    """Name the activity of every sample of the raw, unfiltered recordings, which are what a phone delivers."""

    name, primary, higher_is_better, unit = "sequence", "macro_f1", True, "samples"
    module = StreamLabeller

    def load(self, config: RunConfig, archive: Path | str | None) -> TaskData:
        """The recordings of every part as streams.

        Folds are those of the windows of the same config, so that tasks share them; the audit reads every recorded sample.
        """
        data = config.data
        if data.channels != "raw6":
            raise HarError("config", f"data.channels is {data.channels}; a stream has what a phone delivers: set data.channels: raw6")
        recordings = read_recordings(data.dataset, archive=archive, difficulty=data.difficulty, transitions=data.transitions)
        windows = prepared(config, archive)
        split = make_split(data, windows)
        parts: dict[str, list[Stretch]] = {}
        for part in SPLITS:
            own = [item for item in recordings if item.subject in split.subjects(part)]
            if own or part != "validation":
                parts[part] = list(stretches_of(own))
        audit({part: audit_windows(streams, data.dataset, synthetic=windows.synthetic) for part, streams in parts.items()})
        counts = {part: sum(len(stream.samples) for stream in streams) for part, streams in parts.items()}
        return TaskData(windows.dataset, windows.synthetic, windows.digest, split, parts, counts)

    def build(self, config: RunConfig, data: TaskData) -> StreamLabeller:
        module = StreamLabeller(
            **module_settings(config),
            num_classes=len(labels_of(config)),
            chunk=options_of(config, SequenceConfig).chunk,
            carry_state=options_of(config, SequenceConfig).carry_state,
            label_smoothing=config.training.label_smoothing,
        )
        module.spec = SignalSpec.of(RAW6, labels_of(config))
        module.frontend.fit(tensor(stream) for stream in data.parts["train"])
        return module

    def batches(self, config: RunConfig, data: TaskData) -> StreamDataModule:
        return StreamDataModule(
            data.parts["train"],
            data.parts.get("validation"),
            chunk=options_of(config, SequenceConfig).chunk,
            lanes=config.training.batch_size,
            carry_state=options_of(config, SequenceConfig).carry_state,
            together=StreamLabeller.can_stream(config.model.name),
            seed=config.training.seed,
            augmentation=config.augmentation,
        )

    def score(self, module: StreamLabeller, config: RunConfig, data: TaskData, part: str, origin: Origin) -> TaskScore:
        count = len(labels_of(config))
        found = label_streams(module, data.parts[part])
        train = np.concatenate([stream.labels for stream in data.parts["train"]])
        most = int(np.bincount(train[train >= 0], minlength=count).argmax())
        constant = [item._replace(answer=np.full(len(item.truth), most)) for item in found]
        return TaskScore(stream_scores(found, count), subject_scores(found, count), {"majority": stream_scores(constant, count)})

    def export(self, module: StreamLabeller, path: Path, metadata: dict[str, str], config: RunConfig, data: TaskData) -> float | None:
        """Samples and state in, probabilities and state out; None where the network looks ahead, which no device can."""
        if not module.streams:
            return None
        export_stream(module, path, as_metadata(signal_entries(module)) | metadata)
        return stream_parity(module, path, np.asarray(data.parts["train"][0].samples[:PARITY_SAMPLES], dtype=np.float32))

    def figures(self, module: StreamLabeller, config: RunConfig, data: TaskData, part: str, score: TaskScore) -> dict[str, Any]:
        """The recording with the most wrong samples, truth and answers over time."""
        found = label_streams(module, data.parts[part])
        worst = max(found, key=lambda item: int(((item.truth != item.answer) & (item.truth >= 0)).sum()))
        title = f"{data_title(data)}, {worst.recording}: of the {part} recordings the one with the most wrong samples"
        return {"timeline": stream_figure(worst.truth, {config.model.name: worst.answer}, labels_of(config), title)}


def labels_of(config: RunConfig) -> tuple[str, ...]:
    """Names of the labels of a config."""
    return TRANSITION_LABELS[config.data.transitions]


def tensor(stream: Stretch) -> torch.Tensor:
    """(time, 6) float32."""
    return torch.from_numpy(np.array(stream.samples, dtype=np.float32))


def label_streams(module: StreamLabeller, streams: list[Stretch]) -> list[Labelled]:
    """The answer to every sample of every stream, each from a zero state."""
    found = module.predict([tensor(stream) for stream in streams])
    return [Labelled(s.recording, s.subject, s.labels, p.argmax(dim=1).numpy()) for s, p in zip(streams, found, strict=True)]
