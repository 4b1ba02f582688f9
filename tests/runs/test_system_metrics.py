"""What the machine does while a run lasts is logged, and disturbs nothing."""

import threading
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

from har.config import RunConfig
from har.runs.train import train_run
from har.tracking.runs import tracked_run
from har.tracking.store import tracking_uri

SWITCH, INTERVAL = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH)
    monkeypatch.setenv(INTERVAL, "0.01")


def samples(runs: Path, run_id: str) -> list[tuple[int, int]]:
    """Number and time of each sample that was logged."""
    history = mlflow.MlflowClient(tracking_uri(runs)).get_metric_history(run_id, "system/cpu_utilization_percentage")
    return [(point.step, point.timestamp) for point in history]


def measuring() -> bool:
    return any(thread.name == "SystemMetricsMonitor" for thread in threading.enumerate())


def test_samples_are_logged_and_counted_on_when_a_run_is_resumed(tmp_path: Path) -> None:
    run_id = None
    for number in (1, 2):
        with tracked_run(tmp_path, "e", "a run", {}, run_id) as run:
            run_id, deadline = run.run_id, time.monotonic() + 60
            while len(samples(tmp_path, run_id)) < 3 * number and time.monotonic() < deadline:
                time.sleep(0.1)
        assert not measuring()
    found = samples(tmp_path, str(run_id))
    assert len(found) >= 6
    assert [step for step, _ in found] == list(range(len(found)))
    assert [at for _, at in found] == sorted(at for _, at in found)
    metrics = mlflow.MlflowClient(tracking_uri(tmp_path)).get_run(run_id).data.metrics
    assert {"system/system_memory_usage_megabytes", "system/disk_usage_percentage"} <= set(metrics)


def test_mlflows_own_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(SWITCH, "false")
    with tracked_run(tmp_path, "e", "a run", {}) as run:
        assert not measuring()
    assert not samples(tmp_path, run.run_id)


def test_a_machine_that_cannot_be_measured_costs_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fails(self: CPUMonitor) -> None:
        raise OSError("no /proc")

    monkeypatch.setattr(CPUMonitor, "collect_metrics", fails)
    with tracked_run(tmp_path, "e", "a run", {}) as run:
        pass
    assert not samples(tmp_path, run.run_id)
    assert capsys.readouterr().err == "har: warning: the machine is not measured any more (no /proc); the training goes on\n"


def test_a_measured_training_gives_the_same_weights(workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def train() -> tuple[str, set[str]]:
        info = train_run(config, "cnn1d", Path("runs"), progress=False, export=False, say=lambda line: None).info()
        metrics = mlflow.MlflowClient(tracking_uri(Path("runs"))).get_run(info.mlflow_run_id).data.metrics
        return info.origin.checkpoint_sha256, {name for name in metrics if name.startswith("system/")}

    monkeypatch.setenv(INTERVAL, "0.2")  # every sample is a call to the store
    measured, names = train()
    monkeypatch.setenv(SWITCH, "false")
    assert train() == (measured, set())
    assert "system/cpu_utilization_percentage" in names
