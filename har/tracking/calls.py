"""The calls to MLflow that a run consists of, in a form that can also wait on disk."""

import json
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModel, LoggedModelOutput, Metric, Param, Run, RunTag
from mlflow.models import Model, ModelSignature
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from har.tracking.relocation import local_path

PARAMS, METRICS, DICT, TEXT, FILE, MODEL, END = "params", "metrics", "dict", "text", "file", "onnx_model", "end"
DATASET, TAGS = "dataset", "tags"
NAME = "model"  # of the ONNX model of a run
LONGEST_PARAM = 250
LONGEST_TAG = 8000
LONGEST_DIGEST = 36
MOST_PARAMS = 100  # of one call


def now_ms() -> int:
    """Milliseconds, as MLflow counts them."""
    return int(time.time() * 1000)


def end_run(client: mlflow.MlflowClient, run_id: str, status: str, end_ms: int | None = None) -> None:
    """End a run no earlier than it began, though somebody may have set the clock back since."""
    begun_ms = client.get_run(run_id).info.start_time
    client.set_terminated(run_id, status, max(now_ms() if end_ms is None else end_ms, begun_ms))


def perform(client: mlflow.MlflowClient, run_id: str, name: str, values: dict[str, Any], file: Path | None) -> None:
    """Make one call.

    Args:
        client: of the store.
        run_id: of the run.
        name: one of the constants of this module.
        values: plain values, see the methods of `har.tracking.runs.TrackedRun`.
        file: that the call sends.
    """
    if name == PARAMS:
        params = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in values.items()]
        for first in range(0, len(params), MOST_PARAMS):
            client.log_batch(run_id, params=params[first : first + MOST_PARAMS])
    elif name == METRICS:
        at, step = values["timestamp_ms"], values["step"]
        client.log_batch(run_id, metrics=[Metric(key, value, at, step) for key, value in values["metrics"].items()])
    elif name == DICT:
        client.log_dict(run_id, values["content"], values["artifact"])
    elif name == TEXT:
        client.log_text(run_id, values["text"], values["artifact"])
    elif name == FILE:
        client.log_artifact(run_id, str(file), values["folder"])
    elif name == MODEL:
        assert file is not None
        for model in _models_of(client, run_id):  # of an attempt that broke off
            client.delete_logged_model(model)
        _log_onnx(client, run_id, file, values)
    elif name == DATASET:
        _log_dataset(client, run_id, _dataset(**values))
    elif name == TAGS:
        client.log_batch(run_id, tags=[RunTag(key, value[:LONGEST_TAG]) for key, value in values.items()])
    elif name == END:
        end_run(client, run_id, values["status"], values["end_ms"])
    else:
        raise ValueError(f"unknown call {name!r}")


def _models_of(client: mlflow.MlflowClient, run_id: str) -> list[str]:
    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    return [model.model_id for model in found if model.name == NAME]  # not a registered one, which the run has too


def _dataset(name: str, digest: str, context: str, source: dict[str, Any], profile: dict[str, Any]) -> DatasetInput:
    kind, place = source["type"], {key: value for key, value in source.items() if key != "type"}
    data = Dataset(name, digest[:LONGEST_DIGEST], kind, json.dumps(place), profile=json.dumps(profile))
    return DatasetInput(data, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


def _log_dataset(client: mlflow.MlflowClient, run_id: str, data: DatasetInput) -> None:
    """MLflow looks whether its store has a data set and then adds it; two runs that begin together may both add it, and one is refused."""
    try:
        client.log_inputs(run_id, [data])
    except Exception as error:  # SQLAlchemy's, or a server's with its words
        if not any(words in str(error).lower() for words in ("unique constraint", "duplicate")):  # sqlite's and PostgreSQL's, MySQL's
            raise
        client.log_inputs(run_id, [data])  # it is there now


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
    """Remove a model that was logged, with its files, as far as the store lets itself be reached."""
    with suppress(Exception):
        get_artifact_repository(logged.artifact_location, client.tracking_uri).delete_artifacts()
        path = local_path(logged.artifact_location)
        if path is not None:
            path.parent.rmdir()  # of this model alone; MLflow leaves it
    with suppress(Exception):
        client.delete_logged_model(logged.model_id)


def _log_onnx(client: mlflow.MlflowClient, run_id: str, path: Path, values: dict[str, Any]) -> None:
    import mlflow.onnx
    import onnx

    float32 = np.dtype(np.float32)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(float32, (-1, *values["input_shape"]), "windows")]),
        outputs=Schema([TensorSpec(float32, (-1, values["num_classes"]), "probabilities")]),
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

    logged = log_model(client, client.get_run(run_id), NAME, save)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
