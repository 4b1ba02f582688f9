"""A network that ONNX cannot hold is trained, scored and tracked all the same, and the device gets another."""

import json
from pathlib import Path

import pytest

from har.config import RunConfig
from har.contract import HarError
from har.models import registry
from har.models.registry import ModelEntry
from har.pipeline.evaluate import evaluate_run
from har.pipeline.export import best_run, export_run
from har.pipeline.run_folder import INFO, RunFolder
from har.pipeline.train import train_run
from tests.export.test_onnx_file import Unexportable

RUNS = Path("runs")


@pytest.fixture
def refused(workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> tuple[RunFolder, list[str]]:
    monkeypatch.setitem(registry.MODELS, "unexportable", ModelEntry("unexportable", Unexportable, "test"))
    said: list[str] = []
    made = config.with_overrides(model__name="unexportable", model__options={}, training__epochs=1)
    return train_run(made, "unexportable", RUNS, progress=False, say=said.append), said


def test_it_is_trained_and_scored_without_an_onnx_file(refused: tuple[RunFolder, list[str]]) -> None:
    run, said = refused
    assert "unexportable, seed 0: no ONNX file: its layer has no operator in ONNX" in said
    assert {path.name for path in run.path.iterdir()} == {
        "best.ckpt",
        "config.yaml",
        "predictions_validation_synthetic.parquet",
        "run.json",
    }
    assert len(evaluate_run(run, "validation", Path("results")).table) > 0


def test_the_best_run_is_one_that_can_be_exported(refused: tuple[RunFolder, list[str]], config: RunConfig) -> None:
    run, _ = refused
    other = train_run(config.with_overrides(training__epochs=1), "cnn1d", RUNS, progress=False, say=lambda line: None, export=False)
    info = json.loads((run.path / INFO).read_text())
    (run.path / INFO).write_text(json.dumps(info | {"score": 1.0}))  # it would be chosen by its score
    assert best_run([run, other]).path == other.path
    assert best_run([run]).path == run.path
    with pytest.raises(HarError, match="unexportable cannot be exported: its layer has no operator in ONNX"):
        export_run(run, Path("bundle"))
    assert not Path("bundle").exists()
