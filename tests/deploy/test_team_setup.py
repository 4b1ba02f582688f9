"""The team's set-up of `deploy/`, for real: what the commands leave in PostgreSQL and S3 through MLflow's server, and when it dies."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import mlflow
import mlflow.onnx
import onnx
import pytest

from har.cli import main
from har.runs.run_folder import RunFolder
from har.tracking import copies
from har.tracking.copies import ORIGIN
from har.tracking.runs import tracked_run
from tests.deploy.services import Team, missing

ROOT = Path(__file__).parents[2]
SERVER_SIDE = ("boto3", "psycopg2")  # what only the server may need
EPOCHS = 8
PATIENCE_S = 200.0  # so that a machine with much other work does not make the server look slow
CONFIG = """
data: {dataset: synthetic, validation_subjects: [5, 15]}
model: {name: cnn1d, options: {width: 8, depth: 2}}
training: {threads: 1, batch_size: 256, epochs: 1}
"""
STUDY = """
question: Does anything help?
configs: [small]
split: {kind: kfold, folds: 3, subjects: training, validation: 0}
folds: [0]
change: {training.keep: last}
settings:
  plain: {idea: nothing}
  turned: {idea: rotations, change: {augmentation.rotation_deg: 5}}
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with ExitStack() as stack:
        yield Team(tmp_path_factory.mktemp("services"), stack)


@pytest.fixture(scope="module")
def workplace_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where somebody works: configs, a study, and modules that raise where the server's packages are imported."""
    folder = tmp_path_factory.mktemp("somebody")
    (folder / "configs").mkdir()
    (folder / "configs/small.yaml").write_text(CONFIG)
    (folder / "tiny.yaml").write_text(STUDY)
    (folder / "absent").mkdir()
    for name in SERVER_SIDE:
        (folder / f"absent/{name}.py").write_text(f"raise ImportError('{name} is not installed')\n")
    return folder


@pytest.fixture
def client(team: Team, workplace_of_all: Path, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    """Somebody's machine: the address of the server is all that it knows. The commands start in `workplace_of_all`."""
    monkeypatch.chdir(workplace_of_all)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", team.uri)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(workplace_of_all / "absent"), str(ROOT)]))
    monkeypatch.setattr(copies, "PATIENCE_S", PATIENCE_S)
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_S3_"))]:
        monkeypatch.delenv(name)
    for name in SERVER_SIDE:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(copies, "_failed_at", {})
    return mlflow.MlflowClient(tracking_uri=team.uri)


def run_of(client: mlflow.MlflowClient, filter_string: str) -> Any:
    """The only run that is found."""
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()], filter_string)
    return run


def epochs_of(client: mlflow.MlflowClient, run_id: str) -> list[int]:
    return [point.step for point in client.get_metric_history(run_id, "val/macro_f1")]


def check_weights(client: mlflow.MlflowClient, team: Team, run_id: str, folder: Path, target: Path) -> None:
    """What lies in the run folder, what MLflow's server sends and what the S3 store holds are the same bytes."""
    kept = RunFolder(folder).checkpoint.read_bytes()
    target.mkdir(exist_ok=True)
    assert Path(client.download_artifacts(run_id, "checkpoint/best.ckpt", str(target))).read_bytes() == kept
    assert team.object(f"/{run_id}/artifacts/checkpoint/best.ckpt") == kept


def test_a_training_is_tracked_whole(client: mlflow.MlflowClient, team: Team, tmp_path: Path) -> None:
    assert main(["train", "--config", "configs/small.yaml", "--quiet"]) == 0
    folder = RunFolder(Path("runs/synthetic/small/seed-0"))
    info = folder.info()
    run = run_of(client, f"tags.`{ORIGIN}` = '{info.mlflow_run_id}'")
    assert (run.info.run_name, run.info.status) == ("small-seed0-synthetic", "FINISHED")
    wanted = {"model": "cnn1d", "seed": "0", "synthetic": "true", "data_digest": info.origin.data_digest, "git_commit": info.origin.commit}
    assert wanted.items() <= run.data.tags.items()
    assert run.data.params["model.options"] == "{'width': 8, 'depth': 2}"
    assert run.data.metrics["best/val_macro_f1"] == pytest.approx(info.score)
    assert epochs_of(client, run.info.run_id) == [0]
    check_weights(client, team, run.info.run_id, folder.path, tmp_path)
    model = mlflow.onnx.load_model(f"runs:/{run.info.run_id}/model", str(tmp_path))
    assert model.SerializeToString() == onnx.load(folder.path / "model.onnx").SerializeToString()
    assert team.ask(f"SELECT status FROM runs WHERE run_uuid = '{run.info.run_id}'") == "FINISHED"
    assert main(["evaluate", "--dataset", "synthetic", "--model", "small", "--brief"]) == 0


