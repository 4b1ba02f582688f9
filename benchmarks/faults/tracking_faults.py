"""Take the MLflow server away from trainings, in every way it can go, and look what that costs and what is lost.

    python benchmarks/faults/tracking_faults.py [--trials 3] [--seed 0]

A real MLflow server stands behind a proxy that can be closed, fall silent or answer slowly: from the start, or from a random request on.
Each trial is one `har train` on SYNTHETIC data as a process of its own, then `har track push` to the server itself. Counted are the
seconds that the training waited for its copy on the server beyond those of a healthy one (10 are allowed), and what of an undisturbed
run's metric points, parameters and artifacts is missing in the end. Writes results/reliability/tracking_faults.csv, a row a fault; exit
code 1 where a training failed, lost more than ten seconds, or anything is missing, doubled or still RUNNING.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from forked import arguments, made, write_table
from kill_training import write_config
from reliability_summary import ALLOWED_S

from har.tracking import copies, runs, store_facts

RESULT = Path("results/reliability/tracking_faults.csv")
SLOW_S = 1.5
# what the proxy does, and from which request on; "later" is drawn between the first and the last
FAULTS = (("healthy", "start"), ("absent", "start"), ("silent", "start"), ("slow", "start"), ("absent", "later"), ("silent", "later"))


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, until it does not."""

    daemon_threads = True

    def __init__(self, behind: int, mode: str, healthy: int) -> None:
        self.behind, self.mode, self.healthy, self.seen = behind, mode, healthy, 0
        super().__init__(("127.0.0.1", 0), Passing)


