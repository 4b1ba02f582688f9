"""What is said of a run after its end: the bundle that was made of it, the finding of a study."""

from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from har.tracking.calls import LONGEST_TAG, now_ms
from har.tracking.fresh import is_missing
from har.tracking.journal import Journal, journals
from har.tracking.runs import PARENT, WAITS, TrackedRun
from har.tracking.store import fails, is_down, opened, patiently, remote, renew_patience, unreachable, warn

NOTE = "mlflow.note.content"  # Markdown on the page of a run
CUT = "\n\n(MLflow takes no longer note; the rest stands in the table of the study.)"
UNKNOWN = tuple(map(ErrorCode.Name, (INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST)))  # of an id that no run of the store has


def ended_run(runs: Path, experiment: str, name: str, run_id: str, key: str | None = None) -> TrackedRun | None:
    """A run that has ended, to add something to it; its state and its times stay as they are.

    Args:
        runs: folder of the default store.
        experiment: name of its MLflow experiment.
        name: of the run.
        run_id: its id, or the place of the journal that waited to be sent when it ended.
        key: its tag ``run_key``, by which it is found where it was sent since.

    Returns:
        None, after a warning, where the store knows no such run.

    Raises:
        HarError: there can be no such store.
    """
    uri = opened(runs)
    about = {"experiment": experiment, "name": name, "tags": {}, "start_ms": now_ms(), "run_id": run_id}
    for journal in journals(runs):
        if run_id in (journal.about().get("run_id"), f"{WAITS}{journal.folder.name}"):  # behind what waits already
            return TrackedRun(uri, runs, journal.about(), None, journal)
    if is_missing(uri):
        warn(f"there is no MLflow store at {uri}; nothing is added to {name}")
        return None
    renew_patience(uri)
    try:
        if is_down(uri):
            raise ConnectionError("it did not answer a while ago")
        client = mlflow.MlflowClient(tracking_uri=uri)
        about["run_id"] = patiently(uri, lambda: _known(client, experiment, run_id, key))
        return TrackedRun(uri, runs, about, client)
    except MlflowException as error:
        if error.error_code in UNKNOWN:
            warn(f"the MLflow store {uri} has no run {run_id} of {name}; nothing is added to it")
            return None
        reason: Exception = error
    except Exception as error:  # of the network, of the database
        reason = error
    if not remote(uri):
        raise unreachable(uri, reason) from None
    fails(uri)
    if run_id.startswith(WAITS):  # it was sent, and only the store knows as what
        warn(f"{unreachable(uri, reason)}; nothing is added to {name}, do it again then")
        return None
    warn(f"{unreachable(uri, reason)}; what {name} is to get waits on disk: har track push")
    return TrackedRun(uri, runs, about, None)


def _known(client: mlflow.MlflowClient, experiment: str, run_id: str, key: str | None) -> str:
    if run_id.startswith(WAITS) and key is not None:
        found = client.get_experiment_by_name(experiment)
        sent = (
            client.search_runs([found.experiment_id], f"tags.run_key = '{key}' and attributes.status = 'FINISHED'", max_results=1)
            if found
            else []
        )
        run_id = sent[0].info.run_id if sent else run_id
    return client.get_run(run_id).info.run_id


def _study(journal: Journal) -> str | None:
    return journal.about()["tags"].get(PARENT)


def note_study(runs: Path, experiment: str, study: str, parent: str, note: str) -> None:
    """Write Markdown on the page of a study; where the store is away, that waits on disk.

    Args:
        runs: folder of the default store.
        experiment: name of the MLflow experiment.
        study: its name.
        parent: its run, of `parent_run`; empty where the store could not be reached.
        note: what was found.

    Raises:
        HarError: there can be no such store.
    """
    if parent:
        run = ended_run(runs, experiment, study, parent)
    else:
        about = {"experiment": experiment, "name": study, "tags": {PARENT: study}, "start_ms": now_ms()}
        waiting = [journal for journal in journals(runs) if (journal.about()["experiment"], _study(journal)) == (experiment, study)]
        run = TrackedRun(opened(runs), runs, about, None, waiting[0] if waiting else None)
    if len(note) > LONGEST_TAG:
        note = note[: LONGEST_TAG - len(CUT)].rsplit("\n", 1)[0] + CUT
    if run is not None:
        run.set_tags({NOTE: note})
