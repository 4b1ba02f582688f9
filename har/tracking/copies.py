"""The copy of each run on the server that MLFLOW_TRACKING_URI names.

Trainings write to the local store alone. A thread of theirs copies what is new every few seconds, and `har track push` whatever is
missing. A copy has the id of its run as a tag, by which it is found again; what was copied is noted next to the local store. To copy the
same again changes nothing: MLflow keeps a point of a metric once, and a file replaces its predecessor.
"""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from mlflow.entities import DatasetInput, Metric, Param, Run, RunStatus, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from har.files import write_whole
from har.redaction import redacted
from har.tracking import store

COPIES = ".copies"  # in the folder of the local store: a file for each run that was copied
ORIGIN = "har.copy_of"  # tag of a copy: id of the run in the local store
EVERY_S = 5.0  # how often a running training is copied
PATIENCE_S = 7.0  # how long the end of a run is waited for on its server
DOWN_S = 300.0  # how long this process does not wait for a server that did not answer
MOST = {"params": 100, "tags": 100, "metrics": 1000}  # of one request
UNKNOWN = tuple(map(ErrorCode.Name, (INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST)))  # of an id that no run of the store has
RUNNING = RunStatus.to_string(RunStatus.RUNNING)
_failed_at: dict[str, float] = {}


def experiment_of(client: mlflow.MlflowClient, uri: str, runs: Path, name: str) -> str:
    """The id of an experiment, which is made where it is not there yet."""
    database = uri.split("://")[0].split("+")[0] in DATABASE_ENGINES  # which holds no artifacts; a server has its own place for them
    location = (store.home(runs) / store.ARTIFACTS).resolve().as_uri() if database else None
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:  # another process was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return found.experiment_id


def log_batches(client: mlflow.MlflowClient, run_id: str, **items: list[Any]) -> None:
    """Log ``params``, ``tags`` and ``metrics``, in requests that are small enough."""
    for kind, every in items.items():
        for first in range(0, len(every), MOST[kind]):
            client.log_batch(run_id, **{kind: every[first : first + MOST[kind]]})  # type: ignore[arg-type] # synchronous is none of them


def log_datasets(client: mlflow.MlflowClient, run_id: str, data: list[DatasetInput]) -> None:
    """MLflow looks whether its store has a data set and then adds it; two runs that begin together may both add it, and one is refused."""
    try:
        client.log_inputs(run_id, data)
    except Exception as error:  # SQLAlchemy's, or a server's with its words
        if not any(words in str(error).lower() for words in ("unique constraint", "duplicate")):  # sqlite's and PostgreSQL's, MySQL's
            raise
        client.log_inputs(run_id, data)  # it is there now


def find_run(client: mlflow.MlflowClient, run_id: str) -> Run | None:
    """A run by its id; None where the store has no such run."""
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            return None
        raise


