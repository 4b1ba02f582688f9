"""What is wrong with a command's names, paths and configs, found before torch, scikit-learn or MLflow are imported."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from har.config import DataConfig, RunConfig, load_config, parse_config
from har.data.prepare import check_source
from har.data.splits import VALIDATION_SUBJECTS, check_split
from har.errors import HarError
from har.models.registry import MODELS, check_options, find_model
from har.runs.folds import SplitChoice, first_fold, fold_configs

CONFIG_FOLDER = Path("configs")
# Of those that come with the project: in a clone, and in an installed package.
SHIPPED = (Path(__file__).parents[2] / "configs", Path(__file__).parents[1] / "configs")
YAML = (".yaml", ".yml")


def config_path(name: str, folder: Path = CONFIG_FOLDER) -> Path:
    """The config of model `name`: ``configs/NAME.yaml``, else the one that comes with the project.

    Raises:
        HarError: there is no such config; an unknown model names the nearest.
    """
    for place in (folder, *SHIPPED):
        if (place / f"{name}.yaml").is_file():
            return place / f"{name}.yaml"
    find_model(name)
    raise HarError("config", f"no config at {folder / name}.yaml; name a file with --config")


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
    if name.endswith(YAML):
        config = load_config(name)
    elif name in MODELS or any((place / f"{name}.yaml").is_file() for place in (folder, *SHIPPED)):
        config = load_config(config_path(name, folder))
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
    split: SplitChoice | None = None,
    archive: Path | str | None = None,
) -> list[tuple[RunConfig, str]]:
    """The trainings that a command line asks for, each with the name of its run; all are checked before the data are read.

    Args:
        names: of models (``configs/NAME.yaml``), paths of YAML files, or configs.
        change: values by dotted key, such as ``training.epochs``.
        origin: where they come from, for messages.
        seeds: one run for each; by default the config's.
        split: one run for each fold it asks for.
        archive: a copy of the data set.

    Raises:
        HarError: a config, an option or the split is wrong, or there is no copy of the data.
    """
    split = split or SplitChoice()
    configs = named_configs(names, change, origin)
    for config, _ in configs:
        first_fold(config, split)
        for seed in seeds or []:
            config.with_overrides(training__seed=seed)
    for dataset in dict.fromkeys(config.data.dataset for config, _ in configs):
        check_source(dataset, archive)
    jobs = []
    for config, stem in configs:
        for fold in fold_configs(config, split, archive):
            jobs += [(fold.with_overrides(training__seed=seed), run_name(stem, fold.data)) for seed in (seeds or [config.training.seed])]
    return jobs


def run_name(stem: str, data: DataConfig) -> str:
    """Name of a run: of its config file, and of every choice that makes it another experiment than the same config without.

    These are the published channels, HAPT's transitions as classes, and folds.
    """
    run = stem if data.channels == "raw6" or stem.endswith("uci9") else f"{stem}-uci9"
    transitions = f"-transitions-{data.transitions}"
    run += transitions if data.transitions != "drop" and not stem.endswith(transitions) else ""
    return run + data.suffix
