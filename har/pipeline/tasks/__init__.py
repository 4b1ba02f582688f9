"""The tasks, each with its data, module and scores."""

from har.contract import HarError
from har.models.registry import find_model
from har.pipeline.tasks.base import Task, TaskData, TaskScore
from har.pipeline.tasks.classify import Classify
from har.pipeline.tasks.forecast import Forecast
from har.pipeline.tasks.generate import Generate
from har.pipeline.tasks.mounting import EstimateMounting
from har.pipeline.tasks.reconstruct import Reconstruct
from har.pipeline.tasks.sequence import Sequence

__all__ = ["TASKS", "Task", "TaskData", "TaskScore", "task_of"]

TASKS: dict[str, Task] = {task.name: task for task in (Classify(), EstimateMounting(), Forecast(), Generate(), Reconstruct(), Sequence())}


def task_of(model: str) -> Task:
    """The task of a registered model.

    Raises:
        HarError: there is no such model, or no such task.
    """
    name = find_model(model).task
    if name not in TASKS:
        raise HarError(f"model {model!r} is registered for the task {name!r}; expected one of {', '.join(TASKS)}")
    return TASKS[name]
