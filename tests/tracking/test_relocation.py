"""A folder of runs that is moved, copied or oddly named keeps its own artifacts."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from har.tracking.runs import close_orphans, ended_run, push, tracked_run
from har.tracking.store import ARTIFACTS, PLACES, tracking_uri
from tests.refusal import refused


def track(runs: Path, name: str) -> str:
    """A run with an artifact."""
    with tracked_run(runs, "e", name, {}) as run:
        run.log_text(name, "name.txt")
        return run.run_id


def add(runs: Path, run_id: str) -> None:
    """What an export does, in a process of its own, as MLflow remembers places of artifacts."""
    code = (
        "import sys; from pathlib import Path; from har.tracking.runs import ended_run\n"
        f"with ended_run(Path({str(runs)!r}), 'first', {run_id!r}) as run: run.log_text('bundle', 'bundle.txt')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def text(runs: Path, run_id: str, name: str) -> str:
    """An artifact, as MLflow's own client finds it."""
    client = mlflow.MlflowClient(tracking_uri(runs))
    return Path(client.download_artifacts(run_id, name)).read_text()


def values(runs: Path) -> list[str]:
    """Every place that the store knows."""
    with closing(sqlite3.connect(runs / "mlflow.db")) as store:
        return [str(value) for table, column in PLACES for (value,) in store.execute(f"SELECT {column} FROM {table}")]


@pytest.fixture
def original(tmp_path: Path) -> tuple[Path, str]:
    """A folder of runs and the run in it; a run that was killed and a registered model have their places in its store, too."""
    runs = tmp_path / "original" / "runs"
    run_id = track(runs, "first")
    client = mlflow.MlflowClient(tracking_uri(runs), tracking_uri(runs))
    experiment = client.get_run(run_id).info.experiment_id
    client.create_run(experiment, tags={"note": f"{runs}/stays"})
    logged = client.create_logged_model(experiment, "m", run_id)
    client.create_registered_model("m")
    client.create_model_version("m", logged.artifact_location, run_id)
    return runs, run_id


def test_a_copy_never_writes_into_the_original(original: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, run_id = original
    copy = tmp_path / "copy"
    shutil.copytree(runs, copy)
    before = files(runs)
    add(copy, run_id)
    second = track(copy, "second")
    assert files(runs) == before
    assert (copy / ARTIFACTS / run_id / "artifacts" / "bundle.txt").is_file()
    assert (copy / ARTIFACTS / second / "artifacts" / "name.txt").is_file()
    assert not [value for value in values(copy) if str(runs) in value and not value.endswith("/stays")]
    capsys.readouterr()
    track(copy, "third")
    assert capsys.readouterr().err == "", "it is said once"


def test_a_moved_folder_simply_works(original: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, run_id = original
    moved = tmp_path / "moved to"
    runs.rename(moved)
    second = track(moved, "second")
    said = capsys.readouterr().err
    assert f"the MLflow store of {runs} was moved to {moved}; its artifacts are now kept in {moved / ARTIFACTS}" in said
    assert text(moved, run_id, "name.txt") == "first"
    assert text(moved, second, "name.txt") == "second"
    client = mlflow.MlflowClient(tracking_uri(moved))
    model = client.search_logged_models([client.get_run(run_id).info.experiment_id])[0]
    assert model.artifact_location.startswith((moved / ARTIFACTS).as_uri())
    assert client.get_model_version_download_uri("m", "1").startswith((moved / ARTIFACTS).as_uri())
    assert not runs.parent.joinpath("runs").exists()


def test_a_store_that_is_named_by_its_address_is_found_out_too(
    original: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, run_id = original
    copy = tmp_path / "copy"
    shutil.copytree(runs, copy)
    before = files(runs)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{copy / 'mlflow.db'}")
    track(tmp_path / "other runs", "second")
    add(tmp_path / "other runs", run_id)
    assert files(runs) == before
    assert (copy / ARTIFACTS / run_id / "artifacts" / "bundle.txt").is_file()


def test_a_store_shared_by_two_folders_of_runs_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'shared.db'}")
    first = track(tmp_path / "a", "first")
    track(tmp_path / "b", "second")
    assert text(tmp_path / "b", first, "name.txt") == "first"
    assert (tmp_path / "a" / ARTIFACTS / first).is_dir()


def test_a_store_that_was_copied_without_its_artifacts_is_refused(original: tuple[Path, str], tmp_path: Path) -> None:
    runs, run_id = original
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copyfile(runs / "mlflow.db", copy / "mlflow.db")
    before = files(copy)
    for act in (
        lambda: track(copy, "second"),
        lambda: close_orphans(copy),
        lambda: push(copy),
        lambda: ended_run(copy, "n", run_id).__enter__(),
    ):
        with refused("store", r"copy .*/original/runs/mlartifacts to .*/copy/mlartifacts, or .* --runs .*/original/runs$"):
            act()
    assert files(copy) == before | {name: content for name, content in files(copy).items() if name.startswith(".")}
    shutil.copytree(runs / ARTIFACTS, copy / ARTIFACTS)  # as the message says
    track(copy, "second")
    assert text(copy, run_id, "name.txt") == "first"


@pytest.mark.parametrize("name", ["with space", "a#b", "100%", "größe 数", "a&b=c;d", 'it\'s "here"', "[x]", "a+b"])
def test_odd_names_of_folders(name: str, tmp_path: Path) -> None:
    runs = tmp_path / name / "runs"
    run_id = track(runs, "first")
    assert text(runs, run_id, "name.txt") == "first"
    assert (runs / ARTIFACTS / run_id / "artifacts" / "name.txt").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a%20b", "a?b", "what?"])
def test_names_that_mlflow_cannot_hold_are_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    runs = tmp_path / name / "runs"
    for act in (lambda: track(runs, "first"), lambda: close_orphans(runs), lambda: push(runs)):
        with refused("store", r"MLflow cannot keep a store in the folder .*name a folder without them with --runs"):
            act()
    assert not list(tmp_path.iterdir())


def test_a_client_that_was_set_by_somebody_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a library: two folders of runs in one process have a store each, and MLflow's own setting stays."""
    before = mlflow.get_tracking_uri()
    for name in ("a", "b"):
        track(tmp_path / name, name)
        assert (tmp_path / name / "mlflow.db").is_file()
        assert "MLFLOW_TRACKING_URI" not in os.environ
    assert mlflow.get_tracking_uri() == before
