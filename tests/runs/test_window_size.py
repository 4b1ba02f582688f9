"""Another window size from the config to the device."""

import json
from pathlib import Path

import numpy as np

from har.config import RunConfig, parse_config
from har.runs.evaluate import evaluate
from har.runs.export import export
from har.runs.train import train_run
from har.runtime.recognizer import load_model


def test_another_window_size_from_training_to_the_device(workplace: Path, config: RunConfig) -> None:
    content = config.model_dump() | {"windowing": {"window_size": 100, "stride": 40}}
    run = train_run(parse_config(content, "test"), "short", Path("runs"), progress=False, say=lambda line: None)
    assert run.config().windowing.step == 40
    assert evaluate(run, "validation", Path("results")).values["macro_f1"] == run.info().score
    export(run, Path("bundle"))
    declared = json.loads(Path("bundle/manifest.json").read_text())["spec"]
    assert (declared["window_size"], declared["stride"]) == (100, 40)
    recognizer = load_model("bundle")
    assert (recognizer.window_size, recognizer.stride) == (100, 40)
    windows = np.random.default_rng(0).normal(size=(3, 100, 6)).astype(np.float32)
    assert recognizer.predict(windows).shape == (3, 6)
