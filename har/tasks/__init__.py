"""The tasks, each with its data, module and scores."""

from har.errors import HarError
from har.models.registry import find_model
from har.tasks.base import Task, TaskData, TaskScore
from har.tasks.classify import Classify
from har.tasks.estimate_mounting import EstimateMounting
from har.tasks.forecast import Forecast
from har.tasks.generate import Generate
from har.tasks.reconstruct import Reconstruct
from har.tasks.sequence import Sequence

__all__ = ["TASKS", "Task", "TaskData", "TaskScore", "task_of"]

TASKS: dict[str, Task] = {task.name: task for task in (Classify(), EstimateMounting(), Forecast(), Generate(), Reconstruct(), Sequence())}


def task_of(model: str) -> Task:
    """The task of a registered model.

    Raises:
        HarError: there is no such model, or no such task.
    """
    name = find_model(model).task
    if name not in TASKS:
        raise HarError("plugin", f"model {model!r} is registered for the task {name!r}; expected one of {', '.join(TASKS)}")
    return TASKS[name]
