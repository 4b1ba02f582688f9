"""Tasks other than naming the activity of a window, each with its data, module and scores."""

from har.contract import HarError
from har.models.registry import WINDOW, find_model
from har.pipeline.tasks.base import Task, TaskData, TaskScore
from har.pipeline.tasks.forecast import Forecast
from har.pipeline.tasks.generate import Generate
from har.pipeline.tasks.mounting import EstimateMounting
from har.pipeline.tasks.reconstruct import Reconstruct
from har.pipeline.tasks.sequence import Sequence

__all__ = ["TASKS", "Task", "TaskData", "TaskScore", "task_of"]

TASKS: dict[str, Task] = {task.name: task for task in (EstimateMounting(), Forecast(), Generate(), Reconstruct(), Sequence())}


def task_of(model: str) -> Task | None:
    """The task of a registered model; None for the activity of a window, which has a pipeline of its own.

    Raises:
        HarError: there is no such model.
    """
    name = find_model(model).task
    if name == WINDOW:
        return None
    if name not in TASKS:
        raise HarError(f"model {model!r} is registered for the task {name!r}; expected {WINDOW} or one of {', '.join(TASKS)}")
    return TASKS[name]
