"""A training that is killed at any moment goes on where it was, is tracked as one run, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
import torch
from filelock import FileLock

import har.training.trainer as trainer_module
from har.config import RunConfig, parse_config
from har.files import PARTIAL, InUseError, remove_stale, staging
from har.runs.run_folder import RunFolder
from har.runs.train import WORK, train_run
from har.tracking.runs import HOST, OWNERS, close_orphans, closing_orphans, tracked_run
from har.tracking.store import tracking_uri
from har.training.trainer import RESUME, Resumption
from tests.helpers import VALIDATION
from tests.refusal import refused
from tests.tasks.test_tasks import forecast

RUNS = Path("runs")
STREAM = {
    "data": {"dataset": "synthetic", "validation_subjects": VALIDATION},
    "model": {"name": "stream_gru", "options": {"hidden_size": 8, "num_layers": 1}},
    "task": {"name": "sequence", "chunk": 64},
    "augmentation": {"rotation_deg": 10},
    "training": {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "threads": 1},
}


def train(config: RunConfig, runs: Path, *, resume: bool, lines: list[str] | None = None, name: str = "tiny") -> RunFolder:
    say = (lines if lines is not None else []).append
    return train_run(config, name, runs, progress=False, say=say, export=False, resume=resume)


def interrupt_after(epochs: int, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, with Ctrl-C as soon as so many epochs are kept."""
    save = Resumption._save

    def saved(self: Resumption, trainer: object) -> None:
        save(self, trainer)  # type: ignore[arg-type]
        if self.progress is not None and self.progress.epochs == epochs:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Resumption, "_save", saved)
        with pytest.raises(KeyboardInterrupt):
            train(config, RUNS, resume=True)


def mlflow_runs(runs: Path = RUNS) -> list:
    client = mlflow.MlflowClient(tracking_uri(runs))
    return [run for experiment in client.search_experiments() for run in client.search_runs([experiment.experiment_id])]


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return torch.load(run.checkpoint, weights_only=True)["state_dict"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["window", "sequence", "forecast"])
def test_it_goes_on_and_is_one_run(kind: str, workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"window": config, "sequence": parse_config(STREAM, "test"), "forecast": forecast()}[kind].with_overrides(training__epochs=3)
    undisturbed = train(config, Path("elsewhere"), resume=False)
    interrupt_after(2, config, monkeypatch)
    lines: list[str] = []
    resumed = train(config, RUNS, resume=True, lines=lines)
    assert lines[1] == "tiny, seed 0: goes on where it was interrupted"
    for name, value in weights(undisturbed).items():
        assert torch.equal(value, weights(resumed)[name]), name
    first, second = undisturbed.info(), resumed.info()
    assert (first.score, first.key, first.origin.epochs) == (second.score, second.key, second.origin.epochs)
    assert [path.name for path in resumed.path.parent.iterdir()] == ["seed-0"]
    assert not (resumed.path / RESUME).exists()
    assert not (resumed.path / WORK).exists()
    (tracked,) = [run for run in mlflow_runs() if run.info.run_id != first.mlflow_run_id]
    assert (tracked.info.status, tracked.info.run_id) == ("FINISHED", second.mlflow_run_id)
    client = mlflow.MlflowClient(tracking_uri(RUNS))
    steps = [point.step for point in client.get_metric_history(tracked.info.run_id, "train/loss")]
    assert sorted(set(steps)) == [0, 1, 2]

    before, lines = (resumed.path / "run.json").stat().st_mtime_ns, []
    client.set_terminated(second.mlflow_run_id, "KILLED")  # as after a death between the last rename and the last word to MLflow
    train(config, RUNS, resume=True, lines=lines)
    assert lines[-1] == "tiny, seed 0: finished before"
    assert client.get_run(second.mlflow_run_id).info.status == "FINISHED"
    assert (resumed.path / "run.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_only_the_same_training_is_gone_on_with(workplace: Path, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config.with_overrides(training__epochs=2)

    def left_behind() -> list[Path]:
        return sorted((RUNS / "synthetic/tiny").glob(f"{PARTIAL}*"))

    interrupt_after(1, config, monkeypatch)
    (first,) = left_behind()
    lines: list[str] = []
    other = train(config.with_overrides(training__learning_rate=0.02), RUNS, resume=True, lines=lines)
    assert not any("goes on" in line for line in lines)
    assert left_behind() == []  # it was of a run that has another content now
    interrupt_after(1, config, monkeypatch)
    assert other.info().key == RunFolder(RUNS / "synthetic/tiny/seed-0").info().key  # the earlier run is still whole
    train(config, RUNS, resume=False, lines=lines)
    assert not any("goes on" in line for line in lines)
    assert left_behind() == []
    assert not first.exists()

    def diverge(*_: object, **__: object) -> None:
        raise ValueError("a mistake")

    monkeypatch.setattr(trainer_module.pl.Trainer, "fit", diverge)
    with pytest.raises(ValueError, match="a mistake"):
        train(config, RUNS, resume=False)
    assert left_behind() == []


def test_a_folder_in_use_is_nobody_elses(tmp_path: Path) -> None:
    def always(path: Path) -> bool:
        return True

    with staging(tmp_path, "seed-1", keep=always) as first:
        with pytest.raises(InUseError) as caught, staging(tmp_path, "seed-1", keep=always):
            pass
        assert caught.value.path == first
        remove_stale(tmp_path, "seed-1")
        assert first.is_dir()
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt), staging(tmp_path, "seed-1", keep=always) as left:
        raise KeyboardInterrupt
    with staging(tmp_path, "seed-10", keep=always) as other:
        assert other != left
    remove_stale(tmp_path, "seed-10")
    with staging(tmp_path, "seed-1", keep=always) as again:
        assert again == left
    assert not left.exists()

    def interrupted(content: str) -> Path:
        try:
            with staging(tmp_path, "seed-1", keep=lambda path: (path / "second").exists()) as left:
                (left / content).touch()
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            return left

    assert not interrupted("first").exists()
    assert [path.name for path in interrupted("second").iterdir()] == ["second"]


