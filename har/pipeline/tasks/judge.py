"""A classifier that judges generated windows: trained once on the real windows of a training part and kept."""

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from har.config import GenerateConfig, RunConfig, parse_config
from har.data.prepare import data_root
from har.data.windowset import WindowSet
from har.models.classifier import ActivityClassifier
from har.pipeline.tasks.base import options_of
from har.runtime.bundle import replace_folder
from har.training.checkpoint import load_checkpoint
from har.training.fit import fit

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


def real_judge(config: RunConfig, train: WindowSet) -> ActivityClassifier:
    """The classifier of the real training windows, read from the cache or trained and left there.

    Its folder is named by everything it depends on: the training windows, the config and the code.
    """
    from har.pipeline.study import code_digest  # it lists the tasks, so it cannot be imported before them

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
        made = fit(judge, train, None, Path(work) / "judge", progress=False).classifier
        replace_folder(Path(work) / "judge", folder)
    return made


def fresh_judge(config: RunConfig, train: WindowSet) -> ActivityClassifier:
    """A classifier of the same kind and budget trained on any windows, such as generated ones; not kept."""
    with tempfile.TemporaryDirectory() as work:
        return fit(judge_config(config), train, None, Path(work), progress=False).classifier


def named_right(judge: ActivityClassifier, windows: WindowSet) -> float:
    """Share of the windows that the judge names as they are labelled, averaged over the activities that occur."""
    found = judge.predict_proba(torch.from_numpy(np.array(windows.x, dtype=np.float32))).argmax(dim=1).numpy()
    return float(np.mean([(found[windows.y == label] == label).mean() for label in np.unique(windows.y)]))


def _digest(windows: WindowSet) -> str:
    digest = hashlib.sha256()
    for values in (windows.x, windows.y, windows.subject):
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
