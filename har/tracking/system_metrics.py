"""What the machine does while a run lasts: processors, memory, disk, network, and GPUs where their library is installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from har.tracking.store import warn


class _Monitor(SystemMetricsMonitor):
    """MLflow's thread, which uses no random number; a machine that it cannot measure costs a warning."""

    def monitor(self) -> None:
        try:
            super().monitor()
        except Exception as error:  # psutil's, of the library of a GPU: each machine has its own
            warn(f"the machine is not measured any more ({error}); the training goes on")


@contextmanager
def measured(uri: str, run_id: str) -> Iterator[None]:
    """Log the machine to a run every 10 s, unless MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING is false.

    Args:
        uri: of the store.
        run_id: of the run; one that is resumed has its samples counted on.
    """
    if MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.is_set() and not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
        yield
        return
    monitor = _Monitor(run_id, resume_logging=True, tracking_uri=uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
