"""One MLflow run per training, with the right status at its end."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from matplotlib.figure import Figure
from mlflow.entities import RunStatus
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from pytorch_lightning.loggers import MLFlowLogger

from har.tracking.owners import owned
from har.tracking.store import quiet, store_lock, tracking_uri, unreachable

ARTIFACTS = "mlartifacts"


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
def tracked_run(runs: Path, experiment: str, name: str, tags: Mapping[str, str], run_id: str | None = None) -> Iterator[TrackedRun]:
    """Start a run and end it as it deserves: FINISHED, FAILED, or KILLED after Ctrl-C or SIGTERM.

    A process that is killed ends nothing; `close_orphans` does, when somebody looks.

    Args:
        runs: folder of the default store.
        experiment: name of the MLflow experiment.
        name: of the run.
        tags: of the run.
        run_id: of an earlier run to go on with; where the store does not know it, a new one is started.

    Raises:
        HarError: the store cannot be reached.
    """
    quiet()
    uri = tracking_uri(runs)
    with owned(runs) as own_tags:
        client, run_id = _start(runs, uri, experiment, name, {**tags, **own_tags}, run_id)
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
    quiet()
    uri = tracking_uri(runs)
    try:
        with store_lock(runs):
            found = mlflow.MlflowClient(tracking_uri=uri).get_experiment_by_name(experiment)
            known = f"tags.study_parent = '{study}'"
            there = mlflow.MlflowClient(tracking_uri=uri).search_runs([found.experiment_id], known, max_results=1) if found else []
        if there:
            return there[0].info.run_id
    except Exception as error:
        raise unreachable(uri, error) from None
    client, run_id = _start(runs, uri, experiment, study, {"study_parent": study, "mlflow.note.content": note})
    client.set_terminated(run_id)
    return run_id


def _start(
    runs: Path, uri: str, experiment: str, name: str, tags: Mapping[str, str], run_id: str | None = None
) -> tuple[mlflow.MlflowClient, str]:
    try:
        mlflow.set_tracking_uri(uri)
        with store_lock(runs):
            client = mlflow.MlflowClient(tracking_uri=uri)
            found = client.get_experiment_by_name(experiment)
            local = uri.startswith("sqlite:")
            location = (runs / ARTIFACTS).resolve().as_uri() if local else None
            experiment_id = found.experiment_id if found else client.create_experiment(experiment, artifact_location=location)
        if run_id is not None and _reopened(client, run_id, tags):
            return client, run_id
        run = client.create_run(experiment_id, tags={**tags, MLFLOW_RUN_NAME: name})
    except Exception as error:  # MLflow's, SQLAlchemy's, of the network: each store has its own
        raise unreachable(uri, error) from None
    return client, run.info.run_id


def _reopened(client: mlflow.MlflowClient, run_id: str, tags: Mapping[str, str]) -> bool:
    try:
        client.update_run(run_id, RunStatus.to_string(RunStatus.RUNNING))
    except MlflowException:  # deleted, or of another store
        return False
    for key, value in tags.items():
        client.set_tag(run_id, key, value)
    return True
