"""The data of a run as MLflow shows them: by name, digest and people, and never copied."""

from collections.abc import Sequence
from typing import Any

from har.config import RunConfig
from har.data import hapt, synthetic, uci_har
from har.data.archives import HAPT, UCI_HAR
from har.data.prepare import loaded
from har.data.splits import SubjectSplit
from har.tracking import TrackedRun

SOURCES: dict[str, dict[str, Any]] = {
    uci_har.NAME: {"type": "http", "url": UCI_HAR.url},
    hapt.NAME: {"type": "http", "url": HAPT.url},
    synthetic.NAME: {"type": "code", "tags": {"mlflow.source.name": "har data prepare --dataset synthetic"}},
}
CONTEXTS = {"train": "training", "validation": "validation"}  # the test subjects are no input of a training


def log_inputs(tracked: TrackedRun, config: RunConfig, split: SubjectSplit, digest: str) -> None:
    """Log who trains and who validates as MLflow data sets.

    MLflow knows a data set by name and digest alone, so that the people stand in the name.

    Args:
        tracked: the run.
        config: names the data set.
        split: who trains and validates.
        digest: of the whole data set.
    """
    dataset = config.data.dataset
    for part, context in CONTEXTS.items():
        people = split.subjects(part)
        if people:
            profile = {"subjects": list(people), "digest": digest, "synthetic": dataset == synthetic.NAME}
            tracked.log_dataset(f"{dataset}: subjects {spans(people)}", digest, context, source_of(dataset), profile)


def source_of(dataset: str) -> dict[str, Any]:
    """Where MLflow says that a data set comes from."""
    if dataset in SOURCES:
        return SOURCES[dataset]
    data = loaded(dataset)
    url = data.url if data is not None else ""
    return (
        {"type": "http", "url": url} if url else {"type": "code", "tags": {"mlflow.source.name": f"har data prepare --dataset {dataset}"}}
    )


def spans(numbers: Sequence[int]) -> str:
    """Numbers in short: 1, 2, 3, 5 -> ``1-3 5``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
