"""Typed configs: one YAML file describes a run. Unknown keys and wrong types are refused with what was expected."""

import types
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import Field, ValidationError, model_validator
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
            HarError: a value is not valid.
        """
        content = self.model_dump()
        for name, value in overrides.items():
            if value is not None:
                section, key = name.split("__")
                content[section][key] = value
        return parse_config(content, "command line")

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
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HarError(f"cannot read the config {path} ({error.strerror}); expected a YAML file such as configs/cnn1d.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise HarError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
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
        raise HarError(f"{origin}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {place!r}; {nearest(str(first['loc'][-1]), _keys_at(first['loc'][:-1]))}"
    if first["type"] == "missing":
        return f"key {place!r} is missing"
    if first["type"] == SENSELESS:
        return f"{place}: {first['msg']}".removeprefix(": ")
    return f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}, found {first['input']!r}"


def _keys_at(place: tuple[int | str, ...]) -> list[str]:
    section: Any = RunConfig
    for part in place:
        annotation = section.model_fields[str(part)].annotation
        section = (
            next((a for a in get_args(annotation) if isinstance(a, type)), annotation)
            if isinstance(annotation, types.UnionType)
            else annotation
        )
    return list(section.model_fields)
