"""What every training says about itself, whatever its task."""

from collections.abc import Callable
from typing import Any

from matplotlib import colormaps
from matplotlib.colors import to_hex

from har.config import RunConfig
from har.data.splits import SubjectSplit, split_document
from har.evaluation.predictions import Origin
from har.models.registry import MODELS
from har.pipeline.inputs import log_inputs
from har.pipeline.provenance import versions
from har.pipeline.study import run_key
from har.tracking import TrackedRun

Say = Callable[[str], None]


def run_facts(config: RunConfig, run: str, dataset: str, digest: str, commit: str, *, synthetic: bool) -> dict[str, str]:
    """The tags of a run."""
    facts = {
        "model": config.model.name,
        "task": config.task.name,
        "run": run,
        "seed": str(config.training.seed),
        "dataset": dataset,
        "synthetic": str(synthetic).lower(),
        "data_digest": digest,
        "git_commit": commit,
        "split": config.data.split.kind,
        "run_key": run_key(config, digest),
        "mlflow.runColor": _colour(config.model.name),
    }
    facts |= {} if config.data.split.kind == "official" else {"fold": str(config.data.split.fold)}
    return facts if config.data.difficulty is None else facts | {"difficulty": f"{config.data.difficulty:g}"}


def _colour(model: str) -> str:
    """One colour a model in MLflow's charts, whatever the seed; MLflow would draw one by the run's id, often one twice."""
    index = list(MODELS).index(model) if model in MODELS else len(MODELS)  # all of other packages share one
    colours = colormaps["tab20"](range(20))  # ten hues, each strong and then light
    return to_hex(colours[(2 * index + index // 10) % 20])


def log_start(tracked: TrackedRun, config: RunConfig, split: SubjectSplit, counts: dict[str, int], digest: str) -> None:
    """Log config, data, split, counts and versions of a run."""
    flat = {f"{section}.{key}": value for section, part in config.model_dump(mode="json").items() for key, value in part.items()}
    tracked.log_params(flat | {f"windows.{name}": count for name, count in counts.items()})
    tracked.log_dict(config.model_dump(mode="json"), "config.yaml")
    log_inputs(tracked, config, split, digest)
    tracked.log_dict(split_document([split], config.data.split.kind, config.data.dataset), "split.json")
    tracked.log_dict(versions(), "versions.json")


def device_facts(origin: Origin) -> dict[str, Any]:
    """What an exported file says about where it comes from."""
    return {
        "model": origin.model,
        "run": origin.run,
        "seed": origin.seed,
        "dataset": origin.dataset,
        "synthetic": origin.synthetic,
        "data_digest": origin.data_digest,
        "commit": origin.commit,
    }
