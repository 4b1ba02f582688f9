"""What is said of a run after its end reaches the store once, also where that was away."""

import socket
from pathlib import Path

import mlflow
import pytest

from har.tracking import ended_run, note_study, parent_run, push, store, tracked_run, tracking_uri
from har.tracking.journal import UNSENT
from har.tracking.later import CUT, NOTE


@pytest.fixture(autouse=True)
def _nothing_is_known_to_be_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_failed_at", {})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs; each test has runs and studies of its own names in its store."""
    return tmp_path_factory.mktemp("runs")


def absent() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def client(runs: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri(runs))


def waiting(runs: Path) -> int:
    return len(list((runs / UNSENT).glob("*")))


def train(runs: Path, name: str) -> str:
    with tracked_run(runs, "e", name, {"run_key": name}) as run:
        run.log_metrics({"a": 1.0})
        return run.run_id


def add(runs: Path, name: str, run_id: str) -> bool:
    """What an export does."""
    file = runs / "bundle.txt"
    file.write_text("bundle")
    run = ended_run(runs, "e", name, run_id, name)
    if run is not None:
        run.log_file(file, "bundle")
        run.set_tags({"bundle_digest": "d"})
    return run is not None


def check(runs: Path, run_id: str, ended_ms: int) -> None:
    found = client(runs).get_run(run_id)
    assert (found.info.status, found.info.end_time, found.data.tags["bundle_digest"]) == ("FINISHED", ended_ms, "d")
    assert [item.path for item in client(runs).list_artifacts(run_id, "bundle")] == ["bundle/bundle.txt"]


def test_something_is_added_to_a_run_that_ended(runs: Path) -> None:
    run_id = train(runs, "here")
    ended_ms = client(runs).get_run(run_id).info.end_time
    assert add(runs, "here", run_id)
    check(runs, run_id, ended_ms)
    assert waiting(runs) == 0


def test_it_waits_where_the_store_is_away(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = train(runs, "away")
    ended_ms = client(runs).get_run(run_id).info.end_time
    monkeypatch.setenv("MLFLOW_TRACKING_URI", absent())
    assert add(runs, "away", run_id)
    assert capsys.readouterr().err.count("what away is to get waits on disk: har track push") == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert push(runs) == (1, 0)
    check(runs, run_id, ended_ms)


def test_it_follows_a_run_that_waits_itself(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", absent())
    waits = train(runs, "waits")
    assert waits.startswith("unsent:")
    assert add(runs, "waits", waits)
    assert waiting(runs) == 1  # in one journal, behind what was there
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert push(runs) == (1, 0)
    experiment = client(runs).get_experiment_by_name("e").experiment_id
    (sent,) = client(runs).search_runs([experiment], "tags.run_key = 'waits'")
    check(runs, sent.info.run_id, sent.info.end_time)
    client(runs).delete_tag(sent.info.run_id, "bundle_digest")
    assert add(runs, "waits", waits)  # its folder knows only where it waited; the store finds it by its key
    check(runs, sent.info.run_id, sent.info.end_time)


@pytest.mark.parametrize("run_id", ["0" * 32, "unsent:of-another-machine"])
def test_a_run_that_nobody_knows_gets_nothing(runs: Path, run_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    train(runs, "known")
    assert not add(runs, "unknown", run_id)
    assert f"has no run {run_id} of unknown; nothing is added to it" in capsys.readouterr().err
    assert waiting(runs) == 0


def test_no_store_is_made_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not add(tmp_path, "run", "0" * 32)
    assert "there is no MLflow store" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.db"))


def test_a_finding_becomes_the_note_of_its_study(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = parent_run(runs, "e", "study", "the question")
    note_study(runs, "e", "study", parent, "first")
    note_study(runs, "e", "study", parent, "# found\n" + 1000 * "| a row |\n")
    note = client(runs).get_run(parent).data.tags[NOTE]
    assert note.startswith("# found")
    assert 7900 < len(note) <= 8000  # MLflow takes no longer one
    assert note.endswith("| a row |" + CUT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", absent())
    note_study(runs, "e", "new", parent_run(runs, "e", "new", "the question"), "before")
    with tracked_run(runs, "e", "child", {"study": "new"}):
        pass
    note_study(runs, "e", "new", "", "last")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert push(runs) == (2, 0)
    experiment = client(runs).get_experiment_by_name("e").experiment_id
    (found,) = client(runs).search_runs([experiment], "tags.study_parent = 'new'")
    assert (found.data.tags[NOTE], found.info.run_name, found.info.status) == ("last", "new", "FINISHED")
    (child,) = client(runs).search_runs([experiment], "tags.study = 'new'")
    assert child.data.tags["mlflow.parentRunId"] == found.info.run_id
