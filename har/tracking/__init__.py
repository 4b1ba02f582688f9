"""Everything that knows MLflow: where the store is, one run per training, and the user interface."""

import os

# Before MLflow is imported, which reads them then.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from har.tracking.facts import store_facts
from har.tracking.later import ended_run, note_study
from har.tracking.owners import close_orphans, closing_orphans, confirm_finished
from har.tracking.registry import BUNDLE_DIGEST, CHAMPION, Entry, Registry, Version
from har.tracking.runs import TrackedRun, parent_run, tracked_run
from har.tracking.sending import push
from har.tracking.server import serve
from har.tracking.store import VARIABLE, tracking_uri

__all__ = [
    "BUNDLE_DIGEST",
    "CHAMPION",
    "VARIABLE",
    "Entry",
    "Registry",
    "TrackedRun",
    "Version",
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
