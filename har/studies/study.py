"""What a study is: models x settings x seeds x folds, each one job with a key that says everything it depends on."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from har.config import MAX_SEED, SENSELESS, RunConfig, SplitConfig, explained, parse_config
from har.config.yaml_file import read_yaml
from har.data.prepare import check_source
from har.data.splits import fold_count
from har.errors import HarError
from har.models.registry import find_model
from har.runs.checks import CONFIG_FOLDER, check_task, named_config
from har.runs.engine import Engine

if TYPE_CHECKING:
    from har.runs.work import Say
    from har.tasks import Task

STUDIES = "studies"
TASK_TABLES = "tasks"  # reports of studies that test no gains
SETTING = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # it becomes the name of a folder


class Setting(BaseModel):
    """One idea: what it is, and what it changes in every config of the study."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    idea: str
    """One sentence, as it will stand in the research log."""
    change: dict[str, Any] = {}
    """Dotted keys of the run config, such as ``augmentation.rotation_deg: 8``."""


class SearchSpace(BaseModel):
    """One option of a search: a range or a list of choices."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    low: float | None = None
    high: float | None = None
    log: bool = False
    integer: bool = False
    choices: tuple[Any, ...] | None = None

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise PydanticCustomError(SENSELESS, "expected either low and high, or choices")
        if self.choices is not None:
            if not self.choices or not all(choice is None or isinstance(choice, str | int | float) for choice in self.choices):
                raise PydanticCustomError(SENSELESS, "choices are texts, numbers, true, false or null; expected at least one")
        elif self.low is not None and self.high is not None:
            if self.low > self.high or (self.log and self.low <= 0):
                raise PydanticCustomError(
                    SENSELESS, f"the range {self.low:g} to {self.high:g} is not one; expected low <= high, with log 0 < low"
                )
            if self.integer and (self.low % 1 or self.high % 1):
                raise PydanticCustomError(SENSELESS, f"the range {self.low:g} to {self.high:g} has integer: true; expected whole numbers")
        return self


class SearchConfig(BaseModel):
    """An Optuna search over the folds of the study."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    trials: int = Field(ge=1)
    """Of each model, pruned ones included."""
    space: dict[str, SearchSpace] = Field(min_length=1)
    """Dotted keys of the run config, which all models of the study have."""


