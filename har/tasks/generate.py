"""The task ``generate``: new windows of an activity that is asked for, judged by a classifier of real windows."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from har.config import GenerateConfig, RunConfig, parse_config
from har.data.prepare import data_root
from har.data.windowset import WindowSet
from har.evaluation.generation import generation_figure, linear_windows, nearest_distance, pairwise_distance, spectral_distance
from har.evaluation.predictions import Origin
from har.models.classifier import WindowClassifier
from har.models.synthesiser import Synthesiser
from har.reporting import data_title
from har.runtime.bundle import replace_folder
from har.tasks.base import TaskData, TaskScore, WindowTask, options_of, tensor
from har.tasks.run_key import code_digest
from har.training.fit import fit
from har.training.trainer import load_checkpoint

MODEL = "cnn1d"


def judge_config(config: RunConfig) -> RunConfig:
    """The config of the judge: a small CNN on the data of `config`, its epochs `task.judge_epochs`, the last one kept."""
    content = config.model_dump()
    content |= {
        "model": {"name": MODEL},
        "frontend": {"compression": (1.0,), "differences": (1.0,)},
        "augmentation": {},
        "task": {"name": "window"},
        "training": {
            "epochs": options_of(config, GenerateConfig).judge_epochs,
            "learning_rate": 0.005,
            "keep": "last",
            "threads": config.training.threads,
        },
    }
    return parse_config(content, "judge")


def real_judge(config: RunConfig, train: WindowSet) -> WindowClassifier:
    """The classifier of the real training windows, read from the cache or trained and left there.

    Its folder is named by everything it depends on: the training windows, the config and the code.
    """
    judge = judge_config(config)
    content = [
        code_digest(MODEL),
        judge.model_dump(mode="json", exclude={"task"}),
        options_of(config, GenerateConfig).judge_epochs,
        _digest(train),
    ]
    folder = data_root() / "cache" / f"judge-{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]}"
    if (folder / "best.ckpt").is_file():
        return load_checkpoint(folder / "best.ckpt")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".judge-") as work:
        made = fit(judge, train, None, Path(work) / "judge").classifier
        replace_folder(Path(work) / "judge", folder)
    return made


def fresh_judge(config: RunConfig, train: WindowSet) -> WindowClassifier:
    """A classifier of the same kind and budget trained on any windows, such as generated ones; not kept."""
    with tempfile.TemporaryDirectory() as work:
        return fit(judge_config(config), train, None, Path(work)).classifier


def named_right(judge: WindowClassifier, windows: WindowSet) -> float:
    """Share of the windows that the judge names as they are labelled, averaged over the activities that occur."""
    found = judge.predict_proba(torch.from_numpy(np.array(windows.x, dtype=np.float32))).argmax(dim=1).numpy()
    return float(np.mean([(found[windows.y == label] == label).mean() for label in np.unique(windows.y)]))


def _digest(windows: WindowSet) -> str:
    digest = hashlib.sha256()
    for values in (windows.x, windows.y, windows.subject):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


PER_ACTIVITY = 200  # generated windows that are judged
SEED = 2014  # of the latent vectors of every scoring, so that it can be repeated


class Generate(WindowTask[Synthesiser]):
    """Make windows of an activity.

    A classifier trained on the real training windows says whether they are what was asked for; spectra, variety and the distance to
    the nearest training window are compared with those of real windows of held-out people. Beside the network stand the held-out people's
    own windows (``real windows``) and a normal distribution with mean and covariance of the training windows (``linear model``). There is
    no ONNX file, for the reason that the network's class gives.
    """

    name, primary, higher_is_better = "generate", "negative_elbo", False
    module = Synthesiser

    def build(self, config: RunConfig, data: TaskData) -> Synthesiser:
        train: WindowSet = data.parts["train"]
        module = Synthesiser(
            model=config.model.name,
            options=dict(config.model.options),
            channels=config.data.channels,
            window_size=train.window_size,
            num_classes=len(train.labels),
            learning_rate=config.training.learning_rate,
            weight_decay=config.training.weight_decay,
        )
        module.spec = train.spec(config.windowing.step)
        module.fit_scaling(tensor(train))
        return module

    def score(self, module: Synthesiser, config: RunConfig, data: TaskData, part: str, origin: Origin) -> TaskScore:
        train, real = data.parts["train"], data.parts[part]
        elbo = module.score(tensor(real), torch.from_numpy(np.array(real.y, dtype=np.int64))).double().numpy()
        labels = asked(train)
        linear = made_windows(linear_windows(train, labels, np.random.default_rng(SEED)), labels, train)
        judge, deviation = real_judge(config, train), module.std.cpu().numpy()

        def judged(windows: WindowSet) -> dict[str, float]:
            return {"named_as_asked": named_right(judge, windows)} | likeness(windows, real, train, deviation)

        made = synthesise(module, labels, train)
        values = {"negative_elbo": float(elbo.mean())} | judged(made)
        values["trained_on_it"] = named_right(fresh_judge(config, made), real)
        references = {
            "real windows": judged(real) | likeness(train, real, train, deviation, spectra_only=True),
            "linear model": judged(linear),
        }
        references["linear model"]["trained_on_it"] = named_right(fresh_judge(config, linear), real)
        references["real windows"]["trained_on_it"] = references["real windows"]["named_as_asked"]  # the judge itself, on held-out people
        table = pd.DataFrame({"subject": real.subject, "negative_elbo": elbo})
        rows = table.groupby("subject").agg(windows=("negative_elbo", "size"), negative_elbo=("negative_elbo", "mean")).reset_index()
        return TaskScore(values, rows, references)

    def figures(self, module: Synthesiser, config: RunConfig, data: TaskData, part: str, score: TaskScore) -> dict[str, Any]:
        train, real = data.parts["train"], data.parts[part]
        title = f"{data_title(data)}, {part} subjects, beside SYNTHETIC windows made by {config.model.name}"
        return {"generated_windows_synthetic": generation_figure(real, synthesise(module, asked(train), train), title)}


def asked(train: WindowSet) -> np.ndarray:
    """(window,) activities to make: `PER_ACTIVITY` of each that was trained."""
    return np.repeat(np.unique(train.y), PER_ACTIVITY)


def synthesise(module: Synthesiser, labels: np.ndarray, like: WindowSet) -> WindowSet:
    """Generated windows of the activities `labels`, the same at every call."""
    made: Tensor = module.generate(torch.from_numpy(labels), torch.Generator().manual_seed(SEED))
    return made_windows(made.numpy(), labels, like)


def made_windows(x: np.ndarray, labels: np.ndarray, like: WindowSet) -> WindowSet:
    """Generated windows as a `WindowSet` that says so."""
    nobody = np.zeros(len(x), dtype=np.int64)
    names = np.full(len(x), "generated")
    return WindowSet(x, labels, nobody, names, np.arange(len(x)), like.channels, f"{like.dataset}-generated", True, labels=like.labels)


def likeness(
    windows: WindowSet, real: WindowSet, train: WindowSet, deviation: np.ndarray, *, spectra_only: bool = False
) -> dict[str, float]:
    """How like `real` windows of held-out people others are.

    Returns:
        ``spectral_distance_db``, mean over activities and sensors; ``variety`` and ``nearest``, the mean distance of two windows of
        an activity and that to the nearest training window, both as shares of the same for `real`: 1 is like real windows, variety near 0
        is always the same window, nearest near 0 is a copy.
    """
    found = {"spectral_distance_db": float(np.mean(list(spectral_distance(windows, real).values())))}
    if spectra_only:
        return found
    return found | {
        "variety": pairwise_distance(windows, deviation) / pairwise_distance(real, deviation),
        "nearest": nearest_distance(windows, train, deviation) / nearest_distance(real, train, deviation),
    }
