"""What the machine does while a run lasts is logged, and disturbs nothing."""

import threading
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

from har.config import RunConfig
from har.runs.train import train_run
from har.tracking import tracking_uri
from har.tracking.system_metrics import SystemMetrics

SWITCH, INTERVAL = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH)
    monkeypatch.setenv(INTERVAL, "0.01")


class Log:
    """What was logged, and by which thread."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, int, dict[str, float]]] = []
        self.threads: set[int] = set()

    def __call__(self, metrics, step=0, at_ms=None) -> None:  # type: ignore[no-untyped-def]
        self.samples.append((step, at_ms, metrics))
        self.threads.add(threading.get_ident())


def measuring() -> bool:
    return any(thread.name == "system metrics" for thread in threading.enumerate())


def test_samples_are_logged_by_their_owner_alone() -> None:
    log = Log()
    with SystemMetrics(log) as system:
        deadline = time.monotonic() + 30
        while len(log.samples) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
            system.flush()
    assert [step for step, _, _ in log.samples] == list(range(len(log.samples)))
    assert len(log.samples) >= 4  # one more at the end
    assert [at for _, at, _ in log.samples] == sorted(at for _, at, _ in log.samples)
    names = set(log.samples[0][2])
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes", "system/disk_usage_percentage"} <= names
    assert log.threads == {threading.get_ident()}
    assert not measuring()


def test_a_slow_store_is_not_chased() -> None:
    """Samples that come faster than they are logged are not waited for."""
    logged: list[int] = []

    def slow(metrics, step=0, at_ms=None) -> None:  # type: ignore[no-untyped-def]
        time.sleep(0.05)  # several samples
        logged.append(step)

    with SystemMetrics(slow) as system:
        time.sleep(0.1)
        system.flush()
        before = len(logged)
        time.sleep(0.1)
        assert len(logged) == before
    assert logged == list(range(len(logged)))


def test_mlflows_own_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "false")
    log = Log()
    with SystemMetrics(log):
        assert not measuring()
    assert not log.samples


def test_a_machine_that_cannot_be_measured_costs_a_warning(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(self: CPUMonitor) -> None:
        raise OSError("no /proc")

    monkeypatch.setattr(CPUMonitor, "collect_metrics", fails)
    log = Log()
    with SystemMetrics(log):
        pass
    assert not log.samples
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
