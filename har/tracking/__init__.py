"""Everything that knows MLflow: where the store is, one run per training, and the user interface."""

import os

# Before MLflow is imported, which reads them then.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from har.tracking.owners import close_orphans, closing_orphans, confirm_finished
from har.tracking.runs import TrackedRun, parent_run, tracked_run
from har.tracking.sending import push
from har.tracking.server import serve
from har.tracking.store import tracking_uri

__all__ = [
    "TrackedRun",
    "close_orphans",
    "closing_orphans",
    "confirm_finished",
    "parent_run",
    "push",
    "serve",
    "tracked_run",
    "tracking_uri",
]
