"""What the machine does while a run lasts: processors, memory, disk, network, and GPUs where their library is installed."""

import queue
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Protocol

from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING, MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL
from mlflow.system_metrics.metrics.base_metrics_monitor import BaseMetricsMonitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

from har.tracking.store import now_ms, warn

PREFIX = "system/"  # MLflow's page shows such metrics apart, over time
INTERVAL_S = 10.0  # unless MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL says otherwise


class _Log(Protocol):
    def __call__(self, metrics: Mapping[str, float], step: int = ..., at_ms: int | None = ...) -> None: ...


class SystemMetrics:
    """Samples the machine in a thread of its own, which touches neither the store nor a random number.

    MLflow's own thread asks the store after every sample, past what waits for a locked store; only what it measures with is used
    here. Whoever owns this logs the samples between two epochs. MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false switches it off.

    Args:
        log: gets the metrics of a sample, its number and its time in ms.
    """

    def __init__(self, log: _Log) -> None:
        self._log, self._number = log, 0
        self._samples: queue.SimpleQueue[tuple[int, dict[str, float]]] = queue.SimpleQueue()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="system metrics", daemon=True)

    def __enter__(self) -> "SystemMetrics":
        if MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get() or not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.is_set():
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    def flush(self) -> None:
        """Log what was sampled since the last time."""
        for _ in range(self._samples.qsize()):  # not those that come meanwhile: a slow store would never be done
            at_ms, metrics = self._samples.get()
            self._log(metrics, self._number, at_ms)
            self._number += 1

    def _watch(self) -> None:
        try:
            monitors = _monitors()
            _sample(monitors)  # processors are measured from one call to the next, so the first one tells nothing
            while not self._over.wait(MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or INTERVAL_S):
                self._samples.put((now_ms(), _sample(monitors)))
            self._samples.put((now_ms(), _sample(monitors)))
        except Exception as error:  # psutil's, of the library of a GPU: each machine has its own
            warn(f"the machine is not measured any more ({error}); the training goes on")


def _monitors() -> list[BaseMetricsMonitor]:
    found: list[BaseMetricsMonitor] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(ImportError, RuntimeError):  # nvidia-ml-py is not installed, or there is no GPU
        found.append(GPUMonitor())
    return found


def _sample(monitors: list[BaseMetricsMonitor]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for monitor in monitors:
        monitor.collect_metrics()
        metrics |= {f"{PREFIX}{name}": value for name, value in monitor.aggregate_metrics().items()}
        monitor.clear_metrics()
    return metrics
