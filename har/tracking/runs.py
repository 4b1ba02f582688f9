"""One MLflow run per training, with the right status at its end, also where its process dies."""

import json
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from filelock import FileLock, Timeout
from matplotlib.figure import Figure
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus, RunTag
from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_RUN_NOTE
from pytorch_lightning.loggers.logger import Logger

from har.tracking import store
from har.tracking.copies import RUNNING, Copies, copying, experiment_of, find_run, log_batches, log_datasets, send

MODEL = "model"  # folder of the ONNX model among the artifacts
PARENT = "study_parent"  # tag of the run of a study
OWNERS = ".owners"  # next to the local store: for each run that is tracked a file, which its process holds locked while it lives
HOST = "har.host"  # tag: the machine of that process
LONGEST_PARAM = 250
LONGEST_TAG = 8000
LONGEST_DIGEST = 36
CUT = "\n\n(MLflow takes no longer note; the rest stands in the table of the study.)"


class TrackedRun(Logger):
    """One MLflow run in the local store, which Lightning logs to. Where a call fails, a warning is printed and the training goes on.

    Args:
        uri: of the store.
        name: of the run.
        run_id: its id.

    Attributes:
        run_id: its id.
        killed: set where the run is ended on purpose before its end.
    """

    def __init__(self, uri: str, name: str, run_id: str) -> None:
        super().__init__()
        self._uri, self._name, self.run_id, self.killed = uri, name, run_id, False
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        self._whole = True

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        return self.run_id

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """What Lightning calls; the run's parameters are logged once, by `log_params`."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters, one a key; the whole config goes to `log_dict`."""
        every = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in params.items()]
        self._call(lambda: log_batches(self._client, self.run_id, params=every))

    def log_dict(self, content: dict[str, Any], name: str) -> None:
        """A JSON or YAML artifact."""
        self._call(lambda: self._client.log_dict(self.run_id, content, name))

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Metrics of an epoch, which is `step` or, of Lightning, one of them; or final ones."""
        epoch, now = int(metrics.get("epoch", step or 0)), store.now_ms()
        points = [Metric(key, float(value), now, epoch) for key, value in metrics.items() if key != "epoch"]
        self._call(lambda: self._client.log_batch(self.run_id, metrics=points))

    def log_dataset(self, name: str, digest: str, context: str, source: Mapping[str, Any], profile: Mapping[str, Any]) -> None:
        """Data that the run uses, without a copy of them.

        Args:
            name: of the data.
            digest: of their content.
            context: what for: ``training`` or ``validation``.
            source: where they come from: ``type``, as MLflow names it, and its own entries.
            profile: what else is known of them.
        """
        place = json.dumps({key: value for key, value in source.items() if key != "type"})
        data = Dataset(name, digest[:LONGEST_DIGEST], source["type"], place, profile=json.dumps(profile))
        self._call(lambda: log_datasets(self._client, self.run_id, [DatasetInput(data, [InputTag(MLFLOW_DATASET_CONTEXT, context)])]))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags next to those that it was started with."""
        every = [RunTag(key, value[:LONGEST_TAG]) for key, value in tags.items()]
        self._call(lambda: self._client.log_batch(self.run_id, tags=every))

    def log_figure(self, figure: Figure, name: str) -> None:
        """A figure as a PNG artifact."""
        self._call(lambda: self._client.log_figure(self.run_id, figure, name))

    def log_text(self, text: str, name: str) -> None:
        """A text artifact."""
        self._call(lambda: self._client.log_text(self.run_id, text, name))

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """A file artifact."""
        self._call(lambda: self._client.log_artifact(self.run_id, str(path), folder))

    def log_onnx(self, path: Path, input_shape: tuple[int, ...], num_classes: int) -> None:
        """An ONNX file as an MLflow model with its signature, in the artifacts of the run.

        Args:
            path: of the file; its input is ``windows``, its output ``probabilities``.
            input_shape: (time, channel) of a window.
            num_classes: length of the output.
        """
        import mlflow.onnx
        import onnx

        signature = ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, *input_shape), "windows")]),
            outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, num_classes), "probabilities")]),
        )

        def log() -> None:
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mlflow.onnx.save_model(
                    onnx.load(path),
                    f"{folder}/{MODEL}",
                    mlflow_model=Model(MODEL, self.run_id),
                    signature=signature,
                    pip_requirements=["numpy", "onnxruntime", "onnx"],  # without them MLflow starts a process to guess them
                    save_as_external_data=False,
                )
                self._client.log_artifacts(self.run_id, folder)

        self._call(log)

    def end(self, status: int) -> None:
        """End the run."""
        self._call(lambda: end_run(self._client, self.run_id, status))

    def _call(self, work: Callable[[], object]) -> None:
        try:
            store.unlocked(work)
        except Exception as error:  # MLflow's, of the database, of the disk
            if isinstance(error, OSError):
                raise
            if "disk is full" in str(error):
                raise store.unreachable(self._uri, error) from None
            if self._whole:
                store.warn(f"the MLflow store {self._uri} cannot be written ({store.reason(error)}); {self._name} goes on, tracked in part")
            self._whole = False


