"""The engine for many machines, on this one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from har.runs import ray_engine
from har.runs.ray_engine import run_jobs_on_ray
from tests.refusal import refused
from tests.runs.test_batch import outputs, predict, write_recording

pytest.importorskip("ray", reason="Ray is not installed: pip install 'wearable-har[ray]'")
psutil = pytest.importorskip("psutil", reason="psutil, which finds the ports that processes listen on, is not installed")
LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


@pytest.mark.slow
def test_a_job_that_kills_its_process_stops_no_other() -> None:
    dies, fails, works = "__import__('os')._exit(1)", "1 / 0", [f"{number} + 1" for number in range(9)]
    found = {outcome.job: outcome for outcome in run_jobs_on_ray([dies, fails, *works], eval, 1)}
    assert sorted(found) == sorted([dies, fails, *works])
    assert found[dies].problem == "its process died 3 times; see the system's log for memory"
    assert found[fails].problem == "unexpected ZeroDivisionError: division by zero"
    assert [found[job].result for job in works] == list(range(1, 10))


@pytest.mark.slow
def test_ray_gives_the_same_files_and_listens_on_this_machine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_recording(Path("in/a/day.csv"))
    write_recording(Path("in/b/day.parquet"))
    Path("in/broken.csv").write_text("nothing")
    assert predict("in --output local") == 2
    command = [sys.executable, "-m", "har", "predict", "in", "--output", "ray", "--engine", "ray", "--workers", "1"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    addresses: set[str] = set()
    family: dict[int, psutil.Process] = {}
    try:
        while running.poll() is None:
            family |= {process.pid: process for process in psutil.Process(running.pid).children(recursive=True)}
            for process in family.values():
                try:
                    connections = process.net_connections("tcp")
                except psutil.NoSuchProcess:
                    continue
                addresses |= {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}
            try:
                running.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
        out, error = running.communicate()
    finally:
        running.kill()
        for process in psutil.wait_procs(list(family.values()), timeout=30)[1]:
            process.kill()
    assert running.returncode == 2, error
    assert "broken.csv" in error.splitlines()[0]
    assert "3 recordings, 0 of them done" in out
    assert outputs(Path("ray")) == outputs(Path("local")) == ["a/day.parquet", "b/day.parquet"]
    assert all(Path("ray", name).read_bytes() == Path("local", name).read_bytes() for name in outputs(Path("ray")))
    assert addresses
    assert addresses <= LOOPBACK


@pytest.mark.parametrize("address", ["127.0.0.1:9", "somewhere"])
def test_a_cluster_that_is_not_there_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with refused("engine", f"no Ray cluster at RAY_ADDRESS={address}"):
        list(run_jobs_on_ray([1], str, 1))


def test_a_job_sees_the_variables_of_its_driver_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"MLFLOW_TRACKING_URI": "http://another", "HAR_CACHE_DIR": "theirs", "PATH": "/bin"})
    ray_engine._Driver(str(tmp_path), {"HAR_CACHE_DIR": "ours"}, ray_engine._code()).imitate()
    assert os.environ == {"HAR_CACHE_DIR": "ours", "PATH": "/bin"}
