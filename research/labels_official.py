"""``python -m research.labels_official``: the label-efficiency curve of the official split; its scores open the test subjects.

It decides nothing: what is kept is decided by ``python -m research.labels``, which scores no official test subject.
"""

from pathlib import Path

from research import labels
from research.common import Bench, experiment


def run(bench: Bench) -> list[Path]:
    """Up to all 21 training subjects labelled, scored on the nine test subjects; every score stands in the ledger before it is shown."""
    return labels.run(bench, official=True)


if __name__ == "__main__":
    raise SystemExit(experiment("labels_official"))
