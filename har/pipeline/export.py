"""Choose a run by its validation score and make its bundle."""

from pathlib import Path

from har.contract import HarError
from har.data.windowset import WindowSet
from har.evaluation.metrics import scores
from har.export.bundle import BundleResult, write_bundle
from har.export.onnx_file import MIN_PARITY_WINDOWS, refusal
from har.models.registry import find_model
from har.pipeline.run_folder import RunFolder
from har.pipeline.tasks import task_of
from har.pipeline.train import load_windows
from har.pipeline.train_common import device_facts
from har.runtime.bundle import sha256
from har.training.checkpoint import load_checkpoint


def best_run(runs: list[RunFolder]) -> RunFolder:
    """The run with the best macro-F1 on the validation subjects among those a phone can run: trained on what it delivers,
    and of a network that ONNX can hold.

    The test subjects have no say.

    Raises:
        HarError: no run can be exported, or they tell different activities apart.
    """
    runs = [run for run in runs if task_of(run.info().origin.model) is None]
    if not runs:
        raise HarError("none of these runs names activities of windows; a bundle is made of such a model")
    device = [run for run in runs if run.info().origin.channels == "raw6"]
    if not device:
        raise HarError("every run was trained on uci9, which no phone delivers; train with data.channels: raw6 to export")
    reasons = {run.path: refusal(find_model(run.info().origin.model).network) for run in device}
    device = [run for run in device if reasons[run.path] is None] or device[:1]  # a refusal is said by the export itself
    # Scores on other people cannot be compared; a fold is exported where it alone is named.
    device = [run for run in device if run.config().data.split.kind == "official"] or device[:1] * (len(device) == 1)
    if not device:
        raise HarError("every run is a fold of some other split, so that none is best; name one with --model and --seed")
    kinds = {run.config().data.transitions: run.info().origin.run for run in device}
    if len(kinds) > 1:
        found = ", ".join(f"{run} (transitions: {kind})" for kind, run in sorted(kinds.items()))
        raise HarError(f"scores over different labels cannot be compared: {found}; name runs of one kind with --model")
    if len(device) == 1:
        return device[0]
    scored = [(score, run) for run in device if (score := run.info().score) is not None]
    if not scored:
        raise HarError(f"nobody validated these {len(device)} runs, so that none is best; name one with --model and --seed")
    return max(scored, key=lambda pair: pair[0])[1]


def export_run(run: RunFolder, folder: Path, archive: Path | str | None = None) -> BundleResult:
    """Write the bundle of a run, after parity with torch on windows of its validation subjects.

    Raises:
        HarError: a check failed.
    """
    info = run.info()
    if not run.checkpoint.is_file() or sha256(run.checkpoint) != info.origin.checkpoint_sha256:
        raise HarError(f"{run.checkpoint} is not the file that was trained; train again: har train --model {info.origin.run}")
    config = run.config()
    windows, split = load_windows(config, archive)
    validation: WindowSet = split.select(windows, "validation")
    step = max(1, len(validation) // (2 * MIN_PARITY_WINDOWS))
    metrics = {}
    for name in ("validation", "test"):
        predictions = run.predictions(name)
        if predictions is not None:
            metrics[name] = scores(predictions)
    return write_bundle(
        load_checkpoint(run.checkpoint),
        folder,
        facts=device_facts(info.origin),
        metrics=metrics,
        windows=validation.x[::step],
        labels=windows.labels,
        stride=config.windowing.step,
    )
