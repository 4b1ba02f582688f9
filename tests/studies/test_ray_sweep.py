"""Studies on a Ray cluster of two nodes, which are two sets of Ray's processes on this machine."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import torch

from har.errors import HarError
from har.runs import ray_engine
from har.runs.engine import Engine
from har.runs.run_folder import CHECKPOINT
from har.studies.sweep import RESULT, sweep
from har.tracking.store import tracking_uri
from tests.ray_jobs import answer, wait_for_a_sign
from tests.refusal import refused
from tests.studies.test_search import STUDY as SEARCH
from tests.studies.test_study import SMALL, STUDY

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'wearable-har[ray]'")
psutil = pytest.importorskip("psutil", reason="psutil, which finds the processes of a node, is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
PATIENCE_S = 600.0
LOOPBACK = {"node_ip_address": "127.0.0.1", "include_dashboard": False}
CHANGES = ("train_seconds", "checkpoint_sha256", "commit")  # of one training done twice


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """One core a node; the first one says that it has a GPU, which nobody touches."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "USAGE_STATS_ENABLED": "0", "worker_niceness": "0"}.items():
            patch.setenv(f"RAY_{name}", value)
        patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)  # that variable, where Ray was imported before
        patch.setenv("PYTHONPATH", str(ROOT))
        nodes = Cluster()
        for one in ({"num_cpus": 1, "num_gpus": 1}, {"num_cpus": 1}):
            add_node(nodes, one | LOOPBACK)
        patch.setenv("RAY_ADDRESS", nodes.address)
        try:
            yield nodes
        finally:
            nodes.shutdown()


def add_node(nodes: Any, options: dict[str, Any]) -> None:
    """Ray waits half a minute for a node, which on a busy machine may be too little."""
    for left in reversed(range(3)):
        try:
            nodes.add_node(**options)
            return
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise


