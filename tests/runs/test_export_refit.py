"""A refit, whose every subject trained, gets its temperature from the cross-validation and its jury from the run that held people out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from har.config import RunConfig
from har.evaluation.predictions import write_pooled
from har.runs.export import export
from har.runs.run_folder import RunFolder
from har.runs.train import train_run

RUNS, RESULTS = Path("runs"), Path("results")


def train(config: RunConfig, name: str) -> RunFolder:
    return train_run(config, name, RUNS, progress=False, say=lambda line: None)


@pytest.fixture
def refit(workplace: Path, config: RunConfig) -> RunFolder:
    return train(config.with_overrides(data__validation_subjects=(), training__keep="last"), "cnn1d-refit")


def manifest_of(run: RunFolder) -> dict:
    return json.loads((export(run, Path("bundle"), results=RESULTS).folder / "manifest.json").read_text())


def test_without_anybody_held_out_nothing_is_claimed(refit: RunFolder) -> None:
    manifest = manifest_of(refit)
    assert manifest["metrics"] == {}
    assert manifest["temperature"] == {"value": 1.0, "fitted_on": "not fitted: no subjects were held out"}
    assert manifest["unknown"]["below"] is None
    assert all("nobody was held out" in manifest["left_out"][name]["reason"] for name in ("model.int8.onnx", "model.small.onnx"))
    assert "every answer counts" in Path("bundle/MODEL_CARD.md").read_text()


def test_the_cross_validation_fits_and_the_sibling_judges(refit: RunFolder, config: RunConfig) -> None:
    sibling = train(config, "cnn1d")
    held_out = sibling.predictions("validation")
    assert held_out is not None
    origin = replace(held_out.origin, split="test", run="cnn1d")
    folder = RESULTS / "synthetic" / "studies" / "crossvalidation_predictions"
    write_pooled(replace(held_out, origin=origin), folder)
    manifest = manifest_of(refit)
    assert manifest["run"] == "cnn1d-refit"
    assert "each predicted by a fold of the cross-validation" in manifest["metrics"]["validation"]["who"]
    assert manifest["temperature"]["value"] != 1.0
    assert 0.5 <= manifest["unknown"]["below"] <= 1.0
    for name in ("model.int8.onnx", "model.small.onnx"):
        said = (manifest["files"] | manifest["left_out"])[name]
        assert said["judged_on"] == "the 4 validation subjects of run cnn1d"
        assert said["windows"] == len(held_out.table)
        assert ("bytes" in said) == (Path("bundle") / name).is_file()
    other = replace(origin, parameters=origin.parameters + 1)  # another network of the same name
    write_pooled(replace(held_out, origin=other), folder)
    assert manifest_of(refit)["metrics"] == {}


def test_a_run_of_another_config_judges_nothing(refit: RunFolder, config: RunConfig) -> None:
    train(config.with_overrides(training__weight_decay=0.5), "cnn1d")
    manifest = manifest_of(refit)
    assert all("nobody was held out" in manifest["left_out"][name]["reason"] for name in ("model.int8.onnx", "model.small.onnx"))
    assert manifest["robustness"] == []