def test_two_workers_sweep_at_once(client: mlflow.MlflowClient, team: Team, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "tiny.yaml", "--workers", "2"]) == 0
    assert "2 jobs, 0 done before, 2 to do in 2 processes" in capsys.readouterr().out
    assert main(["track", "push"]) == 0  # on a machine with much other work, calls may have cost a worker more than it waits for
    parent = run_of(client, "tags.study_parent = 'tiny'")
    for setting in ("plain", "turned"):
        run = run_of(client, f"tags.study = 'tiny' and tags.setting = '{setting}'")
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        (folder,) = Path(f"runs/synthetic/studies/tiny/small-{setting}").iterdir()
        check_weights(client, team, run.info.run_id, folder, tmp_path / setting)


def test_a_server_that_is_killed_gets_the_rest_later(client: mlflow.MlflowClient, team: Team, tmp_path: Path) -> None:
    patient = "from har.cli import main; from har.tracking import copies; copies.EVERY_S = 0.5; raise SystemExit(main())"
    options = ["--config", "configs/small.yaml", "--seed", "1", "--epochs", str(EPOCHS), "--quiet"]
    command = [sys.executable, "-c", patient, "train", *options]
    with open(tmp_path / "said", "wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as training:
        try:
            run_id = in_its_first_epochs(client, training)
            team.kill()
            assert training.poll() is None
            assert training.wait(200) == 0
        finally:
            training.kill()
    team.start()
    text = (tmp_path / "said").read_text()
    assert text.count("har track push") == 1
    assert client.get_run(run_id).info.status == "RUNNING"
    assert len(epochs_of(client, run_id)) < EPOCHS
    assert main(["track", "push"]) == 0
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert epochs_of(client, run_id) == list(range(EPOCHS))
    folder = Path("runs/synthetic/small/seed-1")
    assert run.data.metrics["best/val_macro_f1"] == pytest.approx(RunFolder(folder).info().score)
    check_weights(client, team, run_id, folder, tmp_path)


def in_its_first_epochs(client: mlflow.MlflowClient, training: "subprocess.Popen[bytes]") -> str:
    """The id of the run, once the server has heard of an epoch."""
    while training.poll() is None:
        found = client.search_experiments(filter_string="name = 'synthetic'")
        runs = client.search_runs([one.experiment_id for one in found], "tags.seed = '1'") if found else []
        if runs and epochs_of(client, runs[0].info.run_id):
            return runs[0].info.run_id
        time.sleep(0.05)
    raise AssertionError("the training ended before the server heard of it")


def test_the_database_without_a_server(team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics go to PostgreSQL; artifacts stay next to the runs, since nobody takes them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", team.database)
    (tmp_path / "weights").write_bytes(b"weights")
    monkeypatch.setattr(copies, "PATIENCE_S", PATIENCE_S)
    with tracked_run(tmp_path / "runs", "without a server", "a run", {}) as run:
        run.log_metrics({"a": 1.0})
        run.log_file(tmp_path / "weights")
    copy = team.ask(f"SELECT run_uuid FROM tags WHERE key = '{ORIGIN}' AND value = '{run.run_id}'")
    assert team.ask(f"SELECT status FROM runs WHERE run_uuid = '{copy}'") == "FINISHED"
    assert team.ask(f"SELECT key, value FROM metrics WHERE run_uuid = '{copy}'") == "a|1"
    kept = sorted((tmp_path / "runs" / "mlartifacts").rglob("weights"))
    assert sorted(path.parts[-3] for path in kept) == sorted([run.run_id, copy])
    assert {path.read_bytes() for path in kept} == {b"weights"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "weights"]
