"""What a study is: models x settings x seeds x folds, each one job with a key that says everything it depends on."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from har.config import MAX_SEED, RunConfig, Section, SplitConfig, checked, read_yaml
from har.data.prepare import check_source
from har.data.splits import fold_count
from har.errors import HarError
from har.models.registry import find_model
from har.runs.checks import CONFIG_FOLDER, check_task, named_config

if TYPE_CHECKING:
    from har.tasks import Task

STUDIES = "studies"
TASK_TABLES = "tasks"  # reports of studies that test no gains
SETTING = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # it becomes the name of a folder


class Setting(Section):
    """One idea: what it is, and what it changes in every config of the study."""

    idea: str
    """One sentence, as it will stand in the research log."""
    change: dict[str, Any] = Field(default_factory=dict)
    """Dotted keys of the run config, such as ``augmentation.rotation_deg: 8``."""


class SearchSpace(Section):
    """One option of a search: a range or a list of choices."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    integer: bool = False
    choices: tuple[Any, ...] | None = None

    def _refused(self) -> Iterator[tuple[object, str]]:
        low, high, choices = self.low, self.high, self.choices
        yield (choices is None) == (low is None or high is None), "expected either low and high, or choices"
        odd = choices is not None and not all(choice is None or isinstance(choice, str | int | float) for choice in choices)
        yield choices == () or odd, "choices are texts, numbers, true, false or null; expected at least one"
        if choices is None and low is not None and high is not None:
            what = f"the range {low:g} to {high:g}"
            yield low > high or (self.log and low <= 0), f"{what} is not one; expected low <= high, with log 0 < low"
            yield self.integer and (low % 1 or high % 1), f"{what} has integer: true; expected whole numbers"


class SearchConfig(Section):
    """An Optuna search over the folds of the study."""

    trials: int = Field(ge=1)
    """Of each model, pruned ones included."""
    space: dict[str, SearchSpace] = Field(min_length=1)
    """Dotted keys of the run config, which all models of the study have."""


class StudyConfig(Section):
    """One file of ``configs/study/``."""

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
    change: dict[str, Any] = Field(default_factory=dict)
    """Dotted keys of the run config that every job changes, such as ``training.epochs: 15``."""
    settings: dict[str, Setting] | None = None
    """By default one, the configs as they are. The first is what the others are compared with."""
    search: SearchConfig | None = None

    def _refused(self) -> Iterator[tuple[object, str]]:
        both = self.settings is not None and (self.search is not None or not self.settings)
        yield both, "a study has settings or a search, not both, and at least one setting"
        for name in self.settings or ():
            yield not SETTING.fullmatch(name), f"setting {name!r:.80} is no name; expected letters, digits, '_', '-' and '.'"
        for what, found in (("configs", [Path(name).stem for name in self.configs]), ("seeds", self.seeds), ("folds", self.folds or ())):
            for each, count in Counter(found).items():
                yield count > 1, f"{what} has {each!r:.80} twice; remove one"


@dataclass(frozen=True)
class Job:
    """One training of a study.

    Attributes:
        run: name of the config and, where the study has several, of the setting.
        setting: name of the setting.
        config: everything that is trained, seed and fold included.
    """

    run: str
    setting: str
    config: RunConfig

    @property
    def fold(self) -> int:
        """The fold whose subjects are scored."""
        return self.config.data.split.fold

    @property
    def text(self) -> str:
        """What it is, for people."""
        return f"{self.run}, fold {self.fold}, seed {self.config.training.seed}"


@dataclass(frozen=True)
class Study:
    """A study and its data: everything that a process needs to run one of its jobs.

    Attributes:
        name: of its file.
        config: what it asks.
        configs: by run, without seeds and folds.
        dataset: name of the data set.
        digest: of the data set.
        folds: how many the split has.
        runs: folder of all runs.
        results: folder of all results, with the ledgers.
        archive: a copy of the data set.
        parent: the study's own MLflow run.
    """

    name: str
    config: StudyConfig
    configs: dict[str, RunConfig]
    dataset: str
    digest: str
    folds: int
    runs: Path
    results: Path
    archive: str | None
    parent: str

    @property
    def task(self) -> "Task":
        """Of all its configs."""
        from har.tasks import task_of  # imports torch; mistakes in a study are reported before that

        return task_of(next(iter(self.configs.values())).model.name)

    @property
    def base(self) -> Path:
        """Folder of its jobs."""
        return self.runs / self.dataset / STUDIES / self.name

    @property
    def report(self) -> Path:
        """Folder of its report."""
        from har.runs.evaluate import results_folder  # as above

        return results_folder(self.results, self.dataset) / (STUDIES if self.task.gains else TASK_TABLES)

    def tags(self, **own: str) -> dict[str, str]:
        """Of the MLflow run of a job."""
        return own | ({"mlflow.parentRunId": self.parent} if self.parent else {})


def load_study(path: Path | str) -> StudyConfig:
    """Read a YAML file.

    Raises:
        HarError: it is missing, is not YAML, or has an unknown key or a wrong value.
    """
    path = Path(path)
    return checked(StudyConfig, read_yaml(path, "study", "configs/study/ideas.yaml"), str(path))


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
        check_task(config)
        who = study.validation_subjects if study.split.kind == "official" else None
        found[Path(name).stem] = config.changed({"data.split": study.split.model_dump(), "data.validation_subjects": who}, origin)
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
                jobs += [Job(label, setting or run, full.changed({"data.split.fold": fold}, name)) for fold in wanted]
    return jobs