class _Monitor(SystemMetricsMonitor):
    """MLflow's thread, which uses no random number; a machine that it cannot measure costs a warning."""

    def monitor(self) -> None:
        try:
            super().monitor()
        except Exception as error:  # psutil's, of the library of a GPU: each machine has its own
            store.warn(f"the machine is not measured any more ({error}); the training goes on")


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


def end_run(client: mlflow.MlflowClient, run_id: str, status: int) -> None:
    """End a run no earlier than it began, though somebody may have set the clock back since."""
    client.set_terminated(run_id, RunStatus.to_string(status), max(store.now_ms(), client.get_run(run_id).info.start_time))


@contextmanager
def tracked_run(runs: Path, experiment: str, name: str, tags: Mapping[str, str], run_id: str | None = None) -> Iterator[TrackedRun]:
    """Start a run and end it as it deserves: FINISHED, FAILED, or KILLED after Ctrl-C or SIGTERM.

    A process that is killed ends nothing; `close_orphans` does, when somebody looks. Where a server is named, the run is copied to it
    while it lasts and at its end; one that is away or slow costs `har.tracking.copies.PATIENCE_S` and a warning, and `push` does it later.

    Args:
        runs: folder of all runs.
        experiment: name of the MLflow experiment.
        name: of the run.
        tags: of the run.
        run_id: of an earlier run to go on with; where nobody knows it, a new one is started.

    Raises:
        HarError: there can be no such store.
    """
    uri = store.opened(store.local_uri(runs), runs)
    with ExitStack() as owned:
        own_tags = {**tags, HOST: socket.gethostname()}
        found = store.asked(uri, lambda: start(uri, runs, experiment, name, own_tags, run_id, owned))
        run, status = TrackedRun(uri, name, found), RunStatus.FAILED
        with copying(runs, name, [found]):
            try:
                with measured(uri, found):
                    yield run
                status = RunStatus.KILLED if run.killed else RunStatus.FINISHED
            except (KeyboardInterrupt, SystemExit):
                status = RunStatus.KILLED
                raise
            finally:
                run.end(status)


def start(
    uri: str, runs: Path, experiment: str, name: str, tags: Mapping[str, str], run_id: str | None = None, owned: ExitStack | None = None
) -> str:
    """Start a run, or go on with one that the store knows; returns its id and raises what MLflow raises.

    With `owned`, this process owns the run until that is closed.
    """
    with store.store_lock(uri, runs):
        client = mlflow.MlflowClient(tracking_uri=uri)
        experiment_id, found = experiment_of(client, uri, runs, experiment), None
        if run_id is not None:
            with suppress(MlflowException):  # deleted, or of another store
                client.update_run(run_id, RUNNING)
                client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
                found = run_id
        found = found or client.create_run(experiment_id, store.now_ms(), dict(tags), run_name=name).info.run_id
        if owned:
            owner = _owner(uri, runs, found)
            owned.callback(owner.release)
            owned.callback(Path(owner.lock_file).unlink, missing_ok=True)
            with suppress(Timeout):  # a child of a process that was killed may live on
                owner.acquire(timeout=0)
        return found


def parent_run(runs: Path, experiment: str, study: str, note: str) -> str:
    """The MLflow run of a study, under which its jobs stand; made where it is not there yet.

    Args:
        runs: folder of all runs.
        experiment: name of the MLflow experiment.
        study: its name.
        note: Markdown shown on the run's page.

    Raises:
        HarError: there can be no such store.
    """
    uri = store.opened(store.local_uri(runs), runs)

    def find_or_start() -> str:
        with store.store_lock(uri, runs):
            client = mlflow.MlflowClient(tracking_uri=uri)
            found = client.get_experiment_by_name(experiment)
            there = client.search_runs([found.experiment_id], f"tags.{PARENT} = '{study}'", max_results=1) if found else []
        if there:
            return there[0].info.run_id
        run_id = start(uri, runs, experiment, study, {PARENT: study, MLFLOW_RUN_NOTE: note})
        end_run(client, run_id, RunStatus.FINISHED)
        return run_id

    run_id = store.asked(uri, find_or_start)
    send(runs, study, [run_id])
    return run_id