WAITS = """
import sys, time
from pathlib import Path
from har.runs.train import work_folder
with work_folder(Path(sys.argv[1]), "key", resume=False, who="first", say=print):
    print("trains", flush=True)
    time.sleep(200)
"""


@pytest.mark.parametrize("resume", [False, True])
def test_one_process_at_a_time_trains_into_a_folder(resume: bool, workplace: Path, config: RunConfig) -> None:
    target = RUNS / "synthetic" / "tiny" / "seed-0"
    first = subprocess.Popen([sys.executable, "-c", WAITS, str(target)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "trains\n"
        before = sorted(target.parent.iterdir())
        with refused("run-busy", rf"seed-0 is being trained by process {first.pid}; wait until that ends, or .*--seed .*--runs"):
            train(config, RUNS, resume=resume)
        assert sorted(target.parent.iterdir()) == before
        assert not RUNS.joinpath("mlflow.db").exists()  # nothing was tracked
        train(config.with_overrides(training__seed=1, training__epochs=1), RUNS, resume=resume)  # as the message says
    finally:
        first.kill()
        first.wait()
    trained = train(config.with_overrides(training__epochs=1), RUNS, resume=resume)  # the lock went with its process
    assert trained.path == target
    assert {path.name for path in target.parent.iterdir() if not path.name.startswith(PARTIAL)} == {"seed-0", "seed-1"}


def test_many_that_begin_together_are_one(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from har.files import InUseError, staging
while time.time() < float(sys.argv[2]):
    pass
try:
    with staging(Path(sys.argv[1]), "seed-0", keep=Path.is_dir):
        print("has it", flush=True)
        time.sleep(10)
except InUseError:
    print("is refused", flush=True)
"""
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(time.time() + 3)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    assert sorted(process.communicate(timeout=120)[0] for process in started) == ["has it\n", *["is refused\n"] * 5]
    assert not list(tmp_path.iterdir())


def test_runs_of_dead_processes_are_closed(tmp_path: Path) -> None:
    assert close_orphans(tmp_path / "none") == 0
    assert not (tmp_path / "none").exists()
    code = (
        "import os, signal; from pathlib import Path; from har.tracking.runs import tracked_run\n"
        f"with tracked_run(Path({str(tmp_path)!r}), 'e', 'dead', {{}}): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == -signal.SIGKILL
    with tracked_run(tmp_path, "e", "alive", {}):
        assert close_orphans(tmp_path) == 1
        assert {run.info.run_name: run.info.status for run in mlflow_runs(tmp_path)} == {"dead": "KILLED", "alive": "RUNNING"}
        assert close_orphans(tmp_path) == 0
    assert {run.info.run_name: run.info.status for run in mlflow_runs(tmp_path)} == {"dead": "KILLED", "alive": "FINISHED"}
    assert list((tmp_path / ".owners").iterdir()) == []
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == -signal.SIGKILL
    with pytest.raises(SystemExit), closing_orphans(tmp_path):
        raise SystemExit(143)
    assert "RUNNING" not in {run.info.status for run in mlflow_runs(tmp_path)}


def test_runs_of_other_machines_are_closed_where_their_lock_is_here_and_free(tmp_path: Path) -> None:
    client = mlflow.MlflowClient(tracking_uri(tmp_path))
    experiment, owners = client.create_experiment("e"), tmp_path / OWNERS
    ids = {
        name: client.create_run(experiment, run_name=name, tags={HOST: "another"}).info.run_id for name in ("lives", "died", "elsewhere")
    }
    client.create_run(experiment, run_name="not ours")
    owners.mkdir()
    (owners / ids["died"]).touch()
    with FileLock(owners / ids["lives"]):
        assert close_orphans(tmp_path) == 1
    states = {run.info.run_name: run.info.status for run in mlflow_runs(tmp_path)}
    assert states == {"lives": "RUNNING", "died": "KILLED", "elsewhere": "RUNNING", "not ours": "RUNNING"}


@pytest.mark.slow
def test_a_killed_driver_takes_its_workers_along_and_the_rerun_finishes(workplace: Path) -> None:
    small = {
        "data": {"dataset": "synthetic", "validation_subjects": VALIDATION},
        "model": {"name": "cnn1d", "options": {"width": 8, "depth": 2}},
        "training": {"epochs": 12, "threads": 1},
    }
    Path("small.yaml").write_text(json.dumps(small))
    study = {"question": "Does it survive?", "configs": ["small.yaml"], "seeds": [0, 1], "change": {"training.keep": "last"}}
    study["split"] = {"kind": "kfold", "folds": 3, "subjects": "training", "validation": 0}
    study["folds"] = [0]
    Path("study.yaml").write_text(json.dumps(study))
    command = [sys.executable, "-m", "har", "sweep", "study.yaml", "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline, base = time.monotonic() + 120, Path("runs/synthetic/studies/study")
    while time.monotonic() < deadline and len(list(base.glob(f"small/{PARTIAL}*/{RESUME}"))) < 2:
        time.sleep(0.1)
        assert process.poll() is None
    workers = [int(pid) for pid in subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()]
    process.kill()
    process.wait()
    while time.monotonic() < deadline and any(_alive(pid) for pid in workers):
        time.sleep(0.1)
    assert not any(_alive(pid) for pid in workers)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 tracked runs of processes that died are closed as KILLED" in done.stdout
    assert "2 jobs, 0 done before, 2 to do" in done.stdout
    children = [run for run in mlflow_runs() if "run_key" in run.data.tags]
    assert [run.info.status for run in children] == ["FINISHED", "FINISHED"]  # gone on with, not begun again
    assert not list(base.glob(f"small/{PARTIAL}*"))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
