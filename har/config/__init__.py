"""Typed configs: one YAML file describes a run. Unknown keys and wrong types are refused with what was expected."""

from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from har.config.sections import (
    MAX_SEED,
    SENSELESS,
    AugmentationConfig,
    ClassifyConfig,
    DataConfig,
    ForecastConfig,
    FrontendConfig,
    GenerateConfig,
    ModelConfig,
    ReconstructConfig,
    Section,
    SequenceConfig,
    SplitConfig,
    TaskConfig,
    TrainingConfig,
    WindowingConfig,
)
from har.config.yaml_file import read_yaml
from har.contract import HarError, nearest

__all__ = [
    "MAX_SEED",
    "SENSELESS",
    "AugmentationConfig",
    "ClassifyConfig",
    "DataConfig",
    "ForecastConfig",
    "FrontendConfig",
    "GenerateConfig",
    "ModelConfig",
    "ReconstructConfig",
    "RunConfig",
    "SequenceConfig",
    "SplitConfig",
    "TaskConfig",
    "TrainingConfig",
    "WindowingConfig",
    "explained",
    "load_config",
    "parse_config",
]


class RunConfig(Section):
    """One training run."""

    data: DataConfig
    windowing: WindowingConfig = WindowingConfig()
    frontend: FrontendConfig = FrontendConfig()
    model: ModelConfig
    augmentation: AugmentationConfig = AugmentationConfig()
    task: TaskConfig = ClassifyConfig()
    """``name`` says which task, and so which other keys there are; the registry says which task a model is for."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    @model_validator(mode="after")
    def _somebody_chooses_the_epoch(self) -> Self:
        nobody = self.data.validation_subjects == () if self.data.split.kind == "official" else self.data.split.validation == 0
        if nobody and self.training.keep == "best" and self.data.split.kind != "file":
            raise PydanticCustomError(SENSELESS, "data.validation_subjects: nobody chooses the epoch; set training.keep: last")
        return self

    @model_validator(mode="after")
    def _options_fit_the_task(self) -> Self:
        if self.task.name != "window":
            for key, value, default in (("model.members", self.model.members, 1), ("frontend.axes", self.frontend.axes, "sensor")):
                if value != default:
                    text = f"{key}: {value} has no effect for the task {self.task.name}, only for the task window; remove it"
                    raise PydanticCustomError(SENSELESS, text)
        return self

    @model_validator(mode="after")
    def _only_raw_sensors_are_turned(self) -> Self:
        if self.frontend.axes == "gravity" and self.data.channels != "raw6":
            raise PydanticCustomError(SENSELESS, "frontend.axes: gravity turns raw sensors; set data.channels: raw6")
        return self

    def with_overrides(self, **overrides: Any) -> "RunConfig":
        """A copy with values replaced, named ``section__key``; None leaves a value as it is.

        Raises:
            HarError: there is no such key, or a value is not valid.
        """
        change = {name.replace("__", "."): value for name, value in overrides.items() if value is not None}
        return self.changed(change, "command line")

    def changed(self, change: dict[str, Any], origin: str) -> "RunConfig":
        """A copy with values replaced, named by dotted keys such as ``training.epochs``.

        Args:
            change: values by key.
            origin: where they come from, for messages.

        Raises:
            HarError: there is no such key, or a value is not valid.
        """
        content = self.model_dump()
        for name, value in change.items():
            *sections, key = name.split(".")
            place = content
            for section in sections:
                if not isinstance(place.get(section), dict):
                    known = [section for section, value in content.items() if isinstance(value, dict)]
                    hint = nearest(section, known) if place is content else "expected SECTION.KEY, such as training.epochs"
                    raise HarError(f"{origin}: {name!r} names no section of a config; {hint}")
                place = place[section]
            place[key] = value
        return parse_config(content, origin)

    def with_split(self, **split: Any) -> "RunConfig":
        """A copy with another split than the official one, which chooses its own validation subjects.

        Raises:
            HarError: an option of the split is not valid.
        """
        content = self.model_dump()
        content["data"] |= {"split": split, "validation_subjects": None}
        return parse_config(content, "split")

    def recipe(self) -> dict[str, Any]:
        """The whole config without the seed, in plain values: what two trainings share whose scores may be averaged."""
        content = self.model_dump(mode="json")
        del content["training"]["seed"]
        return content

    def to_yaml(self) -> str:
        """The whole config as YAML, defaults included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_config(path: Path | str) -> RunConfig:
    """Read a YAML file.

    Raises:
        HarError: the file is missing, is not YAML, or has an unknown key or a wrong value.
    """
    path = Path(path)
    content = read_yaml(path, "config", "configs/cnn1d.yaml")
    if not isinstance(content, dict):
        raise HarError(f"{path} holds {type(content).__name__}, expected the sections {', '.join(RunConfig.model_fields)}")
    return parse_config(content, str(path))


def parse_config(content: dict[str, Any], origin: str) -> RunConfig:
    """Check a config that was read from `origin`.

    Raises:
        HarError: with the place, what was found and the nearest valid name.
    """
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        raise HarError(f"{origin}: {explained(error, RunConfig)}") from None


def explained(error: ValidationError, root: type[BaseModel]) -> str:
    """The first fault that pydantic found in a `root`: its place, and what was expected or the nearest valid name."""
    found = error.errors()
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])  # a misspelt key is also a missing one
    keys, section = _at(root, first["loc"])
    place = ".".join(keys)
    if first["type"] == "extra_forbidden":
        return f"unknown key {place!r}; {nearest(keys[-1], list(section.model_fields))}"
    if first["type"] == "missing":
        return f"key {place!r} is missing"
    if first["type"] == "union_tag_not_found":
        return f"key '{place}.{first['ctx']['discriminator'][1:-1]}' is missing; it says which other keys there are"
    if first["type"] == "union_tag_invalid":
        return f"{place}.name is {first['ctx']['tag']!r:.80}; expected one of {first['ctx']['expected_tags']}"
    if first["type"] == SENSELESS:
        return f"{place}: {first['msg']}".removeprefix(": ")
    return f"{place or 'the file'}: {first['msg'][0].lower()}{first['msg'][1:]}, found {first['input']!r:.80}"


def _at(root: type[BaseModel], place: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """The keys of a place in a `root` as the file has them, and the section that holds the last one."""
    keys, section, kinds = [], root, dict[str | int, type[BaseModel]]()
    for part in place:
        if part in kinds:  # pydantic's word for which kind of a section it is; no key of the file
            section, kinds = kinds[part], {}
            continue
        keys.append(str(part))
        if part in section.model_fields and len(keys) < len(place):  # else the name of an entry of a dict of sections
            found = _sections_in(section.model_fields[str(part)].annotation)
            kinds = {get_args(each.model_fields["name"].annotation)[0]: each for each in found} if len(found) > 1 else {}
            section = found[0] if found else section
    return keys, section


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field holds: itself, the kinds it can be, or the values of a dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for each in get_args(annotation) for found in _sections_in(each)]