def note_study(runs: Path, study: str, parent: str, note: str) -> None:
    """Write Markdown on the page of a study.

    Args:
        runs: folder of all runs.
        study: its name.
        parent: its run, of `parent_run`.
        note: what was found.

    Raises:
        HarError: there can be no such store.
    """
    if len(note) > LONGEST_TAG:
        note = note[: LONGEST_TAG - len(CUT)].rsplit("\n", 1)[0] + CUT
    with ended_run(runs, study, parent) as run:
        if run is not None:
            run.set_tags({MLFLOW_RUN_NOTE: note})


@contextmanager
def ended_run(runs: Path, name: str, run_id: str) -> Iterator[TrackedRun | None]:
    """A run that has ended, to add something to it; its state and its times stay as they are.

    Args:
        runs: folder of all runs.
        name: of the run.
        run_id: its id.

    Yields:
        None, after a warning, where the store knows no such run.

    Raises:
        HarError: there can be no such store.
    """
    uri = store.opened(store.local_uri(runs), runs)
    if store.is_missing(uri) or not store.asked(uri, lambda: find_run(mlflow.MlflowClient(tracking_uri=uri), run_id)):
        store.warn(f"the MLflow store {uri} has no run {run_id} of {name}; nothing is added to it")
        yield None
        return
    yield TrackedRun(uri, name, run_id)
    send(runs, name, [run_id])


def _owner(uri: str, runs: Path, run_id: str) -> FileLock:
    """The lock of the process that tracks a run, which ends with it, however that ends."""
    folder = store.folder(uri, runs) / OWNERS
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / run_id)


def close_orphans(runs: Path) -> int:
    """End the runs as KILLED that stand as RUNNING though their process is gone.

    Of a process on another machine, its lock says so where both share the folder of the store; else nobody here can tell.

    Args:
        runs: folder of all runs.

    Returns:
        How many.

    Raises:
        HarError: the store cannot be opened.
    """
    closed = _close_orphans(runs)
    if closed:
        send(runs, "a run that was killed", closed)
    return len(closed)


def _close_orphans(runs: Path) -> list[str]:
    uri = store.opened(store.local_uri(runs), runs)
    if store.is_missing(uri):
        return []

    def close() -> list[str]:
        closed = []
        with store.store_lock(uri, runs):
            client = mlflow.MlflowClient(tracking_uri=uri)
            for run in store.search_runs(client, f"attributes.status = '{RUNNING}'"):
                run_id, host, owner = run.info.run_id, run.data.tags.get(HOST), _owner(uri, runs, run.info.run_id)
                path = Path(owner.lock_file)
                if host == socket.gethostname() or (host and path.is_file()):
                    with suppress(Timeout, OSError), owner.acquire(timeout=0):
                        end_run(client, run_id, RunStatus.KILLED)
                        path.unlink(missing_ok=True)
                        closed.append(run_id)
        return closed

    return store.asked(uri, close)


def confirm_finished(runs: Path, run_id: str) -> None:
    """End a run as FINISHED that is whole on disk, where its process died before it could."""
    uri = store.opened(store.local_uri(runs), runs)
    if store.is_missing(uri):
        return
    client = mlflow.MlflowClient(tracking_uri=uri)
    run = store.asked(uri, lambda: find_run(client, run_id))  # it may be another store's
    if run and run.info.status != RunStatus.to_string(RunStatus.FINISHED):
        store.asked(uri, lambda: end_run(client, run_id, RunStatus.FINISHED))
        send(runs, "a run that was killed", [run_id])


@contextmanager
def closing_orphans(runs: Path) -> Iterator[None]:
    """Where what is done inside is interrupted, end the runs of the processes that went down with it."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        close_orphans(runs)
        raise


def push(runs: Path) -> tuple[int, int]:
    """Copy to the server that is named whatever it lacks of the local store, but for trainings that still run.

    Returns:
        Runs of which something was new, and those that are left because they still run.

    Raises:
        HarError: the server cannot be reached, or a call failed; what was copied before is not copied again.
    """
    _close_orphans(runs)
    server, sent, left = store.named_server(), 0, 0
    if server is None:
        return 0, 0
    copies = Copies(runs, server)
    for run_id, running in store.asked(copies.uri, copies.run_ids):
        left += running
        sent += not running and store.asked(server, partial(copies.copy, run_id))
    return sent, left
