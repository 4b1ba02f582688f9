"""The calls to MLflow that a run consists of, in a form that can also wait on disk."""

import json
import time
import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

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
        _log_onnx(run_id, file, values)
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


def _log_onnx(run_id: str, path: Path, values: dict[str, Any]) -> None:
    import mlflow.onnx
    import onnx

    float32 = np.dtype(np.float32)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(float32, (-1, *values["input_shape"]), "windows")]),
        outputs=Schema([TensorSpec(float32, (-1, values["num_classes"]), "probabilities")]),
    )
    with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Named requirements: without them MLflow starts a process to guess them.
        mlflow.onnx.log_model(
            onnx.load(path),
            name=NAME,
            signature=signature,
            pip_requirements=["numpy", "onnxruntime", "onnx"],
            save_as_external_data=False,
        )
