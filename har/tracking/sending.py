"""Sending what could not be tracked when it happened."""

from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import RunStatus
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from har.tracking import calls
from har.tracking.journal import Journal, journals, pushing
from har.tracking.runs import PARENT, open_parent, start
from har.tracking.store import opened, unreachable


def push(runs: Path) -> tuple[int, int]:
    """Send what waits below a folder of runs, but for trainings that still run.

    Returns:
        Runs that were sent, and those that are left because they still run.

    Raises:
        HarError: the store cannot be reached, or a call failed; what was sent before is not sent again.
    """
    uri, sent, left = opened(runs), 0, 0
    with pushing(runs):
        for journal in journals(runs):
            if journal.in_use():
                left += 1
                continue
            try:
                _send(journal, uri, runs)
            except Exception as error:
                raise unreachable(uri, error) from None
            sent += 1
    return sent, left


def _send(journal: Journal, uri: str, runs: Path) -> None:
    client = mlflow.MlflowClient(tracking_uri=uri)

    def begin(about: dict[str, Any]) -> str:
        tags = dict(about["tags"])
        if PARENT in tags:
            return open_parent(uri, runs, about["experiment"], tags[PARENT], "")
        if "study" in tags and MLFLOW_PARENT_RUN_ID not in tags:
            tags[MLFLOW_PARENT_RUN_ID] = open_parent(uri, runs, about["experiment"], tags["study"], "")
        return start(uri, runs, about | {"tags": tags})[1]

    run_id = journal.send(begin, lambda run_id, *call: calls.perform(client, run_id, *call))
    if client.get_run(run_id).info.status == RunStatus.to_string(RunStatus.RUNNING):  # its process was killed
        calls.end_run(client, run_id, RunStatus.to_string(RunStatus.KILLED))
