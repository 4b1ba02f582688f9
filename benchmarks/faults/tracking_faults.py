"""Take the MLflow server away from trainings, in every way it can go, and look what that costs and what is lost.

    python benchmarks/faults/tracking_faults.py [--trials 3] [--seed 0]

A real MLflow server stands behind a proxy that can be closed, become silent or answer slowly: from the start, or from a random request on.
Each trial is one `har train` on SYNTHETIC data as a process of its own, then `har track push` to the server itself. Counted are the
seconds that the training waited for its copy on the server beyond those of a healthy one (10 are allowed), and what of an undisturbed
run's metric points, parameters and artifacts is missing in the end. Writes results/reliability/tracking_faults.csv, a row a fault; exit
code 1 where a training failed, lost more than ten seconds, or anything is missing, doubled or still RUNNING.
"""

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from trials import Har, arguments, finish, workplace, write_config

from har.tracking import copies, runs
from har.tracking.copies import store_facts

ADDRESS = "127.0.0.1"
SLOW_S, PATIENCE_S = 1.5, 120.0
# what the proxy does, and from which request on; "later" is drawn between the first and the last
FAULTS = (("healthy", "start"), ("absent", "start"), ("silent", "start"), ("slow", "start"), ("absent", "later"), ("silent", "later"))


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, until it does not."""

    daemon_threads = True

    def __init__(self, behind: int, mode: str, healthy: int) -> None:
        self.behind, self.mode, self.healthy, self.seen = behind, mode, healthy, 0
        super().__init__((ADDRESS, 0), Passing)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        if mode == "absent" and healthy == 0:
            self.socket.close()


class Passing(BaseHTTPRequestHandler):
    """One request."""

    server: Proxy

    def do_GET(self) -> None:
        self.server.seen += 1
        if self.server.seen > self.server.healthy:
            if self.server.mode == "absent":
                self.server.socket.close()  # nothing listens any more
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            time.sleep(3600 if self.server.mode == "silent" else SLOW_S)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = http.client.HTTPConnection(ADDRESS, self.server.behind)
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
        """Print nothing."""


@contextmanager
def mlflow_server(folder: Path) -> Iterator[int]:
    """A real one with its own store; yields its port."""
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", ADDRESS, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder / "artifacts")]
    environment, quiet = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment)  # nosec B603 # this very Python, no shell
    try:
        deadline = time.monotonic() + PATIENCE_S
        while socket.socket().connect_ex((ADDRESS, port)) and time.monotonic() < deadline:
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait()


def print_waits() -> None:
    """Let this process print the seconds that a training waits for the copies of its runs."""
    copying = copies.copying

    @contextmanager
    def timed(*arguments: Any, **more: Any) -> Iterator[None]:
        with copying(*arguments, **more):
            yield
            before = time.perf_counter()
        print(f"waited {time.perf_counter() - before:.3f} s", flush=True)

    runs.copying = copies.copying = timed


def content(uri: str, experiment: str) -> dict[str, Any]:
    """Of all runs of an experiment: points, parameters, artifacts, and how they ended."""
    client = mlflow.MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    there = client.search_runs([found.experiment_id]) if found else []
    points, artifacts = [], set()
    for run in there:
        for name in (name for name in run.data.metrics if not name.startswith("system/")):  # more the longer it takes
            points += [(name, point.step) for point in client.get_metric_history(run.info.run_id, name)]
        places = [""]
        while places:
            for one in client.list_artifacts(run.info.run_id, places.pop()):
                places += [one.path] if one.is_dir else []
                artifacts |= set() if one.is_dir else {one.path}
    return {
        "points": set(points),
        "params": {name for run in there for name in run.data.params},
        "artifacts": artifacts,
        "doubled": len(points) - len(set(points)),
        "states": [run.info.status for run in there],
    }


def trial(config: Path, folder: Path, mode: str, healthy: int) -> dict[str, Any]:
    """One training behind a proxy, then a push to the server itself; what is there in the end, and how many requests the proxy saw."""
    folder.mkdir()
    with mlflow_server(folder) as port:
        proxy, direct = Proxy(port, mode, healthy), {"MLFLOW_TRACKING_URI": f"http://{ADDRESS}:{port}"}
        indirect = {"MLFLOW_TRACKING_URI": f"http://{ADDRESS}:{proxy.server_port}"}
        done = Har("train", "--config", config, "--runs", folder / "runs", environment=indirect, first=print_waits).wait()
        found: dict[str, Any] = {"failed": int(done.code != 0), "requests": proxy.seen}
        if done.code:
            print(*done.errors, sep="\n", file=sys.stderr)
            return found
        proxy.shutdown()
        found["waited_s"] = sum(float(seconds) for seconds in re.findall(r"^waited ([\d.]+) s$", done.output, re.MULTILINE))
        found["warnings"] = sum(line.startswith("har: warning:") for line in done.errors)
        found["pushed"] = int(Har("track", "push", "--runs", folder / "runs", environment=direct).wait().code == 0)
        os.environ |= direct
        found["waiting"] = store_facts(folder / "runs")[1]
        del os.environ["MLFLOW_TRACKING_URI"]
        return found | content(direct["MLFLOW_TRACKING_URI"], "synthetic")


def row(fault: tuple[str, str], trials: list[dict[str, Any]], whole: dict[str, Any]) -> dict[str, object]:
    """What a fault cost."""
    ended = [one for one in trials if not one["failed"]]
    longest, finished = max((one["waited_s"] for one in ended), default=0.0), sum(one["states"].count("FINISHED") for one in ended)
    return {
        "fault": fault[0],
        "since": fault[1],
        "trials": len(trials),
        "trainings_failed": len(trials) - len(ended),
        "longest_wait_s": f"{longest:.2f}",
        "lost_s": f"{longest - whole['waited_s']:.2f}",
        "warnings": sum(one["warnings"] for one in ended),
        "pushes": sum(one["pushed"] for one in ended),
        **{f"missing_{name}": sum(len(whole[name] - one[name]) for one in ended) for name in ("points", "params", "artifacts")},
        "doubled_points": sum(one["doubled"] for one in ended),
        "runs_finished": finished,
        "runs_otherwise": sum(len(one["states"]) for one in ended) - finished,
        "still_waiting": sum(one["waiting"] for one in ended),
    }


def main() -> int:
    text = "of each fault that begins later; one of the others"
    options = arguments(__doc__, trials=(3, text), seed=(0, "of the requests at which faults begin")).parse_args()
    rng, rows, whole = np.random.default_rng(options.seed), [], {}
    with workplace() as root:
        config = write_config(root / "cnn1d.yaml", training={"epochs": 8, "batch_size": 32}, augmentation={"rotation_deg": 20})
        for mode, since in FAULTS:
            trials = []
            for number in range(options.trials if since == "later" else 1):
                healthy = 10**9 if mode == "healthy" else int(rng.integers(1, whole["requests"])) if since == "later" else 0
                trials.append(trial(config, root / f"{mode}-{since}-{number}", mode, healthy))
            whole = whole or trials[0]
            rows.append(row((mode, since), trials, whole))
            print(rows[-1], flush=True)
    return finish("tracking_faults.csv", rows, "mlflow", seed=options.seed)


if __name__ == "__main__":
    sys.exit(main())
