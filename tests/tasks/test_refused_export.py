"""A network that ONNX cannot hold is trained, scored and tracked all the same, and the device gets another."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from har.config import RunConfig
from har.errors import HarError
from har.models import registry
from har.models.registry import ModelEntry
from har.runs import train as train_module
from har.runs.evaluate import evaluate
from har.runs.export import best_run, export
from har.runs.run_folder import INFO, RunFolder
from har.runs.train import train_run
from har.runtime.recognizer import verify
from har.tasks import classify
from tests.exporting.test_onnx_file import Unexportable
from tests.refusal import refused

RUNS = Path("runs")


@pytest.fixture
def unexported(workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> tuple[RunFolder, list[str]]:
    monkeypatch.setitem(registry.MODELS, "unexportable", ModelEntry("unexportable", Unexportable, "test"))
    said: list[str] = []
    made = config.with_overrides(model__name="unexportable", model__options={}, training__epochs=1)
    return train_run(made, "unexportable", RUNS, progress=False, say=said.append), said


def test_it_is_trained_and_scored_without_an_onnx_file(unexported: tuple[RunFolder, list[str]]) -> None:
    run, said = unexported
    assert "unexportable, seed 0: no ONNX file: its layer has no operator in ONNX" in said
    assert {path.name for path in run.path.iterdir()} == {
        "best.ckpt",
        "config.yaml",
        "predictions_validation_synthetic.parquet",
        "run.json",
    }
    assert len(evaluate(run, "validation", Path("results")).predictions.table) > 0


def test_the_best_run_is_one_that_can_be_exported(unexported: tuple[RunFolder, list[str]], config: RunConfig) -> None:
    run, _ = unexported
    other = train_run(config.with_overrides(training__epochs=1), "cnn1d", RUNS, progress=False, say=lambda line: None, export=False)
    info = json.loads((run.path / INFO).read_text())
    (run.path / INFO).write_text(json.dumps(info | {"score": 1.0}))  # it would be chosen by its score
    assert best_run([run, other]).path == other.path
    assert best_run([run]).path == run.path
    with refused("not-exportable", "unexportable cannot be exported: its layer has no operator in ONNX"):
        export(run, Path("bundle"))
    assert not Path("bundle").exists()


class Ranking(nn.Module):
    """Has an operator that ONNX has not, and does not say so."""

    def __init__(self, in_channels: int, window_size: int, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(in_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.special.bessel_j0(x).mean(dim=1))


class SaysSo(Ranking):
    onnx = "refused"
    onnx_refusal = "ONNX has no Bessel functions"


def trained(config: RunConfig, monkeypatch: pytest.MonkeyPatch, network: type[nn.Module], say: Callable[[str], None]) -> RunFolder:
    monkeypatch.setitem(registry.MODELS, "ranking", ModelEntry("ranking", network, "test"))
    made = config.with_overrides(model__name="ranking", model__options={}, training__epochs=1)
    return train_run(made, "ranking", RUNS, progress=False, say=say)


def test_a_network_that_cannot_be_exported_is_not_trained_first(
    workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "fit_task", lambda *given, **options: pytest.fail("it was trained"))
    with refused("not-exportable", r"ranking, seed 0: nothing was trained, since the export fails on fresh weights: .*bessel") as found:
        trained(config, monkeypatch, Ranking, lambda line: None)
    assert "\n" not in str(found.value)
    assert not RUNS.exists()


def test_the_advice_to_say_so_is_right(workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    run = trained(config, monkeypatch, SaysSo, said.append)
    assert "ranking, seed 0: no ONNX file: ONNX has no Bessel functions" in said
    assert run.checkpoint.is_file()


def test_other_channels_than_a_device_has_are_not_tried(workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their training keeps its checkpoint where the export fails at the end."""
    said: list[str] = []
    run = trained(config.with_overrides(data__channels="uci9"), monkeypatch, Ranking, said.append)
    assert run.checkpoint.is_file()
    assert not (run.path / "model.onnx").exists()
    assert any("no ONNX file: ranking cannot be exported to ONNX: " in line for line in said)


def test_a_checkpoint_is_kept_where_the_export_fails_and_can_be_exported_later(
    workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    made = config.with_overrides(training__epochs=1)
    with monkeypatch.context() as patch:
        calls = []

        def fails_at_the_end(*given: object) -> float:
            calls.append(given)
            raise HarError("export-parity", "a probability differs from torch by 1.00e+00")

        patch.setattr(classify, "parity", fails_at_the_end)
        run = train_run(made, "cnn1d", RUNS, progress=False, say=said.append)
    assert len(calls) == 1  # networks of this package are not exported with fresh weights first
    assert any("no ONNX file: a probability differs" in line and "har export tries again" in line for line in said)
    assert not (run.path / "model.onnx").exists()
    assert len(evaluate(run, "validation", Path("results")).predictions.table) > 0
    export(run, Path("bundle"))
    assert verify("bundle")[0] > 0


def test_an_optional_file_that_misses_its_golden_windows_is_left_out(workplace: Path, config: RunConfig) -> None:
    """The int8 ranges of LSTM layers are those of all windows that are asked together, so that answers depend on the batch."""
    made = config.with_overrides(model__name="peephole_lstm", model__options={}, training__epochs=1)
    run = train_run(made, "peephole_lstm", RUNS, progress=False, say=lambda line: None)
    left_out = export(run, Path("bundle")).left_out["model.int8.onnx"]["reason"]
    assert "a golden window's probability differs by" in left_out or "windows get the same activity" in left_out
    assert verify("bundle")[0] > 0
