"""The state of a run tells how it ended."""

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from har.errors import HarError
from har.tracking.runs import tracked_run
from har.tracking.server import serve
from har.tracking.store import tracking_uri, unlocked
from tests.refusal import refused


def runs_of(folder: Path) -> list:
    client = mlflow.MlflowClient(tracking_uri(folder))
    return [run for experiment in client.search_experiments() for run in client.search_runs([experiment.experiment_id])]


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (None, "FINISHED"),
        (ValueError("end"), "FAILED"),
        (HarError("diverged", "end"), "FAILED"),
        (KeyboardInterrupt("end"), "KILLED"),
        (SystemExit("end"), "KILLED"),
    ],
)
def test_status_at_the_end(raised: BaseException | None, status: str, tmp_path: Path) -> None:
    def work() -> None:
        with tracked_run(tmp_path, "e", "name", {"seed": "1"}) as run:
            run.log_metrics({"a": 1.0})
            if raised:
                raise raised

    if raised:
        with pytest.raises(type(raised)):
            work()
    else:
        work()
    (run,) = runs_of(tmp_path)
    assert run.info.status == status
    assert run.data.metrics == {"a": 1.0}
    assert run.data.tags["seed"] == "1"
    assert run.info.run_name == "name"
    assert run.info.artifact_uri.startswith((tmp_path / "mlartifacts").as_uri())
    assert not (tmp_path / ".copies").exists()


def test_the_fit_neither_ends_the_run_nor_repeats_its_parameters(tmp_path: Path) -> None:
    with tracked_run(tmp_path, "e", "name", {}) as run:
        run.log_params({"a": 1})
        run.log_hyperparams({"a": 2})
        run.log_metrics({"val/x": 0.5, "epoch": 3}, step=999)
        run.finalize("success")
        assert runs_of(tmp_path)[0].info.status == "RUNNING"
    client = mlflow.MlflowClient(tracking_uri(tmp_path))
    assert [(m.step, m.value) for m in client.get_metric_history(run.run_id, "val/x")] == [(3, 0.5)]
    assert client.get_run(run.run_id).data.params == {"a": "1"}


def test_the_environment_names_another_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = f"sqlite:///{tmp_path / 'other.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere)
    assert tracking_uri(tmp_path) == elsewhere
    with tracked_run(tmp_path, "e", "name", {}):
        pass
    assert (tmp_path / "other.db").is_file()
    assert not (tmp_path / "mlflow.db").exists()


def test_a_store_that_cannot_be_reached_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that may come back is only warned of: tests/tracking/test_copies.py."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    with refused("store", "cannot open the MLflow store nonsense://x") as caught, tracked_run(tmp_path, "e", "name", {}):
        pass
    assert "\n" not in str(caught.value)


def test_the_dashboard_needs_a_store_and_a_port(tmp_path: Path) -> None:
    with refused("store-missing"):
        serve(tmp_path, 5000)
    with tracked_run(tmp_path, "e", "name", {}):
        pass
    with refused("argument", "port 70000"):
        serve(tmp_path, 70000)


def test_several_processes_on_a_fresh_store(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from har.tracking.runs import tracked_run
with tracked_run(Path({str(tmp_path)!r}), "e", "name", {{}}) as run:
    run.log_metrics({{"a": 1.0}})
"""
    started = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in started:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    assert [run.info.status for run in runs_of(tmp_path)] == ["FINISHED"] * 4


def test_a_store_that_another_process_is_writing_is_asked_again(tmp_path: Path) -> None:
    """Sqlite gives up after a while; a busy disk may take longer."""
    runs_of(tmp_path)
    path = tmp_path / "mlflow.db"
    other = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    threading.Timer(0.5, other.execute, ["ROLLBACK"]).start()

    def write() -> int:
        with closing(sqlite3.connect(path, timeout=0.01)) as own, own:
            return own.execute("UPDATE experiments SET name = 'e'").rowcount

    assert unlocked(write) == 1
    other.close()
