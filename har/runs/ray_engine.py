"""The engine for many machines: each job is one Ray task.

Ray tries a task again for ever where its process dies, or never. So it never repeats one here: `run_jobs_on_ray` does, and counts.
"""

import hashlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import har
from har.errors import HarError
from har.runs.engine import ATTEMPTS, LAST_WORDS_S, Outcome, default_workers, died, guarded

T = TypeVar("T")
R = TypeVar("R")
CONNECT_S = 10.0
LOOK_S = 5.0  # how often machines that joined or left the cluster are counted
SAME = "all machines need the same version of this package and the same paths"
PASSED_ON = ("HAR_", "MLFLOW_")  # beginnings of the variables that decide where data are and where runs are tracked


def run_jobs_on_ray(
    jobs: Sequence[T],
    work: Callable[[T], R],
    workers: int | None,
    *,
    gpus: float = 0.0,
    attempts: int = ATTEMPTS,
    started: Callable[[T], None] = lambda job: None,
) -> Generator[Outcome[T, R], None, None]:
    """Run `work` on every job, each a task of its own, and yield outcomes as they come, as `har.runs.engine.run_jobs` does.

    The cluster is the one that the environment variable ``RAY_ADDRESS`` names, or one on this machine for as long as the jobs run, which
    listens on 127.0.0.1 alone. In a cluster, all machines need this package and the same paths: each job finds the working directory of
    this process and its variables ``HAR_*`` and ``MLFLOW_*``, so paths mean there what they mean here. A job whose process died, or whose
    machine was lost, is started again, each at most `attempts` times; the others do not notice. Where this process ends, however that is,
    so do its jobs.

    Args:
        jobs: each can be pickled.
        work: a function of a module; one that raises `HarError` has failed for good.
        workers: jobs at a time; None is one a core of the cluster, machines that join or leave included.
        gpus: of each job, or a part of one.
        attempts: at most, of a job whose process died.
        started: gets each job when it is handed to Ray, also when it is started again.

    Raises:
        HarError: Ray is missing, its cluster cannot be reached or has no machine for such a job.
    """
    if not jobs:
        return
    tries, waiting = dict.fromkeys(range(len(jobs)), 0), list(range(len(jobs)))
    lost: set[int] = set()  # jobs that a machine took along
    running: dict[Future, tuple[Any, int]] = {}  # what Ray promised, its handle, and the job's number
    with _connected(workers) as ray:
        if not _places(ray, gpus):
            each = "1 core" + f" and {gpus:g} of a GPU" * bool(gpus)
            raise HarError(
                "engine", f"no machine of the Ray cluster has what each job needs, {each}; expected one: ray start --num-cpus, --num-gpus"
            )
        task = ray.remote(max_retries=0, num_cpus=1, num_gpus=gpus)(_as_the_driver)
        driver = _Driver.here()
        try:
            while waiting or running:
                room = (workers or max(1, _places(ray, gpus))) - len(running)
                for number in waiting[: max(0, room)]:
                    tries[number] += 1
                    # In a list, so that Ray hands over a reference: what it stands for is read once the machine is as the driver's.
                    ref = task.remote(driver, [ray.put((work, jobs[number]))])
                    running[ref.future()] = ref, number
                    started(jobs[number])
                del waiting[: max(0, room)]
                # Not by Ray's own wait, in which a signal would lose its exit code and what is done below.
                for future in wait(running, timeout=LOOK_S, return_when=FIRST_COMPLETED).done:
                    _, number = running.pop(future)
                    try:
                        result, problem = future.result()
                    except ray.exceptions.RayTaskError as error:  # before `work` began: this package is not there
                        result, problem = None, f"a machine of the cluster cannot run it ({_last_line(error)}); {SAME}"
                    except ray.exceptions.RayError as error:
                        lost |= {number} if isinstance(error, ray.exceptions.NodeDiedError) else set()
                        if tries[number] < attempts:
                            waiting.insert(0, number)
                            continue
                        problem = died(tries[number])
                        result, problem = None, f"its machine was lost, or {problem}" if number in lost else problem
                    yield Outcome(jobs[number], result, problem, tries[number])
        except BaseException:
            for ref, _ in running.values():
                ray.cancel(ref)  # as Ctrl-C: it says in MLflow how it ended, and leaves its folder to go on from
            wait(running, timeout=LAST_WORDS_S)
            raise


@dataclass(frozen=True)
class _Driver:
    """What a job finds on any machine as it is where the command was typed."""

    folder: str
    environment: dict[str, str]
    code: str

    @classmethod
    def here(cls) -> "_Driver":
        passed_on = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        return cls(os.getcwd(), passed_on, _code())

    def imitate(self) -> None:
        """Make this process look like the driver's, or say why it cannot."""
        if _code() != self.code:
            raise HarError("engine", f"{socket.gethostname()} has another version of this package than the machine of the command; {SAME}")
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise HarError("engine", f"{socket.gethostname()} cannot open the folder {self.folder} ({error.strerror}); {SAME}") from None
        for name in [name for name in os.environ if name.startswith(PASSED_ON)]:
            del os.environ[name]  # set by the process that started the cluster
        os.environ.update(self.environment)


def _as_the_driver(driver: _Driver, references: list[Any]) -> tuple[Any, str | None]:
    """Run a job on a machine of the cluster; the modules it needs are imported last, and find the driver's environment."""

    def run(references: list[Any]) -> Any:
        import ray

        driver.imitate()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # by which Ray cancels; what a shell starts behind `&` ignores it
        work, job = ray.get(references[0])
        return work(job)

    return guarded(run, references)


@cache
def _code() -> str:
    """SHA-256 of all source files of this package."""
    digest, folder = hashlib.sha256(), Path(har.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _places(ray: Any, gpus: float) -> int:
    """How many jobs all machines that live can run at a time."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(int(min(one.get("CPU", 0.0), one.get("GPU", 0.0) / gpus if gpus else float("inf"))) for one in alive)


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


@contextmanager
def _connected(workers: int | None) -> Iterator[Any]:
    """The module ray, connected to a cluster; a connection that this process had before is used, and left."""
    cluster = os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told that people's movements are analysed
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # Ray would print its logs among what this command says
    if not cluster:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray's own word for: listen on 127.0.0.1 alone
        os.environ.setdefault("RAY_worker_niceness", "0")  # as urgent as the command; Ray's 15 starves beside other work
    try:
        import ray
    except ModuleNotFoundError:
        raise HarError("dependency", "--engine ray needs Ray, which is not installed; pip install 'wearable-har[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    if cluster:
        _check_reachable(cluster)
    own: dict[str, Any] = {} if cluster else {"num_cpus": workers or default_workers(), "include_dashboard": False}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(cluster or "local", logging_level=logging.ERROR, log_to_driver=False, **own)
    except Exception as error:  # Ray's own are of many kinds
        where = f"the cluster RAY_ADDRESS={cluster}" if cluster else "Ray on this machine"
        raise HarError("engine", f"cannot use {where} ({_last_line(error)}); try again when it is less busy, or --engine local") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray sets one of its own, with which the command would end with another exit code
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reachable(cluster: str) -> None:
    """Ray itself would try for many minutes."""
    host, _, port = cluster.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise HarError(
            "engine", f"no Ray cluster at RAY_ADDRESS={cluster} ({error}); expected HOST:PORT of one, or nothing: a local one"
        ) from None
