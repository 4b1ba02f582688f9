"""What is left where a process died or a clock was set at a bad moment is mended by the next one."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import RunStatus

from har.errors import HarError
from har.runs import engine
from har.runs.engine import run_jobs
from har.runs.run_folder import INFO
from har.runtime import bundle as bundles
from har.runtime.bundle import exchange, of_one_folder, replace_folder
from har.studies import sweep as sweeps
from har.tracking import store
from har.tracking.runs import close_orphans, confirm_finished, end_run, parent_run, tracked_run
from har.tracking.store import tracking_uri
from tests.refusal import refused
from tests.runs.test_tracking import runs_of
from tests.studies.test_study import study  # noqa: F401


@pytest.mark.slow
def test_a_store_whose_making_was_cut_off_is_made_again(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from har.tracking.runs import tracked_run
import mlflow.store.tracking.sqlalchemy_store as store
store.SqlAlchemyStore._initialize_store_state = lambda self: os.kill(os.getpid(), signal.SIGKILL)
with tracked_run(Path({str(tmp_path)!r}), "e", "name", {{}}):
    pass
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "mlflow.db").exists()
    assert len(list(tmp_path.glob(".mlflow.db.*"))) >= 2  # the lock, and what was cut off
    with tracked_run(tmp_path, "e", "name", {}):
        pass
    assert [run.info.status for run in runs_of(tmp_path)] == ["FINISHED"]
    assert [path.name for path in tmp_path.glob(".mlflow.db.*")] == [".mlflow.db.lock"]


def test_a_store_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "replace", full)
        with refused("store", "No space left"), tracked_run(tmp_path, "e", "name", {}):
            pass
    assert [path.name for path in tmp_path.glob("*mlflow.db*")] == [".mlflow.db.lock"]


@pytest.mark.slow
def test_no_run_ends_before_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = store.now_ms()
    with tracked_run(tmp_path, "e", "set back while it ran", {}):
        monkeypatch.setattr(store, "now_ms", lambda: now - 86_400_000)
    code = (
        "import os, signal; from pathlib import Path; from har.tracking.runs import tracked_run\n"
        f"with tracked_run(Path({str(tmp_path)!r}), 'e', 'set back after it died', {{}}): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == -signal.SIGKILL
    assert close_orphans(tmp_path) == 1
    found = runs_of(tmp_path)
    assert len(found) == 2
    assert all(run.info.end_time >= run.info.start_time for run in found)
    client = mlflow.MlflowClient(tracking_uri(tmp_path))
    end_run(client, found[0].info.run_id, RunStatus.KILLED)
    confirm_finished(tmp_path, found[0].info.run_id)
    (again,) = [run for run in runs_of(tmp_path) if run.info.run_id == found[0].info.run_id]
    assert again.info.status == "FINISHED"
    assert again.info.end_time >= again.info.start_time


def test_no_study_ends_before_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = store.now_ms()
    set_back = iter([now + 86_400_000])  # between its start and its end
    monkeypatch.setattr(store, "now_ms", lambda: next(set_back, now))
    run_id = parent_run(tmp_path, "e", "a study", "")
    info = mlflow.MlflowClient(tracking_uri(tmp_path)).get_run(run_id).info
    assert (info.status, info.start_time, info.end_time) == ("FINISHED", now + 86_400_000, now + 86_400_000)


def _folder(path: Path, content: str) -> Path:
    path.mkdir(parents=True)
    for name in ("one", "two"):
        (path / name).write_text(content)
    return path


@pytest.mark.parametrize("in_one_step", [True, False])
def test_folders_replace_one_another(in_one_step: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "bundle"
    if in_one_step and not exchange(_folder(tmp_path / "a", ""), _folder(tmp_path / "b", "")):
        pytest.skip("this system cannot exchange two folders in one step")
    if not in_one_step:
        monkeypatch.setattr(bundles, "exchange", lambda one, other: False)
    for content in ("first", "second"):
        replace_folder(_folder(tmp_path / "new", content), place)
        assert {path.read_text() for path in place.iterdir()} == {content}
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_replace, args=(tmp_path / f"by-{number}", place, 100)) for number in range(3)]
    for process in processes:
        process.start()
    while in_one_step and any(process.is_alive() for process in processes):
        assert len({(place / name).read_text() for name in ("one", "two")}) >= 1  # it is there at any moment
        assert len(of_one_folder(_contents, place)) == 1  # and never a mixture
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len({path.read_text() for path in place.iterdir()}) == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "by-", "new"))]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        replace_folder(_folder(tmp_path / "new", ""), tmp_path / "file")


def _replace(new: Path, place: Path, times: int) -> None:
    for number in range(times):
        replace_folder(_folder(new, f"{new.name} {number}"), place)


def _contents(folder: Path) -> set[str]:
    try:
        return {(folder / name).read_text() for name in ("one", "two")}
    except FileNotFoundError:
        raise HarError("file", "gone while it was read") from None


def test_what_is_replaced_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    place, seen = _folder(tmp_path / "bundle", "0"), []

    def read(folder: Path) -> str:
        seen.append((folder / "one").read_text())
        if len(seen) < 3:
            replace_folder(_folder(tmp_path / "new", str(len(seen))), folder)
        if len(seen) == 1:
            raise HarError("bundle-changed", "a mixture")
        return f"{seen[-1]} and {(folder / 'two').read_text()}"

    assert of_one_folder(read, place) == "2 and 2"
    assert seen == ["0", "1", "2"]


def test_a_file_that_went_with_the_folder_that_was_replaced(tmp_path: Path) -> None:
    place, seen = _folder(tmp_path / "bundle", "0"), []

    def read(folder: Path) -> str:
        seen.append((folder / "one").read_text())
        if len(seen) == 1:
            new = tmp_path / "new"
            new.mkdir()
            (new / "one").write_text("1")  # a bundle whose smaller file was left out
            replace_folder(new, folder)
            (folder / "two").read_text()
        return seen[-1]

    assert of_one_folder(read, place) == "1"
    assert seen == ["0", "1"]
    with pytest.raises(FileNotFoundError):
        of_one_folder(lambda folder: (folder / "two").read_text(), place)  # where nobody replaced it, it is missing


def test_a_bundle_of_another_structure_is_refused_in_words(tmp_path: Path) -> None:
    def read(folder: Path) -> object:
        return {}["variants"]

    with refused("bundle-invalid", "is not a bundle of this version"):
        of_one_folder(read, _folder(tmp_path / "bundle", ""))


@pytest.mark.slow
def test_a_job_whose_process_died_after_its_last_rename_is_finished_in_the_store(
    study: Path,  # noqa: F811
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks: list[sweeps.PlacedJob] = []
    monkeypatch.setattr(sweeps.Engine, "run", lambda engine, left, work, started: _keep(left, tasks))
    sweeps.sweep(study, Path("runs"), Path("results"), folder=study.parent, say=lambda text: None)
    task = tasks[0]
    sweeps.run_job(task)
    (tracked,) = [run for run in runs_of(Path("runs")) if run.data.tags.get("run_key") == task.key]
    client = mlflow.MlflowClient(tracking_uri(Path("runs")))
    client.set_terminated(tracked.info.run_id, "KILLED")  # by whoever cleans up behind it
    (task.folder / sweeps.RESULT).unlink()
    written = (task.folder / INFO).stat().st_mtime_ns
    sweeps.run_job(task)
    assert (task.folder / INFO).stat().st_mtime_ns == written
    assert (task.folder / sweeps.RESULT).is_file()
    assert client.get_run(tracked.info.run_id).info.status == "FINISHED"


def _keep(left: list, tasks: list):  # type: ignore[no-untyped-def]
    """An engine that runs nothing."""
    tasks += left
    yield from ()


def _return_or_stay(job: tuple[str, Path]) -> int:
    name, folder = job
    if name == "stay":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (folder / "pid.new").write_text(str(os.getpid()))
        (folder / "pid.new").rename(folder / "pid")
        time.sleep(600)
    while not (folder / "pid").exists():
        time.sleep(0.05)
    return 0


@pytest.mark.slow
def test_a_worker_that_does_not_listen_is_ended_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LAST_WORDS_S", 0.2)
    jobs = run_jobs([("stay", tmp_path), ("return", tmp_path)], _return_or_stay, workers=2)
    assert next(jobs).job[0] == "return"
    jobs.close()  # as Ctrl-C does
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
