"""A store that several machines share."""

from pathlib import Path

import mlflow
import pytest

from har.tracking.runs import tracked_run
from har.tracking.store import tracking_uri


def test_another_machine_makes_the_experiment_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking for it and making it; no lock reaches another machine."""
    with tracked_run(tmp_path, "e", "theirs", {}):
        pass
    look, looked = mlflow.MlflowClient.get_experiment_by_name, []

    def too_early(client: mlflow.MlflowClient, name: str) -> object:
        looked.append(name)
        return None if len(looked) == 1 else look(client, name)

    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", too_early)
    with tracked_run(tmp_path, "e", "ours", {}):
        pass
    client = mlflow.MlflowClient(tracking_uri(tmp_path))
    (experiment,) = client.search_experiments(filter_string="name = 'e'")
    assert sorted(one.info.run_name for one in client.search_runs([experiment.experiment_id])) == ["ours", "theirs"]
