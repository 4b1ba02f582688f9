"""A store that several machines share."""

from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from har.tracking import tracked_run, tracking_uri
from har.tracking.experiments import experiment_id


def test_another_machine_makes_the_experiment_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking for it and making it; the lock of `store_lock` holds on one machine alone."""
    with tracked_run(tmp_path, "e", "theirs", {}):
        pass
    look, looked = mlflow.MlflowClient.get_experiment_by_name, []

    def too_early(client: mlflow.MlflowClient, name: str) -> object:
        looked.append(name)
        return None if len(looked) == 1 else look(client, name)

    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", too_early)
    with tracked_run(tmp_path, "e", "ours", {}) as run:
        assert not run.run_id.startswith("unsent:")
    client = mlflow.MlflowClient(tracking_uri(tmp_path))
    (experiment,) = client.search_experiments(filter_string="name = 'e'")
    assert sorted(one.info.run_name for one in client.search_runs([experiment.experiment_id])) == ["ours", "theirs"]


def test_an_experiment_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tracked_run(tmp_path, "e", "a run", {}):
        pass
    client = mlflow.MlflowClient(tracking_uri(tmp_path))
    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", lambda *_: None)
    with pytest.raises(MlflowException, match="already exists"):
        experiment_id(client, "e", tmp_path)
