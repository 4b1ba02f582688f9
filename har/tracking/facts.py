"""What is to be said of a store without using it for a run."""

from pathlib import Path

import mlflow
from mlflow.entities import ViewType

from har.tracking.fresh import is_missing
from har.tracking.journal import journals
from har.tracking.store import patiently, quiet, tracking_uri, unreachable


def store_facts(runs: Path) -> tuple[str, int]:
    """Where runs are tracked and how many there are, in words, and how many wait on disk to be sent.

    Args:
        runs: folder of the default store.

    Raises:
        HarError: the store cannot be reached.
    """
    quiet()
    uri, waiting = tracking_uri(runs), len(journals(runs))
    if is_missing(uri):
        return f"{uri}, made by the first training", waiting
    try:
        names = patiently(uri, lambda: [one.name for one in mlflow.MlflowClient(tracking_uri=uri).search_experiments(ViewType.ACTIVE_ONLY)])
    except Exception as error:  # each store has its own
        raise unreachable(uri, error) from None
    return f"{uri}: {', '.join(sorted(name for name in names if name != 'Default')) or 'no experiments yet'}", waiting
