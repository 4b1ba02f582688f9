"""The experiment that a run belongs to."""

from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES

ARTIFACTS = "mlartifacts"  # below the folder of all runs, where the store is a database without a server


def experiment_id(client: mlflow.MlflowClient, name: str, runs: Path) -> str:
    """The id of an experiment, which is made where it is not there yet.

    A server decides where artifacts go; a database alone cannot hold them, so they stay beside the runs.

    Args:
        client: of the store.
        name: of the experiment.
        runs: folder of all runs.
    """
    found = client.get_experiment_by_name(name)
    if found:
        return found.experiment_id
    database = client.tracking_uri.split("://")[0].split("+")[0] in DATABASE_ENGINES
    try:
        return client.create_experiment(name, artifact_location=(runs / ARTIFACTS).resolve().as_uri() if database else None)
    except MlflowException:  # another machine may have made it just now
        found = client.get_experiment_by_name(name)
        if not found:
            raise
        return found.experiment_id
