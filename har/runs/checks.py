"""What is wrong with a command's names, paths and configs, found before torch, scikit-learn or MLflow are imported."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from har.config import DataConfig, RunConfig, load_config, parse_config
from har.contract import SPLITS
from har.data.audit import audit
from har.data.prepare import check_source, prepared
from har.data.splits import VALIDATION_SUBJECTS, SubjectSplit, check_split, fold_count, make_splits, write_splits
from har.data.windowset import WindowSet
from har.errors import HarError
from har.models.registry import check_options, find_model

Choice = dict[str, Any]  # the options of a split that a command line gives, with the keys of ``data.split``


def _fold_configs(config: RunConfig, choice: Choice, numbers: list[int] | None, archive: Path | str | None) -> list[RunConfig]:
    """The config once for every fold that is asked for, see `_first_fold`; the subjects of the data decide how many there are."""
    first = _first_fold(config, choice, numbers)
    if first is None:
        return [config]
    count = len(make_splits(first.data, prepared(first, archive)))
    _check_folds(first, numbers, count)
    wanted = range(count) if numbers is None else dict.fromkeys(numbers)
    return [config.with_split(**(first.data.split.model_dump() | {"fold": number})) for number in wanted]


def _first_fold(config: RunConfig, choice: Choice, numbers: list[int] | None) -> RunConfig | None:
    """The config with fold 0 of the split that is asked for; None where that is the config as it is.

    The official split has one fold and keeps the config's validation subjects.

    Raises:
        HarError: an option does not belong to the kind of split, a split file is damaged, or a fold cannot exist.
    """
    if not choice and numbers is None:
        return None
    own = config.data.split
    kind = choice.get("kind", own.kind)
    if kind == "official":
        if numbers is not None or set(choice) - {"kind"}:
            raise HarError(
                "split-subjects", "the official split has one fold and no options; name another: --split fold5, kfold, loso or file"
            )
        if own.kind != "official":
            raise HarError(
                "split-subjects",
                f"the config's split is {own.kind!r} and names no validation subjects for the official one; add them to a config",
            )
        return None
    first = config.with_split(**((own.model_dump() if kind == own.kind else {}) | choice | {"kind": kind, "fold": 0}))
    _check_folds(first, numbers, fold_count(first.data.split))
    return first


def _check_folds(first: RunConfig, numbers: list[int] | None, count: int | None) -> None:
    for number in numbers or ():
        if number < 0 or (count is not None and number >= count):
            known = f"has folds 0 to {count - 1}" if count is not None else "has folds from 0 on"
            what = f"fold {number} is asked for; the {first.data.split.kind} split of {first.data.dataset} {known}"
            raise HarError("split-subjects", f"{what}: --fold")


def describe_splits(
    dataset: str, choice: Choice, validation_subjects: list[int] | None, archive: Path | str | None, output: Path | None
) -> str:
    """Make all folds of a split, audit each, write them as JSON where `output` names a file.

    Returns:
        For each part of each fold: its subjects, its windows and the shares of the activities.

    Raises:
        HarError: an option does not belong to the kind of split, the data are absent, a fold leaks, or the file cannot be written.
    """
    kind = choice.get("kind", "official")
    official = validation_subjects or (VALIDATION_SUBJECTS if kind == "official" else None)
    content = {"dataset": dataset, "validation_subjects": official, "split": {"kind": kind, **choice}}
    # The model decides nothing here, but only a whole config is checked.
    config = parse_config({"data": content, "model": {"name": "cnn1d"}}, "command line")
    windows = prepared(config, archive)
    splits = make_splits(config.data, windows)
    what = f"{windows.dataset} (SYNTHETIC data)" if windows.synthetic else windows.dataset
    folds, people = f"{len(splits)} fold{'s' * (len(splits) > 1)}", len(np.unique(windows.subject))
    lines = [f"{what}, split {kind}: {folds}, {len(windows):,} windows of {people} subjects"]
    for number, split in enumerate(splits):
        parts = {name: split.select(windows, name) for name in SPLITS}
        audit(parts)
        lines += [f"fold {number}: no leak found", *(_part_line(name, split, parts[name]) for name in SPLITS)]
    if output is not None:
        write_splits(output, splits, kind, dataset)
    return "\n".join(lines)


def _part_line(name: str, split: SubjectSplit, part: WindowSet) -> str:
    share = np.bincount(part.y, minlength=len(part.labels)) / len(part)
    activities = ", ".join(f"{label} {100 * value:.1f} %" for label, value in zip(part.labels, share, strict=True))
    subjects = split.subjects(name)
    return f"  {name:10} {len(part):6,} windows of {len(subjects)} subjects: {', '.join(map(str, subjects))}\n{'':13}{activities}"


CONFIG_FOLDER = Path("configs")
# Of those that come with the project: in a clone, and in an installed package.
SHIPPED = (Path(__file__).parents[2] / "configs", Path(__file__).parents[1] / "configs")
YAML = (".yaml", ".yml")


def config_path(name: str, folder: Path = CONFIG_FOLDER) -> Path:
    """The config of model `name`: ``configs/NAME.yaml``, else the one that comes with the project.

    Raises:
        HarError: there is no such config; an unknown model names the nearest.
    """
    path = _of_model(name, folder)
    if path is None:
        find_model(name)
        raise HarError("config", f"no config at {folder / name}.yaml; name a file with --config")
    return path


def _of_model(name: str, folder: Path) -> Path | None:
    return next((path for place in (folder, *SHIPPED) if (path := place / f"{name}.yaml").is_file()), None)


def named_config(name: RunConfig | Path | str, folder: Path = CONFIG_FOLDER) -> RunConfig:
    """The config of a model's name or of a YAML file, or a config as it is.

    A model of an installed package needs no file and then has the default settings.

    Without a section ``task``, the task is that of the model.

    Raises:
        HarError: there is no such config, or it is not valid.
    """
    if isinstance(name, RunConfig):
        return name
    name = str(name)
    path = Path(name) if name.endswith(YAML) else _of_model(name, folder)
    if path is not None:
        config = load_config(path)
    else:
        config = parse_config({"data": {"validation_subjects": VALIDATION_SUBJECTS}, "model": {"name": find_model(name).name}}, name)
    task = find_model(config.model.name).task
    return config if "task" in config.model_fields_set or task == config.task.name else config.changed({"task": {"name": task}}, name)


def check_task(config: RunConfig) -> None:
    """Refuse a config whose model is for another task, or has no such option.

    Raises:
        HarError: with both tasks, or with the option.
    """
    model = find_model(config.model.name)
    if model.task != config.task.name:
        raise HarError(
            "config",
            f"task.name is {config.task.name!r}, but model {model.name!r} is for the task {model.task!r}; set task.name: {model.task}, "
            "or name another model",
        )
    check_options(model.name, config.model.options)


def named_configs(
    names: Iterable[RunConfig | Path | str], change: Mapping[str, Any], origin: str = "command line"
) -> list[tuple[RunConfig, str]]:
    """Configs with what `origin` changes, and their names, as far as they can be checked without torch.

    Raises:
        HarError: a config, model, option, data set or split is wrong.
    """
    found = []
    for name in names:
        config = named_config(name).changed(dict(change), origin)
        check_task(config)
        check_split(config.data)
        label = config.model.name if isinstance(name, RunConfig) else str(name)
        found.append((config, Path(label).stem if label.endswith(YAML) else label))
    return found


def planned_runs(
    names: Iterable[RunConfig | Path | str],
    change: Mapping[str, Any],
    *,
    origin: str = "command line",
    seeds: list[int] | None = None,
    split: Choice | None = None,
    folds: list[int] | None = None,
    archive: Path | str | None = None,
) -> list[tuple[RunConfig, str]]:
    """The trainings that a command line asks for, each with the name of its run; all are checked before the data are read.

    Args:
        names: of models (``configs/NAME.yaml``), paths of YAML files, or configs.
        change: values by dotted key, such as ``training.epochs``.
        origin: where they come from, for messages.
        seeds: one run for each; by default the config's.
        split: instead of the config's; one run for each fold.
        folds: only these.
        archive: a copy of the data set.

    Raises:
        HarError: a config, an option or the split is wrong, or there is no copy of the data.
    """
    configs = named_configs(names, change, origin)
    for config, _ in configs:
        _first_fold(config, split or {}, folds)
        for seed in seeds or []:
            config.with_overrides(training__seed=seed)
    for dataset in dict.fromkeys(config.data.dataset for config, _ in configs):
        check_source(dataset, archive)
    jobs = []
    for config, stem in configs:
        for fold in _fold_configs(config, split or {}, folds, archive):
            jobs += [(fold.with_overrides(training__seed=seed), run_name(stem, fold.data)) for seed in (seeds or [config.training.seed])]
    return jobs


def run_name(stem: str, data: DataConfig) -> str:
    """Name of a run: of its config file, and of every choice that makes it another experiment than the same config without.

    These are other channels than ``raw6``, HAPT's transitions as classes, and folds.
    """
    run = stem if data.channels == "raw6" or stem.endswith(data.channels) else f"{stem}-{data.channels}"
    transitions = f"-transitions-{data.transitions}"
    run += transitions if data.transitions != "drop" and not stem.endswith(transitions) else ""
    return run + data.suffix
