"""Models of runs, as MLflow keeps them: logged, copied to another store, removed."""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities import LoggedModel, LoggedModelOutput, Run
from mlflow.models import Model, ModelSignature
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.types import Schema, TensorSpec

from har.tracking.store import local_path

NAME = "model"  # of the ONNX model of a run


def log_model(
    client: mlflow.MlflowClient,
    run: Run,
    name: str,
    save: Callable[[Path, Model], object],
    tags: Mapping[str, str] | None = None,
) -> LoggedModel:
    """Log a model of a run; nothing is left of one that could not be logged.

    `mlflow.pyfunc.log_model` and its like take the store of the whole process instead of a client's.

    Args:
        client: of the store.
        run: that made it.
        name: of the model.
        save: writes it to a new folder, with MLflow's description.
        tags: of the model.

    Raises:
        Exception: whatever MLflow raises.
    """
    run_id = run.info.run_id
    logged = client.create_logged_model(run.info.experiment_id, name, run_id, tags=dict(tags or {}), params=run.data.params)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            save(path, Model(logged.artifact_location, run_id, model_uuid=logged.model_id, model_id=logged.model_id))
            client.log_model_artifacts(logged.model_id, str(path))
        client.finalize_logged_model(logged.model_id, "READY")
    except BaseException:
        remove_model(client, logged)
        raise
    return logged


def remove_model(client: mlflow.MlflowClient, logged: LoggedModel) -> None:
    """Remove a model that was logged, with its files, as far as the store can be reached."""
    with suppress(Exception):
        get_artifact_repository(logged.artifact_location, client.tracking_uri).delete_artifacts()
        path = local_path(logged.artifact_location)
        if path is not None:
            path.parent.rmdir()  # of this model alone; MLflow leaves it
    with suppress(Exception):
        client.delete_logged_model(logged.model_id)


def models_of(client: mlflow.MlflowClient, run: Run) -> list[LoggedModel]:
    """The ONNX models of a run; not a registered one, which the run has too."""
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    return [model for model in found if model.name == NAME]


def replace_model(client: mlflow.MlflowClient, run_id: str, save: Callable[[Path, Model], object]) -> None:
    """Log the ONNX model of a run; one that is there already, also half of one, is removed."""
    run = client.get_run(run_id)
    for model in models_of(client, run):
        client.delete_logged_model(model.model_id)
    logged = log_model(client, run, NAME, save)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])


def log_onnx(client: mlflow.MlflowClient, run_id: str, path: Path, input_shape: tuple[int, ...], num_classes: int) -> None:
    """Log an ONNX file, whose input is ``windows`` and whose output is ``probabilities``, as the model of a run."""
    import mlflow.onnx
    import onnx

    float32 = np.dtype(np.float32)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(float32, (-1, *input_shape), "windows")]),
        outputs=Schema([TensorSpec(float32, (-1, num_classes), "probabilities")]),
    )

    def save(folder: Path, model: Model) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Named requirements: without them MLflow starts a process to guess them.
            mlflow.onnx.save_model(
                onnx.load(path),
                str(folder),
                mlflow_model=model,
                signature=signature,
                pip_requirements=["numpy", "onnxruntime", "onnx"],
                save_as_external_data=False,
            )

    replace_model(client, run_id, save)


def copy_model(model: LoggedModel, client: mlflow.MlflowClient, run_id: str) -> None:
    """Copy a model of a local store to a run of another store."""
    source = local_path(model.artifact_location)
    assert source is not None

    def save(folder: Path, there: Model) -> None:
        shutil.copytree(source, folder)
        copy = Model.load(str(folder))
        copy.artifact_path, copy.run_id, copy.model_uuid, copy.model_id = there.artifact_path, run_id, there.model_uuid, there.model_id
        copy.save(str(folder / "MLmodel"))

    replace_model(client, run_id, save)
