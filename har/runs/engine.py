"""The local engine: independent jobs in processes of their own, any of which may die without taking others along."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Generic, TypeVar

from har.errors import HarError

T = TypeVar("T")
R = TypeVar("R")
LAST_WORDS_S = 5.0  # for a process that is told to end
ATTEMPTS = 3  # of a job whose process died; a mistake that is told in words is not tried again
ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """How a job ended: with a result, or with a sentence on why not."""

    job: T
    result: R | None
    problem: str | None
    attempts: int


@dataclass(frozen=True)
class Engine:
    """Where jobs run.

    Attributes:
        name: one of `ENGINES`.
        workers: jobs at a time; None is one a core, of all machines where Ray has a cluster.
        gpus: of each job, 0.5 for two jobs that share one; Ray's alone.

    Raises:
        HarError: there is no such engine, or it cannot do that.
    """

    name: str = "local"
    workers: int | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise HarError("name-unknown", f"unknown engine {self.name!r}; expected one of {', '.join(ENGINES)}")
        if self.workers is not None and self.workers < 1:
            raise HarError("argument", f"--workers is {self.workers}, expected at least 1")
        if not (0 <= self.gpus < float("inf")) or (self.gpus > 1 and self.gpus % 1):
            raise HarError("argument", f"--gpus-per-job is {self.gpus:g}, expected a part of a GPU, such as 0.5, or a whole number of them")
        if self.gpus and self.name == "local":
            raise HarError(
                "argument", f"--gpus-per-job {self.gpus:g} needs --engine ray; processes of this machine share its GPUs as they find them"
            )

    def text(self, jobs: int) -> str:
        """Where that many jobs run, for people."""
        if self.name == "ray":
            return "on Ray" if self.workers is None else f"on Ray, {self.workers} at a time"
        return f"in {min(self.workers or default_workers(), max(1, jobs))} processes"

    def run(
        self, jobs: Sequence[T], work: Callable[[T], R], started: Callable[[T], None] = lambda job: None
    ) -> Generator["Outcome[T, R]", None, None]:
        """Run `work` on every job and yield outcomes as they come; see `run_jobs`."""
        if self.name == "local":
            return run_jobs(jobs, work, workers=self.workers or default_workers(), started=started)
        from har.runs.ray_engine import run_jobs_on_ray

        return run_jobs_on_ray(jobs, work, self.workers, gpus=self.gpus, started=started)


def default_workers() -> int:
    """One process a core that this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def run_jobs(
    jobs: Sequence[T],
    work: Callable[[T], R],
    *,
    workers: int,
    attempts: int = ATTEMPTS,
    started: Callable[[T], None] = lambda job: None,
) -> Generator[Outcome[T, R], None, None]:
    """Run `work` on every job, `workers` at a time, and yield outcomes as they come.

    A process that is killed breaks the pool it belongs to: the jobs that were running are started again in a new pool,
    each at most `attempts` times, so one job that kills its process cannot stop the others.

    Args:
        jobs: each can be pickled.
        work: a function of a module; one that raises `HarError` has failed for good.
        workers: processes.
        attempts: at most, of a job whose process died.
        started: gets each job when it starts, also when it starts again.
    """

    def pool_of(count: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(min(workers, max(1, count)), mp_context=context, initializer=_die_with_the_driver)

    tries, waiting = dict.fromkeys(range(len(jobs)), 0), list(range(len(jobs)))
    running: dict[Future, int] = {}
    pool = pool_of(len(jobs))
    try:
        while waiting or running:
            # No more than the processes can take, so that a broken pool costs the running jobs an attempt and no other.
            while waiting and len(running) < workers:
                try:
                    future = pool.submit(guarded, work, jobs[waiting[0]])
                except BrokenProcessPool:
                    pool.shutdown()  # waits for its processes, which may have run the same jobs
                    pool = pool_of(len(waiting) + len(running))
                    continue
                number = waiting.pop(0)
                tries[number] += 1
                running[future] = number
                started(jobs[number])
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(future)
                try:
                    result, problem = future.result()
                except BrokenProcessPool:
                    if tries[number] < attempts:
                        waiting.insert(0, number)
                        continue
                    result, problem = None, died(tries[number])
                yield Outcome(jobs[number], result, problem, tries[number])
    except BaseException:
        _end(pool)
        raise
    pool.shutdown()


def died(times: int) -> str:
    """What is said of a job whose process died as often as it was started."""
    return f"its process died {times} times; see the system's log for memory"


def guarded(work: Callable[[T], R], job: T) -> tuple[R | None, str | None]:
    """What `work` returns, or one sentence on why there is nothing."""
    try:
        return work(job), None
    except HarError as error:
        return None, str(error)
    except Exception as error:  # the other jobs go on; this one's reason is kept
        return None, f"unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _die_with_the_driver() -> None:
    """Nobody would read the result of a job whose driver was killed, and whoever types the command again starts that job again."""

    def watch() -> None:
        driver = multiprocessing.parent_process()
        if driver is not None:
            driver.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _end(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())  # the executor has no public way to stop a running job
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(LAST_WORDS_S)
        process.kill()  # or its runs could not be told from those of the living
        process.join()


class Progress:
    """One line a finished job, with what is left."""

    def __init__(self, total: int, done: int, say: Callable[[str], None]) -> None:
        self.total, self.done, self.failed, self.say = total, done, 0, say
        self.started, self.here = time.monotonic(), 0

    def add(self, text: str, *, failed: bool = False) -> None:
        """Count a job and say so."""
        self.here += 1
        self.failed += failed
        self.done += not failed
        left = self.total - self.done - self.failed
        seconds = (time.monotonic() - self.started) / self.here * left
        failures = f", {self.failed} failed" if self.failed else ""
        self.say(f"[{self.done}/{self.total}{failures}, about {seconds / 60:.0f} min left] {text}")
