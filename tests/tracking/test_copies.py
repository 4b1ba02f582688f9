"""A server gets a copy of every run; one that is absent, dies or is silent costs a training a warning, and nothing is lost."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import mlflow.onnx
import pytest
import torch
from matplotlib.figure import Figure
from mlflow.entities import Run

from har.cli import main
from har.errors import HarError
from har.files import write_whole
from har.tracking import copies, store
from har.tracking.copies import COPIES, ORIGIN, store_facts
from har.tracking.runs import TrackedRun, close_orphans, ended_run, note_study, parent_run, push, tracked_run
from har.tracking.store import tracking_uri
from tests.refusal import refused
from tests.test_files import file_size_limit

ALLOWED_S = 10.0
PARENT = "mlflow.parentRunId"


class Silent(BaseHTTPRequestHandler):
    """Takes every request and answers none."""

    def do_GET(self) -> None:
        time.sleep(60)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def _nothing_is_known_to_be_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_failed_at", {})
    monkeypatch.setattr(copies, "EVERY_S", 0.2)


@pytest.fixture
def silent() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def absent() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own, which keeps the artifacts too."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder / "artifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be copied, as MLflow takes seconds to make one."""
    path = tmp_path_factory.mktemp("empty") / "empty.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def server(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database that counts as a server; MLFLOW_TRACKING_URI names it."""
    uri = f"sqlite:///{shutil.copyfile(empty_store, tmp_path / 'server.db')}"
    monkeypatch.setattr(store, "remote", lambda named: named == uri or named.startswith("http"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    torch.onnx.export(torch.nn.Flatten(), (torch.zeros(1, 2, 3),), path, dynamo=True, external_data=False, verbose=False)
    return path


def track(runs: Path, run_id: str | None = None, *, parent: str | None = None, onnx_file: Path | None = None) -> str:
    """What a training logs."""
    parent = parent or parent_run(runs, "e", "s", "?")
    with tracked_run(runs, "e", "a run", {"seed": "1", "study": "s", PARENT: parent}, run_id) as run:
        fill(run, runs, onnx_file)
        return run.run_id


def fill(run: TrackedRun, runs: Path, onnx_file: Path | None) -> None:
    (runs / "weights").write_text("weights")
    run.log_params({f"p{number}": number for number in range(150)})
    run.log_dict({"a": 1}, "config.json")
    run.log_dataset("data", "abc", "training", {"type": "local", "uri": "x"}, {"subjects": [1]})
    for epoch in range(3):
        run.log_metrics({"loss": 1.0 / (1 + epoch), "nothing": float("nan"), "epoch": epoch}, step=999)
    run.log_figure(Figure(), "figure.png")
    run.log_text("text", "text.txt")
    run.log_file(runs / "weights", "checkpoint")
    if onnx_file is not None:
        run.log_onnx(onnx_file, (2, 3), 6)


def local(runs: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(store.local_uri(runs))


def all_runs(client: mlflow.MlflowClient) -> list[Run]:
    return [run for ex in client.search_experiments() for run in client.search_runs([ex.experiment_id])]


def copy_of(uri: str, run_id: str) -> Run:
    (found,) = [run for run in all_runs(mlflow.MlflowClient(uri)) if run.data.tags.get(ORIGIN) == run_id]
    return found


def content(client: mlflow.MlflowClient, run: Run) -> dict[str, Any]:
    """Everything of a run that does not name its store."""
    points = {
        key: [(one.step, one.timestamp, repr(one.value)) for one in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    files = Path(client.download_artifacts(run.info.run_id, "")) if client.list_artifacts(run.info.run_id) else Path("none")
    info = run.info
    return {
        "info": (info.run_name, info.status, info.start_time, info.end_time),
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if key not in (ORIGIN, PARENT)},
        "points": points,
        "files": {str(path.relative_to(files)): path.read_bytes() for path in files.rglob("*") if path.is_file()},
        "data": [(one.dataset.to_dictionary(), [tag.value for tag in one.tags]) for one in run.inputs.dataset_inputs],
    }


def check(runs: Path, uri: str, *, count: int = 2) -> None:
    """The server has every run of the local store, once, as it is there."""
    here, there = local(runs), mlflow.MlflowClient(uri)
    assert len(all_runs(here)) == count
    for run in all_runs(here):
        copy = copy_of(uri, run.info.run_id)
        assert content(there, copy) == content(here, run)
        if PARENT in run.data.tags:
            assert copy.data.tags[PARENT] == copy_of(uri, run.data.tags[PARENT]).info.run_id


def pushed(runs: Path, uri: str, monkeypatch: pytest.MonkeyPatch, count: int = 2) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert store_facts(runs)[1] == count
    assert push(runs) == (count, 0)
    check(runs, uri, count=count)
    assert store_facts(runs)[1] == 0
    assert push(runs) == (0, 0)
    check(runs, uri, count=count)


def test_a_real_server_sees_a_training_while_it_runs_and_then_has_all_of_it(
    real_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, onnx_file: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", real_server)
    there, runs = mlflow.MlflowClient(real_server), tmp_path / "runs"
    with tracked_run(runs, "live", "a run", {}) as run:
        run.log_metrics({"loss": 0.5}, step=3)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not [one for one in all_runs(there) if one.data.metrics.get("loss") == 0.5]:
            time.sleep(0.1)
        assert copy_of(real_server, run.run_id).info.status == "RUNNING"
    assert copy_of(real_server, run.run_id).info.status == "FINISHED"
    monkeypatch.setattr(copies, "PATIENCE_S", 60.0)  # the machine may be busy
    run_id = track(runs, onnx_file=onnx_file)
    check(runs, real_server, count=3)
    copy = copy_of(real_server, run_id)
    assert len(there.list_artifacts(copy.info.run_id, "checkpoint")) == 1
    model = mlflow.onnx.load_model(there.download_artifacts(copy.info.run_id, "model", str(tmp_path)))
    assert model.SerializeToString() == onnx_file.read_bytes() or len(model.graph.node) == 1
    assert push(runs) == (0, 0)


def test_an_absent_server_costs_a_warning(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", absent())
    runs, started = tmp_path / "runs", time.monotonic()
    track(runs)
    assert time.monotonic() - started < ALLOWED_S
    said = capsys.readouterr().err
    assert f"a run is kept in sqlite:///{runs}/mlflow.db, to be sent later: har track push" in said
    assert "Traceback" not in said
    assert "Retrying" not in said
    with refused("store", r"cannot open the MLflow store http://127"):
        push(runs)
    pushed(runs, server, monkeypatch)


@pytest.mark.slow
def test_a_silent_server_is_left_alone_soon(server: str, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    parent_run(runs, "e", "s", "?")  # makes the local store
    monkeypatch.setenv("MLFLOW_TRACKING_URI", silent)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "8")  # `push` waits for the threads that still hold a lock in this process
    started = time.monotonic()
    for _ in range(2):
        track(runs)
    assert time.monotonic() - started < ALLOWED_S  # for a study and both of its runs
    pushed(runs, server, monkeypatch, count=3)


def test_a_server_that_dies_within_a_call_loses_and_doubles_nothing(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, onnx_file: Path
) -> None:
    """Before the call takes effect, or after it, so that only its answer is lost."""
    runs = tmp_path / "runs"
    for done in (False, True):
        for call in ("create_experiment", "create_run", "log_batch", "log_inputs", "log_artifact", "set_terminated"):
            works: Callable[..., Any] = getattr(mlflow.MlflowClient, call)
            dead: list[str] = []

            def dies(client: mlflow.MlflowClient, *values: Any, **more: Any) -> Any:
                if client.tracking_uri != server:
                    return works(client, *values, **more)  # noqa: B023
                if done and not dead:  # noqa: B023
                    works(client, *values, **more)  # noqa: B023
                dead.append("")  # noqa: B023
                raise ConnectionError("gone")

            experiment = f"{call} {done}"
            with monkeypatch.context() as patch:
                patch.setattr(copies, "_failed_at", {})
                patch.setattr(mlflow.MlflowClient, call, dies)
                with tracked_run(runs, experiment, experiment, {}) as run:
                    fill(run, runs, onnx_file)
            assert dead, call
    assert push(runs)[0] >= 1
    check(runs, server, count=12)
    assert push(runs) == (0, 0)


def test_a_server_that_comes_back_gets_the_rest_while_the_training_runs(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, failed = tmp_path / "runs", threading.Event()

    def dead(*_: object, **__: object) -> None:
        failed.set()
        raise ConnectionError("gone")

    with tracked_run(runs, "e", "a run", {}) as run:
        with monkeypatch.context() as patch:
            patch.setattr(copies, "log_datasets", dead)
            patch.setattr(copies, "_end", dead)
            run.log_metrics({"a": 1.0})
            assert failed.wait(60)
        run.log_metrics({"b": 1.0})
    check(runs, server, count=1)
    said = capsys.readouterr().err
    assert "har track push" not in said
    assert said.count("the training goes on") <= 1


def test_a_killed_training_and_what_is_added_to_it(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    code = (
        "import os, signal; from pathlib import Path; from har.tracking.runs import tracked_run\n"
        f"with tracked_run(Path({str(runs)!r}), 'e', 'killed', {{}}) as run:\n"
        "    run.log_metrics({'a': 1.0}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": absent()}
    done = subprocess.run([sys.executable, "-c", code], timeout=200, check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    assert push(runs) == (1, 0)
    check(runs, server, count=1)
    (run,) = all_runs(local(runs))
    assert (run.info.status, run.data.metrics) == ("KILLED", {"a": 1.0})
    (runs / "bundle.txt").write_text("bundle")
    with ended_run(runs, "killed", run.info.run_id) as again:
        assert again is not None
        again.log_file(runs / "bundle.txt", "bundle")
        again.set_tags({"bundle_digest": "d"})
    check(runs, server, count=1)
    (runs / "bundle.txt").write_text("bundl2")  # of the same length
    with ended_run(runs, "killed", run.info.run_id) as again:
        assert again is not None
        again.log_file(runs / "bundle.txt", "bundle")
    check(runs, server, count=1)
    assert push(runs) == (0, 0)


def test_runs_that_are_closed_or_gone_on_with_are_so_on_the_server(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    run_id = track(runs)
    copy = copy_of(server, run_id).info.run_id
    client = local(runs)
    client.update_run(run_id, "RUNNING")  # as after a kill
    assert close_orphans(runs) == 1
    assert copy_of(server, run_id).info.status == "KILLED"
    with tracked_run(runs, "e", "a run", {}, run_id) as run:
        assert run.run_id == run_id
        deadline = time.monotonic() + 60
        while copy_of(server, run_id).info.status != "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert copy_of(server, run_id).info.status == "RUNNING"
        assert push(runs) == (0, 1)  # the process that writes it lives
    check(runs, server)
    assert copy_of(server, run_id).info.run_id == copy
    mlflow.MlflowClient(server).delete_run(copy)  # somebody does not want it there
    with ended_run(runs, "a run", run_id) as again:
        assert again is not None
        again.set_tags({"more": "1"})
    assert len(all_runs(mlflow.MlflowClient(server))) == 1
    assert push(runs) == (0, 0)


def test_everything_goes_to_a_server_that_is_named_later(
    server: str, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    track(runs)
    assert push(runs) == (0, 0)
    assert store_facts(runs)[1] == 0
    assert not (runs / COPIES).exists()
    pushed(runs, server, monkeypatch)
    other = f"sqlite:///{shutil.copyfile(empty_store, tmp_path / 'other.db')}"
    monkeypatch.setattr(store, "remote", lambda named: named in (server, other))
    pushed(runs, other, monkeypatch)
    shutil.rmtree(runs / COPIES)  # the copies are found all the same
    pushed(runs, server, monkeypatch)


def test_a_study_that_another_machine_drives(server: str, tmp_path: Path) -> None:
    parent = parent_run(tmp_path / "driver", "e", "s", "?")
    run_id = track(tmp_path / "runs", parent=parent)
    copy = copy_of(server, run_id)
    assert copy.data.tags[PARENT] == copy_of(server, parent).info.run_id


def test_the_local_store_may_be_in_a_folder_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAR_TRACKING_DIR", str(tmp_path / "own"))
    with tracked_run(tmp_path / "shared", "e", "a run", {}) as run:
        run.log_text("text", "text.txt")
    assert tracking_uri(tmp_path / "shared") == f"sqlite:///{tmp_path / 'own' / 'mlflow.db'}"
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
    assert close_orphans(tmp_path / "shared") == 0


def test_two_pushes_at_once_send_once(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    track(runs)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    found: list[tuple[int, int]] = []
    threads = [threading.Thread(target=lambda: found.append(push(runs))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sent for sent, _ in found) == 2
    check(runs, server)


def test_a_push_on_a_full_disk_goes_on_when_there_is_room(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    track(runs)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)

    def full(path: Path, text: str) -> None:
        with file_size_limit(0):
            write_whole(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(copies, "write_whole", full)
        with refused("store", "takes no more"):
            push(runs)
    assert push(runs)[0] == 2
    check(runs, server)


def test_a_note_that_was_damaged_makes_more_to_copy_and_doubles_nothing(server: str, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    run_id = track(runs)
    (runs / COPIES / f"{run_id}.json").write_text('{"cop')
    assert push(runs) == (1, 0)
    check(runs, server)
    assert json.loads((runs / COPIES / f"{run_id}.json").read_text())["row"] > 0


def test_the_command_counts(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with tracked_run(runs, "e", "first", {}):
        pass
    with tracked_run(runs, "e", "alive", {}):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
        assert main(["track", "push", "--runs", str(runs)]) == 0
        assert "1 runs sent" in capsys.readouterr().out
    assert main(["track", "push", "--runs", str(runs)]) == 0
    assert "1 runs sent" in capsys.readouterr().out
    check(runs, server)


@pytest.mark.parametrize("broken", [OSError(28, "No space left on device"), RuntimeError("database or disk is full"), RuntimeError("odd")])
def test_a_local_store_that_cannot_be_written(
    broken: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise broken

    def train() -> None:
        with tracked_run(tmp_path, "e", "a run", {}) as run:
            with monkeypatch.context() as patch:
                patch.setattr(mlflow.MlflowClient, "log_batch", fails)
                run.log_metrics({"a": 1.0})
                run.log_metrics({"b": 1.0})
            run.log_metrics({"c": 1.0})

    if str(broken) == "odd":
        train()
        assert capsys.readouterr().err.count("cannot be written (odd); a run goes on, tracked in part") == 1
    else:
        with pytest.raises((OSError, HarError), match=r"No space left|disk is full"):
            train()
    (run,) = all_runs(local(tmp_path))
    assert run.info.status == ("FINISHED" if str(broken) == "odd" else "FAILED")


def test_many_parameters(tmp_path: Path) -> None:
    many = {f"p{number}": str(number) for number in range(250)}
    with tracked_run(tmp_path, "e", "a run", {}) as run:
        run.log_params(many)
    assert local(tmp_path).get_run(run.run_id).data.params == many


def test_something_is_added_to_a_run_that_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tracked_run(tmp_path, "e", "here", {}) as run:
        pass
    ended = local(tmp_path).get_run(run.run_id).info
    with ended_run(tmp_path, "here", run.run_id) as again:
        assert again is not None
        again.log_text("bundle", "bundle/bundle.txt")
    found = local(tmp_path).get_run(run.run_id).info
    assert (found.status, found.end_time) == ("FINISHED", ended.end_time)
    assert [item.path for item in local(tmp_path).list_artifacts(run.run_id, "bundle")] == ["bundle/bundle.txt"]
    with ended_run(tmp_path, "unknown", "0" * 32) as nobody:
        assert nobody is None
    assert f"has no run {'0' * 32} of unknown; nothing is added to it" in capsys.readouterr().err


def test_no_store_is_made_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ended_run(tmp_path, "run", "0" * 32) as nobody:
        assert nobody is None
    assert "nothing is added to it" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.db"))


def test_a_finding_becomes_the_note_of_its_study(server: str, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    parent = parent_run(runs, "e", "study", "the question")
    assert parent_run(runs, "e", "study", "again") == parent
    note_study(runs, "study", parent, "first")
    note_study(runs, "study", parent, "# found\n" + 1000 * "| a row |\n")
    check(runs, server, count=1)
    tags = copy_of(server, parent).data.tags
    note = tags["mlflow.note.content"]
    assert note.startswith("# found")
    assert 7900 < len(note) <= 8000  # MLflow takes no longer one
    assert note.endswith("| a row |\n\n(MLflow takes no longer note; the rest stands in the table of the study.)")


@pytest.mark.parametrize("begun_together", [True, False])
def test_a_data_set_that_two_runs_name_first_at_once(begun_together: bool, tmp_path: Path) -> None:
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    values = ("synthetic", "abc", "training", {"type": "local", "uri": "x"}, {})
    with tracked_run(tmp_path, "e", "one", {}) as one, tracked_run(tmp_path, "e", "two", {}) as two:
        waiting = [two]

        def other_is_faster(*_: object) -> None:
            if waiting:
                waiting.pop().log_dataset(*values)

        if begun_together:  # the other one adds it between this one's look and its own addition
            event.listen(Session, "before_flush", other_is_faster)
            one.log_dataset(*values)
            event.remove(Session, "before_flush", other_is_faster)
        else:
            one.log_dataset(*values)
            other_is_faster()
        for run in (one, two):
            found = local(tmp_path).get_run(run.run_id).inputs.dataset_inputs
            assert [entry.dataset.digest for entry in found] == ["abc"]