class StudyConfig(BaseModel):
    """One file of ``configs/study/``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    question: str
    """What is to be found out; stands above the table."""
    configs: tuple[str, ...] = Field(min_length=1)
    """Names of models (``configs/NAME.yaml``) or paths."""
    split: SplitConfig
    """Its fold is set by the jobs."""
    validation_subjects: tuple[int, ...] = ()
    """With the official split."""
    folds: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """Which folds; by default all."""
    seeds: tuple[Annotated[int, Field(ge=0, le=MAX_SEED)], ...] = Field(default=(0,), min_length=1)
    keep_predictions: bool = False
    """Whether the predictions for held-out people are kept beside the tables, pooled over the folds, a file a run and seed."""
    change: dict[str, Any] = {}
    """Dotted keys of the run config that every job changes, such as ``training.epochs: 15``."""
    settings: dict[str, Setting] | None = None
    """By default one, the configs as they are. The first is what the others are compared with."""
    search: SearchConfig | None = None

    @model_validator(mode="after")
    def _settings_or_search(self) -> Self:
        if self.settings is not None and (self.search is not None or not self.settings):
            raise PydanticCustomError(SENSELESS, "a study has settings or a search, not both, and at least one setting")
        for name in self.settings or ():
            if not SETTING.fullmatch(name):
                raise PydanticCustomError(SENSELESS, f"setting {name!r:.80} is no name; expected letters, digits, '_', '-' and '.'")
        for what, found in (("configs", [Path(name).stem for name in self.configs]), ("seeds", self.seeds), ("folds", self.folds or ())):
            twice = [each for each, count in Counter(found).items() if count > 1]
            if twice:
                raise PydanticCustomError(SENSELESS, f"{what} has {twice[0]!r:.80} twice; remove one")
        return self


@dataclass(frozen=True)
class Job:
    """One training of a study.

    Attributes:
        study: its name.
        run: name of the config and, where the study has several, of the setting.
        setting: name of the setting.
        config: everything that is trained, seed and fold included.
    """

    study: str
    run: str
    setting: str
    config: RunConfig

    @property
    def fold(self) -> int:
        """The fold whose subjects are scored."""
        return self.config.data.split.fold

    def key(self, data_digest: str) -> str:
        """See `har.tasks.run_key.run_key`."""
        from har.tasks.run_key import run_key  # imports torch; mistakes in a study are reported before that

        return run_key(self.config, data_digest)


@dataclass(frozen=True)
class Study:
    """A study, its data, and where it runs and is written.

    Attributes:
        name: of its file.
        config: what it asks.
        configs: by run, without seeds and folds.
        task: of all of them.
        dataset: name of the data set.
        digest: of the data set.
        folds: how many the split has.
        runs: folder of all runs.
        results: folder of all results, with the ledgers.
        report: folder of the report.
        archive: a copy of the data set.
        parent: the study's own MLflow run.
        engine: runs the jobs.
        command: that was typed, named in the report.
        say: gets one line a job.
        live: instead, draw bars where the standard output is a terminal.
    """

    name: str
    config: StudyConfig
    configs: dict[str, RunConfig]
    task: "Task"
    dataset: str
    digest: str
    folds: int
    runs: Path
    results: Path
    report: Path
    archive: str | None
    parent: str
    engine: Engine
    command: str
    say: "Say"
    live: bool

    @property
    def base(self) -> Path:
        """Folder of its jobs."""
        return self.runs / self.dataset / STUDIES / self.name


def load_study(path: Path | str) -> StudyConfig:
    """Read a YAML file.

    Raises:
        HarError: it is missing, is not YAML, or has an unknown key or a wrong value.
    """
    path = Path(path)
    content = read_yaml(path, "study", "configs/study/ideas.yaml")
    try:
        return StudyConfig.model_validate(content)
    except ValidationError as error:
        raise HarError("config", f"{path}: {explained(error, StudyConfig)}") from None


def checked_study(path: Path, archive: Path | str | None = None, folder: Path = CONFIG_FOLDER) -> tuple[StudyConfig, dict[str, RunConfig]]:
    """A study and its configs, with everything checked that can be checked before its data are read.

    Args:
        path: of the YAML file.
        archive: a copy of the data set.
        folder: of the model configs.

    Raises:
        HarError: the study, a config or a change is wrong, tasks or data sets are mixed, or there is no copy of the data.
    """
    study, name = load_study(path), path.stem
    configs = study_configs(study, folder, str(path))
    for what, found in (
        ("tasks", {config.model.name: find_model(config.model.name).task for config in configs.values()}),
        ("data sets", {run: config.data.dataset for run, config in configs.items()}),
    ):
        if len(set(found.values())) > 1:
            mixed = ", ".join(f"{run} ({value})" for run, value in found.items())
            raise HarError("config", f"study {name} mixes {what}: {mixed}; write one study for each")
    plan(name, study, configs, fold_count(study.split) or 1 + max(study.folds or (0,)))
    for key, option in (study.search.space if study.search is not None else {}).items():
        for config in configs.values():
            config.changed({key: example(option)}, f"study {name}")
    check_source(next(iter(configs.values())).data.dataset, archive)
    return study, configs


def example(option: SearchSpace) -> Any:
    """A value of a search space."""
    if option.choices is not None:
        return option.choices[0]
    return int(option.low) if option.integer else option.low  # type: ignore[arg-type]


def study_configs(study: StudyConfig, folder: Path, origin: str) -> dict[str, RunConfig]:
    """The configs of a study with its split and its changes, without seeds and folds.

    Raises:
        HarError: a config is missing or a change does not fit.
    """
    found: dict[str, RunConfig] = {}
    for name in study.configs:
        config = named_config(name, folder).changed(study.change, origin)
        content = config.model_dump()
        official = study.split.kind == "official"
        content["data"] |= {"split": study.split.model_dump(), "validation_subjects": study.validation_subjects if official else None}
        found[Path(name).stem] = parse_config(content, origin)
        check_task(config)
    return found


def plan(name: str, study: StudyConfig, configs: dict[str, RunConfig], folds: int) -> list[Job]:
    """All jobs of a study, seed by seed, so that an interrupted one has whole seeds first.

    Args:
        name: of the study.
        study: its settings, seeds and folds.
        configs: of `study_configs`.
        folds: how many the split has.

    Raises:
        HarError: a fold does not exist, or a change does not fit.
    """
    wanted = range(folds) if study.folds is None else study.folds
    if any(fold >= folds for fold in wanted):
        raise HarError(
            "split-subjects", f"study {name}: fold {max(wanted)} is asked for, the {study.split.kind} split has folds 0 to {folds - 1}"
        )
    settings = study.settings or {"": Setting(idea="")}
    jobs = []
    for seed in study.seeds:
        for run, config in configs.items():
            for setting, idea in settings.items():
                full = config.changed({**idea.change, "training.seed": seed}, f"study {name}, setting {setting}")
                check_task(full)
                label = "-".join(filter(None, (run, setting)))
                jobs += [Job(name, label, setting or run, full.changed({"data.split.fold": fold}, name)) for fold in wanted]
    return jobs
