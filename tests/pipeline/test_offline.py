"""A store that is absent, dies or is slow costs a training a warning; what it should have got is sent later, once."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
import torch
from matplotlib.figure import Figure
from sqlalchemy import event
from sqlalchemy.orm import Session

from har.cli import main
from har.contract import HarError
from har.tracking import calls, close_orphans, parent_run, push, store, tracked_run, tracking_uri
from har.tracking import runs as runs_module
from har.tracking.journal import UNSENT


class Silent(BaseHTTPRequestHandler):
    """Takes every request and answers none."""

    def do_GET(self) -> None:
        time.sleep(60)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def _nothing_is_known_to_be_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_failed_at", {})
    monkeypatch.setattr(store, "_lost_s", {})


@pytest.fixture
def silent() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def absent() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def track(folder: Path, run_id: str | None = None, *, last: int = 3) -> str:
    """What a training says to MLflow."""
    (folder / "weights").write_text("weights")
    with tracked_run(folder, "e", "a run", {"seed": "1", "study": "s"}, run_id) as run:
        run.log_params({"rate": 0.1})
        run.log_dict({"a": 1}, "config.json")
        for epoch in range(last):
            run.logger.log_metrics({"loss": 1.0 / (1 + epoch), "epoch": epoch}, step=999)
        run.log_figure(Figure(), "figure.png")
        run.log_text("text", "text.txt")
        run.log_file(folder / "weights", "checkpoint")
        return run.run_id


def check(folder: Path, *, count: int = 1) -> None:
    """All of it is in the store, once."""
    client = mlflow.MlflowClient(tracking_uri(folder))
    found = [run for ex in client.search_experiments() for run in client.search_runs([ex.experiment_id])]
    runs = [run for run in found if "study_parent" not in run.data.tags]
    assert len(runs) == count
    for run in runs:
        assert (run.info.run_name, run.info.status) == ("a run", "FINISHED")
        assert run.data.params == {"rate": "0.1"}
        points = client.get_metric_history(run.info.run_id, "loss")
        assert [(p.step, p.value) for p in points] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
        assert sorted(a.path for a in client.list_artifacts(run.info.run_id)) == ["checkpoint", "config.json", "figure.png", "text.txt"]
        assert client.get_run(run.data.tags["mlflow.parentRunId"]).info.run_name == "s"


def pushed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert push(folder) == (1, 0)
    assert push(folder) == (0, 0)
    check(folder)
    assert not list((folder / UNSENT).iterdir())


def test_an_absent_server_costs_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", absent())
    assert track(tmp_path).startswith("unsent:a run-")
    said = capsys.readouterr().err
    assert said.count("har: warning: cannot open the MLflow store http://127.0.0.1") == 1
    assert "har track push" in said
    assert close_orphans(tmp_path) == 0
    assert parent_run(tmp_path, "e", "s", "?") == ""
    with pytest.raises(HarError, match="cannot open the MLflow store"):
        push(tmp_path)
    pushed(tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_silent_server_is_left_alone_soon(silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(runs_module, "fails", lambda uri: (tried.append(uri), store.fails(uri)))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent)
    for _ in range(2):
        track(tmp_path)
    assert tried == [silent]  # once, for both runs
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert push(tmp_path) == (2, 0)
    check(tmp_path, count=2)


@pytest.mark.parametrize("after", [0, 1, 2, 3, 6])
def test_a_store_that_dies_in_the_middle_loses_nothing(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    perform, made = calls.perform, []

    def dies(*call: object) -> None:
        made.append(call[2])
        if len(made) > after:
            raise ConnectionError("gone")
        perform(*call)  # type: ignore[arg-type]

    parent = parent_run(tmp_path, "e", "s", "?")
    with monkeypatch.context() as patch:
        patch.setattr(calls, "perform", dies)
        run_id = track(tmp_path)
    assert len(made) == after + 1  # the first failure was the last try
    monkeypatch.setattr(store, "_failed_at", {})
    client = mlflow.MlflowClient(tracking_uri(tmp_path))
    assert client.get_run(run_id).info.status == "RUNNING"
    client.set_tag(run_id, "mlflow.parentRunId", parent)
    assert push(tmp_path) == (1, 0)
    check(tmp_path)


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a study's run, in a store that counts as one over a network from now on."""
    parent = parent_run(tmp_path, "e", "s", "?")
    monkeypatch.setattr(store, "remote", lambda uri: True)
    monkeypatch.setattr(runs_module, "remote", lambda uri: True)
    monkeypatch.setattr(store, "PATIENCE_S", 3.0)
    return parent


