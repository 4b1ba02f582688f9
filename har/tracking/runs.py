"""One MLflow run per training, with the right status at its end, and nothing lost where the store cannot be reached."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from matplotlib.figure import Figure
from mlflow.entities import RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
from pytorch_lightning.loggers.logger import Logger

from har.redaction import redacted
from har.tracking import calls
from har.tracking.journal import Journal, journals
from har.tracking.owners import owned
from har.tracking.relocation import ARTIFACTS
from har.tracking.store import (
    fails,
    is_down,
    opened,
    patiently,
    remote,
    renew_patience,
    store_lock,
    unreachable,
    warn,
)
from har.tracking.system_metrics import SystemMetrics

PARENT = "study_parent"  # tag of the run of a study
WAITS = "unsent:"  # before the name of its journal, the id of a run that the store does not know yet


class EpochLogger(Logger):
    """Lightning's metrics into a tracked run, with epochs as steps; the run's parameters and its end are not Lightning's.

    Attributes:
        system: what the machine does meanwhile; logged with the epochs once it was started.
    """

    def __init__(self, run: "TrackedRun") -> None:
        super().__init__()
        self._run = run
        self.system = SystemMetrics(run.log_metrics)

    @property
    def name(self) -> str:
        return "mlflow"

    @property
    def version(self) -> str:
        return self._run.run_id

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        epoch = values.pop("epoch", step)
        self._run.log_metrics(values, int(epoch or 0))
        self.system.flush()

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """The run's parameters are logged once, by `TrackedRun`."""


