"""The registered model: its versions are bundles, and one of them is the champion."""

import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.models import Model, ModelSignature
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

import har
from har.tracking.store import asked, check_store, opened, search_runs, store_lock, tracking_uri

CHAMPION = "champion"  # alias of the version that is loaded unless somebody asks for another
BUNDLE_DIGEST = "bundle_digest"  # tag of runs and versions: SHA-256 of the manifest, which holds those of all files
# What the served model runs, beside the project's own code, which it brings; pandas holds its answers.
REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas")
# From these, a model can be loaded where the project is not installed.
RUNTIME = ("__init__.py", "contract.py", "errors.py", "files.py", "redaction.py", "recording", "runtime", "signals")  # what a device needs
PLACE = "registered"  # folder of a run's artifacts: the versions that were registered of it
CODE = "pyfunc.py"  # what MLflow runs to load a version
Version = ModelVersion  # of a registered model: a bundle


class Registry:
    """One registered model in the MLflow store.

    Args:
        runs: folder of the default store.
        name: of the model.
    """

    def __init__(self, runs: Path, name: str) -> None:
        check_store(runs)
        self.uri, self.name, self._runs = opened(tracking_uri(runs), runs), name, runs
        self._asked = partial(asked, self.uri)
        self._client = self._asked(lambda: mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri))

    def locked(self) -> AbstractContextManager[object]:
        """Nobody else registers in a store on this machine meanwhile."""
        return store_lock(self.uri, self._runs)

    def run_of(self, digest: str) -> Run | None:
        """The latest run that a bundle was logged to; None where there is none."""
        chosen = f"tags.{BUNDLE_DIGEST} = '{digest}'"
        return next(iter(self._asked(lambda: search_runs(self._client, chosen, max_results=1))), None)

    def champion(self) -> Version | None:
        """The version that has the alias; None where none has."""
        number = model.aliases.get(CHAMPION) if (model := self._model()) else None
        return self._asked(lambda: self._client.get_model_version(self.name, number)) if number else None

    def holding(self, digest: str) -> Version | None:
        """The version that holds a bundle; None where it is not registered yet."""
        chosen = f"name = '{self.name}' and tags.{BUNDLE_DIGEST} = '{digest}'"
        return next(iter(self._asked(lambda: self._client.search_model_versions(chosen, max_results=1))), None)

    def add(self, bundle: Path, run: Run, about: str, tags: Mapping[str, str], *, example: np.ndarray, labels: Sequence[str]) -> Version:
        """Register a bundle as the next version; nothing is left of one that could not be.

        Args:
            bundle: its folder; its files were checked.
            run: that it was exported from.
            about: Markdown on the model's page, where the model is new.
            tags: of the version, `BUNDLE_DIGEST` among them.
            example: (window, time, channel) float32 windows, kept with the model to try it.
            labels: names of the activities, in the order of the probabilities.

        Raises:
            HarError: the store failed.
        """
        place = f"{PLACE}/{self.name}/{tags[BUNDLE_DIGEST]}"

        def log_files() -> None:
            with tempfile.TemporaryDirectory() as folder:
                save_pyfunc(bundle, Path(folder) / "model", Model(place, run.info.run_id), example, labels)
                self._client.log_artifacts(run.info.run_id, f"{folder}/model", place)

        with ExitStack() as undo:
            if self._model() is None:
                self._asked(lambda: self._client.create_registered_model(self.name, description=about))
                undo.callback(self._remove_empty)
            undo.callback(self._remove_files, run, place)
            self._asked(log_files)
            source = f"{run.info.artifact_uri}/{place}"
            made = self._asked(lambda: self._client.create_model_version(self.name, source, run.info.run_id, dict(tags)))
            undo.pop_all()
        return made

    def _remove_files(self, run: Run, place: str) -> None:
        with suppress(Exception):  # the store may be gone; the user has to see the first error
            get_artifact_repository(run.info.artifact_uri, self.uri).delete_artifacts(place)

    def _remove_empty(self) -> None:
        with suppress(Exception):
            if not self._client.search_model_versions(f"name = '{self.name}'", max_results=1):  # no other process has registered meanwhile
                self._client.delete_registered_model(self.name)

    def decide(self, version: Version, reason: str, description: str, *, moves: bool) -> None:
        """Write down why a version is the champion or is not, and then, where it is, move the alias."""

        def say() -> None:
            self._client.set_model_version_tag(self.name, version.version, "champion_decision", reason)
            self._client.update_model_version(self.name, version.version, description)
            if moves:
                self._client.set_registered_model_alias(self.name, CHAMPION, version.version)

        self._asked(say)

    def _model(self) -> RegisteredModel | None:
        return next(iter(self._asked(lambda: self._client.search_registered_models(f"name = '{self.name}'"))), None)


def save_pyfunc(bundle: Path, path: Path, model: Model, example: np.ndarray, labels: Sequence[str]) -> None:
    """Write a bundle as an MLflow model that numpy and onnxruntime run; `har.pyfunc` is its code.

    Args:
        bundle: its folder.
        path: folder of the model, new.
        model: MLflow's description of it.
        example: (window, time, channel) float32 windows.
        labels: names of the activities.
    """
    import mlflow.pyfunc

    package = Path(har.__file__).parent
    columns: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "activity"), ColSpec(DataType.float, "confidence")]
    columns += [ColSpec(DataType.float, f"p_{label}") for label in labels]
    windows = TensorSpec(np.dtype(np.float32), (-1, *example.shape[1:]))
    with tempfile.TemporaryDirectory() as folder:
        kept = shutil.copytree(bundle, Path(folder) / "bundle")  # whatever its folder is called
        code = Path(folder) / "runtime" / "har"
        code.mkdir(parents=True)
        for name in RUNTIME:
            if (package / name).is_dir():
                shutil.copytree(package / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(package / name, code / name)
        with warnings.catch_warnings(record=True):  # a filter would not do: MLflow sets its own
            mlflow.pyfunc.save_model(
                str(path),
                python_model=str(package / CODE),
                artifacts={"bundle": str(kept), "runtime": str(code.parent)},
                signature=ModelSignature(Schema([windows]), Schema(columns)),
                input_example=example,
                pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
                mlflow_model=model,
            )
