"""The user interface opens with the columns and charts that compare models, on 127.0.0.1 alone, and leaves nothing behind."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest

from har.config import RunConfig
from har.runs.train import train_run
from har.tracking.runs import tracked_run
from har.tracking.server import COLUMNS, SCORE, TAG, keep_views, serve
from har.tracking.store import tracking_uri
from tests.refusal import refused
from tests.web.driver import CHROMIUM, TIMEOUT_S, missing, node

MODELS = {
    "cnn1d": {"width": 8, "depth": 2},
    "lstm": {"hidden_size": 8},
    "gru": {"hidden_size": 8},
    "cnn_lstm": {"width": 8, "hidden_size": 8},
}


def client_of(runs: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri(runs))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for experiment, tags in (("synthetic", {"git_commit": "abc"}), ("another's", {})):
            with tracked_run(folder, experiment, "a", tags):
                pass
    return folder


@pytest.fixture
def tracked(made: Path, tmp_path: Path) -> Path:
    """A folder of runs whose store has an experiment of ours and another's."""
    return shutil.copytree(made, tmp_path / "runs")


def test_the_view_is_kept_in_our_experiments_and_written_once(tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(tracked)
    routes = keep_views(client)
    tags = {experiment.name: experiment.tags for experiment in client.search_experiments()}
    assert list(routes) == ["synthetic"]
    assert [name for name in tags if TAG in tags[name]] == ["synthetic"]
    assert json.loads(json.loads(tags["synthetic"][TAG])["state"])["selectedColumns"] == list(COLUMNS)

    def never(*_: object) -> None:
        raise AssertionError("written again")

    monkeypatch.setattr(client, "set_experiment_tag", never)
    assert keep_views(client) == routes


def test_a_store_that_cannot_be_written_is_warned_of(tracked: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(tracked / "mlflow.db")) as store:
        store.execute("CREATE TRIGGER t BEFORE INSERT ON experiment_tags BEGIN SELECT RAISE(ABORT, 'only to be read'); END")
    routes = keep_views(client_of(tracked))
    assert list(routes) == ["synthetic"]
    assert "viewStateShareKey" not in routes["synthetic"]
    warning = capfd.readouterr().err
    assert warning.startswith("har: warning: the columns and charts of synthetic cannot be kept in the store")
    assert "only to be read" in warning
    assert warning.count("\n") == 1


def test_a_port_that_is_taken_and_a_store_that_is_no_store_are_named(tracked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with refused("argument", f"port {port} on 127.0.0.1 cannot be used"):
            serve(tracked, port)
    (tracked / "mlflow.db").write_text("this is no database at all, " * 100)
    with refused("store", "cannot open the MLflow store") as caught:
        serve(tracked, port)
    assert "\n" not in str(caught.value)
    assert "table:" not in capsys.readouterr().out


@contextmanager
def dashboard(runs: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """A dashboard that answers, and its address; ended with all that it started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "har", "dashboard", "--runs", str(runs), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        while not answers(address):
            assert process.poll() is None
            time.sleep(0.2)
        yield process, address
    finally:
        if left(process):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(f"{address}/health", timeout=5).status == 200
    except OSError:
        return False


def left(process: subprocess.Popen) -> bool:
    """Whether anything runs that the process started, itself included."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_gets_the_view_too_and_a_killed_dashboard_leaves_nothing(
    tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with dashboard(tracked) as (process, address):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        serve(tmp_path / "elsewhere", 5000)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"MLflow on {address}, a server with a user interface of its own"
        for line, what in zip(lines[1:], ("table", "charts"), strict=True):
            assert line.startswith(f"synthetic, {what}:")
            assert f" {address}/#/experiments/" in line
        assert not (tmp_path / "elsewhere").exists()
        process.kill()
        process.wait()
        assert not left(process)
        with refused("store", f"cannot open the MLflow store {address}"):
            serve(tmp_path / "elsewhere", 5000)


@pytest.fixture
def runs(workplace: Path, config: RunConfig) -> Path:
    """Four models, trained on synthetic data."""
    folder = workplace / "runs"
    for name, options in MODELS.items():
        one = config.with_overrides(model__name=name, model__options=options)
        train_run(one, name, folder, progress=False, say=lambda _: None, export=False)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S + 60)
@pytest.mark.skipif(missing(browser=True) is not None, reason=str(missing(browser=True)))
def test_in_a_browser_four_models_are_compared(runs: Path, tmp_path: Path) -> None:
    client, picture = client_of(runs), tmp_path / "dashboard.png"
    experiment = client.get_experiment_by_name("synthetic")
    stored = {run.info.run_name: run.data for run in client.search_runs([experiment.experiment_id])}
    assert list(stored) == [f"{name}-seed0-synthetic" for name in reversed(MODELS)]
    assert len({data.tags["mlflow.runColor"] for data in stored.values()}) == 4

    asked = [part for name in stored for part in ("--compare", name)]
    command = [sys.executable, "-m", "har", "dashboard", "--runs", str(runs)]
    options = ["--chromium", str(CHROMIUM), "--experiment", "synthetic", "--picture", str(picture), *asked]
    shown = json.loads(node("test/dashboard.mjs", *options, "--", *command))
    assert shown["elsewhere"] == []
    assert picture.read_bytes().startswith(b"\x89PNG")
    _the_table_tells_what_is_stored(shown["table"], stored)

    # The page of the comparison rounds.
    compared = shown["comparison"]
    assert sorted(compared["names"]) == sorted(stored)
    for key in (SCORE, "best/val_accuracy", "parameters"):
        for name, text in zip(compared["names"], compared["metrics"][key], strict=True):
            assert float(text) == pytest.approx(stored[name].metrics[key], abs=6e-4), (name, key)

    points = {chart["title"]: chart["points"] for chart in shown["charts"]}
    epochs = 2
    assert points == {"val/macro_f1": 4 * epochs, SCORE: 4, f"parameters vs. {SCORE}": 4, f"train_seconds vs. {SCORE}": 4}


def _the_table_tells_what_is_stored(table: dict[str, Any], stored: dict[str, Any]) -> None:
    columns = [column for column in table["columns"] if column in COLUMNS]
    assert columns == list(COLUMNS)[:10]  # the others are of jobs of studies
    rows = {row["attributes.`Run Name`"]: row for row in table["rows"]}
    assert list(rows) == sorted(stored, key=lambda name: -stored[name].metrics[SCORE])
    for name, data in stored.items():
        for column in columns:
            kind, key = column.rstrip("`").split(".`")
            value = getattr(data, kind)[key]
            assert rows[name][column] == value if isinstance(value, str) else float(rows[name][column]) == value, (name, column)