def test_a_slow_store_is_given_up(
    impatient: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    perform, made, answers = calls.perform, [], threading.Event()

    def slow(*call: object) -> None:
        made.append(call[2])
        if len(made) == 3:
            answers.wait(60)
        perform(*call)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(calls, "perform", slow)
        run_id = track(tmp_path)
    assert made == [calls.PARAMS, calls.DICT, calls.METRICS]
    assert "its answers cost 3 s so far" in capsys.readouterr().err
    mlflow.MlflowClient(tracking_uri(tmp_path)).set_tag(run_id, "mlflow.parentRunId", impatient)
    assert push(tmp_path) == (1, 0)
    answers.set()  # the call that was given up is made after all, behind those of the push
    check(tmp_path)


def test_a_run_that_is_started_too_late_is_taken_back(impatient: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, answers, ended = runs_module.start, threading.Event(), threading.Event()

    def slow(*about: object) -> object:
        answers.wait(60)
        found = start(*about)  # type: ignore[arg-type]
        monkeypatch.setattr(found[0], "delete_run", lambda run_id: (type(found[0]).delete_run(found[0], run_id), ended.set()))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(runs_module, "start", slow)
        assert track(tmp_path).startswith("unsent:")
    answers.set()
    assert ended.wait(60)
    assert push(tmp_path) == (1, 0)
    check(tmp_path)


def test_a_model_that_is_sent_again_stands_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx_file = tmp_path / "model.onnx"
    torch.onnx.export(torch.nn.Flatten(), (torch.zeros(1, 2, 3),), onnx_file, dynamo=True, external_data=False, verbose=False)
    perform = calls.perform

    def half(*call: object) -> None:
        perform(*call)  # type: ignore[arg-type]
        raise ConnectionError("its answer was lost")

    with tracked_run(tmp_path, "e", "a run", {}) as run, monkeypatch.context() as patch:
        patch.setattr(calls, "perform", half)
        run.log_onnx(onnx_file, (2, 3), 6)
    assert push(tmp_path) == (1, 0)
    client = mlflow.MlflowClient(tracking_uri(tmp_path))
    (model,) = client.search_logged_models(["1"])
    assert (model.source_run_id, model.status) == (run.run_id, "READY")


def test_two_pushes_at_once_send_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", absent())
    track(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    found: list[tuple[int, int]] = []
    threads = [threading.Thread(target=lambda: found.append(push(tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [(0, 0), (1, 0)]
    check(tmp_path)


def test_a_resumed_run_whose_rest_waits_is_not_pushed_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tracked_run(tmp_path, "e", "a run", {}) as run:
        known = run.run_id
        run.log_metrics({"a": 1.0})
        with monkeypatch.context() as patch:
            patch.setattr(calls, "perform", lambda *call: (_ for _ in ()).throw(ConnectionError("gone")))
            run.log_metrics({"b": 1.0})
    with tracked_run(tmp_path, "e", "a run", {}, known) as again:
        assert again.run_id == known
        again.log_metrics({"c": 1.0})
        assert push(tmp_path) == (0, 1)  # the process that writes it lives
    assert push(tmp_path) == (1, 0)
    client = mlflow.MlflowClient(tracking_uri(tmp_path))
    assert client.get_run(known).data.metrics == {"a": 1.0, "b": 1.0, "c": 1.0}
    assert client.get_run(known).info.status == "FINISHED"


def test_many_parameters(tmp_path: Path) -> None:
    many = {f"p{number}": str(number) for number in range(250)}
    with tracked_run(tmp_path, "e", "a run", {}) as run:
        run.log_params(many)
    assert mlflow.MlflowClient(tracking_uri(tmp_path)).get_run(run.run_id).data.params == many


@pytest.mark.parametrize("begun_together", [True, False])
def test_a_data_set_that_two_runs_name_first_at_once(begun_together: bool, tmp_path: Path) -> None:
    values = {"name": "synthetic", "digest": "abc", "context": "training", "source": {"type": "local", "uri": "x"}, "profile": {}}
    with tracked_run(tmp_path, "e", "one", {}) as one, tracked_run(tmp_path, "e", "two", {}) as two:
        client = mlflow.MlflowClient(tracking_uri(tmp_path))

        waiting = [two.run_id]

        def other_is_faster(*_: object) -> None:
            if waiting:
                calls.perform(client, waiting.pop(), calls.DATASET, values, None)

        if begun_together:  # the other one adds it between this one's look and its own addition
            event.listen(Session, "before_flush", other_is_faster)
            calls.perform(client, one.run_id, calls.DATASET, values, None)
            event.remove(Session, "before_flush", other_is_faster)
        else:
            calls.perform(client, one.run_id, calls.DATASET, values, None)
            other_is_faster()
        for run in (one, two):
            assert [entry.dataset.digest for entry in client.get_run(run.run_id).inputs.dataset_inputs] == ["abc"]


def test_a_push_that_breaks_off_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", absent())
    track(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    perform, made = calls.perform, []

    def breaks(*call: object) -> None:
        made.append(call[2])
        if len(made) % 3 == 0:
            raise ConnectionError("gone")
        perform(*call)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(calls, "perform", breaks)
        for _ in range(3):
            with pytest.raises(HarError, match="gone"):
                push(tmp_path)
    pushed_in = json.loads(next((tmp_path / UNSENT).glob("*/run.json")).read_text())["run_id"]
    assert push(tmp_path) == (1, 0)
    check(tmp_path)
    assert pushed_in


def test_what_still_runs_and_what_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", absent())
    with tracked_run(tmp_path, "e", "alive", {}) as run:
        waits = run.run_id
        run.log_metrics({"a": 1.0})
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        assert main(["track", "push", "--runs", str(tmp_path)]) == 0
        assert "0 runs sent" in capsys.readouterr().out
        calls_file = next((tmp_path / UNSENT).glob("*/calls.jsonl"))
        before = calls_file.read_text()
    calls_file.write_text(before + '{"name": "met')  # killed while it wrote
    with tracked_run(tmp_path, "e", "alive", {}, waits) as again:  # gone on with: behind what waits
        assert again.run_id == waits
    calls_file.write_text(before + '{"name": "met')
    assert main(["track", "push", "--runs", str(tmp_path)]) == 0
    assert "1 runs sent" in capsys.readouterr().out
    (run_,) = mlflow.MlflowClient(tracking_uri(tmp_path)).search_runs(["1"])
    assert (run_.info.status, run_.data.metrics) == ("KILLED", {"a": 1.0})