def patiently(look: Any) -> Any:
    """What `look` finds, once it finds something."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("nothing found")


def test_jobs_share_a_gpu_and_one_that_kills_its_process_stops_no_other(cluster: Any) -> None:
    dies, parts = "__import__('os')._exit(1)", "__import__('ray').get_gpu_ids()"
    found = {outcome.job: outcome for outcome in Engine("ray", gpus=0.5).run([dies, "wrong", "1 / 0", parts], answer)}
    assert (found[dies].problem, found[dies].attempts) == ("its process died 3 times; see the system's log for memory", 3)
    assert (found["wrong"].problem, found["wrong"].attempts) == ("not this one", 1)
    assert found["1 / 0"].problem == "unexpected ZeroDivisionError: division by zero"
    assert found[parts].result == [0]
    with pytest.raises(HarError, match=r"no machine of the Ray cluster has what each job needs, 1 core and 2 of a GPU"):
        list(Engine("ray", gpus=2).run(["1"], answer))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_end_with_their_driver(cluster: Any, tmp_path: Path, number: signal.Signals) -> None:
    driver = subprocess.Popen([sys.executable, "-m", "tests.ray_jobs", str(tmp_path)], cwd=ROOT)
    try:
        begun = patiently(lambda: list(tmp_path.glob("begun-*")))
        worker = psutil.Process(int(begun[0].name.split("-")[1]))
        driver.send_signal(number)
        assert driver.wait(PATIENCE_S) == {signal.SIGKILL: -9, signal.SIGTERM: 143}[number]
        worker.wait(PATIENCE_S)
    finally:
        driver.kill()
    assert len(list(tmp_path.glob("begun-*"))) == 1
    assert len(list(tmp_path.glob("told-*"))) == (number == signal.SIGTERM)


def test_a_sweep_on_two_nodes_finds_what_one_process_finds(cluster: Any, workplace: Path) -> None:
    (workplace / "small.yaml").write_text(SMALL)
    study = workplace / "tiny.yaml"
    study.write_text(STUDY)
    said: list[str] = []
    places = {"folder": workplace, "say": said.append}
    sweep(study, Path("runs"), Path("results"), engine="ray", **places)
    assert said[1] == "study tiny: 4 jobs, 0 done before, 4 to do on Ray"
    assert [line[:5] for line in said[2:]] == ["[1/4,", "[2/4,", "[3/4,", "[4/4,"]
    tracked = mlflow.MlflowClient(tracking_uri(workplace / "runs"))
    runs = tracked.search_runs([tracked.get_experiment_by_name("synthetic").experiment_id], "tags.study = 'tiny'")
    sweep(study, Path("local"), Path("other"), workers=1, **places)  # MLflow has one store in a process: looked at before
    ours, theirs = (jobs_of(workplace / name / "synthetic/studies/tiny") for name in ("runs", "local"))
    assert len(ours) == 4
    assert ours.keys() == theirs.keys()
    for name, (scores, weights) in ours.items():
        assert scores == theirs[name][0]
        assert all(torch.equal(value, theirs[name][1][part]) for part, value in weights.items())
    table = workplace / "results/synthetic/studies/tiny_jobs.csv"
    assert len(pd.read_csv(table)) == 4
    assert sorted((run.data.tags["run_key"], run.info.status) for run in runs) == sorted((name[-16:], "FINISHED") for name in ours)
    said.clear()
    sweep(study, Path("runs"), Path("results"), engine="ray", **places)
    assert said[1:] == ["study tiny: 4 jobs, 4 done before, 0 to do on Ray"]


def jobs_of(base: Path) -> dict[str, tuple[dict, dict[str, torch.Tensor]]]:
    """Scores and weights of every finished job."""
    found = {}
    for path in base.glob(f"*/*/{RESULT}"):
        scores = {name: value for name, value in json.loads(path.read_text()).items() if name not in CHANGES}
        found[f"{path.parent.parent.name}/{path.parent.name}"] = (
            scores,
            torch.load(path.parent / CHECKPOINT, map_location="cpu", weights_only=True)["state_dict"],
        )
    return found


def test_a_search_goes_through_ray(cluster: Any, workplace: Path) -> None:
    (workplace / "small.yaml").write_text(SMALL.replace(", batch_size: 128", ""))
    study = workplace / "tiny.yaml"
    study.write_text(SEARCH.replace("SUBJECTS", "training"))
    said: list[str] = []
    sweep(study, Path("runs"), Path("results"), engine="ray", workers=1, folder=workplace, say=said.append)
    assert said[1] == "search tiny: 2 trials, 0 done before, 2 to do on Ray, 1 at a time"
    trials = pd.read_csv(workplace / "results/synthetic/studies/tiny_trials.csv")
    assert trials.state.tolist() == ["COMPLETE"] * 2
    assert trials["training.learning_rate"].nunique() == 2
    assert (workplace / "runs/synthetic/studies/tiny/trials.log").is_file()


def test_a_lost_node_costs_its_running_job_alone(cluster: Any, tmp_path: Path) -> None:
    """The last one: afterwards the cluster has one node."""
    (victim,) = cluster.worker_nodes
    raylet = victim.all_processes["raylet"][0].process
    workers: list[Any] = []

    def begun(node: int | None = None) -> list[Path]:
        return [path for path in tmp_path.glob("*-*-*") if node in (None, int(path.name.split("-")[2]))]

    def lose_the_node() -> None:
        patiently(lambda: begun(raylet.pid) and len(begun()) == 2)
        workers.extend(psutil.Process(raylet.pid).children())
        raylet.kill()
        raylet.wait()
        assert not psutil.wait_procs(workers, PATIENCE_S)[1]
        (tmp_path / "go").touch()

    killer = threading.Thread(target=lose_the_node)
    killer.start()
    jobs = [(number, tmp_path) for number in range(6)]
    outcomes = {outcome.job[0]: outcome for outcome in Engine("ray").run(jobs, wait_for_a_sign)}
    killer.join()
    assert {number: outcome.result for number, outcome in outcomes.items()} == {number: 2 * number for number in range(6)}
    (lost,) = (int(path.name.split("-")[0]) for path in begun(raylet.pid))
    assert {number: outcome.attempts for number, outcome in outcomes.items()} == {number: 1 + (number == lost) for number in range(6)}
    assert sorted(int(path.name.split("-")[0]) for path in begun()) == sorted([*range(6), lost])


def test_a_machine_that_is_not_as_the_drivers_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver = ray_engine._Driver.here()
    gone = ray_engine._Driver(str(tmp_path / "none"), {}, driver.code)
    with refused("engine", r"cannot open the folder .*none .*all machines need the same version of this package and the same"):
        gone.imitate()
    with refused("engine", "has another version of this package than the machine of the command"):
        ray_engine._Driver(driver.folder, {}, "other").imitate()
