"""Everything that knows MLflow: where the store is, one run per training, and the user interface.

MLflow, which takes seconds, is imported with what is first used of it.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Before MLflow is imported, which reads them then.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

if TYPE_CHECKING:
    from har.tracking.facts import store_facts
    from har.tracking.later import ended_run, note_study
    from har.tracking.owners import close_orphans, closing_orphans, confirm_finished
    from har.tracking.registry import BUNDLE_DIGEST, CHAMPION, Entry, Registry, Version
    from har.tracking.runs import TrackedRun, parent_run, tracked_run
    from har.tracking.sending import push
    from har.tracking.server import check_place, serve
    from har.tracking.store import VARIABLE, check_store, tracking_uri

_PLACES = {
    "facts": ("store_facts",),
    "later": ("ended_run", "note_study"),
    "owners": ("close_orphans", "closing_orphans", "confirm_finished"),
    "registry": ("BUNDLE_DIGEST", "CHAMPION", "Entry", "Registry", "Version"),
    "runs": ("TrackedRun", "parent_run", "tracked_run"),
    "sending": ("push",),
    "server": ("check_place", "serve"),
    "store": ("VARIABLE", "check_store", "tracking_uri"),
}

__all__ = [
    "BUNDLE_DIGEST",
    "CHAMPION",
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
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
