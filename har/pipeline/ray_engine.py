"""The engine for many machines: Ray Data hands out the jobs by the handful, and a handful runs as it would on one machine.

Ray tries a task again for ever where its process dies. So the jobs run in a process below the task, by `run_jobs`: one that kills its
process costs three attempts, as everywhere, and what Ray repeats is what a lost machine was doing.
"""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from har.contract import HarError
from har.pipeline.engine import Outcome, default_workers, run_jobs

T = TypeVar("T")
R = TypeVar("R")
HANDFUL = 32  # jobs at most for one start of a process
CONNECT_S = 10.0
HANDFULS_A_WORKER = 4  # at least, where there are jobs enough, so that none waits long for the last


def run_jobs_on_ray(jobs: Sequence[T], work: Callable[[T], R], workers: int | None) -> Iterator[Outcome[T, R]]:
    """Run `work` on every job and yield outcomes as they come, as `har.pipeline.engine.run_jobs` does.

    The cluster is the one that the environment variable ``RAY_ADDRESS`` names, or one on this machine for as long as the jobs run, which
    listens on 127.0.0.1 alone. In a cluster, all machines need this package and the same paths.

    Args:
        jobs: each can be pickled.
        work: a function of a module; one that raises `HarError` has failed for good.
        workers: jobs at a time; None is one a core of the cluster.

    Raises:
        HarError: Ray is missing or its cluster cannot be reached.
    """
    if not jobs:
        return
    ray = _connected(workers)
    try:
        count = workers or int(ray.cluster_resources().get("CPU", 1))
        handful = max(1, min(HANDFUL, len(jobs) // (HANDFULS_A_WORKER * count)))
        number = -(-len(jobs) // handful)
        rows = ray.data.from_items([{"jobs": list(jobs[first::number])} for first in range(number)], override_num_blocks=number)
        for row in rows.map(_run_handful, fn_args=(work,), compute=ray.data.TaskPoolStrategy(size=min(count, number))).iter_rows():
            yield from row["outcomes"]
    finally:
        ray.shutdown()


def _run_handful(row: dict[str, Any], work: Callable[[T], R]) -> dict[str, Any]:
    return {"outcomes": list(run_jobs(row["jobs"], work, workers=1))}


def _connected(workers: int | None) -> Any:
    """The module ray, connected to a cluster."""
    cluster = os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told that people's movements are analysed
    if not cluster:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray's own word for: listen on 127.0.0.1 alone
        os.environ.setdefault("RAY_worker_niceness", "0")  # as urgent as the command; Ray's 15 starves beside other work
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise HarError("--engine ray needs Ray, which is not installed; pip install 'wearable-har[ray]'") from None
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if cluster:
        _check_reachable(cluster)
        ray.init(cluster, **quiet)
    else:
        ray.init("local", num_cpus=workers or default_workers(), include_dashboard=False, **quiet)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _check_reachable(cluster: str) -> None:
    """Ray itself would try for many minutes."""
    host, _, port = cluster.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise HarError(f"no Ray cluster at RAY_ADDRESS={cluster} ({error}); expected HOST:PORT of one, or nothing: a local one") from None
