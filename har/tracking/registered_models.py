"""The registered model: its versions are bundles, and one of them is the champion."""

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import mlflow
import numpy as np
from mlflow.entities import LoggedModel, LoggedModelOutput, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

import har
from har.contract import HarError
from har.tracking.logged_models import log_model, remove_model
from har.tracking.store import asked, is_missing, opened, process_wide, store_lock, tracking_uri, unreachable

CHAMPION = "champion"  # alias of the version that is loaded unless somebody asks for another
BUNDLE_DIGEST = "bundle_digest"  # tag of runs and versions: SHA-256 of the manifest, which holds those of all files
ABSENT = tuple(map(ErrorCode.Name, (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)))  # of a model or an alias
# What the served model runs, beside the project's own code, which it brings; pandas holds its answers.
REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas")
# The rooms that a device needs, from which a model can be loaded where the project is not installed.
RUNTIME = ("__init__.py", "contract.py", "files.py", "redaction.py", "recording", "runtime", "signals")  # what a device needs
CODE = "pyfunc.py"  # what MLflow runs to load a version
T = TypeVar("T")


@dataclass(frozen=True)
class Version:
    """A registered bundle.

    Attributes:
        number: of the version, from 1.
        tags: what is known of it.
    """

    number: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """A bundle about to be registered.

    Attributes:
        folder: of the bundle; its files were checked.
        digest: SHA-256 of its manifest.
        example: (window, time, channel) float32 windows, kept with the model to try it.
        labels: names of the activities, in the order of the probabilities.
        tags: of the version.
    """

    folder: Path
    digest: str
    example: np.ndarray
    labels: list[str]
    tags: Mapping[str, str]


class Registry:
    """One registered model in the MLflow store.

    Args:
        runs: folder of the default store.
        name: of the model.
    """

    def __init__(self, runs: Path, name: str) -> None:
        self.uri, self.name, self._runs = opened(tracking_uri(runs), runs), name, runs
        if is_missing(self.uri):
            raise HarError(f"no MLflow store at {self.uri}; a bundle is registered where its run is tracked: har train, then har export")
        self._client = self._asked(lambda: mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri))

    def locked(self) -> AbstractContextManager[object]:
        """Nobody else registers in a store on this machine meanwhile."""
        return store_lock(self.uri, self._runs)

    def run_of(self, digest: str) -> Run | None:
        """The latest run that a bundle was logged to; None where there is none."""

        def ask() -> list[Run]:
            experiments = [one.experiment_id for one in self._client.search_experiments()]
            return list(self._client.search_runs(experiments, f"tags.{BUNDLE_DIGEST} = '{digest}'", max_results=1))

        return next(iter(self._asked(ask)), None)

    def champion(self) -> Version | None:
        """The version that has the alias; None where none has."""
        found = self._found(lambda: self._client.get_model_version_by_alias(self.name, CHAMPION))
        return None if found is None else Version(str(found.version), found.tags)

    def holding(self, digest: str) -> Version | None:
        """The version that holds a bundle; None where it is not registered yet."""
        chosen = f"name = '{self.name}' and tags.{BUNDLE_DIGEST} = '{digest}'"
        found = self._asked(lambda: self._client.search_model_versions(chosen, max_results=1))
        return Version(str(found[0].version), found[0].tags) if found else None

    def add(self, entry: Entry, run: Run, about: str) -> Version:
        """Register a bundle as the next version; nothing is left of one that could not be.

        Args:
            entry: the bundle.
            run: that it was exported from.
            about: Markdown on the model's page, where the model is new.

        Raises:
            HarError: the store failed.
        """
        with ExitStack() as undo:
            if self._found(lambda: self._client.get_registered_model(self.name)) is None:
                self._asked(lambda: self._client.create_registered_model(self.name, description=about))
                undo.callback(self._remove_empty)

            save = partial(save_pyfunc, entry)
            logged = self._asked(lambda: log_model(self._client, run, self.name, save, tags=dict(entry.tags)))
            undo.callback(remove_model, self._client, logged)
            made = self._asked(lambda: self._make_version(entry, run, logged))
            undo.callback(self._remove_version, str(made.version))
            shown = {MLFLOW_MODEL_VERSIONS: json.dumps([{"name": self.name, "version": str(made.version)}])}
            self._asked(lambda: self._client.set_logged_model_tags(logged.model_id, shown))
            self._asked(lambda: self._client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, 0)]))
            undo.pop_all()
        return Version(str(made.version), dict(entry.tags))

    def _make_version(self, entry: Entry, run: Run, logged: LoggedModel) -> ModelVersion:
        source = f"models:/{logged.model_id}"
        with process_wide(self.uri):  # where MLflow looks for that model
            return self._client.create_model_version(self.name, source, run.info.run_id, tags=dict(entry.tags), model_id=logged.model_id)

    def _remove_version(self, number: str) -> None:
        with suppress(Exception):  # the store may be gone; the user has to see the first error
            self._client.delete_model_version(self.name, number)

    def _remove_empty(self) -> None:
        with suppress(Exception):
            if not self._client.search_model_versions(f"name = '{self.name}'", max_results=1):  # no other process has registered meanwhile
                self._client.delete_registered_model(self.name)

    def decide(self, version: Version, reason: str, description: str, *, moves: bool) -> None:
        """Write down why a version is the champion or is not, and then, where it is, move the alias."""

        def say() -> None:
            self._client.set_model_version_tag(self.name, version.number, "champion_decision", reason)
            self._client.update_model_version(self.name, version.number, description)
            if moves:
                self._client.set_registered_model_alias(self.name, CHAMPION, version.number)

        self._asked(say)

    def _found(self, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise unreachable(self.uri, error) from None
        except Exception as error:
            raise unreachable(self.uri, error) from None

    def _asked(self, ask: Callable[[], T]) -> T:
        return asked(self.uri, ask)


def save_pyfunc(entry: Entry, path: Path, model: Model | None = None) -> None:
    """Write a bundle as an MLflow model that numpy and onnxruntime run; `har.pyfunc` is its code.

    Args:
        entry: the bundle.
        path: folder of the model, new.
        model: MLflow's description of it, where it is to be registered.
    """
    import mlflow.pyfunc

    package = Path(har.__file__).parent
    columns: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "activity"), ColSpec(DataType.float, "confidence")]
    columns += [ColSpec(DataType.float, f"p_{label}") for label in entry.labels]
    windows = TensorSpec(np.dtype(np.float32), (-1, *entry.example.shape[1:]))
    with tempfile.TemporaryDirectory() as folder:
        bundle, runtime = Path(folder) / "bundle", Path(folder) / "runtime"
        shutil.copytree(entry.folder, bundle)
        for name in RUNTIME:
            if (package / name).is_dir():
                shutil.copytree(package / name, runtime / "har" / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (runtime / "har").mkdir(parents=True, exist_ok=True)
                shutil.copyfile(package / name, runtime / "har" / name)
        with warnings.catch_warnings(record=True):  # a filter would not do: MLflow sets its own
            mlflow.pyfunc.save_model(
                str(path),
                python_model=str(package / CODE),
                artifacts={"bundle": str(bundle), "runtime": str(runtime)},
                signature=ModelSignature(Schema([windows]), Schema(columns)),
                input_example=entry.example,
                pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
                mlflow_model=model,
            )
