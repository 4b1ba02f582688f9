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
    DataConfig,
    FrontendConfig,
    ModelConfig,
    Section,
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
    "DataConfig",
    "FrontendConfig",
    "ModelConfig",
    "RunConfig",
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
    task: TaskConfig = TaskConfig()
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    @model_validator(mode="after")
    def _somebody_chooses_the_epoch(self) -> Self:
        nobody = self.data.validation_subjects == () if self.data.split.kind == "official" else self.data.split.validation == 0
        if nobody and self.training.keep == "best" and self.data.split.kind != "file":
            raise PydanticCustomError(SENSELESS, "data.validation_subjects: nobody chooses the epoch; set training.keep: last")
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
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {place!r}; {nearest(str(first['loc'][-1]), _keys_at(root, first['loc'][:-1]))}"
    if first["type"] == "missing":
        return f"key {place!r} is missing"
    if first["type"] == SENSELESS:
        return f"{place}: {first['msg']}".removeprefix(": ")
    return f"{place or 'the file'}: {first['msg'][0].lower()}{first['msg'][1:]}, found {first['input']!r:.80}"


def _keys_at(root: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] | None = root
    for part in place:
        if section is not None and part in section.model_fields:  # else the name of an entry of a dict of sections
            section = _section_in(section.model_fields[str(part)].annotation)
    return list(section.model_fields) if section is not None else []


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, itself or as the values of a dict."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _section_in(each)) is not None), None)
