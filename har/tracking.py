"""Everything that knows MLflow: one run per training, with the right status at its end."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # the default blocks for minutes where a server is down
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
import numpy as np
from filelock import FileLock
from matplotlib.figure import Figure
from mlflow.entities import RunStatus
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from pytorch_lightning.loggers import MLFlowLogger

from har.contract import HarError

STORE = "mlflow.db"
ARTIFACTS = "mlartifacts"


def tracking_uri(runs: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else an sqlite file in the folder `runs`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(runs / STORE).resolve()}"


class EpochLogger(MLFlowLogger):
    """Lightning's MLflow logger, with epochs as steps, and without ending the run or repeating its parameters."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        values = dict(metrics)
        epoch = values.pop("epoch", step)
        super().log_metrics(values, int(epoch or 0))

    def log_hyperparams(self, params: Any) -> None:
        """The run's parameters are logged once, by `TrackedRun`."""

    def finalize(self, status: str = "success") -> None:
        """The run goes on after the fit; `tracked_run` ends it."""


class TrackedRun:
    """One MLflow run."""

    def __init__(self, client: mlflow.MlflowClient, run_id: str, experiment: str, uri: str) -> None:
        self.client, self.run_id = client, run_id
        self.killed = False  # set where the run is ended on purpose before its end
        self.logger = EpochLogger(experiment_name=experiment, tracking_uri=uri, run_id=run_id)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters, one a key; the whole config goes to `log_dict`."""
        for key, value in params.items():
            self.client.log_param(self.run_id, key, str(value)[:250])

    def log_dict(self, content: dict[str, Any], name: str) -> None:
        """A JSON or YAML artifact."""
        self.client.log_dict(self.run_id, content, name)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Final metrics."""
        for key, value in metrics.items():
            self.client.log_metric(self.run_id, key, value, step=step)

    def log_figure(self, figure: Figure, name: str) -> None:
        """A figure as a PNG artifact."""
        self.client.log_figure(self.run_id, figure, name)

    def log_text(self, text: str, name: str) -> None:
        """A text artifact."""
        self.client.log_text(self.run_id, text, name)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """A file artifact."""
        self.client.log_artifact(self.run_id, str(path), folder)

    def log_onnx(self, path: Path, input_shape: tuple[int, ...], num_classes: int) -> None:
        """An ONNX file as an MLflow model with its signature.

        Args:
            path: of the file; its input is ``windows``, its output ``probabilities``.
            input_shape: (time, channel) of a window.
            num_classes: length of the output.
        """
        import mlflow.onnx
        import onnx

        float32 = np.dtype(np.float32)
        signature = ModelSignature(
            inputs=Schema([TensorSpec(float32, (-1, *input_shape), "windows")]),
            outputs=Schema([TensorSpec(float32, (-1, num_classes), "probabilities")]),
        )
        with mlflow.start_run(run_id=self.run_id), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Named requirements: without them MLflow starts a process to guess them.
            mlflow.onnx.log_model(
                onnx.load(path),
                name="model",
                signature=signature,
                pip_requirements=["numpy", "onnxruntime", "onnx"],
                save_as_external_data=False,
            )


@contextmanager
def tracked_run(runs: Path, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[TrackedRun]:
    """Start a run and end it as it deserves: FINISHED, FAILED, or KILLED after Ctrl-C or SIGTERM.

    Args:
        runs: folder of the default store.
        experiment: name of the MLflow experiment.
        name: of the run.
        tags: of the run.

    Raises:
        HarError: the store cannot be reached.
    """
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    uri = tracking_uri(runs)
    client, run_id = _start(runs, uri, experiment, name, tags)
    status = RunStatus.FAILED
    try:
        run = TrackedRun(client, run_id, experiment, uri)
        yield run
        status = RunStatus.KILLED if run.killed else RunStatus.FINISHED
    except (KeyboardInterrupt, SystemExit):
        status = RunStatus.KILLED
        raise
    finally:
        client.set_terminated(run_id, RunStatus.to_string(status))


def parent_run(runs: Path, experiment: str, study: str, note: str) -> str:
    """The MLflow run of a study, under which its jobs stand; made where it is not there yet.

    Args:
        runs: folder of the default store.
        experiment: name of the MLflow experiment.
        study: its name.
        note: Markdown shown on the run's page.

    Raises:
        HarError: the store cannot be reached.
    """
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    uri = tracking_uri(runs)
    try:
        with _store_lock(runs):
            found = mlflow.MlflowClient(tracking_uri=uri).get_experiment_by_name(experiment)
            known = f"tags.study_parent = '{study}'"
            there = mlflow.MlflowClient(tracking_uri=uri).search_runs([found.experiment_id], known, max_results=1) if found else []
        if there:
            return there[0].info.run_id
    except Exception as error:
        raise _unreachable(uri, error) from None
    client, run_id = _start(runs, uri, experiment, study, {"study_parent": study, "mlflow.note.content": note})
    client.set_terminated(run_id)
    return run_id


def _start(runs: Path, uri: str, experiment: str, name: str, tags: Mapping[str, str]) -> tuple[mlflow.MlflowClient, str]:
    try:
        mlflow.set_tracking_uri(uri)
        with _store_lock(runs):
            client = mlflow.MlflowClient(tracking_uri=uri)
            found = client.get_experiment_by_name(experiment)
            local = uri.startswith("sqlite:")
            location = (runs / ARTIFACTS).resolve().as_uri() if local else None
            experiment_id = found.experiment_id if found else client.create_experiment(experiment, artifact_location=location)
        run = client.create_run(experiment_id, tags={**tags, MLFLOW_RUN_NAME: name})
    except Exception as error:  # MLflow's, SQLAlchemy's, of the network: each store has its own
        raise _unreachable(uri, error) from None
    return client, run.info.run_id


def _unreachable(uri: str, error: Exception) -> HarError:
    reason = str(error).split("\n")[0][:200]
    return HarError(f"cannot open the MLflow store {uri} ({reason}); start the server, or unset MLFLOW_TRACKING_URI to use sqlite")


def _store_lock(runs: Path) -> FileLock:
    """Several processes on a fresh sqlite file crash in its schema migration; the first one makes it alone."""
    runs.mkdir(parents=True, exist_ok=True)
    return FileLock(runs / f".{STORE}.lock")


def serve(runs: Path, port: int) -> None:
    """Replace this process by MLflow's user interface on 127.0.0.1.

    Raises:
        HarError: there is no store yet, or the port is taken.
    """
    import socket
    import sys

    uri = tracking_uri(runs)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise HarError(f"no MLflow store at {uri}; train first: har train, or make demo")
    with _store_lock(runs):  # a training may be making the store at this moment
        pass
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            raise HarError(f"port {port} on 127.0.0.1 cannot be used; choose another with --port (make dashboard PORT=5001)") from None
    print(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it), store {uri}", flush=True)
    # The default is 15 processes and 3 GB; one worker without job execution is 2 and 0.5 GB.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        uri,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    os.execv(sys.executable, command)