class Passing(BaseHTTPRequestHandler):
    """One request."""

    server: Proxy

    def do_GET(self) -> None:
        self.server.seen += 1
        if self.server.seen > self.server.healthy:
            if self.server.mode == "absent":
                self.server.socket.close()  # nobody listens any more
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            time.sleep(3600 if self.server.mode == "silent" else SLOW_S)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def mlflow_server(folder: Path) -> Iterator[int]:
    """A real one with its own store; yields its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder / "artifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment)  # nosec B603 # this very Python, no shell
    try:
        for _ in range(600):
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/health")
                break
            except OSError:
                time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait()


def train_and_time(config: str, folder: str) -> None:
    """`har train` in this process; prints the seconds it waited for the copies of its runs."""
    from har.cli import main as har

    waited, copying = [0.0], copies.copying

    @contextmanager
    def timed(*arguments: Any, **more: Any) -> Iterator[None]:
        inner = copying(*arguments, **more)
        inner.__enter__()
        try:
            yield
        finally:
            before = time.perf_counter()
            inner.__exit__(None, None, None)
            waited[0] += time.perf_counter() - before

    runs.copying = copies.copying = timed
    code = har(["train", "--config", config, "--runs", folder])
    print(json.dumps({"waited_s": waited[0]}))
    sys.stdout.flush()
    os._exit(code)  # a call that was given up may still hang in its thread, as after any training


def content(uri: str, experiment: str) -> dict[str, Any]:
    """Of all runs of an experiment: points, parameters, artifacts, and how they ended."""
    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    there = client.search_runs([found.experiment_id]) if found else []
    points, artifacts = set(), set()
    doubled = 0
    for run in there:
        for name in (name for name in run.data.metrics if not name.startswith("system/")):  # more the longer it takes
            history = [(name, point.step) for point in client.get_metric_history(run.info.run_id, name)]
            doubled += len(history) - len(set(history))
            points |= set(history)
        places = [""]
        while places:
            for one in client.list_artifacts(run.info.run_id, places.pop()):
                places += [one.path] if one.is_dir else []
                artifacts |= set() if one.is_dir else {one.path}
    states = [run.info.status for run in there]
    params = {name for run in there for name in run.data.params}
    models = len(client.search_logged_models([found.experiment_id])) if found else 0
    return {"points": points, "params": params, "artifacts": artifacts, "doubled": doubled, "states": states, "models": models}


def trial(config: Path, folder: Path, port: int, mode: str, healthy: int) -> tuple[dict[str, Any], int]:
    """One training behind a proxy, then a push to the server itself; what is there in the end, and how many requests the proxy saw."""
    proxy = Proxy(port, mode, healthy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    uri = f"http://127.0.0.1:{proxy.server_port}"
    if mode == "absent" and healthy == 0:
        proxy.socket.close()
    started = time.perf_counter()
    command = [sys.executable, __file__, "--train", str(config), str(folder)]
    done = subprocess.run(command, env=os.environ | {"MLFLOW_TRACKING_URI": uri}, capture_output=True, text=True)  # nosec B603 # this very Python, no shell
    found: dict[str, Any] = {"training_s": time.perf_counter() - started, "failed": int(done.returncode != 0)}
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return found, proxy.seen
    found |= json.loads(done.stdout.splitlines()[-1]) | {"warnings": done.stderr.count("har: warning:")}
    proxy.shutdown()
    direct = f"http://127.0.0.1:{port}"
    push = [sys.executable, "-m", "har", "track", "push", "--runs", str(folder)]
    sent = subprocess.run(push, env=os.environ | {"MLFLOW_TRACKING_URI": direct}, capture_output=True)  # nosec B603 # this very Python, no shell
    found["pushed"] = int(sent.returncode == 0)
    os.environ["MLFLOW_TRACKING_URI"] = direct
    found["waiting"] = store_facts(folder)[1]
    del os.environ["MLFLOW_TRACKING_URI"]
    return found | content(direct, "synthetic"), proxy.seen


def row(fault: tuple[str, str], trials: list[dict[str, Any]], whole: dict[str, Any]) -> dict[str, object]:
    """What a fault cost."""
    ended = [one for one in trials if not one["failed"]]
    waited = [one["waited_s"] for one in ended]
    return {
        "fault": fault[0],
        "since": fault[1],
        "trials": len(trials),
        "trainings_failed": len(trials) - len(ended),
        "longest_wait_s": f"{max(waited, default=0):.2f}",
        "lost_s": f"{max(waited, default=0) - whole['waited_s']:.2f}",
        "warnings": sum(one["warnings"] for one in ended),
        "pushes": sum(one["pushed"] for one in ended),
        **{f"missing_{name}": sum(len(whole[name] - one[name]) for one in ended) for name in ("points", "params", "artifacts")},
        "doubled_points": sum(one["doubled"] for one in ended),
        "runs_finished": sum(one["states"].count("FINISHED") for one in ended),
        "runs_otherwise": sum(len(one["states"]) - one["states"].count("FINISHED") for one in ended),
        "logged_models": sum(one["models"] for one in ended),
        "still_waiting": sum(one["waiting"] for one in ended),
    }


def main() -> int:
    parser = arguments(__doc__, 3, "of each fault that begins later; one of the others", "of the requests at which faults begin")
    parser.add_argument("--train", nargs=2, default=None, metavar=("CONFIG", "RUNS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train_and_time(*options.train)
    rng, rows, whole, requests = np.random.default_rng(options.seed), [], {}, 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        config = write_config("cnn1d", root)
        for fault in FAULTS:
            mode, since = fault
            trials = []
            for number in range(options.trials if since == "later" else 1):
                place = root / f"{mode}-{since}-{number}"
                place.mkdir()
                healthy = int(rng.integers(1, requests)) if since == "later" else requests if mode == "healthy" else 0
                with mlflow_server(place) as port:
                    found, seen = trial(config, place / "runs", port, mode, 10**9 if mode == "healthy" else healthy)
                if mode == "healthy" and not found["failed"]:
                    whole, requests = found, seen
                trials.append(found)
                print(
                    f"{mode} since {since}, trial {number + 1}: " + str({k: v for k, v in found.items() if not isinstance(v, set)}),
                    flush=True,
                )
            rows.append(row(fault, trials, whole))
    write_table(RESULT, rows, {"seed": options.seed} | made("mlflow"))
    bad = ("trainings_failed", "missing_points", "missing_params", "missing_artifacts", "doubled_points", "runs_otherwise", "still_waiting")
    wrong = [one for one in rows if any(one[name] for name in bad) or one["runs_finished"] != one["trials"] != one["pushes"]]
    return int(bool(wrong) or any(float(str(one["lost_s"])) > ALLOWED_S for one in rows))


if __name__ == "__main__":
    sys.exit(main())