class TrackedRun:
    """One MLflow run. Where a call fails, or calls are too slow, it and all that follow wait in a journal, and the training goes on.

    Args:
        uri: of the store.
        runs: folder of all runs.
        about: what starts the run, see `Journal.begin`; with its ``run_id`` where it was started.
        client: of the store; None where it could not be reached.
        journal: that holds calls of this run already.
    """

    def __init__(
        self, uri: str, runs: Path, about: dict[str, Any], client: mlflow.MlflowClient | None, journal: Journal | None = None
    ) -> None:
        self._uri, self._runs, self._about, self._client, self._journal = uri, runs, about, client, journal
        self.killed = False  # set where the run is ended on purpose before its end
        self.logger = EpochLogger(self)
        if client is None and journal is None:
            self._journal = Journal.begin(runs, about)

    @property
    def run_id(self) -> str:
        """The id in the store, or the place of the journal that waits to be sent."""
        known = self._about.get("run_id")
        return known or f"{WAITS}{self._journal.folder.name if self._journal else ''}"

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Parameters, one a key; the whole config goes to `log_dict`."""
        self._call(calls.PARAMS, {key: str(value) for key, value in params.items()})

    def log_dict(self, content: dict[str, Any], name: str) -> None:
        """A JSON or YAML artifact."""
        self._call(calls.DICT, {"content": content, "artifact": name})

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0, at_ms: int | None = None) -> None:
        """Metrics of an epoch, or final ones; measured now unless `at_ms` says when."""
        self._call(calls.METRICS, {"metrics": dict(metrics), "step": step, "timestamp_ms": at_ms or calls.now_ms()})

    def log_dataset(self, name: str, digest: str, context: str, source: Mapping[str, Any], profile: Mapping[str, Any]) -> None:
        """Data that the run uses, without a copy of them.

        Args:
            name: of the data.
            digest: of their content.
            context: what for: ``training`` or ``validation``.
            source: where they come from: ``type``, as MLflow names it, and its own entries.
            profile: what else is known of them.
        """
        about = {"name": name, "digest": digest, "source": dict(source), "profile": dict(profile)}
        self._call(calls.DATASET, about | {"context": context})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags beside those that it was started with."""
        self._call(calls.TAGS, dict(tags))

    def log_figure(self, figure: Figure, name: str) -> None:
        """A figure as a PNG artifact."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            figure.savefig(path)
            self._call(calls.FILE, {"folder": None}, path)

    def log_text(self, text: str, name: str) -> None:
        """A text artifact."""
        self._call(calls.TEXT, {"text": text, "artifact": name})

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """A file artifact."""
        self._call(calls.FILE, {"folder": folder}, path)

    def log_onnx(self, path: Path, input_shape: tuple[int, ...], num_classes: int) -> None:
        """An ONNX file as an MLflow model with its signature.

        Args:
            path: of the file; its input is ``windows``, its output ``probabilities``.
            input_shape: (time, channel) of a window.
            num_classes: length of the output.
        """
        self._call(calls.MODEL, {"input_shape": list(input_shape), "num_classes": num_classes}, path)

    def end(self, status: int) -> None:
        """End the run, and say where what could not be sent waits."""
        self._call(calls.END, {"status": RunStatus.to_string(status), "end_ms": calls.now_ms()})
        if self._journal is not None:
            warn(f"{self._about['name']} is not tracked to its end; what is missing waits in {self._journal.folder}: har track push")

    def _call(self, name: str, values: dict[str, Any], file: Path | None = None) -> None:
        if self._journal is None and self._client is not None:
            client, run_id = self._client, self._about["run_id"]
            try:
                patiently(self._uri, lambda: calls.perform(client, run_id, name, values, file))
                return
            except Exception as error:  # MLflow's, of the network, of the database: each store has its own
                fails(self._uri)
                self._wait(redacted(str(error).split("\n")[0])[:200])
        assert self._journal is not None
        self._journal.add(name, values, file)

    def _wait(self, why: str) -> None:
        warn(f"the MLflow store {self._uri} cannot be used ({why}); the training goes on, its tracking waits on disk")
        self._journal = Journal.begin(self._runs, self._about)


@contextmanager
def tracked_run(runs: Path, experiment: str, name: str, tags: Mapping[str, str], run_id: str | None = None) -> Iterator[TrackedRun]:
    """Start a run and end it as it deserves: FINISHED, FAILED, or KILLED after Ctrl-C or SIGTERM.

    A process that is killed ends nothing; `close_orphans` does, when somebody looks. A store over a network that is away or slow
    costs `PATIENCE_S` and a warning; `push` sends later what was kept.

    Args:
        runs: folder of the default store.
        experiment: name of the MLflow experiment.
        name: of the run.
        tags: of the run.
        run_id: of an earlier run to go on with; where nobody knows it, a new one is started.

    Raises:
        HarError: there can be no such store.
    """
    uri = opened(runs)
    with owned(runs) as own_tags:
        about = {"experiment": experiment, "name": name, "tags": {**tags, **own_tags}, "start_ms": calls.now_ms(), "run_id": run_id}
        run = _open(uri, runs, about)
        status = RunStatus.FAILED
        try:
            with run.logger.system:
                yield run
            status = RunStatus.KILLED if run.killed else RunStatus.FINISHED
        except (KeyboardInterrupt, SystemExit):
            status = RunStatus.KILLED
            raise
        finally:
            run.end(status)
            renew_patience(uri)


def _open(uri: str, runs: Path, about: dict[str, Any]) -> TrackedRun:
    known = about["run_id"]
    for journal in journals(runs) if known else []:
        said = journal.about()
        if known in (said.get("run_id"), f"{WAITS}{journal.folder.name}"):  # the rest has to come behind what waits already
            journal.belongs_to(about["tags"])
            return TrackedRun(uri, runs, said, None, journal)
    if known and known.startswith(WAITS):
        about["run_id"] = None  # it was sent and is another run's now
    if not is_down(uri):
        try:
            client, about["run_id"] = patiently(
                uri, lambda: start(uri, runs, about), late=lambda found: None if found[1] == known else found[0].delete_run(found[1])
            )
            return TrackedRun(uri, runs, about, client)
        except Exception as error:
            reason = unreachable(uri, error)
            if not remote(uri):
                raise reason from None
            fails(uri)
            warn(f"{reason}; the training goes on, its tracking waits on disk")
    return TrackedRun(uri, runs, about, None)


def start(uri: str, runs: Path, about: dict[str, Any]) -> tuple[mlflow.MlflowClient, str]:
    """Start the run that is described, or go on with it where it has an id that the store knows; raises what MLflow raises."""
    client, experiment_id = _experiment(uri, runs, about["experiment"])
    if about.get("run_id") and _reopened(client, about["run_id"], about["tags"]):
        return client, about["run_id"]
    run = client.create_run(experiment_id, start_time=about["start_ms"], tags={**about["tags"], MLFLOW_RUN_NAME: about["name"]})
    return client, run.info.run_id


def _experiment(uri: str, runs: Path, name: str) -> tuple[mlflow.MlflowClient, str]:
    database = uri.split("://")[0].split("+")[0] in DATABASE_ENGINES  # which holds no artifacts; a server has its own place for them
    location = (runs / ARTIFACTS).resolve().as_uri() if database else None
    with store_lock(runs):
        client = mlflow.MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return client, client.create_experiment(name, artifact_location=location)
            except MlflowException:  # another process was faster
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
    return client, found.experiment_id


def _reopened(client: mlflow.MlflowClient, run_id: str, tags: Mapping[str, str]) -> bool:
    try:
        client.update_run(run_id, RunStatus.to_string(RunStatus.RUNNING))
    except MlflowException:  # deleted, or of another store
        return False
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    return True


def parent_run(runs: Path, experiment: str, study: str, note: str) -> str:
    """The MLflow run of a study, under which its jobs stand; made where it is not there yet, empty where the store cannot be reached.

    Args:
        runs: folder of the default store.
        experiment: name of the MLflow experiment.
        study: its name.
        note: Markdown shown on the run's page.

    Raises:
        HarError: there can be no such store.
    """
    uri = opened(runs)
    if is_down(uri):
        return ""
    try:
        return patiently(uri, lambda: open_parent(uri, runs, experiment, study, note))
    except Exception as error:
        if not remote(uri):
            raise unreachable(uri, error) from None
        fails(uri)
        warn(f"{unreachable(uri, error)}; the study goes on")
        return ""


def open_parent(uri: str, runs: Path, experiment: str, study: str, note: str) -> str:
    """As `parent_run`, but raises what MLflow raises."""
    with store_lock(runs):
        client = mlflow.MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(experiment)
        there = client.search_runs([found.experiment_id], f"tags.{PARENT} = '{study}'", max_results=1) if found else []
    if there:
        return there[0].info.run_id
    tags = {PARENT: study, "mlflow.note.content": note}
    client, run_id = start(uri, runs, {"experiment": experiment, "name": study, "tags": tags, "start_ms": calls.now_ms()})
    calls.end_run(client, run_id, RunStatus.to_string(RunStatus.FINISHED))
    return run_id