class Copies:
    """The copies of the runs of a local store on a server, which is asked when the first one is copied.

    Args:
        runs: folder of all runs.
        server: address of the server.
    """

    def __init__(self, runs: Path, server: str) -> None:
        self._runs, self._server, self.uri = runs, server, store.opened(store.local_uri(runs), runs)

    def run_ids(self) -> list[tuple[str, bool]]:
        """The runs of the local store, the first one first, and whether they are running."""
        if store.is_missing(self.uri):
            return []
        local = mlflow.MlflowClient(tracking_uri=self.uri)
        found = store.search_runs(local, max_results=50_000, order_by=["attributes.start_time"])  # the most that MLflow allows
        return [(run.info.run_id, run.info.status == RUNNING) for run in found]

    def is_whole(self, run_id: str) -> bool:
        """Whether a run was copied as it is now; the server is not asked."""
        return self._note(run_id).get("digest") == self._now(run_id)[1]["digest"]

    def copy(self, run_id: str) -> bool:
        """Copy what is new of a run, and first the run of its study.

        Returns:
            Whether anything was new.

        Raises:
            Exception: whatever MLflow raises.
        """
        place = self._place(run_id)
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_suffix(".lock")):  # two that copy it at once would make two copies
            remote, note = mlflow.MlflowClient(tracking_uri=self._server), self._note(run_id)
            copy = find_run(remote, note["copy"]) if note else None  # None also where it is on another server
            before = note if copy else {}
            run, now = store.unlocked(lambda: self._now(run_id))
            if copy is None:
                copy = self._make(remote, run)
            elif before.get("digest") == now["digest"]:
                return False
            if copy.info.lifecycle_stage != "deleted":  # by somebody who does not want it
                self._update(remote, copy, run)
                points = store.unlocked(lambda: self._points(run_id, before.get("row", 0), now["row"]))
                log_batches(remote, copy.info.run_id, metrics=points)
                for name, stamp in now["files"].items():
                    if before.get("files", {}).get(name) != stamp:
                        file = store.local_path(f"{run.info.artifact_uri}/{name}")
                        remote.log_artifact(copy.info.run_id, str(file), name.rpartition("/")[0] or None)
                _end(remote, copy, run)
            write_whole(place, json.dumps(now | {"copy": copy.info.run_id}))
        return True

    def _place(self, run_id: str) -> Path:
        return store.home(self._runs) / COPIES / f"{run_id}.json"

    def _note(self, run_id: str) -> dict[str, Any]:
        """What is noted of a copy; where the file is missing or damaged, everything is copied again."""
        try:
            return json.loads(self._place(run_id).read_text())
        except (OSError, ValueError):
            return {}

    def _now(self, run_id: str) -> tuple[Run, dict[str, Any]]:
        """A run as it is in the local store, and what to note when all of that is copied."""
        run = mlflow.MlflowClient(tracking_uri=self.uri).get_run(run_id)
        ((row,),) = self._rows("SELECT max(rowid) FROM metrics WHERE run_uuid = ?", run_id)
        root, stamps = store.local_path(run.info.artifact_uri), {}
        for path in sorted(path for path in root.rglob("*") if path.is_file()) if root else []:
            stamps[path.relative_to(str(root)).as_posix()] = [path.stat().st_size, path.stat().st_mtime_ns]
        note = {"row": row or 0, "files": stamps}
        content = json.dumps([redacted(self._server), run.to_dictionary(), note], sort_keys=True, default=str)
        return run, note | {"digest": hashlib.sha256(content.encode()).hexdigest()}

    def _points(self, run_id: str, after: int, last: int) -> list[Metric]:
        query = "SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ? AND rowid > ? AND rowid <= ? ORDER BY rowid"
        rows = self._rows(query, run_id, after, last)
        return [Metric(key, float("nan") if is_nan else value, at, step) for key, value, at, step, is_nan in rows]

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(str(store.store_file(self.uri)), timeout=store.LOCKED_S)) as opened:
            return opened.execute(query, values).fetchall()

    def _make(self, remote: mlflow.MlflowClient, run: Run) -> Run:
        name = mlflow.MlflowClient(tracking_uri=self.uri).get_experiment(run.info.experiment_id).name
        experiment, tags = experiment_of(remote, self._server, self._runs, name), {ORIGIN: run.info.run_id}
        found = _copy_of(remote, run.info.run_id, experiment)
        return found or remote.create_run(experiment, run.info.start_time, tags, run_name=run.info.run_name)

    def _update(self, remote: mlflow.MlflowClient, copy: Run, run: Run) -> None:
        """Parameters, tags and data sets."""
        tags = dict(run.data.tags)
        if MLFLOW_PARENT_RUN_ID in tags:
            parent = copy.data.tags.get(MLFLOW_PARENT_RUN_ID) or self._parent(remote, tags.pop(MLFLOW_PARENT_RUN_ID), copy)
            tags |= {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
        params = [Param(key, value) for key, value in run.data.params.items() if key not in copy.data.params]
        new_tags = [RunTag(key, value) for key, value in tags.items() if copy.data.tags.get(key) != value]
        log_batches(remote, copy.info.run_id, params=params, tags=new_tags)
        if run.inputs and run.inputs.dataset_inputs:
            log_datasets(remote, copy.info.run_id, run.inputs.dataset_inputs)

    def _parent(self, remote: mlflow.MlflowClient, parent: str, copy: Run) -> str | None:
        if find_run(mlflow.MlflowClient(tracking_uri=self.uri), parent):
            self.copy(parent)
            return self._note(parent)["copy"]
        found = _copy_of(remote, parent, copy.info.experiment_id)  # of a study that another machine drives
        return found.info.run_id if found else None


def _copy_of(remote: mlflow.MlflowClient, run_id: str, experiment: str) -> Run | None:
    return next(iter(remote.search_runs([experiment], f"tags.`{ORIGIN}` = '{run_id}'", ViewType.ALL, max_results=1)), None)


def _end(remote: mlflow.MlflowClient, copy: Run, run: Run) -> None:
    if run.info.status != RUNNING:
        remote.set_terminated(copy.info.run_id, run.info.status, run.info.end_time)
    elif copy.info.status != RUNNING:
        remote.update_run(copy.info.run_id, RUNNING)


@contextmanager
def copying(runs: Path, name: str, run_ids: Iterable[str], *, live: bool = True) -> Iterator[None]:
    """Copy runs to the server that is named, in a thread: every few seconds, and what is left when this ends.

    A server that is absent or silent costs `PATIENCE_S` at most; then a warning names what sends the rest. Nothing is copied where no
    server is named.

    Args:
        runs: folder of all runs.
        name: of what is copied, for the warning.
        run_ids: in the local store.
        live: copy also before the end.
    """
    server = store.named_server()
    if server is None:
        yield
        return
    over, copies, problems = threading.Event(), Copies(runs, server), [""]

    def copy() -> None:
        try:
            for run_id in run_ids:
                copies.copy(run_id)
            problems.append("")
            _failed_at.pop(server, None)
        except Exception as error:  # MLflow's, of the network, of the database: each store has its own
            problems.append(str(store.unreachable(server, error)))
            if not any(problems[:-1]) and not over.is_set():
                store.warn(f"{problems[-1]}; the training goes on, tracked in {copies.uri}")

    def work() -> None:
        while live and not over.is_set():
            copy()
            over.wait(EVERY_S)
        over.wait()
        copy()

    thread = threading.Thread(target=work, name="copies", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(0.0 if time.monotonic() - _failed_at.get(server, float("-inf")) < DOWN_S else PATIENCE_S)
        problem = f"the MLflow server {redacted(server)} did not answer in time" if thread.is_alive() else problems[-1]
        if problem:
            _failed_at[server] = time.monotonic()
            store.warn(f"{problem}; {name} is kept in {copies.uri}, to be sent later: har track push")


def send(runs: Path, name: str, run_ids: Iterable[str]) -> None:
    """Copy runs that have ended to the server that is named, as far as it answers."""
    with copying(runs, name, run_ids, live=False):
        pass


def store_facts(runs: Path) -> tuple[str, int]:
    """Describe where runs are tracked, and count those that are not on the server that is named, or not wholly.

    Args:
        runs: folder of all runs.

    Raises:
        HarError: the store cannot be reached.
    """
    store.quiet()
    uri, server, waiting = store.tracking_uri(runs), store.named_server(), 0
    if server is not None:
        copies = Copies(runs, server)
        waiting = store.asked(copies.uri, lambda: sum(not copies.is_whole(run_id) for run_id, _ in copies.run_ids()))
    if store.is_missing(uri):
        return f"{uri}, made by the first training", waiting
    found = store.asked(uri, lambda: mlflow.MlflowClient(tracking_uri=uri).search_experiments(ViewType.ACTIVE_ONLY))
    return f"{uri}: {', '.join(sorted(one.name for one in found if one.name != 'Default')) or 'no experiments yet'}", waiting
