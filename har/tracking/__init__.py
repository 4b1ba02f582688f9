"""Everything that knows MLflow: where the store is, one run per training, and the user interface.

MLflow, which takes seconds, is imported with what is first used of it.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Before MLflow is imported, which reads them then.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

if TYPE_CHECKING:
    from har.tracking.copies import store_facts
    from har.tracking.registered_models import BUNDLE_DIGEST, CHAMPION, Entry, Registry, Version
    from har.tracking.runs import (
        TrackedRun,
        close_orphans,
        closing_orphans,
        confirm_finished,
        ended_run,
        note_study,
        parent_run,
        push,
        tracked_run,
    )
    from har.tracking.server import check_place, serve
    from har.tracking.store import FOLDER, VARIABLE, check_store, tracking_uri

_PLACES = {
    "copies": ("store_facts",),
    "registered_models": ("BUNDLE_DIGEST", "CHAMPION", "Entry", "Registry", "Version"),
    "server": ("check_place", "serve"),
    "store": ("FOLDER", "VARIABLE", "check_store", "tracking_uri"),
}

__all__ = [
    "BUNDLE_DIGEST",
    "CHAMPION",
    "FOLDER",
    "VARIABLE",
    "Entry",
    "Registry",
    "TrackedRun",
    "Version",
    "check_place",
    "check_store",
    "close_orphans",
    "closing_orphans",
    "confirm_finished",
    "ended_run",
    "note_study",
    "parent_run",
    "push",
    "serve",
    "store_facts",
    "tracked_run",
    "tracking_uri",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = next((module for module, names in _PLACES.items() if name in names), "runs")
    return getattr(import_module(f"{__name__}.{module}"), name)
